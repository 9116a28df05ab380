"""`xentrail workload replay`: what is printed, what is kept, and how it exits."""

import csv
import json
from pathlib import Path

import pytest
import trio
import trio.testing

from query.load.loader import refresh
from query.questions.runs import runs
from tests.cli.programs import pool_table, simulator, write_config, xentrail
from tests.cli.questions import Program
from tests.workloads.theatre import script, step, theatre

FAILS = {"effect": "task_failure", "code": "SR_BACKEND_FAILURE_46", "count": 1}


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Program:
    """The command line in this process, on the journal of a run with a failure."""

    async def live() -> None:
        async with theatre(tmp_path / "data", vms=2) as play:
            play.rules({"match": "Async.VM.suspend", **FAILS})
            await play.run(script(step("powercycle", on_failure="continue")))
            await trio.sleep(60)

    trio.run(live, clock=trio.testing.MockClock(autojump_threshold=0))
    return Program(tmp_path / "data", capsys, monkeypatch)


def test_simulated_replay_is_printed_kept_and_leaves_the_journal_alone(
    tmp_path: Path, run: Program
) -> None:
    """Call by call, with what was injected; the kept journal is one like any other."""
    with refresh(tmp_path / "data").open() as history:
        (row,) = runs(history)
    journal = sorted((tmp_path / "data" / "journal").iterdir())
    before = [file.read_bytes() for file in journal]
    kept = tmp_path / "kept"
    told = run("workload", "replay", row.run[:8], "--simulate", "--keep", str(kept))
    assert told.code == 0, told.err
    assert f"run {row.run} again on simulated pool lab: all {row.made} calls ended as" in told.err
    assert "1 injected, which nothing recorded explains" in told.err
    first, *_ = told.err.splitlines()
    assert first.startswith("xentrail: try 1: ")
    (line,) = [line for line in told.out.splitlines() if "injected" in line]
    assert line.count("failure: SR_BACKEND") == 2
    assert [file.read_bytes() for file in journal] == before
    with refresh(kept).open() as history:
        (again,) = runs(history)
    assert (again.replay_of, again.made, again.status) == (row.run, row.made, row.status)
    shown = run("workload", "show", again.run, "--data", str(kept))
    assert f"run {again.run} (a replay of {row.run}) of a test on lab, seed 1" in shown.err
    refused = run("workload", "replay", row.run, "--simulate", "--keep", str(kept))
    assert (refused.code, refused.err) == (
        2,
        f"xentrail: {kept} is there already: name a folder that is not, to keep this one\n",
    )
    document = json.loads(run("workload", "replay", row.run, "--simulate", "--format", "json").out)
    assert (document["same"], document["simulated"]) == (True, True)
    assert [one["injected"] for one in document["rows"] if one["injected"]] == [
        "SR_BACKEND_FAILURE_46"
    ]
    table = run("workload", "replay", row.run, "--simulate", "--format", "csv").out.splitlines()
    assert len(list(csv.DictReader(table))) == row.made


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ((), 2, "give --pool NAME to repeat it on a pool, or --simulate; one of them"),
        (("--simulate", "--pool", "lab"), 2, "give --pool NAME to repeat it on a pool, or"),
        (("--pool", "lab", "--keep", "x"), 2, "--keep is for --simulate"),
        (("--simulate", "--config", "x"), 2, "--config is for --pool"),
        (("--pool", "lab"), 10, "give --config FILE to record the pool while"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    run: Program, words: tuple[str, ...], code: int, text: str
) -> None:
    """In one line, and nothing is done."""
    told = run("workload", "replay", "2026", *words)
    assert (told.code, told.out) == (code, "")
    assert text in told.err


def test_replay_on_the_pool_exits_by_whether_it_went_the_same(tmp_path: Path) -> None:
    """VMs that went round and are where they were go round again; one that runs does not start."""
    rounds, start = tmp_path / "rounds.toml", tmp_path / "start.toml"
    rounds.write_text(script(step("permute", iterations=3), name="rounds"), encoding="utf-8")
    start.write_text(script(step("start_async"), name="start"), encoding="utf-8")
    with simulator("--hosts", "2", "--vms", "4", "--realtime", "0.02") as pool:
        config = str(write_config(tmp_path, pool_table(pool.url)))
        there = ("--pool", "lab", "--config", config)
        data = ("--data", str(tmp_path / "data"))
        found = []
        for file in (rounds, start):
            done = xentrail("workload", "run", str(file), *there, "--format", "json")
            assert done.returncode == 0, done.stderr
            found.append(json.loads(done.stdout)["run"])
        same = xentrail("workload", "replay", found[0], *there, *data)
        other = xentrail("workload", "replay", found[1], *there, *data)
    assert same.returncode == 0, same.stdout + same.stderr
    assert f"run {found[0]} again on pool lab: all " in same.stderr
    assert other.returncode == 1
    assert "DIFFERS" in other.stdout
    assert "changed-by-others: the VM is Running, not Halted" in other.stdout
    assert "calls did NOT end as before" in other.stderr
