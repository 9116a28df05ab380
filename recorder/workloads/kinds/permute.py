"""Permute: running VMs swap their hosts, live and at the same time, in each of several rounds.

As in the user guide the list of their hosts is rotated by one, so that a VM moves to the host that
the VM before it was on; or, in an order of the seed, to the host of any other. A VM that would move
to where it is stays there, and the journal says so.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..forecast import Forecast
from ..inventory import NULL_REF
from ..plan import Lane
from ..scripts import Order, Step
from ..selection import shuffled

if TYPE_CHECKING:
    from ..work import Work

MIGRATE = "VM.pool_migrate"


def plan(
    step: Step, refs: Sequence[str], state: Forecast, seed: int
) -> tuple[list[Lane], Forecast]:
    """Return a lane for each VM that runs by then; none for the others."""
    running = [ref for ref in refs if state.power_state(ref) == "Running"]
    now = [state.host(ref) for ref in running]
    if not all(now):
        lanes = [Lane(ref, (MIGRATE,), rounds=step.iterations) for ref in running]
        return lanes, state.after(running)
    ways = targets(now, step.iterations, step.order or Order.ROTATE, seed)
    lanes = [
        Lane(ref, (MIGRATE,), rounds=step.iterations, hosts=way)
        for ref, way in zip(running, ways, strict=True)
    ]
    return lanes, state.after(running, hosts=[way[-1] for way in ways])


def targets(hosts: Sequence[str], rounds: int, order: Order, seed: int) -> list[tuple[str, ...]]:
    """Return for each VM where it goes, round by round; `hosts` are where the VMs are now."""
    places, ways = list(hosts), []
    for number in range(1, rounds + 1):
        if order is Order.ROTATE:
            places = [*places[-1:], *places[:-1]]
        else:
            keys = [str(index) for index in range(len(places))]
            places = shuffled(places, keys, f"permute/{seed}/{number}")
        ways.append(places)
    return [tuple(way) for way in zip(*ways, strict=True)]


async def run(work: "Work") -> None:
    """Move all VMs, and begin the next round when the last of them has arrived."""
    lanes = work.part.lanes

    async def look() -> dict[str, str]:
        return {lane.ref: work.host(lane.ref) for lane in lanes}

    here = await work.noted("hosts", dict[str, str], look)
    ways = {lane.ref: lane.hosts for lane in lanes}
    if not all(ways.values()):
        step = work.part.step
        found = targets(list(here.values()), step.iterations, step.order or Order.ROTATE, work.seed)
        ways = dict(zip(ways, found, strict=True))
    for number in range(1, work.part.step.iterations + 1):

        async def move(lane: Lane, number: int = number) -> None:
            target = ways[lane.ref][number - 1]
            if target == here[lane.ref]:
                why = f"it is on {work.name(target)} already"
                await work.skip(lane.ref, MIGRATE, target, why=why, round_=number)
                return
            if target == NULL_REF:
                why = "the VM before it is on no host that it could go to"
                await work.skip(lane.ref, MIGRATE, target, why=why, round_=number)
                return
            await work.do(
                lane.ref, MIGRATE, target, {"live": "true"}, round_=number, at=here[lane.ref]
            )
            here[lane.ref] = target

        await work.abreast(move)
