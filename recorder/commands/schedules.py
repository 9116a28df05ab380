"""`xentrail workload schedules`: what is run when, by a configuration. No recorder is asked."""

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from ..printable import json_shown, shown
from .options import ConfigOption, ReportFormat, ReportOption

if TYPE_CHECKING:
    from ..timetable import Schedule
    from ..workloads.scheduling import Scheduled

TIMES_SHOWN = 3


def schedules(config: ConfigOption, form: ReportOption = ReportFormat.TABLE) -> None:
    """List the schedules of a configuration with the next times at which they are due."""
    from ..clock import wall_ns
    from ..config import load
    from ..workloads.scheduling import scheduled

    now_ns = wall_ns()
    found = scheduled(load(config).schedules)
    rows = [(one, _next_times(one.schedule, now_ns)) for one in found]
    if form is ReportFormat.JSON:
        print(json_shown(json.dumps([_plain(one, times) for one, times in rows], indent=2)))
        return
    for one, times in rows:
        for line in _lines(one, times):
            print(shown(line))
    if not rows:
        print(shown(f"{config} has no [[schedules]]"))


def _next_times(schedule: "Schedule", now_ns: int) -> list[str]:
    """Return times in the zone of the schedule; none of one that is not enabled."""
    from ..timetable import times_after

    if not schedule.enabled:
        return []
    times = islice(times_after(schedule, now_ns), TIMES_SHOWN)
    return [datetime.fromtimestamp(at_ns // 10**9, schedule.zone).isoformat() for at_ns in times]


def _plain(one: "Scheduled", times: Sequence[str]) -> dict[str, object]:
    schedule = one.schedule
    return {
        "schedule": schedule.name,
        "cron": schedule.cron,
        "time_zone": schedule.time_zone,
        "enabled": schedule.enabled,
        "file": str(schedule.script),
        "script": one.script.name,
        "seed": one.script.seed if schedule.seed is None else schedule.seed,
        "pools": list(schedule.pools),
        "next": list(times),
    }


def _lines(one: "Scheduled", times: Sequence[str]) -> list[str]:
    schedule = one.schedule
    seed = one.script.seed if schedule.seed is None else schedule.seed
    what = f"{one.script.name} ({schedule.script}), seed {seed}, on {', '.join(schedule.pools)}"
    return [
        f"{schedule.name}: {what}",
        f"   {schedule.cron} ({schedule.time_zone}): {', '.join(times) or 'not enabled'}",
    ]
