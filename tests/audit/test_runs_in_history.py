"""`xentrail history`: the calls of runs that touched an object stand in its life."""

import json
from pathlib import Path

import pytest

from query.history.database import History
from query.questions.objects import find
from query.questions.runs_about import Touch, runs_about
from recorder.instant import Instant
from recorder.model import MarkName
from tests.audit.lies import clones, moves
from tests.audit.plays import Liar, history_of, write
from tests.cli.questions import Program


def touches(history: History, word: str, cls: str, **within: Instant | None) -> list[Touch]:
    """Return the calls that touched an object."""
    ends = {"since": None, "until": None} | within
    return runs_about(history, find(history, word, cls=cls), **ends)


def test_calls_about_a_vm_and_those_that_send_others_to_a_host_are_told() -> None:
    """Of a host the moves to it; what only mentions it in the record of a task is left out."""
    tale = moves()
    intents = [detail for _, detail in tale.marks(MarkName.STEP_INTENDED)]
    ends = {detail["step"]: detail["outcome"] for _, detail in tale.marks(MarkName.STEP_ENDED)}
    vm = intents[0]
    host = json.loads(str(vm["params"]))[0]
    with history_of({"lab": Liar(tale)}) as history:
        about = touches(history, str(vm["name"]), "vm")
        to_it = touches(history, host, "host")
        other = touches(history, "lab", "pool")
    own = [detail for detail in intents if detail["ref"] == vm["ref"]]
    assert [(one.step, one.outcome) for one in about] == [
        (detail["step"], ends[detail["step"]]) for detail in own
    ]
    assert {one.how for one in about} == {"about"}
    sent = [detail["step"] for detail in intents if host in str(detail["params"])]
    assert [(one.step, one.how) for one in to_it] == [(step, "with") for step in sent]
    assert 0 < len(sent) < len(intents)
    assert other == []


def test_clone_is_told_by_the_call_that_made_it() -> None:
    """The call is about another VM; that it made this one is said."""
    with history_of({"lab": Liar(clones())}) as history:
        clone = next(
            str(row[0])
            for row in history.plain("SELECT name FROM objects WHERE name LIKE 'clone of %'", {})
        )
        (made,) = touches(history, clone, "vm")
        assert (made.how, made.method, f"clone of {made.name}") == ("made", "VM.clone", clone)


def test_calls_outside_of_the_range_are_left_out() -> None:
    """A call counts while it was under way, both ends included."""
    tale = moves()
    name = str(tale.marks(MarkName.STEP_INTENDED)[0][1]["name"])
    with history_of({"lab": Liar(tale)}) as history:
        first, *_, last = touches(history, name, "vm")
        assert first.ended_seq is not None
        behind = touches(history, name, "vm", since=Instant(seq=first.ended_seq + 1))
        within = touches(history, name, "vm", since=Instant(seq=first.ended_seq))
        before = touches(history, name, "vm", until=Instant(seq=last.intended_seq - 1))
        up_to = touches(history, name, "vm", until=Instant(seq=last.intended_seq))
    assert (first in behind, first in within) == (False, True)
    assert (last in before, last in up_to) == (False, True)


def test_history_shows_calls_and_those_without_an_outcome(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line each where its outcome was written; in JSON they are a list of their own."""
    tale = clones()
    ((intended, detail),) = [
        (seq, one) for seq, one in tale.marks(MarkName.STEP_INTENDED) if one["method"] == "VM.clone"
    ]
    liar = Liar(tale)
    liar.forget(tale.marks(MarkName.STEP_ENDED)[0][0])
    program = Program(tmp_path, capsys, monkeypatch)
    write(tmp_path, {"lab": liar})
    told = program("history", str(detail["name"]))
    (line,) = [one for one in told.out.splitlines() if "VM.clone: its" in one]
    assert line.endswith(
        f"@{intended}  run {detail['run']}, call 1: VM.clone: its outcome is not known"
    )
    (touch,) = json.loads(program("history", str(detail["name"]), "--format", "json").out)["runs"]
    assert (touch["run"], touch["step"], touch["outcome"]) == (detail["run"], 1, None)
