"""`xentrail workload audit`: what is printed, and how it ends."""

import csv
import json
from pathlib import Path

import pytest

from recorder.model import MarkName
from tests.audit.plays import Liar, Tale, played, write
from tests.cli.questions import Program, Ran
from tests.workloads.theatre import script, step


@pytest.fixture(scope="module")
def tale() -> Tale:
    """One VM is started; nobody touches another."""
    halted = {"names": ["*"], "power_states": ["Halted"], "count": 1}
    return played(script(step("start_async", vms=halted)))


def run_of(tale: Tale) -> str:
    ((_, detail),) = tale.marks(MarkName.RUN_STARTED)
    return str(detail["run"])


@pytest.fixture
def program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Program:
    return Program(tmp_path, capsys, monkeypatch)


def lie(tale: Tale) -> Liar:
    """Say that the start failed."""
    liar = Liar(tale)
    ((seq, _),) = tale.marks(MarkName.STEP_ENDED)
    liar.mark(seq, outcome="failure")
    return liar


def ask(program: Program, tale: Tale, *words: str) -> Ran:
    return program("workload", "audit", run_of(tale)[:10], *words)


def test_audit_of_an_honest_run_is_one_line_and_exit_code_0(program: Program, tale: Tale) -> None:
    """With --all every call, and every object that changed because of it, with its chain."""
    write(program.data, {"lab": Liar(tale)})
    told = ask(program, tale)
    why = "the record shows all that is claimed of 1 call"
    verdict = f"run {run_of(tale)} of a test on lab: proven: {why}"
    assert told.code == 0, told.err
    *others, last = told.out.splitlines()
    assert last == verdict
    assert [line.partition(":")[0] for line in others] == ["changed because of the run"]
    everything = ask(program, tale, "--all").out
    assert "is the task of call 1" in everything
    assert everything.splitlines()[-1] == verdict
    assert "NOT OF THE RUN" not in everything


def test_audit_of_a_lie_names_rule_and_entries_and_exits_1(program: Program, tale: Tale) -> None:
    """In the table, in JSON, and in CSV, where the verdict is the first row."""
    write(program.data, {"lab": lie(tale)})
    told = ask(program, tale)
    assert told.code == 1
    assert "its task ended with success, not failure" in told.out
    assert told.out.splitlines()[-1].startswith(
        f"run {run_of(tale)} of a test on lab: contradicted"
    )
    document = json.loads(ask(program, tale, "--format", "json").out)
    findings = document["audit"]["findings"]
    assert document["audit"]["verdict"] == "contradicted"
    assert {one["rule"] for one in findings} == {"status", "entry", "held"}
    assert all(one["seqs"] for one in findings)
    first, *rows = csv.DictReader(ask(program, tale, "--format", "csv").out.splitlines())
    assert (first["about"], first["verdict"]) == ("run", "contradicted")
    (call,) = [row for row in rows if row["about"] == "call"]
    assert (call["told"], call["rules"]) == ("failure", '["status","entry"]')


def test_run_that_was_never_recorded_is_one_error(program: Program, tale: Tale) -> None:
    """It says where runs are listed."""
    write(program.data, {"lab": Liar(tale)})
    told = program("workload", "audit", "2020")
    assert told.code == 60
    assert (
        told.err == "xentrail: no run is called '2020', and no file: see xentrail workload runs\n"
    )
