"""Clone: a VM that runs is shut down first, and started again afterwards together with its clone.

As in the user guide's example. The clone of `web1` is called `clone of web1`; it stays.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..forecast import Forecast
from ..plan import Lane
from ..scripts import Step
from .powercycle import OPENINGS

if TYPE_CHECKING:
    from ..work import Work


def plan(
    step: Step, refs: Sequence[str], state: Forecast, seed: int
) -> tuple[list[Lane], Forecast]:
    """Return a lane a VM. Its closing calls are the start of the VM, and one of each clone."""
    del seed  # Nothing here is left to chance.
    lanes = []
    for ref in refs:
        runs = state.power_state(ref) == "Running"
        closing = ("VM.start",) * (1 + step.iterations) if runs else ()
        opening = OPENINGS[state.power_state(ref)]
        lanes.append(Lane(ref, ("VM.clone",), opening, closing, rounds=step.iterations))
    ran = [lane.ref for lane in lanes if lane.closing]
    halted = [lane.ref for lane in lanes if not lane.closing]
    after = state.after(halted, power_state="Halted")
    return lanes, after.after(ran, power_state="Running")


async def run(work: "Work") -> None:
    """Clone the VMs, as many at a time as the step allows."""

    async def clone(lane: Lane) -> None:
        for method in lane.opening:
            await work.do(lane.ref, method)
        await work.until_power_state(lane.ref, "Halted")
        clones = []
        for number in range(1, lane.rounds + 1):
            name = f"clone of {work.name(lane.ref)}"
            done = await work.do(lane.ref, "VM.clone", name, round_=number)
            clones.append(work.adopt(done, name))
        if lane.closing:
            for vm in (lane.ref, *clones):
                await work.do(vm, "VM.start")

    await work.abreast(clone)
