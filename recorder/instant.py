"""Points in time as people write them: `2026-11-23T21:48:24Z`, `-2h`, `monday 03:12`, `@1234`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, time, timedelta, tzinfo

import msgspec

from .errors import QueryError

AGO = re.compile(r"(?:now)?-((?:\d+[smhdw])+)")
_PART = re.compile(r"(\d+)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_US_MAX = 253_402_300_800_000_000  # the year 10000, which neither datetime nor DuckDB reaches

_shown_in: ContextVar[tzinfo] = ContextVar("shown_in", default=UTC)


class BadInstant(QueryError):
    """A text does not say a point in time."""


class Instant(msgspec.Struct, frozen=True):
    """Either a time (microseconds since 1970 UTC) or a sequence number of the journal."""

    at_us: int | None = None
    seq: int | None = None

    def __str__(self) -> str:
        return f"@{self.seq}" if self.at_us is None else time_text(self.at_us)


def parse_instant(text: str, *, now_ns: int, zone: tzinfo = UTC) -> Instant:
    """Read an instant; a time that names no zone is meant in `zone`, as are days.

    A time of day alone is today's; a weekday is the last one, at most a week ago. Raises
    BadInstant, also for a time that a change of the clocks left out or made twice.
    """
    word = " ".join(text.split())
    if word == "now":
        return Instant(at_us=now_ns // 1000)
    if word.startswith("@") and word[1:].isdecimal():
        return Instant(seq=int(word[1:]))
    ago = AGO.fullmatch(word)
    if ago is not None:
        ago_s = sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(ago[1]))
        return Instant(at_us=_checked(now_ns // 1000 - ago_s * 1_000_000, text))
    at = _day_and_clock(word, datetime.fromtimestamp(now_ns // 1_000_000_000, zone).date())
    if at is None:
        try:
            at = datetime.fromisoformat(word)
        except ValueError:
            raise _bad(text) from None
    if at.tzinfo is None:
        at = _placed(at, zone, text)
    return Instant(at_us=_checked(us_of(at), text))


def _day_and_clock(word: str, today: date) -> datetime | None:
    """Read `yesterday 03:12`, `monday` or `03:12`; None if it is something else."""
    first, _, rest = word.lower().partition(" ")
    day = today
    if first in ("today", "yesterday"):
        day = today - timedelta(days=int(first == "yesterday"))
    elif first in _WEEKDAYS:
        day = today - timedelta(days=(today.weekday() - _WEEKDAYS.index(first)) % 7 or 7)
    elif not rest and _CLOCK.fullmatch(first):
        rest = first
    else:
        return None
    if not rest:
        return datetime.combine(day, time())
    if not _CLOCK.fullmatch(rest):
        return None
    try:
        return datetime.combine(day, time.fromisoformat(rest.zfill(len(rest) + (rest[1] == ":"))))
    except ValueError:
        return None


def _placed(at: datetime, zone: tzinfo, text: str) -> datetime:
    """Return a time of a clock on the wall in its zone, if there is exactly one such moment."""
    try:
        first, second = (at.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        offsets = {first.utcoffset(), second.utcoffset()}
        exists = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == at
    except OverflowError:
        raise _bad(text) from None
    if len(offsets) == 1:
        return first
    if exists:
        one, other = (_iso(moment) for moment in (first, second))
        raise BadInstant(f"{text!r} was twice in {zone}: write {one} or {other}")
    raise BadInstant(f"{text!r} never was in {zone}: the clocks went forward")


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _checked(at_us: int, text: str) -> int:
    if not 0 <= at_us < _US_MAX:
        raise _bad(text)
    return at_us


def _bad(text: str) -> BadInstant:
    return BadInstant(
        f"{text!r} is no point in time; write 2026-11-23T21:48:24Z, -2h, -3d, now,"
        " 'yesterday 03:12', 03:12 or @SEQ"
    )


def us_of(at: datetime) -> int:
    """Return a time as whole microseconds since 1970 UTC, exactly."""
    delta = at - _BEGIN
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def time_of(at_us: int) -> datetime:
    """Return the time that whole microseconds since 1970 UTC are, exactly."""
    return _BEGIN + timedelta(0, 0, at_us)


@contextmanager
def shown_in(zone: tzinfo) -> Iterator[None]:
    """Let `time_text` write the times of a zone, in place of UTC."""
    token = _shown_in.set(zone)
    try:
        yield
    finally:
        _shown_in.reset(token)


def time_text(at_us: int) -> str:
    """Return a time as text, to the millisecond or, if it is whole, to the second.

    It is rounded up, so that asking for the time on the screen includes what happened then. UTC is
    `Z`; in any other zone the time names its offset, so that it can be asked for as it stands.
    """
    at_ms = -(-at_us // 1000)
    zone = _shown_in.get()
    at = datetime.fromtimestamp(at_ms // 1000, zone)
    part = f".{at_ms % 1000:03}" if at_ms % 1000 else ""
    offset = "Z" if zone is UTC else at.isoformat()[19:]
    return f"{at:%Y-%m-%dT%H:%M:%S}{part}{offset}"
