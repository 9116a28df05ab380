"""Runs that lose their session, their master, their events, their client or their recorder."""

import json
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from recorder.config import Config, Login, Reading
from recorder.journal.scan import scan
from recorder.model import Mark, MarkName
from recorder.simulator.faults import effects
from recorder.workloads.inventory import NULL_REF
from tests.daemon.clients import ask, connected, refusal
from tests.workloads.theatre import Theatre, Told, script, step, theatre

Clock = trio.testing.MockClock
ONE = {"names": ["*"], "power_states": ["Halted"], "count": 1}


async def rest_of(play: Theatre, client: object, told: Told) -> None:
    while (line := await client.line()) is not None:  # type: ignore[attr-defined]
        told.take(line)


def check_claims(play: Theatre) -> None:
    """Each success that is claimed is one that the pool itself has seen."""
    status: dict[str, set[object]] = {}
    for change in play.pool.truth.changes:
        if change.cls == "task":
            status.setdefault(change.ref, set()).add(json.loads(change.snapshot)["status"])
    claimed = [mark for mark in play.marks(MarkName.STEP_ENDED) if mark["record"] is not None]
    for mark in claimed:
        assert mark["outcome"] in status[str(mark["task"])]
    assert claimed


async def test_session_that_expires_is_opened_again(tmp_path: Path, autojump_clock: Clock) -> None:
    """A call that was refused because of it is made again, and only then."""
    async with theatre(tmp_path) as play:
        async with play.running(script(step("powercycle", iterations=2))) as (client, told):
            expired = 0
            while (line := await client.line()) is not None:
                told.take(line)
                if len(told.ended()) // 7 > expired:
                    expired += 1
                    play.front.sessions.expire_all()
        called = play.marks(MarkName.STEP_CALLED)
        check_claims(play)
    assert expired >= 3
    assert told.over.held, told.over
    assert len(called) == told.over.parts[0].planned


@pytest.mark.parametrize("planned", [True, False])
async def test_master_that_moves_loses_the_tasks_and_not_the_run(
    tmp_path: Path, autojump_clock: Clock, planned: bool
) -> None:
    """Calls under way are told as vanished; those after it are made to the new master."""
    async with theatre(tmp_path, vms=6) as play:
        expect = {"failures_max": 3}
        text = script(
            step("permute", order="shuffle", iterations=2, on_failure="continue", expect=expect),
            step("start_async", on_failure="continue"),
        )
        async with play.running(text) as (client, told):
            while (line := await client.line()) is not None:
                told.take(line)
                if told.steps and told.steps[-1].progress == 0.5:
                    down_s = None if planned else 60.0
                    play.front.faults.act(effects.Failover(planned=planned, down_s=down_s))
        check_claims(play)
        masters = [mark["address"] for mark in play.marks(MarkName.CONNECTED)]
    first, *_, last = [outcome for _, method, outcome in told.ended() if outcome != "skipped"]
    assert (first, last) == ("vanished", "success")
    assert len(set(masters)) > 1
    assert told.over.status == "completed"


async def test_nobody_moves_to_the_host_of_a_vm_that_did_not_start(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """It has none: the call is skipped, and the journal says why."""
    async with theatre(tmp_path, vms=6) as play:
        play.rules({"match": "Async.VM.start", "effect": "fault", "code": "VM_REQUIRES_SR"})
        text = script(
            step("start_async", on_failure="continue"), step("permute", on_failure="continue")
        )
        await play.run(text)
        check_claims(play)
        moved = [mark for mark in play.marks(MarkName.STEP_INTENDED) if mark["part"] == 1]
        ends = {mark["step"]: mark for mark in play.marks(MarkName.STEP_ENDED)}
    nowhere = [mark for mark in moved if NULL_REF in str(mark["params"])]
    assert nowhere, "a VM that did not start stands before one in the list"
    assert {ends[mark["step"]]["outcome"] for mark in nowhere} == {"skipped"}


async def test_answer_that_is_lost_leaves_a_task_that_is_found(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The call was made: it is not made a second time, and its end is told."""
    async with theatre(tmp_path, vms=4) as play:
        play.rules({"match": "Async.VM.start", "effect": "half_reply", "count": 1})
        told = await play.run(script(step("start_async", vms=ONE)))
        begun = [
            one for one in play.pool.truth.changes if one.cls == "task" and one.operation == "add"
        ]
        (called,) = play.marks(MarkName.STEP_CALLED)
        check_claims(play)
    starts = [one for one in begun if b"Async.VM.start" in one.snapshot]
    assert [one.ref for one in starts] == [called["task"]]
    assert told.over.held


async def test_call_that_may_not_have_been_made_is_interrupted_and_not_repeated(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Nobody knows, so nothing is claimed."""
    async with theatre(tmp_path, vms=4) as play:
        play.rules({"match": "Async.VM.start", "effect": "http_status", "count": 1})
        told = await play.run(script(step("start_async", vms=ONE)))
        (ended,) = play.marks(MarkName.STEP_ENDED)
        states = [play.field(ref, "power_state") for ref in play.vms().values()]
    assert [outcome for _, _, outcome in told.ended()] == ["interrupted"]
    assert str(ended["why"]).startswith("nobody knows whether the call was made: ")
    assert "Halted" in states


async def test_end_that_no_event_tells_is_asked_for(tmp_path: Path, autojump_clock: Clock) -> None:
    """A run does not hang on a stream that loses events."""
    async with theatre(tmp_path, vms=4) as play:
        play.rules({"match": "task.mod", "effect": "swallow"})
        told = await play.run(script(step("start_async", vms=ONE)))
        (ended,) = play.marks(MarkName.STEP_ENDED)
    assert (ended["outcome"], ended["source"], ended["entry"]) == ("success", "record", None)
    assert json.loads(str(ended["record"]))["status"] == "success"
    assert told.over.held


@pytest.mark.parametrize("ends", ["sending", "everything"])
async def test_client_that_goes_away_ends_its_run_in_good_order(
    tmp_path: Path, autojump_clock: Clock, ends: str
) -> None:
    """Tasks under way are cancelled and waited for, nothing new begins, and all that is written."""
    async with theatre(tmp_path, vms=6) as play:
        text = script(step("powercycle", iterations=9, concurrency=10))
        async with play.running(text) as (client, told):
            while len(told.ended()) < 8:
                line = await client.line()
                assert line is not None
                told.take(line)
            if ends == "sending":
                await client.stream.send_eof()
                await rest_of(play, client, told)
        await trio.sleep(100)
        marks = play.marks()
        pending = [
            ref
            for ref in play.pool.database.refs("task")
            if play.pool.database.record("task", ref)["status"] == "pending"
        ]
        again = await play.run(script(step("permute")))
    assert marks[-1]["mark"] == "run-ended"
    assert marks[-1]["status"] == "cancelled"
    intended = [mark["step"] for mark in marks if mark["mark"] == "step-intended"]
    ended = {mark["step"]: mark["outcome"] for mark in marks if mark["mark"] == "step-ended"}
    assert sorted(map(str, ended)) == sorted(map(str, intended))
    assert "cancelled" in ended.values()
    assert pending == []
    assert again.over.held
    if ends == "sending":
        assert (told.over.status, told.over.held) == ("cancelled", False)


async def test_recorder_that_stops_interrupts_its_runs_within_the_grace_period(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The last marks of the run are in the journal, before that of the recorder itself."""
    async with theatre(tmp_path, vms=6) as play:
        async with play.running(script(step("powercycle", iterations=9))) as (client, told):
            while len(told.ended()) < 4:
                line = await client.line()
                assert line is not None
                told.take(line)
            began_s = trio.current_time()
            play.stop()
            await rest_of(play, client, told)
        assert trio.current_time() - began_s < 10
    bodies = [entry.body for entry in scan(tmp_path / "journal")]
    names = [body.name for body in bodies if isinstance(body, Mark)]
    assert names.index(MarkName.RUN_ENDED) < names.index(MarkName.STOPPED)
    marks = play.marks()
    intended = [mark["step"] for mark in marks if mark["mark"] == "step-intended"]
    ended = [mark["step"] for mark in marks if mark["mark"] == "step-ended"]
    assert sorted(map(str, ended)) == sorted(map(str, intended))
    assert marks[-1]["status"] == "interrupted"


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 40))]
)
async def test_no_claim_is_false_whatever_goes_wrong(
    tmp_path: Path, autojump_clock: Clock, seed: int
) -> None:
    """Every call has one intent and one outcome, and each success was one."""
    async with theatre(tmp_path, vms=5, seed=seed + 1) as play:
        play.rules(
            {"match": "*VM.*", "effect": "task_failure", "probability": 0.05, "lasts_s": 2},
            {"match": "Async.*", "effect": "task_vanish", "probability": 0.05},
            {"match": "Async.*", "effect": "half_reply", "probability": 0.05},
            {"match": "Async.*", "effect": "reset", "probability": 0.05},
            {"match": "event.next", "effect": "reset", "probability": 0.01},
            {"match": "task.*", "effect": "expire_session", "probability": 0.05},
            {"match": "connect", "effect": "reset", "probability": 0.1},
        )
        steps = [
            step("powercycle", iterations=2, on_failure="continue"),
            step("start_async", on_failure="continue"),
            step("permute", iterations=2, on_failure="continue"),
        ]
        told = await play.run(script(*steps, restore=True))
        check_claims(play)
        marks = play.marks()
    intended = [mark["step"] for mark in marks if mark["mark"] == "step-intended"]
    ended = [mark["step"] for mark in marks if mark["mark"] == "step-ended"]
    assert intended == [*range(1, len(intended) + 1)]
    assert sorted(map(int, map(str, ended))) == intended
    assert told.over.status == "completed"


async def test_run_that_is_asked_for_while_the_recorder_stops_is_refused(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """It would have no time, and nowhere to be written; the stop is as clean as ever."""
    async with theatre(tmp_path, vms=4) as play, connected(tmp_path) as late:
        play.rules({"match": "Async.VM.start", "effect": "task_hang"})
        text = script(step("start_async", vms=ONE))
        async with play.running(text) as (client, told):
            await trio.sleep(5)
            play.stop()
            await trio.sleep(0.1)
            await late.send({"command": "run", "pool": "lab", "script": text})
            answer = await late.line()
            await rest_of(play, client, told)
    assert answer is not None
    assert answer["error"] == {"name": "stopping", "texts": ["the recorder is stopping"]}
    assert told.over.status == "interrupted"
    bodies = [entry.body for entry in scan(tmp_path / "journal")]
    names = [body.name for body in bodies if isinstance(body, Mark)]
    assert names[-1] is MarkName.STOPPED


async def test_pool_that_is_not_the_recorded_one_is_not_touched(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """An address may lead to another pool by now: who drives looks before the first call."""
    async with theatre(tmp_path) as play:
        await trio.sleep(5)
        (pool,) = play.pool.database.refs("pool")
        changes = play.changes()
        play.pool.database.write("pool", pool, "uuid", "another")
        name, texts = await play.refusal(script(step("powercycle")))
        assert (play.marks(), play.changes()) == ([], changes)
    assert name == "workload-refused"
    assert texts[0].endswith("is pool another, which is not recorded")


async def test_task_that_cannot_be_destroyed_holds_nobody_up(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The server destroys it after an hour by itself; the next call is made within seconds."""
    async with theatre(tmp_path, vms=8) as play:
        play.rules({"match": "task.destroy", "effect": "stall", "lasts_s": 1000, "count": 1})
        told = await play.run(script(step("start_async", concurrency=1)))
    assert told.over.held
    assert told.over.parts[0].made > 1
    assert told.over.duration_s < 60


async def test_reload_does_not_end_a_pool_on_which_something_runs(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The run would go on without being recorded; so the reload is refused, and can be repeated."""
    gone = Reading(Config(pools=()))
    async with theatre(tmp_path, reread=lambda: gone) as play:
        async with play.running(script(step("powercycle"))) as (client, told):
            refused = await refusal(tmp_path, {"command": "reload"})
            await rest_of(play, client, told)
        done = await ask(tmp_path, {"command": "reload"})
    text = "a workload runs on pool lab, which would end: wait for it, or end it"
    assert refused == ("run-under-way", [text])
    assert told.over.held
    assert "reload" in done


async def test_reload_gives_workloads_another_login_and_the_recording_does_not_notice(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The next run logs in with it; no gap comes of it."""
    configs: list[Config] = []
    async with theatre(tmp_path, reread=lambda: Reading(configs[0])) as play:
        (pool,) = play.stage.config().pools
        other = msgspec.structs.replace(pool, workload=Login("nobody", password_env="X"))
        configs.append(Config(pools=(other,)))
        await trio.sleep(5)
        done = await ask(tmp_path, {"command": "reload"})
        name, texts = await play.refusal(script(step("powercycle")))
    kept = [{"pool": "lab", "action": "kept"}]
    assert done["reload"] == {"pools": kept, "needs_restart": [], "schedules": []}
    assert name == "workload-refused"
    assert "refuses user 'nobody'" in texts[0]
