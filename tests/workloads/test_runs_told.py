"""What the history tells of runs: all that the journal holds of them, and nothing else."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from query.errors import AmbiguousObject, NoSuchRun
from query.history.database import History
from query.load.loader import refresh
from query.questions.runs import run_called, runs, steps
from recorder.clock import wall_ns
from recorder.journal.store import Journal
from recorder.model import Detail, Draft, Mark, MarkName
from tests.cli.questions import Program
from tests.workloads.theatre import script, step, theatre

Clock = trio.testing.MockClock
RUN: dict[str, str] = {"run": "20260921-141320-d1b2"}
STARTED: dict[str, str | int | float | bool | None] = {
    **RUN,
    "script": "a test",
    "text": "…",
    "seed": 1,
    "who": "root",
    "user": "op",
    "calls": 3,
    "plan": "{}",
}
INTENDED: dict[str, str | int | float | bool | None] = {
    **RUN,
    "part": 0,
    "kind": "custom",
    "round": 0,
    "class": "VM",
    "ref": "OpaqueRef:1",
    "uuid": "u",
    "name": "web1",
    "method": "VM.start",
    "params": "[]",
}


@contextmanager
def told(data: Path) -> Iterator[History]:
    with refresh(data).open() as history:
        yield history


def write(data: Path, *marks: Mark) -> None:
    journal = Journal.open(data / "journal", keys=data / "keys", now_ns=wall_ns)
    journal.append([Draft(wall_ns(), "lab", mark) for mark in marks])
    journal.close()


async def test_runs_and_steps_are_told_as_they_were_recorded(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Each call with its outcome, in the order in which they were intended."""
    async with theatre(tmp_path) as play:
        fault = {"effect": "task_failure", "code": "NO_HOSTS_AVAILABLE", "count": 1}
        play.rules({"match": "Async.VM.suspend", **fault})
        text = script(step("powercycle", on_failure="continue"), seed=7)
        first = await play.run(text)
        second = await play.run(script(step("permute")))
        marks = play.marks(MarkName.STEP_ENDED)
    with told(tmp_path) as history:
        one, other = runs(history)
        assert [one.run, other.run] == [first.over.run, second.over.run]
        assert (one.script, one.seed, one.login, one.pool) == ("a test", 7, "root", "lab")
        assert (one.status, one.held, one.other) == ("completed", False, 1)
        assert (other.status, other.held, other.other) == ("completed", True, 0)
        assert one.made == one.success + 1 == sum(part.made for part in first.over.parts)
        rows = [*steps(history, one), *steps(history, other)]
        assert {row.intended_seq for row in steps(history, one)} < set(
            range(one.first_seq, (one.last_seq or 0) + 1)
        )
        assert history.table("SELECT text FROM runs ORDER BY first_seq")["text"][0].as_py() == text
    assert [row.step for row in rows[: one.made]] == [*range(1, one.made + 1)]
    by_task = {mark["task"]: mark for mark in marks}
    for row in rows:
        mark = by_task[row.task]
        assert (row.outcome, row.duration_s) == (mark["outcome"], mark["duration_s"])
        assert (row.event_seq, row.error) == (mark["entry"], mark["error"])
    (failed,) = [row for row in rows if row.outcome == "failure"]
    assert failed.error == '["NO_HOSTS_AVAILABLE"]'


def test_run_whose_recorder_was_killed_has_no_end_and_no_made_up_outcome(tmp_path: Path) -> None:
    """Of a call that was intended, and one that was made, nobody knows how it ended."""
    write(
        tmp_path,
        Mark(MarkName.RUN_STARTED, STARTED),
        Mark(MarkName.STEP_INTENDED, {**INTENDED, "step": 1}),
        Mark(MarkName.STEP_CALLED, {**RUN, "step": 1, "task": "OpaqueRef:t"}),
        Mark(MarkName.STEP_INTENDED, {**INTENDED, "step": 2}),
    )
    with told(tmp_path) as history:
        (run,) = runs(history)
        assert (run.status, run.held, run.ended, run.duration_s) == (None, None, None, None)
        assert (run.made, run.success, run.other) == (2, 0, 2)
        assert [(row.task, row.outcome) for row in steps(history, run)] == [
            ("OpaqueRef:t", None),
            (None, None),
        ]


def test_run_is_called_by_the_beginning_of_its_name(tmp_path: Path) -> None:
    """If several begin like this, the choices are told."""
    others = [{**STARTED, "run": name} for name in ("20260921-2", "20260921-23")]
    marks = [Mark(MarkName.RUN_STARTED, detail) for detail in (STARTED, *others)]
    write(tmp_path, *marks)
    with told(tmp_path) as history:
        assert run_called(history, "20260921-14").run == RUN["run"]
        assert run_called(history, "20260921-2").run == "20260921-2"
        with pytest.raises(AmbiguousObject, match="is the beginning of several runs"):
            run_called(history, "2026")
        with pytest.raises(NoSuchRun, match="no run is called 'x'"):
            run_called(history, "x")


def test_commands_print_runs_and_their_calls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`workload runs` and `workload show`; the same command shows a script."""
    ended = {**RUN, "status": "stopped", "held": False, "parts": "[]", "error": None}
    error = '["HANDLE_INVALID","VM"]'
    write(
        tmp_path,
        Mark(MarkName.RUN_STARTED, STARTED),
        Mark(MarkName.STEP_INTENDED, {**INTENDED, "step": 1}),
        Mark(MarkName.STEP_ENDED, {**RUN, "step": 1, "outcome": "failure", "error": error}),
        Mark(MarkName.RUN_ENDED, ended),
    )
    run = Program(tmp_path, capsys, monkeypatch)
    listed = run("workload", "runs")
    assert "a test" in listed.out
    assert "NOT HELD" in listed.out
    (row,) = json.loads(run("workload", "runs", "--format", "json").out)["rows"]
    assert (row["run"], row["status"], row["made"]) == (RUN["run"], "stopped", 1)
    shown = run("workload", "show", "20260921")
    assert "vm:web1" in shown.out
    assert "HANDLE_INVALID VM" in shown.out
    assert "NOT all that was expected held" in shown.err
    rows = csv.DictReader(run("workload", "show", "2026", "--format", "csv").out.splitlines())
    assert [(one["pool"], one["outcome"]) for one in rows] == [("lab", "failure")]
    assert run("workload", "show", "2027").code == 60
    file = tmp_path / "script.toml"
    file.write_text(script(step("clone"), seed=9, restore=True), encoding="utf-8")
    assert run("workload", "show", str(file)).out.splitlines() == [
        "a test, seed 9",
        "1. clone, 4 at a time, a failure ends it: VMs by names *",
        "   expects at most 0 failures",
        "then each VM gets back its power state and host",
    ]


def test_run_that_died_and_one_that_was_resumed_are_told_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who started behind the last word of a run does not drive it; of two ends the last counts."""
    run = Program(tmp_path, capsys, monkeypatch)
    write(
        tmp_path,
        Mark(MarkName.RUN_STARTED, STARTED),
        Mark(MarkName.STEP_INTENDED, {**INTENDED, "step": 1}),
    )
    begun = json.loads(run("workload", "runs", "--format", "json").out)["rows"][0]
    assert (begun["died"], begun["resumed"]) == (False, 0)
    started = Draft(wall_ns(), "", Mark(MarkName.STARTED, {}))
    journal = Journal.open(tmp_path / "journal", keys=tmp_path / "keys", now_ns=wall_ns)
    journal.append([started])
    journal.close()
    listed = run("workload", "runs")
    assert "died" in listed.out
    assert f"xentrail workload resume {RUN['run']} goes on" in listed.err
    assert "to go on with it: xentrail workload resume" in run("workload", "show", "2026").err
    stopped: Detail = {**RUN, "status": "interrupted", "held": False, "parts": "[]", "error": None}
    left: Detail = {**RUN, "step": 1, "task": "t", "outcome": "interrupted", "stopped": True}
    write(
        tmp_path,
        Mark(MarkName.RUN_RESUMED, {**RUN, "who": "root", "restore": False}),
        Mark(MarkName.STEP_ENDED, left),
        Mark(MarkName.RUN_ENDED, stopped),
        Mark(MarkName.RUN_RESUMED, {**RUN, "who": "root", "restore": False}),
        Mark(MarkName.STEP_ENDED, {**RUN, "step": 1, "task": "t", "outcome": "success"}),
    )
    (row,) = json.loads(run("workload", "runs", "--format", "json").out)["rows"]
    assert (row["status"], row["died"], row["resumed"], row["success"]) == (None, False, 2, 1)
    write(tmp_path, Mark(MarkName.RUN_ENDED, {**stopped, "status": "completed", "held": True}))
    (row,) = json.loads(run("workload", "runs", "--format", "json").out)["rows"]
    assert (row["status"], row["held"], row["made"]) == ("completed", True, 1)
    assert "completed, resumed 2 x" in run("workload", "runs").out
