"""A simulated pool: database, events, operations and the actors in the background. No network."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import trio

from . import failover, hostlife, messages, rules
from .agenda import Agenda
from .bugs import Bugs
from .database import Database
from .events import EventHub
from .guests import report
from .image import settle
from .inventory import PoolSpec, SimulatedHost, furnish
from .operations import Operation, Param, operations
from .placement import read_memory
from .presence import Presence
from .serverclock import ServerClock
from .tasks import Tasks
from .toolstack import Call, Toolstack
from .truth import Change, Truth
from .users import add_subjects
from .values import NULL_REF, Fault, Value, map_of, text_of

__all__ = ["Operation", "Param", "PoolSpec", "SimulatedHost", "SimulatedPool"]

HEARTBEAT_S = 30.0
"""xapi's garbage collection runs this often; the fake event of the pool comes from it."""


class _Outcome(msgspec.Struct):
    """What became of an operation; `done` is set once one of the others is."""

    done: trio.Event = msgspec.field(default_factory=trio.Event)
    result: Value | None = None
    fault: Fault | None = None


class SimulatedPool:
    """One pool that lives as long as `run` does."""

    def __init__(self, spec: PoolSpec, *, now_s: Callable[[], float]) -> None:
        """Use `build`; `now_s` is the time in seconds since 1970 UTC."""
        now_s = self.clock = ServerClock(now_s)
        rng = random.Random(spec.seed)
        self.spec = spec
        self.name = spec.name
        self.truth = Truth(kept=spec.keeps_truth)
        self.hub = EventHub(now_s=now_s, queue_bytes_max=spec.queue_bytes_max, truth=self.truth)
        self.database = Database(now_s=now_s, rng=rng, hub=self.hub)
        self.operations: Mapping[str, Operation] = operations()
        self.tasks = Tasks(self.database, lambda: self.master)
        self.bugs = Bugs()
        self._agenda = Agenda(self.bugs)
        self._under_way: set[trio.CancelScope] = set()
        self._nursery: trio.Nursery | None = None
        with self.database.building():
            furnished = furnish(self.database, spec, rng)
            add_subjects(self.database, spec.users, self.database.refs("host"))
        self.pool_ref, self.hosts = furnished.pool_ref, furnished.hosts
        self.toolstack = Toolstack(
            self.database, self.tasks, spec.speed, self.pool_ref, self._later, self.spawn
        )
        self.toolstack.stop_operations = self._stop_operations
        with self.database.building():
            self._bring_to_life()
        if spec.image is not None:
            settle(self.database, spec.image)
        self._begin_truth()

    @classmethod
    def build(cls, spec: PoolSpec, *, now_s: Callable[[], float]) -> SimulatedPool:
        """Return a pool as the spec says; the first host is its master."""
        return cls(spec, now_s=now_s)

    @property
    def master(self) -> str:
        """The host that answers calls, by reference."""
        return text_of(self.database.record("pool", self.pool_ref), "master")

    @property
    def presence(self) -> Presence:
        """The network side of the pool, which hears what becomes of hosts."""
        return self.toolstack.presence

    @presence.setter
    def presence(self, presence: Presence) -> None:
        self.toolstack.presence = presence

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run heartbeat, task collection, guest agents and operations until cancelled.

        The nursery holds the agenda (guest agents, monitoring) and one child for each operation
        under way; its body is the pass every 30 s. All end with the cancellation of `run`.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._agenda.run)
            task_status.started()
            try:
                while True:
                    await trio.sleep(HEARTBEAT_S)
                    self.tasks.collect()
                    messages.trim(self.database)
                    self.hub.heartbeat()
            finally:
                self._nursery = None

    async def call_operation(self, session: str, method: str, args: Sequence[Value]) -> Value:
        """Do an operation to its end (with its own task) and return its result.

        `args` come without the session, optional ones may be missing. Raises Fault. A caller
        that is cancelled leaves the operation running, as a lost connection does in xapi.
        """
        operation = self.operations[method]
        if not operation.has_async:
            call = Call(self.toolstack, session, NULL_REF)
            return await operation.handler(call, *_complete(operation, args))
        task = self.tasks.begin(method)
        outcome = self._begin(operation, session, task, args, keeps_task=False)
        await outcome.done.wait()
        if outcome.fault is not None:
            raise outcome.fault
        assert outcome.result is not None
        return outcome.result

    def start_operation(self, session: str, method: str, args: Sequence[Value]) -> str:
        """Begin an operation in the background (`run` must be running); returns the task."""
        operation = self.operations[method]
        assert operation.has_async, f"{method} has no Async form"
        task = self.tasks.begin(f"Async.{method}")
        self._begin(operation, session, task, args, keeps_task=True)
        return task

    def spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        """Let something go on beside the caller, until it ends or `run` does."""
        assert self._nursery is not None, "a pool does operations only while it runs"
        self._nursery.start_soon(work)

    def spawn_operation(self, work: Callable[[], Awaitable[None]]) -> None:
        """As `spawn`, for what dies with the toolstack: it is cancelled by a restart."""

        async def within() -> None:
            with trio.CancelScope() as scope:
                self._under_way.add(scope)
                try:
                    await work()
                finally:
                    self._under_way.discard(scope)

        self.spawn(within)

    def _stop_operations(self) -> None:
        for scope in self._under_way:
            scope.cancel()

    def flood(self, events: int) -> None:
        """Make this many quick changes to VMs, for provoking EVENTS_LOST."""
        vms = self.database.refs("VM")
        for count in range(events):
            vm = vms[count % len(vms)]
            other = map_of(self.database.record("VM", vm), "other_config")
            other["simulator:flood"] = str(int(str(other.get("simulator:flood", "0"))) + 1)
            self.database.write("VM", vm, "other_config", other)

    def restart_toolstack(self) -> None:
        """Restart xapi: sessions, queue and tasks are gone without an event, ids begin at 0.

        Operations under way end where they are, and nobody hears of that either.
        """
        hostlife.restart_toolstack(self.toolstack)

    def move_master(self, host: str) -> None:
        """Make another host the master, as `pool.designate_new_master` does in the end."""
        self.restart_toolstack()
        self.database.write("pool", self.pool_ref, "master", host)
        self.presence.master_moved()

    def kill_host(self, host: str) -> None:
        """Let a host (a reference) stop without a word; `run` must be running.

        With HA, others notice, take over and start its VMs; without it, it is given up after 10
        minutes.
        """
        failover.lose(self.toolstack, host)

    def revive_host(self, host: str) -> None:
        """Let a host that is down boot; what ran on it before does not run any more."""
        hostlife.come_back(self.toolstack, host)

    def _bring_to_life(self) -> None:
        """Let guest agents report, and what may be done be known.

        A pool that was recorded keeps what it offered, but for its VMs: they will be asked for it.
        """
        is_new = self.spec.image is None
        for vm in self.database.refs("VM"):
            if is_new:
                report(self.toolstack, vm)
        for cls in rules.CLASSES if is_new else ("VM",):
            for ref in self.database.refs(cls):
                self.toolstack.update_allowed(ref, cls)
        read_memory(self.toolstack)

    def _begin_truth(self) -> None:
        # Nobody watched the pool being built: the truth begins with its objects as they are.
        now = self.database.now_s()
        self.truth.changes.clear()
        for cls, table in self.hub.rows.tables.items():
            for ref, row in table.rows.items():
                self.truth.append(Change(now, None, cls.lower(), "add", ref, row.json))

    def _begin(
        self,
        operation: Operation,
        session: str,
        task: str,
        args: Sequence[Value],
        *,
        keeps_task: bool,
    ) -> _Outcome:
        outcome = _Outcome(fault=Fault("TASK_CANCELLED", task))

        async def work() -> None:
            call = Call(self.toolstack, session, task)
            try:
                outcome.result = await operation.handler(call, *_complete(operation, args))
                outcome.fault = None
                self.tasks.succeed(task, outcome.result)
            except Fault as fault:
                outcome.fault = fault
                self.tasks.fail(task, fault)
            finally:
                # A restart of the toolstack may have ended it: whoever waits must not wait on.
                if not keeps_task:
                    self.tasks.remove(task)
                outcome.done.set()

        self.spawn_operation(work)
        return outcome

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        self._agenda.add(delay_s * self.spec.speed, act)


def _complete(operation: Operation, args: Sequence[Value]) -> list[Value]:
    defaults = [param.default for param in operation.params[len(args) :]]
    return [*args, *(value for value in defaults if value is not None)]
