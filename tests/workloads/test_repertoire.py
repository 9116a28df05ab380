"""Which calls a script may make, told before: none that it makes is missing."""

from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.model import MarkName
from recorder.workloads.repertoire import calls_of
from recorder.workloads.restoring import METHODS
from recorder.workloads.scripts import script_in
from tests.workloads.theatre import Theatre, script, step, theatre

Clock = trio.testing.MockClock
VARIANTS = [{"variant": one} for one in ("suspend", "clean-reboot", "hard-reboot", "pause")]


async def vary(play: Theatre) -> None:
    """Let there be a VM in every power state."""
    running = [n for n, r in play.vms().items() if play.field(r, "power_state") == "Running"]
    await play.do("VM.pause", running[0])
    await play.do("VM.suspend", running[1])


@pytest.mark.parametrize(
    "keys",
    [
        *VARIANTS,
        {"kind": "permute"},
        {"kind": "clone"},
        {"kind": "start_async"},
        {"kind": "evacuate", "hosts": ["host-1"]},
    ],
)
async def test_calls_of_a_run_are_among_those_told_before(
    tmp_path: Path, autojump_clock: Clock, keys: dict[str, object]
) -> None:
    """Whatever power states its VMs are found in, and with what gives them back."""
    text = script(step(**keys), restore=True)  # type: ignore[arg-type]  # a kind, and keys
    async with theatre(tmp_path, vms=8) as play:
        await vary(play)
        await play.run(text)
        made = {str(mark["method"]) for mark in play.marks(MarkName.STEP_INTENDED)}
    told = set(calls_of(script_in(text, "x")))
    assert made <= told
    assert told - set(METHODS) <= made


def test_power_states_that_are_not_chosen_need_no_calls() -> None:
    """VMs that are halted need not be brought there."""
    halted = {"names": ["*"], "power_states": ["Halted"]}
    text = script(step("clone", vms=halted))
    assert calls_of(script_in(text, "x")) == ["VM.clone", "VM.start"]
    rolled = script(step("start_async", on_failure="roll-back"))
    assert calls_of(script_in(rolled, "x")) == sorted(METHODS)
