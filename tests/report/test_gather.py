"""What a report says, as data: period, coverage, facts, tasks, busiest objects."""

from pathlib import Path

import pytest

from query.errors import NoSuchPool
from query.history.database import History
from query.questions.gaps import blindness, gaps
from query.report.coverage import Coverage, Sight, coverage_of
from query.report.period import period_of
from recorder.instant import BadInstant, Instant
from recorder.model import GapCause, GapOpened, Mark, MarkName, Stream
from tests.history.journals import Pool, Told, loaded, record, ref_of
from tests.report.stories import Days, a_day, reported, vm

S_US = 1_000_000


def covered(
    history: History, *, since: Instant | None = None, until: Instant | None = None
) -> Coverage:
    return coverage_of(history, "lab", period_of(history, since, until))


def lengths_s(told: Coverage) -> list[tuple[Sight, float]]:
    return [(one.sight, (one.end_us - one.begin_us) / S_US) for one in told.stretches]


def test_period_is_all_that_is_recorded_unless_instants_say_otherwise(tmp_path: Path) -> None:
    """From the first registration to the last entry; `@SEQ` is when that entry was written."""
    days = a_day()
    last = days.told.seq
    with days.history(tmp_path) as history:
        whole = period_of(history, None, None)
        assert (whole.begin_us, whole.end_us) == (days.us(2), days.us(last))
        part = period_of(history, Instant(seq=12), Instant(at_us=days.us(15) + 1))
        assert (part.begin_us, part.end_us, part.last_seq) == (days.us(12), days.us(15) + 1, 15)
        with pytest.raises(BadInstant, match=r"the record reaches from 2023-11-14T22:13:22Z to"):
            period_of(history, Instant(at_us=whole.end_us), None)


def test_report_needs_something_recorded(tmp_path: Path) -> None:
    """A history in which nobody was let in is not a report without findings."""
    told = Told()
    told.write("lab", Mark(MarkName.REFUSED, {"error": "SESSION_AUTHENTICATION_FAILED"}))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        with pytest.raises(NoSuchPool, match="nothing to report"):
            period_of(history, None, None)
        with pytest.raises(NoSuchPool, match="the history has lab"):
            reported(history, pool="east")


def test_stretches_follow_one_another_without_holes(tmp_path: Path) -> None:
    """Seen, blind, seen; what is blind in all is what the ledger says."""
    days = a_day()
    with days.history(tmp_path) as history:
        told = covered(history)
        (ledger,) = blindness(history, gaps(history), pool="lab")
    (gap,) = told.gaps
    assert [sight for sight, _ in lengths_s(told)] == [Sight.SEEN, Sight.BLIND, Sight.SEEN]
    for before, after in zip(told.stretches, told.stretches[1:], strict=False):
        assert before.end_us == after.begin_us
    assert told.blind_us == ledger.blind_s * S_US == (gap.duration_s or 0) * S_US
    assert told.share_seen == pytest.approx(1 - ledger.share)


def test_overlapping_gaps_count_once_and_an_open_one_to_the_end(tmp_path: Path) -> None:
    """What two gaps cover is blind once; a gap that is still open ends with the period."""
    days = Days()
    days.begin(web1=("Running", "h1"))
    days.quiet(2)
    first = days.lab.lose()
    days.lab.register()
    days.quiet(3)
    inside_ns = days.told.at_ns(days.told.seq - 2)
    days.told.write("lab", GapOpened(GapCause.EVENTS_LOST, "too many", 1, inside_ns))
    days.lab.close(first)
    days.quiet(2)
    days.lab.lose()
    with days.history(tmp_path) as history:
        told = covered(history)
    one, two, still = told.gaps
    assert ((one.duration_s or 0), (two.duration_s or 0), still.open) == (6, 2, True)
    assert lengths_s(told)[1:] == [(Sight.BLIND, 6), (Sight.SEEN, 4), (Sight.BLIND, 1)]
    assert told.stretches[-1].end_us == days.us(days.told.seq)


def test_what_nobody_recorded_is_neither_seen_nor_blind(tmp_path: Path) -> None:
    """Before the first registration and after the end of the record."""
    days = a_day()
    last_us = days.us(days.told.seq)
    since, until = Instant(at_us=days.us(2) - 60 * S_US), Instant(at_us=last_us + 120 * S_US)
    with days.history(tmp_path) as history:
        told = covered(history, since=since, until=until)
    assert lengths_s(told)[0] == (Sight.UNRECORDED, 60.0)
    assert lengths_s(told)[-1] == (Sight.UNRECORDED, 120.0)
    assert told.unrecorded_us == 180 * S_US


def test_pool_that_is_followed_no_more_is_not_seen(tmp_path: Path) -> None:
    """After its last entry nobody knows, while the journal goes on with other pools."""
    days = Days()
    east = Pool(days.told, "east")
    east.register()
    east.chunk("vm", {"db1": vm("db1", "Running")})
    ended = east.done()
    days.begin(web1=("Running", "h1"))
    days.quiet(3)
    with loaded(tmp_path / "history.duckdb", days.told.entries) as history:
        report, _ = reported(history)
        alone, _ = reported(history, pool="east")
    coverage = next(one.coverage for one in report.pools if one.facts.pool == "east")
    assert [sight for sight, _ in lengths_s(coverage)] == [Sight.SEEN, Sight.UNRECORDED]
    assert coverage.stretches[1].begin_us == days.us(ended) == coverage.recorded_to_us
    assert alone.pools[0].coverage.share_seen == 1


def test_pool_that_was_never_registered_was_not_seen(tmp_path: Path) -> None:
    """A pool that refused the recorder is in the report, with nothing."""
    days = a_day()
    days.told.write("east", Mark(MarkName.REFUSED, {"error": "SESSION_AUTHENTICATION_FAILED"}))
    with days.history(tmp_path) as history:
        report, _ = reported(history)
    east = next(one for one in report.pools if one.facts.pool == "east")
    assert east.coverage.share_seen == 0
    assert east.coverage.recorded_from_us is None
    assert (east.facts.master, east.lives.vms, east.busiest) == (None, [], [])


def test_ledger_has_the_rows_that_touch_the_period(tmp_path: Path) -> None:
    """Also what was redacted in it, or of it; a gap counts until its baseline was read."""
    days = a_day()
    detail: dict[str, str | int] = {"seq": 7, "received_at_ns": days.told.at_ns(7)}
    detail |= {"pool": "lab", "class": "vm", "ref": ref_of("web1"), "reason": "a password"}
    redacted = days.told.write("", Mark(MarkName.REDACTED, detail))
    days.quiet(2)
    with days.history(tmp_path) as history:
        (gap,) = covered(history).gaps
        assert gap.closed_seq is not None
        assert [row.seq for row in covered(history).ledger] == [gap.seq, redacted]
        early = covered(history, until=Instant(seq=8))
        assert [row.seq for row in early.ledger] == [redacted]
        late = covered(history, since=Instant(seq=gap.closed_seq))
        assert [row.seq for row in late.ledger] == [gap.seq, redacted]
        after = covered(history, since=Instant(seq=redacted + 1))
        assert after.ledger == []


def test_facts_are_those_at_the_end_of_the_period(tmp_path: Path) -> None:
    """Master and version by the records of then; what is uncertain says why."""
    days = a_day()
    first_host = 6
    days.lab.event("mod", "pool", "p", record("the pool", master=ref_of("h2")))
    with days.history(tmp_path) as history:
        report, _ = reported(history)
        facts = report.pools[0].facts
        before, _ = reported(history, until=Instant(seq=15))
    assert (facts.pool, facts.uuid, facts.label) == ("lab", "lab-pool", "the pool")
    assert (facts.master, facts.product, facts.hosts) == ("host h2", None, 2)
    assert facts.classes == {"host": 2, "task": 2, "vm": 2, "pool": 1}
    assert (facts.objects, facts.doubt, facts.streams) == (7, None, ["register"])
    assert (facts.first_seq, facts.seq) == (2, days.told.seq)
    old = before.pools[0].facts
    assert (old.master, old.product, old.host_seq) == ("host h1", "XCP-ng 8.3.0", first_host)
    assert old.classes["vm"] == 3


def test_streams_are_those_of_the_period(tmp_path: Path) -> None:
    """Last states only are said of a period in which a pool was followed like that."""
    told = Told()
    lab = Pool(told)
    lab.register(Stream.FROM)
    lab.chunk("vm", {"web1": vm("web1", "Running")}, low=0, high=0)
    lab.done()
    switched = lab.register()
    lab.chunk("vm", {"web1": vm("web1", "Running")})
    lab.done()
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        report, _ = reported(history)
        later, _ = reported(history, since=Instant(seq=switched))
    assert report.pools[0].facts.last_states_only
    assert later.pools[0].facts.streams == ["register"]


def test_tasks_that_failed_come_first(tmp_path: Path) -> None:
    """Counted by status; later ones than the period are not in it."""
    days = a_day()
    with days.history(tmp_path) as history:
        report, _ = reported(history)
        before, _ = reported(history, until=Instant(seq=11))
    outcomes = report.pools[0].outcomes
    assert [row.name_label for row in outcomes.rows] == ["Async.VM.start", "Async.VM.clone"]
    assert (outcomes.counts, outcomes.failed) == ({"failure": 1, "success": 1}, 1)
    assert outcomes.names[ref_of("web2")] == "web2"
    assert before.pools[0].outcomes.rows == []


def test_busiest_objects_were_seen_to_change_in_the_period(tmp_path: Path) -> None:
    """What a baseline told, tasks and messages do not count."""
    days = a_day()
    with days.history(tmp_path) as history:
        report, _ = reported(history)
        part, _ = reported(history, since=Instant(seq=days.told.seq - 3))
    assert [(row.name, row.changes) for row in report.pools[0].busiest] == [
        *(("host h2", 6), ("web1", 2), ("db1", 1)),
    ]
    (host, db1) = part.pools[0].busiest
    assert ((host.name, host.changes), db1.first_seq) == (("host h2", 2), days.told.seq - 3)
