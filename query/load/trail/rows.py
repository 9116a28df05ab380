"""The row of the table `audit_lines` that a line becomes."""

import re

import msgspec

from recorder.model import AuditLine

from ..rows import Row, Stamp
from .lines import Line, line_in, written_us

_SETTER = re.compile(r"\w+\.(?:set|add_to|remove_from|add|remove)_(\w+)")
_UNKNOWN: Row = (None,) * 20


def line_row(pool: str, stamp: Stamp, body: AuditLine) -> Row:
    """Return the row of a line; of one that is not whole only the time is known, if any."""
    line = line_in(body.line)
    said = (written_us(body.line), *_UNKNOWN) if line is None else _said(line)
    return (stamp.seq, pool, stamp.at_us, body.host, body.imported, *said, body.line)


def _said(line: Line) -> Row:
    code, params = line.error or (None, None)
    targets = line.targets
    setter = _SETTER.fullmatch(line.call)
    return (
        *(line.at_us, line.thread, line.client, line.listener),
        *(line.task_name, line.kind, line.digits, line.trackid, line.sid, line.user),
        *(line.is_internal, line.verdict, line.result, code, params, line.api, line.call),
        *(setter and setter[1], next(iter(targets), None), targets),
        msgspec.json.encode(line.arguments).decode(),
    )
