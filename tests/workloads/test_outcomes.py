"""What goes wrong in a run, and what is recorded of it: what it was, and nothing else."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.model import MarkName
from recorder.workloads.inventory import NEVER
from tests.workloads.theatre import Theatre, Told, script, step, theatre

Clock = trio.testing.MockClock
RUNNING = {"names": ["*"], "power_states": ["Running"]}


def ends(play: Theatre) -> Sequence[Mapping[str, object]]:
    return play.marks(MarkName.STEP_ENDED)


def outcomes(told: Told) -> list[tuple[str, str]]:
    return [(method, outcome) for _, method, outcome in told.ended()]


async def start_one(play: Theatre, **keys: object) -> Told:
    """Run a workload that starts one VM."""
    chosen = {"names": ["*"], "power_states": ["Halted"], "count": 1}
    return await play.run(script(step("start_async", vms=chosen, **keys)))


async def test_each_call_is_written_before_it_is_made_and_its_task_at_once(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Intent, call and outcome are there, in this order, around what events tell of the task."""
    async with theatre(tmp_path) as play:
        await play.run(script(step("powercycle")))
        marks = play.marks()
    assert [marks[0]["mark"], marks[-1]["mark"]] == ["run-started", "run-ended"]
    assert len({mark["run"] for mark in marks}) == 1
    by_step: dict[object, list[dict[str, object]]] = {}
    for mark in marks[1:-1]:
        by_step.setdefault(mark["step"], []).append(mark)
    assert sorted(by_step, key=str) == sorted(range(1, len(by_step) + 1), key=str)
    for intended, called, ended in by_step.values():
        names = [intended["mark"], called["mark"], ended["mark"]]
        assert names == ["step-intended", "step-called", "step-ended"]
        assert called["task"] == ended["task"]
        record = json.loads(str(ended["record"]))
        assert record["name_label"] == f"Async.{intended['method']}"
        assert (ended["outcome"], record["status"]) == ("success", "success")
        assert ended["source"] == "events"
        assert isinstance(ended["entry"], int)
        assert called["seq"] < ended["entry"] < ended["seq"]  # type: ignore[operator]  # numbers


async def test_intent_is_durable_before_the_pool_hears_of_the_call(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """With one call at a time there are as many intents as calls at the moment of each call."""
    async with theatre(tmp_path) as play:
        seen: list[int] = []

        def noticed() -> None:
            seen.append(len(play.marks(MarkName.STEP_INTENDED)))

        play.when_begun(noticed)
        await play.run(script(step("powercycle", concurrency=1)))
    assert seen == [*range(1, len(seen) + 1)]
    assert len(seen) > 4


async def test_tasks_never_pile_up_above_the_concurrency_and_successful_ones_are_destroyed(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """On the server there are at most so many tasks of a run at a time, and none at its end."""
    async with theatre(tmp_path, vms=8) as play:
        most = 0

        def ours() -> list[str]:
            rows = (play.pool.database.record("task", r) for r in play.pool.database.refs("task"))
            return [str(row["status"]) for row in rows if "Async.VM" in str(row["name_label"])]

        def noticed() -> None:
            nonlocal most
            most = max(most, ours().count("pending"))

        play.when_begun(noticed)
        told = await play.run(script(step("powercycle", concurrency=3)))
        assert (most, ours()) == (3, [])
    assert told.over.held


async def test_failed_task_is_told_with_its_error_and_left_on_the_server(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """By default the first failure ends the run; calls under way end by themselves."""
    async with theatre(tmp_path, vms=4) as play:
        fault = {"effect": "task_failure", "code": "HOST_NOT_ENOUGH_FREE_MEMORY", "lasts_s": 1}
        play.rules({"match": "Async.VM.start", **fault, "params": ["1", "2"], "count": 1})
        told = await play.run(script(step("powercycle", concurrency=10)))
        (failed,) = [mark for mark in ends(play) if mark["outcome"] == "failure"]
        left = play.pool.database.refs("task")
    assert failed["error"] == '["HOST_NOT_ENOUGH_FREE_MEMORY","1","2"]'
    assert left == [failed["task"]]
    assert (told.over.status, told.over.held) == ("stopped", False)
    assert told.over.parts[0].broken == ["1 calls failed, 0 may"]
    assert told.over.parts[0].made < told.over.parts[0].planned


async def test_others_go_on_after_a_failure_if_the_script_says_so(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Only the VM whose call failed is left; and so many failures may be expected."""
    async with theatre(tmp_path, vms=4) as play:
        play.rules({"match": "Async.VM.suspend", "effect": "task_failure", "count": 1})
        expect = {"failures_max": 1}
        told = await play.run(script(step("powercycle", on_failure="continue", expect=expect)))
        states = [play.field(ref, "power_state") for ref in play.vms().values()]
    assert sorted(map(str, states)) == ["Halted", "Halted", "Halted", "Running"]
    assert told.over.parts[0].outcomes["failure"] == 1
    assert (told.over.status, told.over.held) == ("completed", True)


async def test_call_that_takes_too_long_breaks_what_is_expected(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A run in which all calls succeeded may still not be good enough."""
    async with theatre(tmp_path, vms=1) as play:
        told = await play.run(script(step("powercycle", expect={"seconds_max": 5})))
    assert (told.over.status, told.over.held) == ("completed", False)
    (text,) = told.over.parts[0].broken
    assert text.startswith("a call took ")


@pytest.mark.parametrize("restores", ["roll-back", "restore"])
async def test_vms_get_back_the_power_state_and_host_found_at_the_start(
    tmp_path: Path, autojump_clock: Clock, restores: str
) -> None:
    """After a failure that rolls back, or always, as the script says."""
    async with theatre(tmp_path, vms=6) as play:
        await play.do("VM.pause", "vm-001")
        fields = ("power_state", "resident_on")
        before = {n: [play.field(r, f) for f in fields] for n, r in play.vms().items()}
        steps = [step("permute", concurrency=10), step("powercycle", on_failure="roll-back")]
        if restores == "restore":
            text = script(*steps, restore=True)
        else:
            text = script(*steps)
            fault = {"effect": "task_failure", "count": 1, "skip": 3}
            play.rules({"match": "Async.VM.suspend", **fault})
        told = await play.run(text)
        after = {n: [play.field(r, f) for f in fields] for n, r in play.vms().items()}
    assert after == before
    assert told.over.status == ("completed" if restores == "restore" else "stopped")
    assert told.over.parts[-1].title == "restore"
    assert set(told.over.parts[-1].outcomes) == {"success"}


async def test_task_that_vanishes_is_told_as_such(tmp_path: Path, autojump_clock: Clock) -> None:
    """Nobody knows how the operation ended; what its VM shows is told as that, and no more."""
    async with theatre(tmp_path, vms=4) as play:
        play.rules({"match": "Async.VM.start", "effect": "task_vanish", "lasts_s": 1})
        told = await start_one(play)
        (ended,) = ends(play)
    assert outcomes(told) == [("start", "vanished")]
    assert (ended["source"], str(ended["why"]).rpartition("; ")[2]) == (
        "state",
        "the VM is Running",
    )
    assert told.over.held, "what its VM proves is no failure"
    assert (ended["record"], ended["error"]) == (None, None)


async def test_call_that_hangs_is_cancelled_after_its_timeout(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """If the task does not end by that either, it is left, and nobody says how it ends."""
    async with theatre(tmp_path, vms=4) as play:
        play.rules({"match": "Async.VM.start", "effect": "task_hang"})
        told = await start_one(play, timeouts={"start": 30})
        (ended,) = ends(play)
        (task,) = play.pool.database.refs("task")
        operations = play.pool.database.record("task", task)["current_operations"]
    assert outcomes(told)[0][1] in {"cancelled", "interrupted"}
    assert str(ended["why"]).startswith("it took longer than 30 s")
    assert 30 <= float(str(ended["duration_s"])) <= 95
    assert "cancel" in str(operations) or ended["outcome"] == "cancelled"


async def test_slow_operation_is_cancelled_after_its_timeout(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A task that was cancelled is told as cancelled, whoever cancelled it."""
    async with theatre(tmp_path, vms=4) as play:
        told = await play.run(script(step("permute", vms=RUNNING, timeouts={"pool_migrate": 3})))
        whys = {str(mark["why"]) for mark in ends(play) if mark["outcome"] == "cancelled"}
    assert ("pool_migrate", "cancelled") in outcomes(told)
    assert whys == {"it took longer than 3 s"}


async def test_vm_that_somebody_deletes_in_the_middle_is_told_as_changed_by_others(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Its lane ends there, and what is left of the run goes on if the script says so."""
    async with theatre(tmp_path, vms=3) as play:
        text = script(step("powercycle", iterations=5, on_failure="continue"))
        async with play.running(text) as (client, told):
            while (line := await client.line()) is not None:
                told.take(line)
                mine = [m for name, m, _ in told.ended() if name == "vm-002"]
                if mine[-1:] == ["clean_shutdown"] and "vm-002" in play.vms():
                    await play.do("VM.destroy", "vm-002")
        (changed,) = [m for m in ends(play) if m["outcome"] == "changed-by-others"]
    assert changed["why"] == "the VM is gone"
    assert told.over.status == "completed"
    assert sum(name != "vm-002" for name, _, _ in told.ended()) >= 2 * 5 * 4


async def test_vm_that_somebody_halts_is_told_as_changed_by_others(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """It is not called a failure of the call that then cannot be made."""
    async with theatre(tmp_path, vms=3) as play:
        halted = False
        async with play.running(script(step("powercycle"))) as (client, told):
            while (line := await client.line()) is not None:
                told.take(line)
                if told.ended()[-1:] == [("vm-003", "start", "success")] and not halted:
                    halted = True
                    await play.do("VM.hard_shutdown", "vm-003")
        (changed,) = [m for m in ends(play) if m["outcome"] == "changed-by-others"]
    assert changed["why"] == "the VM is Halted, not Running"
    assert (changed["task"], told.over.status) == (None, "stopped")
    assert told.over.duration_s < 100, "it was not waited for what cannot come"


async def test_vm_that_becomes_protected_in_the_middle_is_not_touched_any_more(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The tag counts from the moment that its event is there."""
    async with (
        theatre(tmp_path, vms=1) as play,
        play.running(script(step("powercycle", iterations=9))) as (client, told),
    ):
        while (line := await client.line()) is not None:
            told.take(line)
            if told.ended()[-1:] == [("vm-001", "suspend", "success")]:
                play.pool.database.write("VM", play.vm("vm-001"), "tags", [NEVER])
    assert outcomes(told)[-2:] == [("suspend", "success"), ("resume", "skipped")]


async def test_guest_without_an_agent_is_a_failure_after_a_while(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """What its agent has to allow is not called before; the wait has an end."""
    async with theatre(tmp_path, vms=4) as play:
        chosen = {"names": ["*"], "power_states": ["Halted"], "count": 1}
        begin = play.pool.toolstack.later
        play.pool.toolstack.later = lambda delay_s, act: begin(delay_s + 10_000, act)
        told = await play.run(script(step("powercycle", vms=chosen, timeouts={"wait": 45})))
        ended = ends(play)[-1]
    assert outcomes(told) == [("start", "success"), ("suspend", "failure")]
    assert str(ended["why"]).startswith("suspend was not allowed within 45 s")
    assert 45 <= told.over.duration_s < 55
    assert ended["task"] is None


async def test_only_one_run_at_a_time_on_a_pool(tmp_path: Path, autojump_clock: Clock) -> None:
    """A second one is refused until the first has ended; a dry run does not count."""
    async with theatre(tmp_path) as play:
        async with play.running(script(step("powercycle"))) as (client, told):
            refused = await play.refusal(script(step("clone")))
            dry = await play.run(script(step("clone")), dry_run=True)
            while (line := await client.line()) is not None:
                told.take(line)
        await play.run(script(step("clone")))
        started = play.marks(MarkName.RUN_STARTED)
    assert refused == ("run-under-way", ["a test runs on pool lab already; wait for its end"])
    assert dry.running["run"] is None
    assert len(started) == 2


async def test_dry_run_changes_nothing(tmp_path: Path, autojump_clock: Clock) -> None:
    """Neither the pool nor the journal; its lines are those of the real run."""
    async with theatre(tmp_path) as play:
        changes = play.changes()
        dry = await play.run(script(step("powercycle")), dry_run=True)
        assert (dry.report, play.marks(), play.changes()) == (None, [], changes)
        real = await play.run(script(step("powercycle")))
    assert dry.running["lines"] == real.running["lines"]


async def test_script_that_does_not_fit_the_pool_is_refused(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """With the place in the script, before anything is done."""
    async with theatre(tmp_path) as play:
        none = {"vms": {"names": ["nobody"]}}
        assert await play.refusal(script(step("clone", **none)), origin="x.toml") == (
            "workload-refused",
            ["x.toml: steps[0].vms: no VM of pool lab fits"],
        )
        assert await play.refusal("name = 3", origin="x.toml") == (
            "workload-refused",
            ["x.toml: name: Expected `str`, got `int`", "x.toml: steps: is missing"],
        )
        assert await play.refusal(script(step("clone")), pool="lob") == (
            "unknown-pool",
            ["no pool 'lob' is recorded; did you mean 'lab'?"],
        )
        assert play.marks() == []
