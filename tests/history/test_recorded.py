"""What is recorded, and what changes most."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from query.choices import By, Format
from query.questions.busiest import Busy, busiest
from query.questions.lacks import Lacks
from query.questions.recorded import recorded
from query.render import recorded as screen
from recorder.instant import Instant
from tests.history.journals import Pool, Told, loaded, record, ref_of


@pytest.fixture
def told() -> Told:
    """A pool with a master and a busy VM, and a second one without anything."""
    told = Told()
    lab, east = Pool(told), Pool(told, "east")
    lab.register()
    lab.chunk("pool", {"p": record("lab", master=ref_of("h1"))})
    version = {"product_brand": "XCP-ng", "product_version": "8.3.0"}
    lab.chunk("host", {"h1": record("host1", software_version=version)})
    lab.chunk("vm", {"web1": record("web1", memory=1), "web2": record("web2", memory=1)})
    lab.done()
    for memory in (2, 3, 3, 4):
        lab.event("mod", "vm", "web1", record("web1", memory=memory))
    lab.event("mod", "vm", "web2", record("web2", memory=2, tags=["a"]))
    gap = lab.lose()
    lab.register()
    lab.chunk(
        "vm", {"web1": record("web1", memory=9), "web2": record("web2", memory=2, tags=["a"])}
    )
    lab.done()
    lab.close(gap)
    east.register()
    east.done()
    return told


def test_pools_say_where_their_record_stands(told: Told, tmp_path: Path) -> None:
    """Master and version are those told last."""
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        east, lab = recorded(history)
        assert (lab.master, lab.brand, lab.version) == ("host1", "XCP-ng", "8.3.0")
        assert (lab.events, lab.objects, lab.hosts, lab.vms) == (5, 4, 1, 2)
        assert (lab.epochs, lab.gaps, lab.open_gap) == (2, 1, None)
        assert 0 < (lab.seen_share or 0) < 1
        assert (east.master, east.objects, east.seen_share) == (None, 0, 1.0)
        assert [row.pool for row in recorded(history, pool="east")] == ["east"]


def test_busiest_are_counted_by_what_is_asked(told: Told, tmp_path: Path) -> None:
    """Repeats and what was only inferred are no changes that were seen."""
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        web1, web2 = busiest(history, By.OBJECT)
        assert (web1.name, web1.changes, web1.repeats, web1.inferred) == ("web1", 3, 1, 1)
        assert (web1.field, web2.field, web2.changes) == ("memory", "tags", 1)
        (vms,) = busiest(history, By.CLASS)
        assert (vms.cls, vms.ref, vms.changes, vms.field) == ("vm", None, 4, "memory")
        memory, tags = busiest(history, By.FIELD)
        assert (memory.field, memory.changes, memory.inferred) == ("memory", 4, 1)
        assert (tags.field, tags.changes) == ("tags", 1)
        (lab,) = busiest(history, By.POOL)
        assert (lab.pool, lab.cls, lab.changes) == ("lab", None, 4)
        recorded_s = told.seq - 3 - 2  # from the first registration to the last entry of the pool
        assert lab.per_minute == pytest.approx(4 / (recorded_s / 60))
        assert [one.name for one in busiest(history, By.OBJECT, limit=1)] == ["web1"]
        assert busiest(history, By.OBJECT, until=Instant(seq=5)) == []
        assert busiest(history, By.FIELD, cls="VM", pool="lab")[0].field == "memory"


@pytest.mark.parametrize(
    ("per_minute", "text"),
    [(None, "-"), (0, "0"), (0.001, "< 0.01"), (4.8, "4.8"), (99.94, "99.9"), (1234.5, "1,234")],
)
def test_rate_is_no_power_of_ten(
    per_minute: float | None, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever looks for what is busy compares numbers with the eye."""
    at = datetime(2026, 11, 28, tzinfo=UTC)
    row = Busy("lab", "vm", None, None, None, 7, 0, 0, per_minute, at, at, 1, 2)
    screen.busiest([row], Format.TABLE, Lacks())
    assert f"  {text}  " in capsys.readouterr().out
