"""When scheduled workloads are due: a cron expression in a time zone. The time is the caller's.

Cron as Debian has it. When clocks change, what is due at a fixed time of day is run once: at the
end of an hour that is left out, and the first time in one that comes twice. What is due by `*`, in
minutes or hours, follows the time that really passes.
"""

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, tzinfo
from itertools import takewhile
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError

from .mistakes import advice

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
FIELDS = 5
EXAMPLE = "30 3 * * MON-FRI"
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)
"""Whether an expression is ever due does not depend on when that is asked."""


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A script that is run on pools when its time has come. `seed` replaces that of the script."""

    name: str
    cron: str
    script: Path
    pools: tuple[str, ...]
    seed: int | None = None
    time_zone: str = "UTC"
    enabled: bool = True

    @property
    def zone(self) -> tzinfo:
        """The zone in which `cron` is meant. Raises ValueError for none that is known."""
        if self.time_zone == "UTC":
            return UTC
        try:
            return ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, OSError) as error:
            raise ValueError(f"there is no time zone {self.time_zone!r}") from error


def mistakes_of(schedule: Schedule, pools: Collection[str], *, at: str) -> Iterator[str]:
    """Tell what of a schedule cannot be; `pools` are those of the configuration, `at` its place."""
    if not NAME.fullmatch(schedule.name):
        yield (
            f"{at}.name: {schedule.name!r} is not a name"
            " (letters, digits, '.', '_' and '-', at most 64)"
        )
    if not schedule.pools:
        yield f"{at}.pools: name at least one pool"
    for name in schedule.pools:
        if name not in pools:
            yield f"{at}.pools: there is no pool {name!r}; {advice(name, pools)}"
    if len(set(schedule.pools)) < len(schedule.pools):
        yield f"{at}.pools: a pool is named twice"
    try:
        zone = schedule.zone
    except ValueError as error:
        yield f"{at}.time_zone: {error}: write one such as 'Europe/Berlin'"
        zone = UTC
    yield from _cron_mistakes(schedule.cron, zone, at=f"{at}.cron")


def _cron_mistakes(cron: str, zone: tzinfo, *, at: str) -> Iterator[str]:
    if len(cron.split()) != FIELDS:
        yield (
            f"{at}: write {FIELDS} fields, minute, hour, day of month, month and day of week,"
            f" such as {EXAMPLE!r}"
        )
        return
    try:
        next(CronSim(cron, _SOME_DAY.astimezone(zone)))
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        yield f"{at}: its {field} cannot be read: write it like {EXAMPLE!r}"
    except StopIteration:
        yield f"{at}: {cron!r} is never due: there is no such day"


def times_after(schedule: Schedule, after_ns: int) -> Iterator[int]:
    """Yield when a schedule is due, later than a time; all in nanoseconds since 1970 UTC."""
    for at in CronSim(schedule.cron, _instant(schedule, after_ns)):
        at_ns = int(at.timestamp()) * 10**9
        # Of an hour that comes twice, the second one begins behind what was due in the first.
        if at_ns > after_ns:
            yield at_ns


def times_between(schedule: Schedule, after_ns: int, until_ns: int) -> Iterator[int]:
    """Yield when a schedule was due, later than one time and no later than another."""
    return takewhile(lambda at_ns: at_ns <= until_ns, times_after(schedule, after_ns))


def _instant(schedule: Schedule, at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns // 10**9, schedule.zone)
