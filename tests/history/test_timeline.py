"""The life of one object, and lists of events and gaps."""

from pathlib import Path

import pytest

from query.errors import NoSuchObject, NoSuchPool
from query.questions.answers import tables
from query.questions.gaps import gaps
from query.questions.objects import find
from query.questions.plain import Filter, events
from query.questions.timeline import life_of
from query.records import FieldChange
from recorder.instant import Instant
from tests.history.journals import Pool, Told, loaded, record, rows


def test_life_has_what_changed_and_the_gaps_beside_it(tmp_path: Path) -> None:
    """Repeats are left out, gaps after the end of an object too."""
    told = Told()
    lab = Pool(told)
    lab.register()
    (first,) = lab.chunk("vm", {"web1": record("web1", memory=1)})
    lab.done()
    lab.event("mod", "vm", "web1", record("web1", memory=1))
    gap = lab.lose()
    lab.register()
    (mod,) = lab.chunk("vm", {"web1": record("web1", memory=2)})
    lab.done()
    closed = lab.close(gap)
    gone = lab.event("del", "vm", "web1", record("web1", memory=2))
    lab.lose()
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        life = life_of(history, find(history, "web1"))
        assert [(s.seq, s.operation, s.origin.value, s.gap) for s in life.steps] == [
            (first, "add", "baseline", None),
            (mod, "mod", "inferred", gap),
            (gone, "del", "live", None),
        ]
        assert life.steps[1].changes == [FieldChange("memory", "1", "2")]
        assert [(one.seq, one.closed_seq) for one in life.gaps] == [(gap, closed)]
        part = life_of(
            history, find(history, "web1"), since=Instant(seq=gap), until=Instant(seq=mod)
        )
        assert [step.seq for step in part.steps] == [mod]


def test_events_are_the_newest_that_fit(tmp_path: Path) -> None:
    """Every condition narrows; the order is that of the journal."""
    told = Told()
    lab, east = Pool(told), Pool(told, "east")
    lab.register()
    east.register()
    (base,) = lab.chunk("vm", {"web1": record("web1")})
    lab.done()
    mod = lab.event("mod", "vm", "web1", record("web1", memory=1))
    add = lab.event("add", "host", "h1", record("host1"))
    other = east.event("add", "vm", "db1", record("db1"))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:

        def asked(**conditions: object) -> list[int]:
            return [row.seq for row in events(history, Filter(**conditions))]  # type: ignore[arg-type]  # conditions by name

        assert asked() == [base, mod, add, other]
        assert asked(limit=2) == [add, other]
        assert asked(found=find(history, "web1")) == [base, mod]
        assert asked(pool="east") == [other]
        assert asked(cls="VM", operation="add") == [base, other]
        assert asked(origin="baseline") == [base]
        assert asked(since=Instant(seq=mod), until=Instant(seq=add)) == [mod, add]
        assert asked(since=Instant(at_us=told.at_ns(add) // 1000)) == [add, other]
        with pytest.raises(NoSuchPool):
            asked(pool="nowhere")
        with pytest.raises(NoSuchObject):
            asked(cls="nothing")
        assert gaps(history) == []


def test_every_view_can_be_asked(tmp_path: Path) -> None:
    """The views answer the questions that people ask."""
    told = Told()
    lab = Pool(told)
    lab.register()
    here, there = "OpaqueRef:h1", "OpaqueRef:h2"
    (add,) = lab.chunk("vm", {"web1": record("web1", power_state="Halted", resident_on=here)})
    lab.chunk("host", {"h1": record("host1")})
    lab.done()
    work = {"OpaqueRef:t1": "start"}
    start = lab.event(
        "mod",
        "vm",
        "web1",
        record("web1", power_state="Running", resident_on=there, current_operations=work),
    )
    gone = lab.event("del", "vm", "web1", record("web1"))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        assert rows(history, "SELECT power_state, seq FROM power_spans ORDER BY seq") == [
            ("Halted", add),
            ("Running", start),
            ("gone", gone),
        ]
        sql_spans = "SELECT epoch(until) - epoch(since) FROM power_spans ORDER BY seq"
        assert rows(history, sql_spans) == [(float(start - add),), (1.0,), (None,)]
        assert rows(history, "SELECT name, from_host, to_ref, to_host FROM moves") == [
            ("web1", "host1", there, None)
        ]
        assert rows(history, "SELECT task, name, operation FROM task_targets") == [
            ("OpaqueRef:t1", "web1", "start")
        ]
        assert rows(history, "SELECT name, changes FROM busiest") == [("web1", 2)]
        names = [row.name for row in tables(history) if row.kind == "view"]
        assert names == [
            *(
                "attributions_in_gaps",
                "busiest",
                "epochs",
                "event_doers",
                "gaps",
                "moves",
                "power_spans",
                "runs",
                "steps",
            ),
            *("task_changes", "task_departures", "task_doers", "task_ends", "task_progress"),
            *("task_spans", "task_targets"),
        ]
