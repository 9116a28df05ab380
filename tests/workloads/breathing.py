"""Functions for steps of kind `custom`."""

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
