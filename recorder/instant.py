"""Points in time as people write them: `2026-11-23T21:48:24Z`, `-2h`, `now`, `@1234`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from .errors import QueryError

AGO = re.compile(r"(?:now)?-((?:\d+[smhdw])+)")
_PART = re.compile(r"(\d+)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_US_MAX = 253_402_300_800_000_000  # the year 10000, which neither datetime nor DuckDB reaches


class BadInstant(QueryError):
    """A text does not say a point in time."""


@dataclass(frozen=True, slots=True)
class Instant:
    """Either a time (microseconds since 1970 UTC) or a sequence number of the journal."""

    at_us: int | None = None
    seq: int | None = None

    def __str__(self) -> str:
        return f"@{self.seq}" if self.at_us is None else time_text(self.at_us)


def parse_instant(text: str, *, now_ns: int) -> Instant:
    """Read an instant; a time without a zone is UTC. Raises BadInstant."""
    word = text.strip()
    if word == "now":
        return Instant(at_us=now_ns // 1000)
    if word.startswith("@") and word[1:].isdecimal():
        return Instant(seq=int(word[1:]))
    ago = AGO.fullmatch(word)
    if ago is not None:
        ago_s = sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(ago[1]))
        return Instant(at_us=_checked(now_ns // 1000 - ago_s * 1_000_000, text))
    try:
        at = datetime.fromisoformat(word)
    except ValueError:
        raise _bad(text) from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return Instant(at_us=_checked(us_of(at), text))


def _checked(at_us: int, text: str) -> int:
    if not 0 <= at_us < _US_MAX:
        raise _bad(text)
    return at_us


def _bad(text: str) -> BadInstant:
    return BadInstant(
        f"{text!r} is no point in time; write 2026-11-23T21:48:24Z, -2h, -15m, -3d, now or @SEQ"
    )


def us_of(at: datetime) -> int:
    """Return a time as whole microseconds since 1970 UTC, exactly."""
    delta = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def time_text(at_us: int) -> str:
    """Return a time as text, to the millisecond or, if it is whole, to the second.

    It is rounded up, so that asking for the time on the screen includes what happened then.
    """
    at_ms = -(-at_us // 1000)
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    part = f".{at_ms % 1000:03}" if at_ms % 1000 else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{part}Z"
