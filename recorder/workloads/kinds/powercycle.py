"""Powercycle: every VM is brought to Halted, and then goes through power states, round by round.

The round of the SDK's sample is start, suspend, resume, clean shutdown; variants reboot or pause
instead of suspending. What asks the guest waits until XAPI allows it, which its agent has to say.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..forecast import Forecast
from ..plan import Lane
from ..scripts import Step, Variant

if TYPE_CHECKING:
    from ..work import Work

OPENINGS: dict[str, tuple[str, ...]] = {
    "Halted": (),
    "Running": ("VM.clean_shutdown",),
    "Paused": ("VM.unpause", "VM.clean_shutdown"),
    "Suspended": ("VM.resume", "VM.clean_shutdown"),
}
ROUNDS: dict[Variant, tuple[str, ...]] = {
    Variant.SUSPEND: ("VM.start", "VM.suspend", "VM.resume", "VM.clean_shutdown"),
    Variant.CLEAN_REBOOT: ("VM.start", "VM.clean_reboot", "VM.clean_shutdown"),
    Variant.HARD_REBOOT: ("VM.start", "VM.hard_reboot", "VM.clean_shutdown"),
    Variant.PAUSE: ("VM.start", "VM.pause", "VM.unpause", "VM.clean_shutdown"),
}


def plan(
    step: Step, refs: Sequence[str], state: Forecast, seed: int
) -> tuple[list[Lane], Forecast]:
    """Return a lane a VM; all are Halted after it."""
    del seed  # Nothing here is left to chance.
    each = ROUNDS[step.variant or Variant.SUSPEND]
    lanes = [
        Lane(ref, each, opening=OPENINGS[state.power_state(ref)], rounds=step.iterations)
        for ref in refs
    ]
    return lanes, state.after(refs, power_state="Halted")


async def run(work: "Work") -> None:
    """Put the VMs through their rounds, as many at a time as the step allows."""

    async def cycle(lane: Lane) -> None:
        for method in lane.opening:
            await work.do(lane.ref, method)
        for number in range(1, lane.rounds + 1):
            for method in lane.each:
                await work.do(lane.ref, method, round_=number)

    await work.abreast(cycle)
