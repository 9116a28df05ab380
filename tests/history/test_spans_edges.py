"""Spans, moves and counts where the record is not plain: ends, deletions, states taken out."""

import random
from pathlib import Path

import pytest

from query.choices import By
from query.load.loader import refresh
from query.questions.busiest import busiest
from query.questions.moves import moves
from query.questions.objects import find
from query.questions.ranges import check_order
from query.questions.spans import POWER, Sureness, spans, uptimes
from recorder.instant import BadInstant, Instant
from recorder.journal.redaction import redact
from recorder.journal.store import Journal
from recorder.model import Mark, MarkName
from tests.history.journals import (
    START_NS,
    Pool,
    Told,
    loaded,
    record,
    ref_of,
    rows,
    write_journal,
)
from tests.history.test_spans import at_s, brief, made_life, vm


def test_pool_that_is_followed_no_more_is_unknown_after_its_last_entry(tmp_path: Path) -> None:
    """The journal goes on with other pools; that says nothing of this one."""
    told = Told()
    east, lab = Pool(told, "east"), Pool(told)
    east.register()
    east.chunk("vm", {"db1": vm("db1", "Running")})
    last = east.done()
    lab.register()
    lab.chunk("vm", {"web1": vm("web1", "Running")})
    lab.done()
    end = lab.event("mod", "vm", "web1", vm("web1", "Halted"))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        db1 = find(history, "db1")
        assert brief(spans(history, POWER, found=db1))[-1] == ("Running", 4, last, "known", None)
        until = spans(history, POWER, found=db1, since=at_s(4), until=at_s(end))
        assert brief(until) == [
            ("Running", 4, last, "known", None),
            (None, last, end, "unknown", None),
        ]
        late = spans(history, POWER, found=db1, since=at_s(last + 1))
        assert brief(late) == [(None, last + 1, end, "unknown", None)]
        rates = {row.pool: row.per_minute for row in busiest(history, By.POOL)}
        assert rates == {"lab": pytest.approx(60 / (end - 7))}


def test_end_that_tells_a_last_change_is_an_end(tmp_path: Path) -> None:
    """The record that comes with a deletion may differ from the one before."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {f"vm{index}": vm(f"vm{index}", "Running") for index in range(5)})
    lab.done()
    for index in range(5):
        lab.event("del", "vm", f"vm{index}", vm(f"vm{index}", "Halted"))
    lab.event("add", "vm", "late", vm("late", "Running"))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        for index in range(5):
            found = spans(history, POWER, found=find(history, f"vm{index}"))
            assert found[-1].exists is False
        ends = rows(history, "SELECT name, power_state FROM power_spans WHERE until IS NULL")
        assert sorted(ends) == [("late", "Running"), *((f"vm{n}", "gone") for n in range(5))]
        there = spans(history, POWER, since=at_s(told.seq - 0.5), until=at_s(told.seq))
        assert there == []
        begun = spans(history, POWER, since=at_s(9), until=at_s(10.5))
        assert {one.name for one in begun} == {"vm0", "vm1", "vm2", "vm3", "vm4"}


def test_what_is_gone_stays_gone_in_gaps(tmp_path: Path) -> None:
    """Its reference is never given again; only a database that went back in time brings it back."""
    told = Told()
    lab = Pool(told)
    lab.register()
    there = {"web1": vm("web1", "Running"), "web2": vm("web2", "Running")}
    lab.chunk("vm", there)
    lab.done()
    for name, last in there.items():
        lab.event("del", "vm", name, last)
    gap = lab.lose()
    lab.register()
    (back,) = lab.chunk("vm", {"web2": there["web2"]})
    lab.done()
    lab.close(gap)
    lab.event("mod", "vm", "web2", there["web2"])
    lab.lose()
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        web1 = spans(history, POWER, found=find(history, "web1"), until=at_s(90))
        assert brief(web1)[-1] == ("absent", 7, 90, "known", None)
        (uptime,) = uptimes(web1)
        assert (uptime.total_s, uptime.unsure_s) == (5, 2)
        web2 = spans(history, POWER, found=find(history, "web2"), until=at_s(90))
        assert (None, 8, back, "unknown", gap) in brief(web2)


@pytest.mark.parametrize("load_first", [False, True])
def test_redacted_power_state_is_unknown(tmp_path: Path, load_first: bool) -> None:
    """It counts neither as up nor as down, until the next one is told."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": vm("web1", "Halted")})
    lab.done()
    secret = lab.event("mod", "vm", "web1", vm("web1", "Running"))
    after = lab.event("mod", "vm", "web1", vm("web1", "Halted"))
    told.write("lab", Mark(MarkName.UNCOUNTED, {}))
    write_journal(tmp_path / "journal", told.drafts())
    if load_first:
        refresh(tmp_path)
    with Journal.open(tmp_path / "journal", now_ns=lambda: START_NS) as journal:
        redact(journal, secret, "a password", by="somebody")
    with refresh(tmp_path).open() as history:
        found = spans(history, POWER, since=at_s(secret - 1), until=at_s(after + 0.5))
        assert brief(found)[1] == (None, secret, after, "unknown", None)
        assert [one.sureness for one in found] == [
            Sureness.KNOWN,
            Sureness.UNKNOWN,
            Sureness.KNOWN,
        ]
        (uptime,) = uptimes(found)
        assert (uptime.running_s, uptime.unsure_s, uptime.halted_s) == (0, 1, 1.5)


@pytest.mark.parametrize("seed", range(10))
def test_part_of_a_range_is_that_part_of_the_whole(seed: int, tmp_path: Path) -> None:
    """Where it is cut changes nothing of what is known."""
    told = made_life(seed)
    rng = random.Random(seed)
    begin, end = sorted(rng.sample(range(2, told.seq + 1), 2))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        whole, part = (
            spans(history, POWER),
            spans(history, POWER, since=at_s(begin), until=at_s(end)),
        )
        for index in range(begin * 4 + 1, end * 4, 2):
            at = START_NS / 1e9 + index / 4
            there = {
                one.ref: (one.value, one.exists, one.sureness, one.seq, one.gap)
                for one in part
                if one.since.timestamp() < at < one.until.timestamp()
            }
            everywhere = {
                one.ref: (one.value, one.exists, one.sureness, one.seq, one.gap)
                for one in whole
                if one.since.timestamp() < at < one.until.timestamp()
            }
            assert there.items() <= everywhere.items()
            left_out = [everywhere[ref] for ref in everywhere.keys() - there.keys()]
            assert all(exists is False for _, exists, *_ in left_out)


def test_move_is_not_the_work_of_a_task_that_was_over(tmp_path: Path) -> None:
    """A failed migration is kept by the server; a later move is not its doing."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("host", {"h1": record("host1"), "h2": record("host2")})
    here = vm("web1", "Running", resident_on=ref_of("h1"), current_operations={})
    lab.chunk("vm", {"web1": here})
    lab.done()
    task = record("VM.pool_migrate", status="pending", created="20231114T22:13:21Z")
    lab.event("add", "task", "t1", task)
    busy = {ref_of("t1"): "pool_migrate"}
    lab.event("mod", "vm", "web1", {**here, "current_operations": busy})
    lab.event("mod", "task", "t1", {**task, "status": "failure"})
    lab.event("mod", "vm", "web1", here)
    lab.event("mod", "vm", "web1", {**here, "resident_on": ref_of("h2")})
    lab.event("del", "task", "t1", {**task, "status": "failure"})
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        (one,) = moves(history)
        assert (one.from_host, one.to_host, one.task) == ("host1", "host2", None)


def test_rate_is_that_of_the_range(tmp_path: Path) -> None:
    """Two changes in a second of a quiet minute are two a minute."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": vm("web1", "Halted")})
    lab.done()
    lab.event("mod", "vm", "web1", vm("web1", "Running"))
    lab.event("mod", "vm", "web1", vm("web1", "Halted"))
    for _ in range(60):
        lab.event("mod", "vm", "web1", vm("web1", "Halted"))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        for by in (By.OBJECT, By.CLASS, By.POOL, By.FIELD):
            (row,) = busiest(history, by, since=at_s(5), until=at_s(65))
            assert row.changes == 2
            assert row.per_minute == pytest.approx(2)


def test_range_that_ends_before_it_begins_is_refused() -> None:
    """An empty answer would seem to say that nothing happened."""
    with pytest.raises(BadInstant) as caught:
        check_order(Instant(seq=9), Instant(seq=4))
    assert str(caught.value) == "the range begins at @9, after its end at @4: swap the two"
    with pytest.raises(BadInstant):
        check_order(at_s(2), at_s(1))
    check_order(at_s(1), at_s(1))
    check_order(Instant(seq=9), at_s(1))
    check_order(None, at_s(1))
