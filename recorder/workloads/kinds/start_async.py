"""Start: halted VMs are started in the background, as many at a time as the step allows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..forecast import Forecast
from ..plan import Lane
from ..scripts import Step

if TYPE_CHECKING:
    from ..work import Work


def plan(
    step: Step, refs: Sequence[str], state: Forecast, seed: int
) -> tuple[list[Lane], Forecast]:
    """Return a lane for each VM that is halted by then; none for the others."""
    del step, seed  # A VM is started once, and all that are chosen are.
    halted = [ref for ref in refs if state.power_state(ref) == "Halted"]
    lanes = [Lane(ref, ("VM.start",)) for ref in halted]
    return lanes, state.after(halted, power_state="Running")


async def run(work: "Work") -> None:
    """Start the VMs."""

    async def start(lane: Lane) -> None:
        await work.do(lane.ref, "VM.start")

    await work.abreast(start)
