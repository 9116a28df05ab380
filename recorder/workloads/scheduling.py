"""Runs workloads when their time has come; what cannot be run then is written down, and not run.

Never late: whoever schedules a load for the night does not want it in the morning.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec
import trio

from .. import logs
from ..clock import WallClock
from ..control.lines import iso
from ..control.protocol import Action, Refused, Run, ScheduleAction, ScheduleStatus
from ..errors import ConfigError, WorkloadError
from ..keeper import Pen
from ..model import RECORDER, Detail, Draft, Mark, MarkName
from ..pools.roster import Roster
from ..timetable import Schedule, times_after, times_between
from .runs import Runs
from .scripts import Script, script_in

LATE_NS = 60 * 10**9
"""What is noticed later than this was missed: the machine slept, or its clock was set."""
LOOK_S = 20.0
"""How often the clock is looked at: it may be set, and then a time comes sooner than it was due."""
MISSED_MAX = 1000
"""So many missed times of a schedule are counted one by one; of more the mark says this number."""
NO_RECORDER = "no recorder ran"
TOO_LATE = "it was noticed too late: the machine slept, the clock was set, or the disk was full"


class Scheduled(msgspec.Struct, frozen=True):
    """A schedule with the script that it runs, as the file was when the configuration was read."""

    schedule: Schedule
    text: str
    script: Script


def scheduled(schedules: Iterable[Schedule]) -> list[Scheduled]:
    """Read the scripts of schedules. Raises ConfigError, whose choices are further mistakes."""
    found, mistakes = list[Scheduled](), list[str]()
    for one in schedules:
        try:
            text = one.script.read_text(encoding="utf-8")
            found.append(Scheduled(one, text, script_in(text, str(one.script))))
        except OSError as error:
            reason = f"{one.script}: cannot be read: {error.strerror}"
            mistakes.append(f"schedule {one.name}: script: {reason}")
        except UnicodeDecodeError:
            mistakes.append(f"schedule {one.name}: script: {one.script}: is not UTF-8 text")
        except WorkloadError as error:
            mistakes += (f"schedule {one.name}: script: {line}" for line in error.texts)
    if mistakes:
        refused = ConfigError(mistakes[0])
        refused.choices = tuple(mistakes[1:])
        raise refused
    return found


class Scheduler:
    """Looks when what is due.

    `alive_ns` is by pool when a recorder is last known to have been at it. With `begins_none` there
    is a reason why nothing is begun: what is due is only written down.
    """

    def __init__(
        self,
        runs: Runs,
        roster: Roster,
        pen: Pen,
        now_ns: WallClock,
        *,
        alive_ns: Mapping[str, int],
        begins_none: str | None = None,
    ) -> None:
        self._runs = runs
        self._roster = roster
        self._pen = pen
        self._now_ns = now_ns
        self._alive_ns = alive_ns
        self._begins_none = begins_none
        self._entries: dict[str, Scheduled] = {}
        self._looked_ns: dict[str, int] = {}
        self._changed = trio.Event()

    def take(self, entries: Sequence[Scheduled]) -> list[ScheduleAction]:
        """Take these for the schedules from now on; return what that is for each of them.

        Those whose times are as before do not notice.
        """
        now_ns, before = self._now_ns(), self._entries
        self._entries = {one.schedule.name: one for one in entries}
        self._looked_ns = {
            name: self._looked_ns[name]
            if name in before and _times_of(before[name]) == _times_of(one)
            else now_ns
            for name, one in self._entries.items()
        }
        self._changed.set()
        return [*_actions(before, self._entries)]

    def next_on(self, pool: str) -> ScheduleStatus | None:
        """Return what is due next on a pool, None if nothing is scheduled for it."""
        now_ns = self._now_ns()
        due = [
            (next(times_after(one.schedule, now_ns)), name)
            for name, one in self._entries.items()
            if one.schedule.enabled and pool in one.schedule.pools
        ]
        if not due:
            return None
        at_ns, name = min(due)
        script = self._entries[name].script.name
        return ScheduleStatus(name, script, iso(at_ns), round((at_ns - now_ns) / 1e9, 3))

    async def serve(self) -> None:
        """Run what is due until cancelled; first of all, write down what was due before.

        In the nursery: a task for each run that is being begun; a run itself is in that of `Runs`.
        """
        began_ns = self._now_ns()
        for one in self._enabled():
            for pool in one.schedule.pools:
                alive_ns = self._alive_ns.get(pool, began_ns)
                missed = times_between(one.schedule, alive_ns, began_ns)
                await self._miss(one, [pool], missed, NO_RECORDER)
        async with trio.open_nursery() as nursery:
            while True:
                for one in self._enabled():
                    await self._look(one, nursery)
                with trio.move_on_after(self._rest_s()):
                    await self._changed.wait()
                self._changed = trio.Event()

    def _enabled(self) -> list[Scheduled]:
        return [one for one in self._entries.values() if one.schedule.enabled]

    def _rest_s(self) -> float:
        """Return how long nothing is due, LOOK_S at most."""
        now_ns = self._now_ns()
        due_ns = [next(times_after(one.schedule, now_ns)) for one in self._enabled()]
        return min([LOOK_S, *((at_ns - now_ns) / 1e9 for at_ns in due_ns)])

    async def _look(self, one: Scheduled, nursery: trio.Nursery) -> None:
        """Begin what has become due since the last look, unless that is too long ago."""
        name, now_ns = one.schedule.name, self._now_ns()
        looked_ns = self._looked_ns[name]
        if now_ns <= looked_ns:
            return  # The clock went back: what was due once is not due again.
        self._looked_ns[name] = now_ns
        missed = times_between(one.schedule, looked_ns, now_ns - LATE_NS)
        await self._miss(one, one.schedule.pools, missed, TOO_LATE)
        due = times_between(one.schedule, max(looked_ns, now_ns - LATE_NS), now_ns)
        for at_ns in deque(due, maxlen=1):
            for pool in one.schedule.pools:
                nursery.start_soon(self._begin, one, pool, at_ns)

    async def _begin(self, one: Scheduled, pool: str, at_ns: int) -> None:
        """Begin a run, or write down why not."""
        schedule = one.schedule
        wanted = Run(pool=pool, script=one.text, origin=str(schedule.script), seed=schedule.seed)
        why = self._begins_none or f"pool {pool} is not recorded any more"
        if self._roster.post(pool) is not None and self._begins_none is None:
            try:
                await self._runs.begin(wanted, f"schedule {schedule.name}")
            except Refused as refused:
                why = str(refused)
            else:
                return
        logs.warning("schedule-skipped", schedule=schedule.name, pool=pool, why=why)
        detail: Detail = {
            "schedule": schedule.name,
            "script": one.script.name,
            "due": iso(at_ns),
            "why": why,
        }
        await self._write(pool, MarkName.SCHEDULE_SKIPPED, detail)

    async def _miss(
        self, one: Scheduled, pools: Sequence[str], missed: Iterable[int], why: str
    ) -> None:
        """Write down what was not run, in one mark a pool; nothing if there is nothing."""
        times = list(islice(missed, MISSED_MAX))
        if not times:
            return
        schedule = one.schedule
        logs.warning("schedule-missed", schedule=schedule.name, count=len(times), why=why)
        detail: Detail = {
            "schedule": schedule.name,
            "script": one.script.name,
            "first_due": iso(times[0]),
            "last_due": iso(times[-1]),
            "count": len(times),
            "why": why,
        }
        for pool in pools:
            await self._write(pool, MarkName.SCHEDULE_MISSED, detail)

    async def _write(self, pool: str, name: MarkName, detail: Detail) -> None:
        known = pool if self._roster.post(pool) is not None else RECORDER
        await self._pen.write([Draft(self._now_ns(), known, Mark(name, detail))])


def _actions(
    before: Mapping[str, Scheduled], after: Mapping[str, Scheduled]
) -> Iterator[ScheduleAction]:
    for name, one in after.items():
        if name not in before:
            yield ScheduleAction(name, Action.ADDED)
        else:
            yield ScheduleAction(name, Action.KEPT if before[name] == one else Action.CHANGED)
    yield from (ScheduleAction(name, Action.REMOVED) for name in before if name not in after)


def _times_of(one: Scheduled) -> tuple[str, str, bool]:
    schedule = one.schedule
    return schedule.cron, schedule.time_zone, schedule.enabled
