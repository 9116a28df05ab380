"""Tasks that go wrong: rows that look like an operation under way which is none."""

import trio

from ..agenda import Agenda
from ..pool import SimulatedPool
from ..values import Fault
from .effects import TaskFailure, TaskHang

_ASYNC = ("Async.", "InternalAsync.")


def is_async(method: str) -> bool:
    """Say whether a call asks for a task instead of waiting."""
    return method.startswith(_ASYNC)


def is_operation(pool: SimulatedPool, method: str) -> bool:
    """Say whether a call makes a task, in the background or not."""
    for prefix in _ASYNC:
        method = method.removeprefix(prefix)
    operation = pool.operations.get(method)
    return operation is not None and operation.has_async


async def fail(pool: SimulatedPool, agenda: Agenda, method: str, effect: TaskFailure) -> str:
    """Do what a failing operation looks like; return its task, or raise the fault if it is waited.

    Raises Fault: the effect's own, or TASK_CANCELLED if somebody cancelled it meanwhile.
    """
    task = pool.tasks.begin(method)
    over, fault = trio.Event(), Fault(effect.code, *effect.params)

    def proceed() -> None:
        pool.tasks.write(task, "progress", effect.progress / 2)

    def end() -> None:
        nonlocal fault
        pool.tasks.write(task, "progress", effect.progress)
        if effect.code == "TASK_CANCELLED":
            pool.tasks.cancelled(task).set()
        if pool.tasks.cancelled(task).is_set():
            fault = Fault("TASK_CANCELLED", task)
        pool.tasks.fail(task, fault)
        over.set()

    agenda.add(effect.lasts_s / 2, proceed)
    agenda.add(effect.lasts_s, end)
    if is_async(method):
        return task
    await over.wait()
    pool.tasks.remove(task)
    raise fault


async def hang(pool: SimulatedPool, method: str, effect: TaskHang) -> str:
    """Return a task that stays pending; a call that waits for its operation waits for ever."""
    task = pool.tasks.begin(method)
    pool.tasks.write(task, "progress", effect.progress)
    if not is_async(method):
        await trio.sleep_forever()
    return task
