"""A class that is read again within an epoch, because a census found the record wrong."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from query.history.database import open_for_reading
from query.load.known import Memory
from query.load.loading import load
from query.questions.certainty import Certainty
from query.questions.objects import find
from query.questions.states import state_of
from recorder.errors import QueryError
from recorder.instant import Instant
from recorder.model import Detail, GapCause, GapOpened, Mark, MarkName
from recorder.past.story import Story
from recorder.past.survey import Survey
from tests.history.journals import Pool, Record, Told, loaded, record, rows

EVENTS = "SELECT seq, operation, name, origin, gap FROM events WHERE seq > $seq ORDER BY seq, ref"


def a_record(told: Told) -> Pool:
    """Record three VMs; one gets a new state, and one goes."""
    lab = Pool(told)
    lab.register(next_id=5)
    lab.chunk("vm", {name: record(name, memory=1) for name in ("web1", "web2", "web3")})
    lab.chunk("host", {"h1": record("host1")})
    lab.done()
    lab.event("mod", "vm", "web1", record("web1", memory=2))
    lab.event("del", "vm", "web3", record("web3"))
    return lab


def doubt(lab: Pool, *, agreed_seq: int) -> int:
    """Open a gap that began when entry `agreed_seq` came."""
    at_ns = lab.told.at_ns(agreed_seq)
    cause = GapCause.CENSUS_MISMATCH
    return lab.told.write(lab.name, GapOpened(cause, "vm: 2 recorded", lab.next_id - 1, at_ns))


def reread(lab: Pool, gap: int, records: Mapping[str, Record], *, low: int | None = None) -> int:
    """Read the VMs again and close the gap; return where the reading was complete."""
    lab.chunk("vm", records, low=low)
    detail: Detail = {"classes": 1, "objects": len(records), "class": "vm"}
    done = lab.told.write(lab.name, Mark(MarkName.BASELINE_DONE, detail))
    lab.close(gap)
    return done


def at_the_end(told: Told) -> dict[str, bytes]:
    """Return the VMs that are there in the end, as a simulator is told of them."""
    story = Story("lab")
    for entry in told.entries:
        story.take(entry)
    return {ref: raw for cls, ref, raw in story.snapshots() if cls == "vm"}


def test_reading_tells_what_appeared_changed_and_went(tmp_path: Path) -> None:
    """In the gap of the census, though every object was followed in this epoch."""
    told = Told()
    lab = a_record(told)
    gap = doubt(lab, agreed_seq=told.seq)
    new = {"web1": record("web1", memory=3), "web9": record("web9")}
    done = reread(lab, gap, new)
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        found = rows(history, EVENTS.replace("$seq", str(gap)))
        assert found == [
            (gap + 2, "mod", "web1", "inferred", gap),
            (gap + 3, "add", "web9", "inferred", gap),
            (done, "del", "web2", "inferred", gap),
        ]
        sql = "SELECT cause, ids_missed, objects_differed, open FROM gaps"
        assert rows(history, sql) == [("census-mismatch", 0, 3, False)]
        assert rows(history, "SELECT gone FROM objects WHERE class = 'host'") == [(False,)]
    assert sorted(at_the_end(told)) == ["OpaqueRef:web1", "OpaqueRef:web9"]


def test_reading_twice_takes_each_by_itself(tmp_path: Path) -> None:
    """What the first reading told, and the second one not, is gone."""
    told = Told()
    lab = a_record(told)
    gap = doubt(lab, agreed_seq=told.seq)
    reread(lab, gap, {"web1": record("web1", memory=2), "web9": record("web9")})
    again = doubt(lab, agreed_seq=told.seq)
    done = reread(lab, again, {"web1": record("web1", memory=2)})
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        found = rows(history, EVENTS.replace("$seq", str(again)))
        assert found == [(done, "del", "web9", "inferred", again)]
    assert sorted(at_the_end(told)) == ["OpaqueRef:web1"]


@pytest.mark.parametrize("loads", [1, 2])
def test_events_in_the_bracket_of_a_reading_are_newer(tmp_path: Path, loads: int) -> None:
    """What went, came or changed after the reading began was told by an event already.

    Also if that was loaded before, and what has gone is not kept in mind.
    """
    told = Told()
    lab = a_record(told)
    low = lab.next_id
    lab.event("del", "vm", "web2", record("web2"))
    lab.event("add", "vm", "web4", record("web4"))
    lab.event("mod", "vm", "web1", record("web1", memory=5))
    gap = doubt(lab, agreed_seq=told.seq)
    read = {"web1": record("web1", memory=2), "web2": record("web2", memory=1)}
    reread(lab, gap, read, low=low)
    path = tmp_path / "history.duckdb"
    memory = Memory()
    for entries in [told.entries] if loads == 1 else [told.entries[:gap], told.entries[gap:]]:
        load(path, entries, memory, loaded_at_us=0)
    with open_for_reading(path) as history:
        assert rows(history, EVENTS.replace("$seq", str(gap))) == []
    assert sorted(at_the_end(told)) == ["OpaqueRef:web1", "OpaqueRef:web4"]
    assert b'"memory": 5' in at_the_end(told)["OpaqueRef:web1"]


@pytest.mark.parametrize("seq_of", ["seq", "time"])
def test_gap_of_a_census_begins_before_the_events_that_came_meanwhile(
    tmp_path: Path, seq_of: str
) -> None:
    """What was told since the last census that agreed is uncertain, by number and by time."""
    told = Told()
    lab = a_record(told)
    agreed = told.seq
    since = lab.event("mod", "vm", "web1", record("web1", memory=4))
    lab.event("mod", "vm", "web1", record("web1", memory=5))
    gap = doubt(lab, agreed_seq=agreed)
    reread(lab, gap, {"web1": record("web1", memory=5), "web2": record("web2", memory=1)})

    def instant(seq: int) -> Instant:
        return Instant(seq=seq) if seq_of == "seq" else Instant(at_us=told.at_ns(seq) // 1000)

    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        assert rows(history, "SELECT since_seq FROM gaps") == [(agreed,)]

        def certainty(seq: int) -> Certainty:
            return state_of(history, find(history, "web1"), instant(seq)).certainty

        assert certainty(agreed - 1) is Certainty.KNOWN
        assert certainty(since) is Certainty.UNCERTAIN
        assert certainty(gap) is Certainty.UNCERTAIN
        assert certainty(told.seq) is Certainty.KNOWN

    def caveats(seq: int) -> list[str]:
        survey = Survey.of(iter(told.entries), instant(seq))
        return list(survey.caveats("lab", instant(seq)))

    assert caveats(agreed - 1) == caveats(told.seq) == []
    (caveat,) = caveats(since)
    assert caveat.startswith(f"the instant lies in gap @{gap} (census-mismatch), blind since")


def test_reading_of_one_class_completes_no_baseline(tmp_path: Path) -> None:
    """If the end of the first baseline is lost, the pool is not known because one class is."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": record("web1")})
    lost = lab.done()
    gap = doubt(lab, agreed_seq=told.seq)
    reread(lab, gap, {"web1": record("web1")})
    del told.entries[lost - 1]
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        assert rows(history, "SELECT baselined_seq FROM pools") == [(None,)]
    survey = Survey.of(iter(told.entries), Instant(seq=told.seq))
    with pytest.raises(QueryError, match="was never read completely"):
        survey.check_known("lab")
