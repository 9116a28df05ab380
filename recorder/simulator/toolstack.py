"""What operations share: the rows, the tasks, time, and who may work on a VM now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import trio

from .database import Database
from .tasks import Tasks
from .values import NULL_REF, Fault, Record, Value, datetime_of, int_of, map_of, text_of
from .vmstate import allowed_operations, refusal

BUSY_MAX_S = 7200.0
"""How long an operation waits for another one on the same VM before it gives up: xapi's 2 h."""


@dataclass(slots=True)
class Toolstack:
    """One pool's machinery. `speed` scales durations; `later` runs something after a while."""

    database: Database
    tasks: Tasks
    speed: float
    pool_ref: str
    later: Callable[[float, Callable[[], None]], None]
    domids: dict[str, int] = field(default_factory=dict)
    freed: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    def guest_of(self, vm: Record) -> Record | None:
        """Return the guest metrics of a VM, None if it has none."""
        ref = text_of(vm, "guest_metrics")
        return None if ref == NULL_REF else self.database.record("VM_guest_metrics", ref)

    def update_allowed(self, vm: str) -> None:
        """Compute `allowed_operations` of a VM anew."""
        record = self.database.record("VM", vm)
        allowed: list[Value] = [*allowed_operations(vm, record, self.guest_of(record))]
        self.database.write("VM", vm, "allowed_operations", allowed)

    def announce(self, name: str, vm: str, body: str) -> None:
        """Create the message that tells people what happened to a VM."""
        record = self.database.record("VM", vm)
        subject = f"VM '{text_of(record, 'name_label')}' (uuid: {text_of(record, 'uuid')})"
        self.database.create(
            "message",
            {
                "name": name,
                "priority": 5,
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
        taken = {
            vm
            for where in ("resident_on", "scheduled_to_be_resident_on")
            for vm in self.database.find("VM", where, host)
        }
        used = sum(needed_memory_bytes(self.database.record("VM", vm)) for vm in taken)
        return int_of(metrics, "memory_total") - int_of(record, "memory_overhead") - used

    def host_text(self, host: str) -> str:
        """Return a host as messages name it."""
        record = self.database.record("host", host)
        return f"{text_of(record, 'name_label')} (uuid: {text_of(record, 'uuid')})"


@dataclass(slots=True)
class Call:
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
        scaled_s = duration_s * self.toolstack.speed
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
    async def operation_on(self, vm: str, operation: str) -> AsyncIterator[None]:
        """Have a VM for an operation: wait for others, show it in the VM, take it back."""
        await self._wait_for(vm, operation)
        current = map_of(self.vm(vm), "current_operations") | {self.task: operation}
        self.set("VM", vm, "current_operations", current)
        self.toolstack.update_allowed(vm)
        try:
            yield
        finally:
            self._leave(vm)

    @contextmanager
    def operation_on_host(self, host: str, operation: str) -> Iterator[None]:
        """Show an operation in a host for as long as it takes."""
        current = map_of(self.database.record("host", host), "current_operations")
        self.set("host", host, "current_operations", current | {self.task: operation})
        try:
            yield
        finally:
            current = map_of(self.database.record("host", host), "current_operations")
            current.pop(self.task, None)
            self.set("host", host, "current_operations", current)

    @contextmanager
    def subtask(self, name: str, *, child: bool = False) -> Iterator[None]:
        """Do something in a task of its own, as xapi's inner calls are; `child` hangs it in."""
        tasks = self.toolstack.tasks
        inner = tasks.begin(name, parent=self.task if child else NULL_REF)
        yield
        tasks.succeed(inner, "")
        tasks.remove(inner)

    async def _wait_for(self, vm: str, operation: str) -> None:
        with trio.move_on_after(BUSY_MAX_S):
            while fault := self._obstacle(vm, operation):
                if fault.code != "OTHER_OPERATION_IN_PROGRESS":
                    raise fault
                await self._freed_or_cancelled()
        if fault := self._obstacle(vm, operation):
            raise fault

    def _obstacle(self, vm: str, operation: str) -> Fault | None:
        record = self.vm(vm)
        fault = refusal(vm, record, operation)
        others = map_of(record, "current_operations")
        if fault is None and operation in ("hard_shutdown", "hard_reboot") and others:
            for task in others:
                self.toolstack.tasks.interrupt(task)
            return Fault("OTHER_OPERATION_IN_PROGRESS", "VM", vm, *map(str, others.values()))
        return fault

    async def _freed_or_cancelled(self) -> None:
        cancelled = self.toolstack.tasks.cancelled(self.task)
        async with trio.open_nursery() as nursery:

            async def stop_when_cancelled() -> None:
                await cancelled.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(stop_when_cancelled)
            await self.toolstack.freed.park()
            nursery.cancel_scope.cancel()
        self.check_cancelled()

    def _leave(self, vm: str) -> None:
        if self.database.exists("VM", vm):
            current = map_of(self.vm(vm), "current_operations")
            current.pop(self.task, None)
            self.set("VM", vm, "current_operations", current)
            self.toolstack.update_allowed(vm)
        self.toolstack.freed.unpark_all()


def needed_memory_bytes(vm: Record) -> int:
    """Return what a VM takes from its host."""
    return int_of(vm, "memory_static_max") + int_of(vm, "memory_overhead")
