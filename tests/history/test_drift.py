"""How pools differ between two instants."""

from pathlib import Path

import pytest

from query.load.loader import refresh
from query.questions.certainty import Certainty
from query.questions.drift import Difference, drift
from query.questions.objects import find
from recorder.instant import BadInstant, Instant
from recorder.journal.redaction import redact
from recorder.journal.store import Journal
from recorder.model import Mark, MarkName
from tests.history.journals import START_NS, Pool, Told, loaded, record, write_journal


def at(seq: int) -> Instant:
    return Instant(seq=seq)


def brief(told: list[Difference]) -> list[tuple[str | None, ...]]:
    return [(one.what, one.name, one.field, one.old, one.new) for one in told]


@pytest.fixture
def told() -> Told:
    """web1 grows twice and shrinks again, db1 goes, mail1 comes, a task comes and goes."""
    told = Told()
    lab = Pool(told)
    lab.register()
    web1 = record("web1", memory=1, allowed_operations=["start"])
    lab.chunk("vm", {"web1": web1, "db1": record("db1")})
    lab.done()
    assert told.seq == 6
    lab.event("mod", "vm", "web1", {**web1, "memory": 2})  # @7
    lab.event("mod", "vm", "web1", {**web1, "memory": 3, "allowed_operations": []})  # @8
    lab.event("del", "vm", "db1", record("db1"))  # @9
    lab.event("add", "vm", "mail1", record("mail1"))  # @10
    lab.event("add", "task", "t1", record("VM.start"))  # @11
    lab.event("mod", "vm", "web1", {**web1, "memory": 1, "tags": []})  # @12
    return told


def test_only_the_ends_count(told: Told, tmp_path: Path) -> None:
    """What changed and changed back is no difference; each names the entries that told it."""
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        found = drift(history, at(6), at(8))
        assert brief(found.differences) == [("changed", "web1", "memory", "1", "3")]
        assert (found.differences[0].seq_before, found.differences[0].seq_after) == (4, 8)
        assert (found.volatile, found.is_certain) == (1, True)
        whole = drift(history, at(6), at(12))
        assert brief(whole.differences) == [
            ("removed", "db1", None, None, None),
            ("added", "mail1", None, None, None),
            ("changed", "web1", "tags", None, "[]"),
        ]
        assert [one.seq_after for one in whole.differences] == [None, 10, 12]
        assert whole.volatile == 1


def test_the_other_way_round_is_the_opposite(told: Told, tmp_path: Path) -> None:
    """From a later instant to an earlier one, too."""
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        back = drift(history, at(12), at(6))
        assert brief(back.differences) == [
            ("added", "db1", None, None, None),
            ("removed", "mail1", None, None, None),
            ("changed", "web1", "tags", "[]", None),
        ]
        assert drift(history, at(8), at(8)).differences == []


def test_volatile_is_told_if_it_is_asked_for(told: Told, tmp_path: Path) -> None:
    """By name of the class, of the object, or altogether."""
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        everything = drift(history, at(6), at(12), everything=True)
        assert ("added", "VM.start", None, None, None) in brief(everything.differences)
        assert everything.volatile == 0
        tasks = drift(history, at(6), at(12), cls="task")
        assert brief(tasks.differences) == [("added", "VM.start", None, None, None)]
        one = drift(history, at(7), at(8), found=find(history, "web1"))
        assert [row.field for row in one.differences] == ["allowed_operations", "memory"]


def test_pool_that_was_not_known_is_not_compared(told: Told, tmp_path: Path) -> None:
    """Everything would seem to be new; silence would say that nothing is."""
    east = Pool(told, "east")
    east.register()
    east.chunk("vm", {"db9": record("db9")})
    done = east.done()
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        found = drift(history, at(6), at(done))
        assert found.not_compared == ["east"]
        assert not found.is_certain
        assert {one.pool for one in found.differences} == {"lab"}
        with pytest.raises(BadInstant) as caught:
            drift(history, at(6), at(done), pool="east")
        assert str(caught.value).startswith("@6 and @17 cannot be compared: pool east is recorded")


def test_an_end_inside_a_gap_is_said(tmp_path: Path) -> None:
    """The state there is the last one known."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": record("web1", memory=1)})
    lab.done()
    gap = lab.lose()
    lab.register()
    lab.chunk("vm", {"web1": record("web1", memory=2)})
    lab.done()
    closed = lab.close(gap)
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        inside = drift(history, at(gap - 1), at(gap + 1))
        assert inside.verdicts_after[0].certainty is Certainty.UNCERTAIN
        assert not inside.is_certain
        across = drift(history, at(2 + 3), at(closed))
        assert brief(across.differences) == [("changed", "web1", "memory", "1", "2")]


def test_state_that_was_redacted_is_untold(tmp_path: Path) -> None:
    """What is no longer known is neither a difference of fields nor none."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": record("web1", memory=1)})
    done = lab.done()
    secret = lab.event("mod", "vm", "web1", record("web1", memory=2))
    told.write("lab", Mark(MarkName.UNCOUNTED, {}))
    write_journal(tmp_path / "journal", told.drafts())
    with Journal.open(tmp_path / "journal", now_ns=lambda: START_NS) as journal:
        redact(journal, secret, "a password", by="somebody")
    with refresh(tmp_path).open() as history:
        found = drift(history, at(done), at(secret))
        assert brief(found.differences) == [("untold", "web1", None, None, None)]
