"""Calls that an operation makes by itself as `Async.`: their tasks stay, as a client's would."""

from msgspec.structs import replace

from .catalogue import Handler
from .toolstack import Call
from .values import Fault, Value


async def start_inside(call: Call, name: str, handler: Handler, *args: Value) -> None:
    """Do an operation in a task under the one of the caller, and leave the task.

    Raises the Fault of the operation, which is in its task, too.
    """
    tasks = call.toolstack.tasks
    inner = tasks.begin(f"Async.{name}", parent=call.task)
    try:
        result = await handler(replace(call, task=inner), *args)
    except Fault as fault:
        tasks.fail(inner, fault)
        raise
    tasks.succeed(inner, result)
