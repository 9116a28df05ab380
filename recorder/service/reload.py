"""A reload: the watches are brought in line with the configuration file as it is now.

All of it or, if there is any mistake in it, nothing. Pools that are configured as before do not
notice; only their next session uses the password and certificates that are there now.
"""

import signal
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import msgspec
import trio

from .. import logs
from ..clock import WallClock
from ..config import Config, Pool, Reading
from ..control.protocol import Action, ErrorName, PoolAction, Refused, ReloadReport, ScheduleAction
from ..errors import ConfigError
from ..keeper import Pen
from ..model import PoolTail
from ..pools.roster import Roster
from ..pools.vitals import Standing
from ..pools.watch import OpenSession
from ..threads import RunSync
from ..xapi.subscription import Subscription

Reread = Callable[[], Reading]
"""Reads the configuration again, with every mistake in it."""

Prepare = Callable[[Config], Callable[[], list[ScheduleAction]]]

ENDING = {
    Action.REMOVED: "the configuration names it no more",
    Action.CHANGED: "its configuration changed",
    Action.RETRIED: "it was refused, and is tried again",
}
"""What ends the watch of a pool, and what its record says then."""


class Ways(msgspec.Struct, frozen=True):
    """What a reload needs of its surroundings; `opener_of` raises ConfigError.

    `busy` are the pools on which a workload runs. `prepare` reads what the schedules of a
    configuration need, and returns what puts them into force; it raises ConfigError.
    """

    reread: Reread
    opener_of: Callable[[Pool], OpenSession]
    now_ns: WallClock
    run_sync: RunSync
    busy: Callable[[], Collection[str]] = frozenset
    prepare: Prepare = lambda _config: list


class Found(msgspec.Struct, frozen=True):
    """A configuration without a mistake, and what opens the sessions of its pools."""

    config: Config
    openers: Mapping[str, OpenSession]
    put_schedules: Callable[[], list[ScheduleAction]]


class _Request(msgspec.Struct):
    done: trio.Event = msgspec.field(default_factory=trio.Event)
    outcome: ReloadReport | Refused | None = None


class Reloader:
    """Does one reload after the other; `config` is the one that the recorder was started with."""

    def __init__(self, config: Config, roster: Roster, pen: Pen, ways: Ways) -> None:
        self._config = config
        self._roster = roster
        self._pen = pen
        self._ways = ways
        self._requests, self._inbox = trio.open_memory_channel[_Request](0)

    async def reload(self) -> ReloadReport:
        """Have it done, after those that were asked for before. Raises Refused."""
        request = _Request()
        try:
            await self._requests.send(request)
        except trio.BrokenResourceError:
            raise Refused(ErrorName.STOPPING, "the recorder is stopping") from None
        await request.done.wait()
        if isinstance(request.outcome, ReloadReport):
            return request.outcome
        raise request.outcome or Refused(ErrorName.STOPPING, "the recorder is stopping")

    async def serve(self) -> None:
        """Do what is asked for until cancelled. What is under way then is refused, half done."""
        async with self._inbox:
            async for request in self._inbox:
                try:
                    request.outcome = await self._reload()
                except Refused as error:
                    logs.error("reload-refused", reason=error.name, error=str(error))
                    request.outcome = error
                finally:
                    request.done.set()

    async def obey_signals(self) -> None:
        """Reload at each SIGHUP until cancelled; the log tells what came of it."""
        with trio.open_signal_receiver(signal.SIGHUP) as signals:
            async for _ in signals:
                try:
                    await self.reload()
                except Refused:
                    continue  # It was logged where it happened, as every reload is.

    async def _reload(self) -> ReloadReport:
        if self._pen.disk_is_full:
            raise Refused(
                ErrorName.DISK_FULL,
                "the disk of the journal is full, and nothing was changed: make room first",
            )
        found = await self._ways.run_sync(self._find)
        refused = {one.pool for one in self._roster.vitals if one.standing is Standing.REFUSED}
        actions = plan(self._roster.pools, found.config.pools, refused=refused)
        for name, action in actions.items():
            if action in ENDING and name in self._ways.busy():
                text = f"a workload runs on pool {name}, which would end: wait for it, or end it"
                raise Refused(ErrorName.RUN_UNDER_WAY, text)
        report = ReloadReport(
            [PoolAction(pool, action) for pool, action in actions.items()],
            list(needs_restart(self._config, found.config)),
        )
        await self._carry_out(found, actions)
        report = msgspec.structs.replace(report, schedules=found.put_schedules())
        _log(report)
        return report

    def _find(self) -> Found:
        """Read and check everything that a start would. Raises Refused with all mistakes."""
        reading = self._ways.reread()
        mistakes = list(reading.mistakes)
        openers: dict[str, OpenSession] = {}
        for pool in reading.config.pools:
            try:
                openers[pool.name] = self._ways.opener_of(pool)
            except ConfigError as error:
                mistakes.append(str(error))
        put_schedules: Callable[[], list[ScheduleAction]] = list
        try:
            put_schedules = self._ways.prepare(reading.config)
        except ConfigError as error:
            mistakes += [str(error), *error.choices]
        if mistakes:
            raise Refused(ErrorName.CONFIG_REFUSED, *mistakes)
        return Found(reading.config, openers, put_schedules)

    async def _carry_out(self, found: Found, actions: Mapping[str, Action]) -> None:
        """End what has to end, at the same time, and then begin what has to begin."""
        for pool in found.config.pools:
            if actions[pool.name] is Action.KEPT:
                self._roster.open_by(pool, found.openers[pool.name])
        ending = {name: ENDING[action] for name, action in actions.items() if action in ENDING}
        await self._roster.end(ending)
        if set(actions.values()) <= {Action.KEPT}:
            return
        tails = await self._pen.ask(lambda journal: dict(journal.tails))
        for name, action in actions.items():
            if action is Action.REMOVED:
                await self._bury(name, tails.get(name, PoolTail()))
        for pool in found.config.pools:
            if actions[pool.name] is not Action.KEPT:
                tail = tails.get(pool.name, PoolTail())
                self._roster.start(pool, found.openers[pool.name], tail)

    async def _bury(self, name: str, tail: PoolTail) -> None:
        """Write the gap that ends the record of a pool, if its watch could not in its time."""
        drafts = Subscription(name, tail).died(at_ns=self._ways.now_ns())
        if drafts:
            await self._pen.put(drafts)


def plan(
    watched: Sequence[Pool], wanted: Sequence[Pool], *, refused: Collection[str]
) -> dict[str, Action]:
    """Return what is to be done with each pool, the wanted ones first and in their order."""
    before = {pool.name: pool for pool in watched}
    actions: dict[str, Action] = {}
    for pool in wanted:
        if pool.name not in before:
            actions[pool.name] = Action.ADDED
        elif pool.recorded != before.pop(pool.name).recorded:
            actions[pool.name] = Action.CHANGED
        else:
            actions[pool.name] = Action.RETRIED if pool.name in refused else Action.KEPT
    return actions | dict.fromkeys(before, Action.REMOVED)


def needs_restart(old: Config, new: Config) -> Iterator[str]:
    """Name the keys outside of the pools that differ: they are in force from the next start on."""
    if old.data != new.data:
        yield "data"
    for section in ("limits", "journal", "redaction"):
        before, after = getattr(old, section), getattr(new, section)
        for name in before.__struct_fields__:
            if getattr(before, name) != getattr(after, name):
                yield f"{section}.{name}"


def _log(report: ReloadReport) -> None:
    pools = {
        str(action): ",".join(one.pool for one in report.pools if one.action is action) or None
        for action in Action
    }
    schedules = [one.schedule for one in report.schedules if one.action is not Action.KEPT]
    changed = ",".join(schedules) or None
    logs.info(
        "reloaded", **pools, schedules=changed, needs_restart=",".join(report.needs_restart) or None
    )
