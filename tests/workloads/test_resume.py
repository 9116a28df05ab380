"""`workload resume`: what goes on, what is refused, and what the record says of it."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.model import MarkName
from recorder.simulator.values import NULL_REF
from tests.daemon.clients import Json
from tests.truth.world import deterministic_scheduling
from tests.workloads import breathing
from tests.workloads.mortal import Kill, Moment, Mortal, mortal
from tests.workloads.theatre import script, step

Clock = trio.testing.MockClock
ONE = {"names": ["*"], "power_states": ["Halted"], "count": 1}
RUNNING = {"names": ["*"], "power_states": ["Running"], "count": 1}
STEP_MARKS = (MarkName.STEP_INTENDED, MarkName.STEP_CALLED, MarkName.STEP_ENDED)


def run_of(text: str) -> Json:
    return {"command": "run", "pool": "lab", "script": text}


async def resume(world: Mortal, kill: Kill | None = None, **keys: object) -> Json | None:
    name = world.run_name()
    assert name is not None
    return await world.live({"command": "resume", "run": name, **keys}, kill)


async def refusal(world: Mortal, *, restore: bool = False) -> str:
    answer = await resume(world, restore=restore)
    assert answer is not None
    error = answer["error"]
    assert isinstance(error, dict)
    assert error["name"] == "workload-refused"
    (text,) = error["texts"]
    return str(text)


def ends(world: Mortal) -> list[Mapping[str, object]]:
    return [detail for _, _, detail in world.marks(MarkName.STEP_ENDED)]


async def test_call_that_was_intended_and_not_made_is_made_under_its_intent(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The pool has kept all tasks since, and none is of this call."""
    async with mortal(tmp_path, seed=1) as world:
        await world.live(run_of(script(step("start_async", vms=ONE))), Kill(Moment.BEFORE_CALL, 1))
        assert world.made == []
        await resume(world)
        (resumed,) = world.marks(MarkName.RUN_RESUMED)
        names = [(name.value, detail["step"]) for _, name, detail in world.marks(*STEP_MARKS)]
    assert len(world.made) == 1
    assert (resumed[2]["step"], resumed[2]["open"], resumed[2]["restore"]) == (1, 1, False)
    assert names == [("step-intended", 1), ("step-called", 1), ("step-ended", 1)]
    assert world.reports[-1].held


async def test_call_of_which_nobody_can_tell_is_interrupted_and_never_made_again(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The toolstack was restarted, which forgets its tasks, and the VM is as it was."""
    async with mortal(tmp_path, seed=1) as world:
        await world.live(run_of(script(step("start_async", vms=ONE))), Kill(Moment.BEFORE_CALL, 1))
        world.restart()
        await trio.sleep(5)
        await resume(world)
        (ended,) = ends(world)
    assert world.made == []
    assert ended["outcome"] == "interrupted"
    assert ended["why"] == "the driver died, and nobody knows whether the call was made"
    assert world.reports[-1].status == "stopped"


@pytest.mark.parametrize("restarts", [True, False])
async def test_call_whose_task_nobody_knows_is_proven_by_the_state_of_its_vm(
    tmp_path: Path, autojump_clock: Clock, restarts: bool
) -> None:
    """It was made and answered to nobody; what the VM shows is told as that, and no more."""
    async with mortal(tmp_path, seed=1) as world:
        text = script(step("start_async", vms=ONE))
        await world.live(run_of(text), Kill(Moment.CALL_ANSWERED, 1))
        await trio.sleep(60)
        if restarts:
            world.restart()
            await trio.sleep(5)
        await resume(world)
        (ended,) = ends(world)
    assert len(world.made) == 1
    assert (ended["outcome"], ended["source"], ended["task"]) == ("vanished", "state", None)
    assert str(ended["why"]).endswith("nobody knows whether the call was made; the VM is Running")
    assert world.reports[-1].held, "what is proven is no failure"


async def test_clone_that_was_made_is_found_again_among_its_namesakes(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Of two with the same name it is the one that was not there before; it is then started."""
    async with mortal(tmp_path, seed=1) as world:
        name = next(name for name, ref in world.vms().items() if _runs(world, ref))
        halted = next(ref for ref in world.vms().values() if not _runs(world, ref))
        text, first = script(step("clone", vms={"names": [name]})), f"clone of {name}"
        await world.pool.call_operation(NULL_REF, "VM.clone", [halted, first])
        before = set(world.vms().values())
        await world.live(run_of(text), Kill(Moment.CALL_ANSWERED, 2))
        await trio.sleep(60)
        await resume(world)
        clones = [one for one in world.made if one.method == "VM.clone"]
        (ended,) = [end for end in ends(world) if "made" in end]
        names = world.pool.database.find("VM", "name_label", first)
    assert len(clones) == 1
    assert len(names) == 2
    assert ended["made"] in {*names} - before
    assert ("VM.start", ended["made"]) in [(one.method, one.ref) for one in world.made]
    assert world.reports[-1].status == "completed"


def _runs(world: Mortal, ref: str) -> bool:
    return world.pool.database.record("VM", ref)["power_state"] == "Running"


async def test_run_that_is_over_or_unknown_is_refused(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """With a sentence that says what can be done, and nothing is written."""
    async with mortal(tmp_path, seed=1) as world:
        world.rules({"match": "Async.VM.start", "effect": "task_failure", "count": 1})
        await world.live(run_of(script(step("start_async", vms=ONE))), None)
        stopped = await refusal(world)
        restored = await resume(world, restore=True)
        again = await refusal(world, restore=True)
        unknown = await world.live({"command": "resume", "run": "1999"}, None)
        marks = world.marks(MarkName.RUN_RESUMED)
    assert "is over: stopped, a call failed, and its script says that this ends it" in stopped
    assert stopped.endswith("; with --restore its VMs get back what they had at its start")
    assert restored is None
    assert again.endswith("is over: restored, its VMs were given back what they had")
    assert unknown is not None
    assert "no run is called '1999': see xentrail workload runs" in str(unknown["error"])
    assert len(marks) == 1


async def test_stopped_run_can_be_resumed_only_to_restore(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Power states and hosts are those of the start of the run, and nothing else was done."""
    async with mortal(tmp_path, seed=1) as world:
        before = _states(world)
        text = script(step("powercycle", concurrency=4), restore=True)
        await world.live(run_of(text), Kill(Moment.CALL_ANSWERED, 6))
        assert _states(world) != before
        await resume(world, restore=True)
        intents = [detail for _, _, detail in world.marks(MarkName.STEP_INTENDED)]
        after, resumed = _states(world), world.marks(MarkName.RUN_RESUMED)[0][0]
        late = [detail for seq, _, detail in world.marks(MarkName.STEP_INTENDED) if seq > resumed]
    assert after == before
    assert {detail["kind"] for detail in late} == {"restore"}
    assert len({detail["step"] for detail in intents}) == len(intents)
    report = world.reports[-1]
    assert (report.status, report.held, report.error) == ("restored", True, "")


def _states(world: Mortal) -> dict[str, tuple[object, object]]:
    rows = {name: world.pool.database.record("VM", ref) for name, ref in world.vms().items()}
    return {name: (row["power_state"], row["resident_on"]) for name, row in rows.items()}


async def test_run_that_was_stopped_makes_anew_what_was_cancelled(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The stop of the recorder cancelled it, which its task says: it did not happen."""
    async with mortal(tmp_path, seed=1) as world:
        text = script(step("start_async", vms=ONE))
        await world.live_for(1.0, run_of(text))
        (cancelled,) = ends(world)
        await resume(world)
        ended = ends(world)
        states = [detail["status"] for _, _, detail in world.marks(MarkName.RUN_ENDED)]
    assert (cancelled["outcome"], cancelled["stopped"]) == ("cancelled", True)
    assert [(end["step"], end["outcome"]) for end in ended] == [(1, "cancelled"), (2, "success")]
    assert states == ["interrupted", "completed"]
    assert world.reports[-1].held
    assert world.reports[-1].parts[0].outcomes == {"cancelled": 1, "success": 1}


async def test_function_that_does_not_do_the_same_again_is_refused(
    tmp_path: Path, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chance has to go through the record; what comes straight from it ends the run."""
    monkeypatch.setattr(breathing, "STRAIGHT", random.Random(3))
    async with mortal(tmp_path, seed=1) as world:
        text = script(step("custom", vms=RUNNING, call="tests.workloads.breathing:whim"))
        await world.live(run_of(text), Kill(Moment.CALL_ANSWERED, 2))
        await resume(world)
        made = len(world.made)
    report = world.reports[-1]
    assert report.status == "failed"
    assert "step 1 was VM.pause in round 0" in report.error
    assert "a run is resumed by what does the same again" in report.error
    assert made == 2


async def test_run_that_died_is_told_when_the_recorder_starts(
    tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not go on by itself; the log says how it can."""
    async with mortal(tmp_path, seed=1) as world:
        await world.live(run_of(script(step("start_async"))), Kill(Moment.CALL_ANSWERED, 1))
        await world.live({"command": "status"}, None)
        name = world.run_name()
        assert world.marks(MarkName.RUN_RESUMED) == []
    (told,) = [record for record in caplog.records if record.message == "run-without-end"]
    assert vars(told)["fields"]["advice"] == f"xentrail workload resume {name}"


def test_failure_that_ended_a_run_ends_the_resumed_one_before_any_other_call(
    tmp_path: Path,
) -> None:
    """Also of VMs whose calls are found again before those of the one that failed."""

    async def main() -> None:
        async with mortal(tmp_path, seed=1) as world:
            world.rules({"match": "Async.VM.suspend", "effect": "task_failure", "count": 1})
            text = script(step("powercycle", vms={"names": ["*"], "count": 2}, iterations=2))

            def is_time() -> bool:
                outcomes = [str(end["outcome"]) for end in ends(world)]
                return outcomes[-1:] == ["failure"]

            await world.live(run_of(text), Kill(Moment.AFTER_SYNC, 0, is_time))
            intended, made = len(world.marks(MarkName.STEP_INTENDED)), len(world.made)
            before = [str(end["outcome"]) for end in ends(world)]
            await resume(world)
            assert before[-1] == "failure", "the kill was to come behind it"
            assert len(before) < intended, "and while another call is under way"
            assert len(world.made) == made
            assert len(ends(world)) == len(world.marks(MarkName.STEP_INTENDED)) == intended
            assert world.reports[-1].status == "stopped"

    with deterministic_scheduling(1):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
