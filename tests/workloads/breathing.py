"""Functions for steps of kind `custom`."""

import random

from recorder.workloads.kinds.custom import Args
from recorder.workloads.plan import Lane
from recorder.workloads.work import Work


async def breathe(work: Work, args: Args) -> None:
    """Pause VMs and let them go on, `times` times."""

    async def life(lane: Lane) -> None:
        for number in range(int(args["times"])):
            await work.do(lane.ref, "VM.pause", round_=number)
            await work.do(lane.ref, "VM.unpause", round_=number)

    await work.abreast(life)


async def stray(work: Work, args: Args) -> None:
    """Touch a VM that was not chosen."""
    await work.do(str(args["ref"]), "VM.pause")


async def stumble(work: Work, _args: Args) -> None:
    """Have a mistake."""
    raise KeyError(work.seed)


async def give_up(work: Work, _args: Args) -> None:
    """Make a call that fails, outside of any lane."""
    for lane in work.part.lanes:
        await work.do(lane.ref, "VM.unpause")


async def chance(work: Work, args: Args) -> None:
    """Pause VMs or hard reboot them, as chance has it, and remember what it said."""

    async def life(lane: Lane) -> None:
        async def throw() -> bool:
            return random.random() < 0.5

        for number in range(1, int(args["times"]) + 1):
            if await work.noted(f"dice {number}", bool, throw, about=lane.ref):
                await work.do(lane.ref, "VM.pause", round_=number)
                await work.do(lane.ref, "VM.unpause", round_=number)
            else:
                await work.do(lane.ref, "VM.clean_shutdown", round_=number)
                await work.do(lane.ref, "VM.start", round_=number)

    await work.abreast(life)


STRAIGHT = random.Random(1)


async def whim(work: Work, _args: Args) -> None:
    """Pause VMs or shut them down, as chance has it, and tell nobody what it said."""
    for lane in work.part.lanes:
        async with work.lane(lane):
            if STRAIGHT.random() < 0.5:
                await work.do(lane.ref, "VM.pause")
                await work.do(lane.ref, "VM.unpause")
            else:
                await work.do(lane.ref, "VM.clean_shutdown")
                await work.do(lane.ref, "VM.start")
