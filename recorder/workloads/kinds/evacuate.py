"""Evacuate: a host is disabled, all its VMs move to other hosts, and it is enabled again.

XAPI chooses where they go. A host with a VM that must not be touched is left as it is.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..forecast import Forecast
from ..plan import Lane
from ..scripts import Step

if TYPE_CHECKING:
    from ..work import Work

DISABLE, EVACUATE, ENABLE = "host.disable", "host.evacuate", "host.enable"


def plan(
    step: Step, refs: Sequence[str], state: Forecast, seed: int
) -> tuple[list[Lane], Forecast]:
    """Return a lane a host; the VMs of these hosts are anywhere after it."""
    del seed  # Where VMs go is for XAPI to say.
    lanes = [Lane(ref, (DISABLE, EVACUATE, ENABLE), rounds=step.iterations) for ref in refs]
    vms = state.inventory.vms
    moved = [
        ref
        for ref, vm in vms.items()
        if state.host(ref) in refs and vm.power_state == "Running" and vm.forbidden is None
    ]
    return lanes, state.after(moved)


async def run(work: "Work") -> None:
    """Empty one host after the other: two at once would send their VMs to each other."""
    for lane in work.part.lanes:
        async with work.lane(lane):
            for number in range(1, lane.rounds + 1):
                await _empty(work, lane.ref, number)


async def _empty(work: "Work", host: str, number: int) -> None:
    async def look() -> str:
        return await work.untouchable_on(host) or ""

    protected = await work.noted(f"untouchable in round {number}", str, look, about=host)
    if protected:
        await work.skip(host, EVACUATE, why=protected, round_=number)
        return
    await work.do(host, DISABLE, round_=number)
    try:
        await work.do(host, EVACUATE, round_=number)
    finally:
        # A host is not left disabled because its VMs could not leave it.
        await work.do_anyway(host, ENABLE, round_=number)
