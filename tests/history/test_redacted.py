"""A history of a journal from which something was taken out, before it was loaded or after."""

from collections.abc import Callable
from pathlib import Path

import pytest

from query.history.database import History
from query.history.schema import TABLES
from query.load.loader import refresh
from query.questions.certainty import Certainty
from query.questions.objects import find
from query.questions.states import state_of
from recorder.instant import Instant
from recorder.journal.redaction import redact
from recorder.journal.store import Journal
from tests.history.journals import START_NS, Pool, Told, record, ref_of, rows, write_journal

SECRET = "hunter2"


def told() -> tuple[Told, dict[str, int]]:
    """A VM that gets a password and loses it again; another one that is only in the baseline."""
    entries = Told()
    lab = Pool(entries)
    lab.register()
    chunk = lab.chunk("vm", {"web1": record("web1", note=""), "web2": record("web2", note=SECRET)})
    lab.done()
    seqs = {"web2": chunk[1]}
    seqs["set"] = lab.event("mod", "vm", "web1", record("web1", note=SECRET, memory=2))
    seqs["unset"] = lab.event("mod", "vm", "web1", record("web1", note="", memory=2))
    return entries, seqs


def take_out(data: Path, *seqs: int) -> None:
    with Journal.open(data / "journal", now_ns=lambda: START_NS) as journal:
        for seq in seqs:
            redact(journal, seq, "a password", by="somebody")


def knows(history: History) -> bool:
    """Say whether the secret is anywhere in the tables of a history."""
    return any(
        rows(history, f"SELECT 1 FROM {table} t WHERE contains(t::VARCHAR, '{SECRET}')")  # noqa: S608 - our own table names
        for table in TABLES
    )


@pytest.mark.parametrize("first", [take_out, lambda data, *_: refresh(data)], ids=["out", "load"])
def test_what_was_taken_out_is_in_no_table(tmp_path: Path, first: Callable[..., object]) -> None:
    """Whether it was loaded before or not; that something happened stays."""
    entries, seqs = told()
    write_journal(tmp_path / "journal", entries.drafts())
    gone = (seqs["set"], seqs["web2"])
    first(tmp_path, *gone)
    if first is not take_out:
        with refresh(tmp_path).open() as history:
            assert knows(history)
        take_out(tmp_path, *gone)
    with refresh(tmp_path).open() as history:
        assert not knows(history)
        sql = "SELECT seq, operation, name FROM events WHERE class = 'vm' ORDER BY seq"
        assert [row[0] for row in rows(history, sql)] == [4, 5, seqs["set"], seqs["unset"]]
        (mark,) = rows(history, f"SELECT pool FROM marks WHERE seq = {entries.seq + 1}")  # noqa: S608 - a number
        assert mark == ("",)


@pytest.mark.parametrize("load_first", [False, True])
def test_state_that_was_taken_out_is_uncertain(tmp_path: Path, load_first: bool) -> None:
    """Nothing is claimed of an instant whose state is gone; before and after it is known."""
    entries, seqs = told()
    write_journal(tmp_path / "journal", entries.drafts())
    if load_first:
        refresh(tmp_path)
    take_out(tmp_path, seqs["set"], seqs["web2"])
    with refresh(tmp_path).open() as history:

        def at(name: str, seq: int) -> tuple[Certainty, bool | None, dict[str, object]]:
            state = state_of(history, find(history, name), Instant(seq=seq))
            return state.certainty, state.exists, dict(state.fields)

        assert at("web1", seqs["set"] - 1)[2]["note"] == ""
        assert at("web1", seqs["set"]) == (Certainty.UNCERTAIN, True, {})
        state = state_of(history, find(history, "web1"), Instant(seq=seqs["set"]))
        assert state.reason == f"what was recorded of it at @{seqs['set']} was redacted"
        assert at("web1", seqs["unset"])[2]["memory"] == 2
        assert at("OpaqueRef:web2", seqs["unset"]) == (Certainty.UNCERTAIN, True, {})


def test_next_event_is_not_compared_with_what_is_not_there(tmp_path: Path) -> None:
    """What changed between two states of which one is gone is not known, and not made up."""
    entries, seqs = told()
    write_journal(tmp_path / "journal", entries.drafts())
    take_out(tmp_path, seqs["set"])
    with refresh(tmp_path).open() as history:
        sql = f"SELECT changed_fields FROM events WHERE seq = {seqs['unset']}"  # noqa: S608 - a number
        assert rows(history, sql) == [(None,)]


@pytest.mark.parametrize("load_first", [False, True])
def test_outcome_and_bond_that_were_taken_out_are_nowhere(tmp_path: Path, load_first: bool) -> None:
    """Neither the result of a task, nor what an object carried, outlives the entry that told it."""
    entries = Told()
    lab = Pool(entries)
    lab.register()
    lab.event("add", "task", "t1", record("t1", status="pending"))
    carried = {ref_of("t1"): SECRET}
    bond = lab.event("add", "vm", "web1", record("web1", current_operations=carried))
    error = ["CODE", SECRET]
    done = {"status": "failure", "result": SECRET, "error_info": error}
    end = lab.event("mod", "task", "t1", record("t1", **done))
    write_journal(tmp_path / "journal", entries.drafts())
    if load_first:
        with refresh(tmp_path).open() as history:
            assert rows(history, "SELECT result, error_params FROM tasks") == [(SECRET, [SECRET])]
            assert rows(history, "SELECT operation FROM carried") == [(SECRET,)]
    take_out(tmp_path, bond, end)
    with refresh(tmp_path).open() as history:
        assert not knows(history)
        assert rows(history, "SELECT ref FROM tasks") == [(ref_of("t1"),)]


def test_outcome_that_a_later_entry_tells_again_stays(tmp_path: Path) -> None:
    """Only what nothing tells any more is forgotten."""
    entries = Told()
    lab = Pool(entries)
    lab.register()
    end = lab.event("add", "task", "t1", record("t1", status="success", result="a result"))
    lab.event("del", "task", "t1", record("t1", status="success", result="a result"))
    write_journal(tmp_path / "journal", entries.drafts())
    refresh(tmp_path)
    take_out(tmp_path, end)
    with refresh(tmp_path).open() as history:
        assert rows(history, "SELECT result FROM tasks") == [("a result",)]
