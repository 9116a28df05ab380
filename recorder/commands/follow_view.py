"""How followed entries look: a line each, as it came or in columns for people."""

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ..printable import shown

if TYPE_CHECKING:
    from rich.console import Console

POOL_CHARS, WHAT_CHARS, HOW_CHARS = 10, 16, 8
"""As wide as most names, the longest class and the longest operation are."""

Printer = Callable[[bytes], None]


class Line(msgspec.Struct):
    """A line of the recorder, as far as it is shown; see `control.lines`."""

    kind: str
    seq: int = 0
    pool: str = ""
    received_at: str = ""
    cls: str = msgspec.field(default="", name="class")
    operation: str = ""
    ref: str = ""
    uuid: str | None = None
    name: str | None = None
    what: str = ""
    cause: str = ""
    opened_seq: int = 0
    detail: str | dict[str, str | int | float | bool | None] = ""
    count: int = 0
    first_seq: int = 0
    last_seq: int = 0
    reason: str = ""
    host: str = ""
    line: str = ""


_DECODER = msgspec.json.Decoder(Line)


def end_of(line: bytes) -> str | None:
    """Return why nothing more comes, None for a line with an entry."""
    return _DECODER.decode(line).reason if line.startswith(b'{"kind":"end"') else None


def printer(*, as_json: bool) -> Printer:
    """Return what prints one line, at once."""
    return _print_json if as_json else _Columns().print


def _print_json(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


class _Columns:
    """Prints a heading, and then a line an entry, cut at the width of the terminal if it is one."""

    def __init__(self) -> None:
        from .status_view import console

        self._console: Console = console()
        heading = _row("received", "entry", "pool", "what", "how", "object")
        self._print(heading, "bold")

    def print(self, line: bytes) -> None:
        one = _DECODER.decode(line)
        self._print(*_shown(one))

    def _print(self, text: str, style: str = "") -> None:
        from rich.text import Text

        line = Text(shown(text), style)
        if sys.stdout.isatty():
            self._console.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self._console.print(line, soft_wrap=True)  # What reads it has no width.
        sys.stdout.flush()


STYLES = {"event": "", "baseline": "dim", "mark": "cyan", "audit": "dim", "missed": "bold yellow"}
GAP_STYLES = {"opened": "bold red", "closed": "green"}


def _shown(one: Line) -> tuple[str, str]:
    """Return a line and its style."""
    if one.kind == "missed":
        seqs = f"@{one.first_seq} to @{one.last_seq}"
        text = f"{one.count} entries are not shown, this terminal was too slow for them: {seqs}"
        return text, STYLES[one.kind]
    style = GAP_STYLES[one.what] if one.kind == "gap" else STYLES.get(one.kind, "dim")
    return _row(_time_of_day(one.received_at), f"@{one.seq}", one.pool, *_told(one)), style


def _told(one: Line) -> tuple[str, str, str]:
    """Return what an entry is about, what happened to it, and to which object or why."""
    match one.kind:
        case "event":
            return one.cls, one.operation, _object(one)
        case "baseline":
            return one.cls, "baseline", _object(one) if one.ref else f"{one.count} objects"
        case "gap":
            closed = f"that of @{one.opened_seq}"
            return "gap", one.what, f"{one.cause}: {one.detail}" if one.cause else closed
        case "mark":
            return one.name or "", "mark", _words(one.detail)
        case "audit":
            return "audit line", "", f"{one.host}: {one.line}"
        case _:
            return one.kind, "", "of a newer version: --format json shows it"


def _row(at: str, seq: str, pool: str, what: str, how: str, rest: str) -> str:
    pool = pool.ljust(POOL_CHARS)
    what, how = what.ljust(WHAT_CHARS), how.ljust(HOW_CHARS)
    return f"{at:12} {seq:>8} {pool} {what} {how} {rest}".rstrip()


def _time_of_day(text: str) -> str:
    """Return the time of day of an ISO text, in UTC as it is there."""
    return f"{datetime.fromisoformat(text):%H:%M:%S.%f}"[:12]


def _object(one: Line) -> str:
    return " ".join([one.name or "", one.uuid or one.ref]).strip()


def _words(detail: str | dict[str, str | int | float | bool | None]) -> str:
    if isinstance(detail, str):
        return detail
    return " ".join(f"{key}={value}" for key, value in detail.items() if value is not None)
