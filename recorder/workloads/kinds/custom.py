"""Custom: an async function of somebody else's, `call = "module:function"`.

    async def function(work, args): ...

`args` is the table of the step. `work` is a `work.Work`, whose lanes are the chosen VMs:

    async def breathe(work, args):
        async def life(lane):
            await work.do(lane.ref, "VM.pause")
            await trio.sleep(args["seconds"])
            await work.do(lane.ref, "VM.unpause")
        await work.abreast(life)

`do` is the only way to make a call, so that every one of them is recorded, parameters included:
give it no secrets. It refuses VMs that were not chosen. The module is imported by the process that
drives: the recorder, if one runs.

A run that is resumed calls the function again; what it did before is answered from the record, call
by call, and not done again. So it has to do the same again: what it takes from a clock, from chance
or from the pool it gets by `work.noted`, which the record keeps.

    dice = await work.noted("dice", int, throw)
"""

import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ...errors import WorkloadError
from ..forecast import Forecast
from ..plan import Lane
from ..scripts import Step

if TYPE_CHECKING:
    from ..work import Work

Args = Mapping[str, str | int | float | bool]
Function = Callable[["Work", Args], Awaitable[None]]


def plan(
    step: Step, refs: Sequence[str], state: Forecast, seed: int
) -> tuple[list[Lane], Forecast]:
    """Return a lane a VM, whose calls nobody knows before. Raises WorkloadError."""
    del seed  # What is left to chance there is for the function to say.
    assert step.call is not None
    function_of(step.call)
    return [Lane(ref, (step.call,)) for ref in refs], state.after(refs)


async def run(work: "Work") -> None:
    """Call the function. Raises WorkloadError for whatever it raises: its mistakes are not ours."""
    from ..work import LaneEnded  # which imports what every kind needs

    step = work.part.step
    assert step.call is not None
    try:
        await function_of(step.call)(work, step.args or {})
    except Exception as error:  # Foreign code: it must not end the recorder.
        first = _first_in(error)
        if not isinstance(first, LaneEnded):
            raise WorkloadError(f"{step.call}: {first!r}") from error


def _first_in(error: Exception) -> Exception:
    """Return the first error inside nested groups, as nurseries raise them."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def function_of(name: str) -> Function:
    """Import a function. Raises WorkloadError if there is none of this name."""
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise WorkloadError(f"{name}: cannot be imported: {error}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise WorkloadError(f"{name}: {module_name} has no function {function_name!r}")
    return cast("Function", function)
