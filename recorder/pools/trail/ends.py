"""The ends of a line of the audit trail: when it was written, and whether all of it is there.

No parser: what stands between is nobody's business who only collects.
"""

import re
from datetime import datetime, timedelta

INSTANT_CHARS = 21
"""So much of a line, behind its first bracket, xapi compares with `since`: up to milliseconds."""

_INSTANT = re.compile(rb"\d{8}T\d\d:\d\d:\d\d\.\d{3}")
QUOTED = rb"'(?:[^'\\]|\\\\(?:\\\\|[^\\])|\\x[0-9A-F]{2})*+'"
"""A word in quotes: on the wire a quote in it is `\\\\'`, a backslash four, a byte `\\xC3`."""

_QUOTED = re.compile(QUOTED)

_BODY = b"|audit] "


def instant_of(line: bytes) -> bytes:
    """Return what xapi compares with `since`: of a line without a bracket its beginning."""
    start = line.find(b"[") + 1
    return line[start : start + INSTANT_CHARS]


def parsed(instant: bytes) -> datetime | None:
    """Return the time (UTC, without a zone) that an instant means, None if it is none."""
    if _INSTANT.fullmatch(instant) is None:
        return None
    try:
        return datetime.fromisoformat(instant.decode())
    except ValueError:
        return None  # Such as the 31st of February: somebody else wrote it.


def earlier(instant: bytes, by_s: float) -> bytes:
    """Return an instant so many seconds before another one."""
    at = parsed(instant)
    assert at is not None
    return text_of(at - timedelta(seconds=by_s))


def text_of(at: datetime) -> bytes:
    """Return a time (UTC) as lines have it."""
    return f"{at:%Y%m%dT%H:%M:%S}.{at.microsecond // 1000:03}".encode()


def is_complete(line: bytes) -> bool:
    """Tell whether a line of xapi is all there: every parenthesis behind its header is closed.

    Of a line that is not xapi's that cannot be said: False.
    """
    at = line.find(_BODY) + len(_BODY)
    if at < len(_BODY) or not line.endswith(b")"):
        return False
    depth = 0
    while (quote := line.find(b"'", at)) >= 0:
        word = _QUOTED.match(line, quote)
        if word is None:
            return False
        depth += line.count(b"(", at, quote) - line.count(b")", at, quote)
        at = word.end()
    return depth + line.count(b"(", at) == line.count(b")", at)
