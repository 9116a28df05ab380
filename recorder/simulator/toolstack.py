"""What operations share: the rows, the tasks, time, and who may work on an object now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

import msgspec
import trio

from .database import Database
from .machines import Machines
from .occupancy import Occupancy
from .presence import Nobody, Presence
from .rules import rules_of
from .tasks import Tasks
from .values import NULL_REF, Fault, Record, Value, datetime_of, int_of, map_of, text_of

BUSY_MAX_S = 7200.0
"""How long an operation waits for another one on the same object before it gives up: 2 h."""
RETRY_S = (1.0, 20.0)
"""Between two looks at whether the other one is done: anything in between. Nobody wakes it up."""
WAITING_MAX = 101
"""Operations that may wait at a time; the next one is refused with TOO_MANY_PENDING_TASKS."""
_PUNCTUAL_PAUSE_S = 0.25
"""The same of an operation that has to end on time: it makes up for it by working less."""
_PAUSE_S_MIN = 0.01
"""Even a pool that takes no time looks at most 100 times a second."""
_ANSWER_S_MIN = 0.1
"""A reply is on its way by then, on loopback and even if many are written at the moment."""
_TOLD_BY_HOSTS = frozenset(
    {
        "VM.atomic_set_resident_on",
        "VM.pool_migrate_complete",
        "VM.update_allowed_operations",
    }
)
"""What xapi on a host calls on the master to say how its VMs are."""


class Manner(msgspec.Struct, frozen=True):
    """How an operation goes: `factor` times as long as usual, or until a time on trio's clock.

    In the latter case calls inside of it take no time: they must not keep others waiting for what
    is not theirs. `agent` says whether the agent of a guest that it starts will report, `agent_s`
    how long after, if not as usual.
    """

    factor: float = 1.0
    agent: bool = True
    agent_s: float | None = None
    until_s: float | None = None

    @property
    def inside(self) -> Manner:
        """How the calls go that the operation makes."""
        return self if self.until_s is None else Manner(0.0, self.agent, self.agent_s)


_manner: ContextVar[Manner] = ContextVar("manner", default=Manner())  # noqa: B039 - it is frozen
"""That of the operation under way: what an operation begins goes in its manner, too."""


@contextmanager
def operations_in(manner: Manner) -> Iterator[None]:
    """Let what is begun in the context go in a manner of its own."""
    token = _manner.set(manner)
    try:
        yield
    finally:
        _manner.reset(token)


async def until_due() -> None:
    """Wait for the time at which the operation under way is to end, if it has one."""
    until_s = manner_now().until_s
    if until_s is not None and until_s > trio.current_time():
        await trio.sleep_until(until_s)


def manner_now() -> Manner:
    """Return how the operation under way goes."""
    return _manner.get()


Told = Mapping[str, str | bool]
Tell = Callable[[str, str, Told, Fault | None], None]
"""Takes the task of an inner call, its name and arguments, and the Fault it ended with."""


def _untold(_task: str, _name: str, _given: Told, _fault: Fault | None) -> None:
    pass


def _nothing_under_way() -> None:
    pass


class Toolstack(msgspec.Struct):
    """One pool's machinery. `speed` scales durations.

    `later` runs something after a while; `spawn` begins something that may wait.
    """

    database: Database
    tasks: Tasks
    speed: float
    pool_ref: str
    later: Callable[[float, Callable[[], None]], None]
    spawn: Callable[[Callable[[], Awaitable[None]]], None]
    domids: dict[str, int] = msgspec.field(default_factory=dict)
    waiting: int = 0
    freed: trio.lowlevel.ParkingLot = msgspec.field(default_factory=trio.lowlevel.ParkingLot)
    """Where operations pause; whoever changes rows behind their back may make them look again."""
    presence: Presence = msgspec.field(default_factory=Nobody)
    tell: Tell = _untold
    """Hears of every inner call just before its task ends, whatever became of it."""
    occupancy: Occupancy = msgspec.field(default_factory=Occupancy)
    machines: Machines = msgspec.field(default_factory=Machines)
    stop_operations: Callable[[], None] = _nothing_under_way
    """Ends what clients have under way, as a restart of the toolstack does."""

    def once_answered(self, delay_s: float, act: Callable[[], None]) -> None:
        """As `later`, but not before the reply of the call under way is out, however fast we are.

        For what ends connections, such as a restart: a real host is slow enough.
        """

        async def wait() -> None:
            await trio.sleep(max(delay_s * self.speed, _ANSWER_S_MIN))
            act()

        self.spawn(wait)

    def guest_of(self, vm: Record) -> Record | None:
        """Return the guest metrics of a VM, None if it has none."""
        ref = text_of(vm, "guest_metrics")
        return None if ref == NULL_REF else self.database.record("VM_guest_metrics", ref)

    def update_allowed(self, ref: str, cls: str = "VM") -> None:
        """Compute `allowed_operations` of an object anew, if its class has rules for them."""
        offer = rules_of(cls).offer
        if offer is not None:
            allowed: list[Value] = [*offer(self.database, ref)]
            self.database.write(cls, ref, "allowed_operations", allowed)

    def announce(self, name: str, vm: str, body: str, *, priority: int = 5) -> None:
        """Create the message that tells people what happened to a VM."""
        record = self.database.record("VM", vm)
        subject = f"VM '{text_of(record, 'name_label')}' (uuid: {text_of(record, 'uuid')})"
        self.database.create(
            "message",
            {
                "name": name,
                "priority": priority,
                "cls": "VM",
                "obj_uuid": record["uuid"],
                "timestamp": datetime_of(self.database.now_s()),
                "body": f"{subject} {body}",
            },
        )

    def free_memory_bytes(self, host: str) -> int:
        """Return what a host has left for VMs, counting those that are about to come."""
        record = self.database.record("host", host)
        metrics = self.database.record("host_metrics", text_of(record, "metrics"))
        used = self.occupancy.taken_bytes(self.database, host)
        return int_of(metrics, "memory_total") - int_of(record, "memory_overhead") - used

    def host_text(self, host: str) -> str:
        """Return a host as messages name it."""
        record = self.database.record("host", host)
        return f"{text_of(record, 'name_label')} (uuid: {text_of(record, 'uuid')})"

    def maker_of(self, name: str, given: Told) -> str:
        """Return the host that makes an inner call, "" if it is the master or nothing tells.

        What a host tells the master of a VM comes from the one that has it, or has just had it.
        """
        vm = str(given.get("vm", given.get("self", "")))
        if name not in _TOLD_BY_HOSTS or not self.database.exists("VM", vm):
            return ""
        if "host" in given:
            return str(given["host"])
        host = text_of(self.database.row("VM", vm).record, "resident_on")
        return self.machines.left_by.get(vm, "") if host == NULL_REF else host

    def retry_s(self) -> float:
        """Return how long the next pause of a waiting operation is; the seed decides."""
        manner = manner_now()
        if manner.until_s is not None or not manner.factor:
            return _PUNCTUAL_PAUSE_S
        least_s, most_s = RETRY_S
        share = int(self.database.new_uuid()[:8], 16) / 2**32
        return (least_s + (most_s - least_s) * share) * self.speed


class Call(msgspec.Struct):
    """One operation under way, with the task that stands for it."""

    toolstack: Toolstack
    session: str
    task: str

    @property
    def database(self) -> Database:
        """The rows of the pool."""
        return self.toolstack.database

    async def work(self, duration_s: float, *, cancellable: bool = True) -> None:
        """Let time pass. Fault TASK_CANCELLED [task] if it is asked to stop meanwhile."""
        manner = manner_now()
        scaled_s = duration_s * self.toolstack.speed * manner.factor
        if manner.until_s is not None:
            scaled_s = max(0.0, manner.until_s - trio.current_time())
        if not cancellable:
            await trio.sleep(scaled_s)
            return
        cancelled = self.toolstack.tasks.cancelled(self.task)
        with trio.move_on_after(scaled_s):
            await cancelled.wait()
        self.check_cancelled()

    def check_cancelled(self) -> None:
        """Fault TASK_CANCELLED [task] if somebody asked for it."""
        if self.toolstack.tasks.cancelled(self.task).is_set():
            raise Fault("TASK_CANCELLED", self.task)

    def allow_cancel(self, *, allowed: bool) -> None:
        """Write into the task whether it may be cancelled from now on."""
        self.toolstack.tasks.allow_cancel(self.task, allowed=allowed)

    def set(self, cls: str, ref: str, field: str, value: Value) -> None:
        """Write one field."""
        self.database.write(cls, ref, field, value)

    def vm(self, vm: str) -> Record:
        """Return the record of a VM. Fault HANDLE_INVALID."""
        return self.database.record("VM", vm)

    @asynccontextmanager
    async def operation_on(self, ref: str, operation: str, cls: str = "VM") -> AsyncIterator[None]:
        """Have an object for an operation: wait for others, show it in the row, take it back.

        Faults: what the rules of the class refuse; OTHER_OPERATION_IN_PROGRESS only after 2 h;
        TASK_CANCELLED [task], TOO_MANY_PENDING_TASKS [].
        """
        await self.until_free(lambda: rules_of(cls).refusal(self.database, ref, operation))
        self.enter(ref, operation, cls)
        try:
            yield
        finally:
            self.leave(ref, cls)

    def enter(self, ref: str, operation: str, cls: str) -> None:
        """Show in a row that this task works on it."""
        current = map_of(self.database.record(cls, ref), "current_operations")
        self.set(cls, ref, "current_operations", current | {self.task: operation})
        self.toolstack.update_allowed(ref, cls)

    def leave(self, ref: str, cls: str) -> None:
        """Show in a row that this task does not work on it any more; the row may be gone."""
        if self.database.exists(cls, ref):
            current = map_of(self.database.record(cls, ref), "current_operations")
            current.pop(self.task, None)
            self.set(cls, ref, "current_operations", current)
            self.toolstack.update_allowed(ref, cls)

    async def until_free(
        self,
        obstacle: Callable[[], Fault | None],
        *,
        pause_s: float | None = None,
        busy_max_s: float = BUSY_MAX_S,
    ) -> None:
        """Wait until there is no obstacle: only OTHER_OPERATION_IN_PROGRESS is waited for.

        xapi looks again after a random pause (`pause_s` fixes it), and asks only then whether its
        task was cancelled. That it may be is written into the task before the first look.
        """
        self.allow_cancel(allowed=True)
        self.check_cancelled()
        deadline = trio.current_time() + busy_max_s * (self.toolstack.speed or 1.0)
        while fault := obstacle():
            late = trio.current_time() >= deadline
            if fault.code != "OTHER_OPERATION_IN_PROGRESS" or late:
                raise fault
            await self._pause(pause_s)
            self.check_cancelled()

    @contextmanager
    def subtask(self, name: str, /, *, child: bool = False, **given: str) -> Iterator[Call]:
        """Do something in a task of its own, as xapi's inner calls are; `child` hangs it in.

        Gives the inner call; `given` are its arguments. A Fault ends the inner task, too.
        """
        tasks = self.toolstack.tasks
        inner = tasks.begin(name, parent=self.task if child else NULL_REF)
        try:
            yield Call(self.toolstack, self.session, inner)
        except Fault as fault:
            self.toolstack.tell(inner, name, given, fault)
            tasks.fail(inner, fault)
            tasks.remove(inner)
            raise
        self.toolstack.tell(inner, name, given, None)
        tasks.succeed(inner, "")
        tasks.remove(inner)

    async def inner(self, name: str, act: Callable[[Call], Awaitable[Value]]) -> Value:
        """Make a call inside this one: its task hangs in ours, and keeps its result while it lives.

        Faults of the inner call end both tasks.
        """
        tasks = self.toolstack.tasks
        task = tasks.begin(name, parent=self.task)
        try:
            with operations_in(manner_now().inside):
                result = await act(Call(self.toolstack, self.session, task))
        except Fault as fault:
            tasks.fail(task, fault)
            raise
        else:
            tasks.succeed(task, result)
            return result
        finally:
            tasks.remove(task)

    async def _pause(self, pause_s: float | None) -> None:
        toolstack = self.toolstack
        if toolstack.waiting >= WAITING_MAX:
            raise Fault("TOO_MANY_PENDING_TASKS")
        toolstack.waiting += 1
        try:
            scaled_s = toolstack.retry_s() if pause_s is None else pause_s * toolstack.speed
            with trio.move_on_after(max(_PAUSE_S_MIN, scaled_s)):
                await toolstack.freed.park()
        finally:
            toolstack.waiting -= 1
