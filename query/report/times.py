"""Times as a report writes them, and the ticks of an axis: at round times of a zone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import msgspec

from recorder.instant import time_of, us_of

DASH = "\N{EN DASH}"
"""What stands where there is nothing to tell."""
_S = 1_000_000
_DAY_S = 86_400
_STEPS_S = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200),
    *(day * _DAY_S for day in (1, 2, 4, 7, 14, 28, 56, 91, 182, 365, 730, 1825, 3650, 36_500)),
)


class Clock(msgspec.Struct, frozen=True):
    """Writes times in a zone. Its usual offset is said once, `name`, and left out of the times."""

    zone: tzinfo
    usual: timedelta

    @classmethod
    def of(cls, zone: tzinfo, begin_us: int) -> "Clock":
        """Return the clock of a period: its usual offset is that at the begin."""
        return cls(zone, _local(begin_us, zone).utcoffset() or timedelta())

    @property
    def name(self) -> str:
        """The zone and its usual offset."""
        if self.zone is UTC:
            return "UTC"
        offset = datetime(2000, 1, 1, tzinfo=timezone(self.usual)).isoformat()[19:]
        return f"{self.zone} ({offset})"

    def text(self, at_us: int | None) -> str:
        """Return microseconds since 1970 UTC as `2026-11-28 12:49:07.551`, or a dash.

        As everywhere it is rounded up to the millisecond. Another offset than the usual one, as in
        summer, is said.
        """
        if at_us is None:
            return DASH
        at = _local(-(-at_us // 1000) * 1000, self.zone)
        part = f".{at.microsecond // 1000:03}" if at.microsecond else ""
        offset = "" if at.utcoffset() == self.usual else f" {at.isoformat()[-6:]}"
        return f"{at:%Y-%m-%d %H:%M:%S}{part}{offset}"

    def at(self, at: datetime | None) -> str:
        """Return a time as `text` does."""
        return self.text(None if at is None else us_of(at))


class Tick(msgspec.Struct, frozen=True):
    """A tick of an axis: where, and the lines of its label."""

    at_us: int
    lines: tuple[str, ...]


def ticks(zone: tzinfo, begin_us: int, end_us: int, count_max: int) -> list[Tick]:
    """Return ticks at round times of the zone, some `count_max` of them."""
    step_s = next(
        (step for step in _STEPS_S if end_us - begin_us <= step * _S * count_max),
        _STEPS_S[-1],
    )
    found: list[Tick] = []
    before: datetime | None = None
    for at_us in _round_times(zone, begin_us, end_us, step_s):
        at = _local(at_us, zone)
        found.append(Tick(at_us, _label(at, before, step_s)))
        before = at
    return found


def _label(at: datetime, before: datetime | None, step_s: int) -> tuple[str, ...]:
    """Return what a tick is called; what it has in common with the one before is left out."""
    day = f"{at.day} {at:%b}"
    if step_s >= _DAY_S:
        return (day,) if before and before.year == at.year else (day, f"{at.year}")
    hour = f"{at:%H:%M}" if step_s >= 60 else f"{at:%H:%M:%S}"
    return (hour,) if before and before.date() == at.date() else (hour, day)


def _round_times(zone: tzinfo, begin_us: int, end_us: int, step_s: int) -> Iterator[int]:
    """Yield the multiples of a step since the midnight before the begin, as the zone has it."""
    midnight = _local(begin_us, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    if step_s >= _DAY_S:
        while (at_us := us_of(midnight.astimezone(UTC))) <= end_us:
            if at_us >= begin_us:
                yield at_us
            midnight += timedelta(seconds=step_s)  # of the calendar: days may have 23 or 25 hours
        return
    first_us = us_of(midnight.astimezone(UTC))
    at_us = first_us + -(-(begin_us - first_us) // (step_s * _S)) * step_s * _S
    while at_us <= end_us:
        yield at_us
        at_us += step_s * _S


def _local(at_us: int, zone: tzinfo) -> datetime:
    return time_of(at_us).astimezone(zone)
