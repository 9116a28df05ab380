"""What each entry of a journal adds to the history."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from query.history.database import History
from recorder.model import GapCause, Stream
from tests.history.journals import Pool, Told, loaded, record, rows

EVENTS = """
SELECT seq, operation, name, origin, gap, changed_fields FROM events ORDER BY seq, ref
"""
CHANGES = "SELECT seq, name, field, old, new, origin, gap FROM changes ORDER BY seq, name, field"


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def lab(told: Told) -> Pool:
    return Pool(told)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.duckdb"


_OPENED = ExitStack()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Close what a test has opened, however it ended."""
    yield
    _OPENED.close()


def history_of(path: Path, told: Told) -> History:
    return _OPENED.enter_context(loaded(path, told.entries))


def test_first_baseline_is_told_as_baseline(path: Path, told: Told, lab: Pool) -> None:
    """Objects that were there when a pool was first read are neither live nor inferred."""
    epoch = lab.register()
    one, two = lab.chunk("vm", {"web1": record("web1"), "web2": record("web2")})
    lab.done()
    with history_of(path, told) as history:
        assert rows(history, EVENTS) == [
            (one, "add", "web1", "baseline", None, None),
            (two, "add", "web2", "baseline", None, None),
        ]
        assert rows(history, "SELECT DISTINCT epoch, class, uuid FROM events ORDER BY uuid") == [
            (epoch, "vm", "web1-uuid"),
            (epoch, "vm", "web2-uuid"),
        ]


def test_live_events_tell_what_changed(path: Path, told: Told, lab: Pool) -> None:
    """A mod has a row for each field that changed, an add and a del have none."""
    lab.register()
    lab.chunk("vm", {"web1": record("web1", power_state="Halted")})
    lab.done()
    mod = lab.event("mod", "vm", "web1", record("web1", power_state="Running", domid=3))
    add = lab.event("add", "vm", "web2", record("web2"))
    gone = lab.event("del", "vm", "web2", record("web2"))
    with history_of(path, told) as history:
        assert rows(history, EVENTS)[1:] == [
            (mod, "mod", "web1", "live", None, ["domid", "power_state"]),
            (add, "add", "web2", "live", None, None),
            (gone, "del", "web2", "live", None, []),
        ]
        assert rows(history, CHANGES) == [
            (mod, "web1", "domid", None, "3", "live", None),
            (mod, "web1", "power_state", '"Halted"', '"Running"', "live", None),
        ]
        assert rows(
            history, "SELECT name, gone, gone_origin, first_seq, last_seq FROM objects"
        ) == [
            ("web1", False, None, 4, mod),
            ("web2", True, "live", add, gone),
        ]


def test_heartbeat_is_kept_and_changes_nothing(path: Path, told: Told, lab: Pool) -> None:
    """A mod that repeats the state is a row without changed fields."""
    lab.register()
    lab.chunk("pool", {"p": record("lab")})
    lab.done()
    beat = lab.event("mod", "pool", "p", {"name_label": "lab", "uuid": "lab-uuid"})
    with history_of(path, told) as history:
        assert rows(history, EVENTS)[1:] == [(beat, "mod", "lab", "live", None, [])]
        assert rows(history, CHANGES) == []


def a_gap(lab: Pool, **before: object) -> tuple[int, int]:
    """Record a VM, lose the pool, register again; return the gap and the new epoch."""
    lab.register(next_id=7)
    lab.chunk("vm", {"web1": record("web1", **before), "web2": record("web2")})
    lab.done()
    gap = lab.lose()
    return gap, lab.register()


def test_gap_tells_what_appeared_changed_and_went(path: Path, told: Told, lab: Pool) -> None:
    """What a baseline after a gap tells anew is inferred and names the gap."""
    gap, _ = a_gap(lab, memory=1)
    mod, add = lab.chunk("vm", {"web1": record("web1", memory=2), "web3": record("web3")})
    done = lab.done()
    closed = lab.close(gap)
    with history_of(path, told) as history:
        assert rows(history, EVENTS)[2:] == [
            (mod, "mod", "web1", "inferred", gap, ["memory"]),
            (add, "add", "web3", "inferred", gap, None),
            (done, "del", "web2", "inferred", gap, None),
        ]
        assert rows(history, CHANGES) == [(mod, "web1", "memory", "1", "2", "inferred", gap)]
        assert rows(
            history,
            "SELECT seq, cause, detail, last_event_id, closed_seq, open, inferred_adds,"
            " inferred_mods, inferred_dels FROM gaps",
        ) == [(gap, "connection-lost", "the cable was pulled", 6, closed, False, 1, 1, 1)]
        sql = "SELECT epoch_us(blind_until), epoch_us(closed_at), epoch_us(since) FROM gaps"
        assert rows(history, sql) == [
            tuple(told.at_ns(seq) // 1000 for seq in (gap + 2, closed, 2)),
        ]
        sql = "SELECT name, gone, gone_origin, gap FROM objects ORDER BY name"
        assert rows(history, sql) == [
            ("web1", False, None, gap),
            ("web2", True, "inferred", gap),
            ("web3", False, None, gap),
        ]


def test_gap_without_a_difference_leaves_no_row(path: Path, told: Told, lab: Pool) -> None:
    """A baseline row that is equal as a JSON value confirms and adds nothing."""
    gap, _ = a_gap(lab, memory=1)
    lab.chunk(
        "vm",
        {"web1": {"memory": 1, "name_label": "web1", "uuid": "web1-uuid"}, "web2": record("web2")},
    )
    lab.done()
    lab.close(gap)
    with history_of(path, told) as history:
        assert [row[3] for row in rows(history, EVENTS)] == ["baseline", "baseline"]


def test_gap_that_nothing_closed_is_open(path: Path, told: Told, lab: Pool) -> None:
    """An unfinished baseline closes no gap and proves no deletion."""
    gap, _ = a_gap(lab)
    lab.chunk("vm", {"web1": record("web1")})
    with history_of(path, told) as history:
        assert rows(history, "SELECT seq, open, closed_at FROM gaps") == [(gap, True, None)]
        assert rows(history, "SELECT count(*) FROM events WHERE operation = 'del'") == [(0,)]


def test_chunk_row_is_superseded_by_an_event_in_its_bracket(
    path: Path, told: Told, lab: Pool
) -> None:
    """An event with an id in [low, high) is as new as the chunk or newer."""
    lab.register()
    first = lab.event("mod", "vm", "web1", record("web1", memory=2), id=5)
    gone = lab.event("del", "vm", "web2", record("web2"), id=6)
    new = lab.event("add", "vm", "web3", record("web3"), id=7)
    lab.chunk("vm", {"web1": record("web1", memory=1), "web2": record("web2")}, low=5, high=8)
    lab.done()
    with history_of(path, told) as history:
        assert rows(history, EVENTS) == [
            (first, "mod", "web1", "live", None, None),
            (gone, "del", "web2", "live", None, None),
            (new, "add", "web3", "live", None, None),
        ]
        sql = "SELECT name, gone FROM objects ORDER BY name"
        assert rows(history, sql) == [("web1", False), ("web2", True), ("web3", False)]


def test_chunk_that_contradicts_an_older_event_reveals_a_miss(
    path: Path, told: Told, lab: Pool
) -> None:
    """A chunk is newer than an event below its bracket; the difference was told by nobody."""
    lab.register()
    lab.event("mod", "vm", "web1", record("web1", memory=1), id=3)
    lab.event("mod", "vm", "web2", record("web2"), id=4)
    lab.event("del", "vm", "web3", record("web3"), id=5)
    mod, add = lab.chunk(
        "vm", {"web1": record("web1", memory=2), "web3": record("web3")}, low=6, high=6
    )
    done = lab.done()
    with history_of(path, told) as history:
        assert rows(history, EVENTS)[3:] == [
            (mod, "mod", "web1", "inferred", None, ["memory"]),
            (add, "add", "web3", "inferred", None, None),
            (done, "del", "web2", "inferred", None, None),
        ]


def test_first_event_after_a_gap_is_live_and_its_changes_inferred(
    path: Path, told: Told, lab: Pool
) -> None:
    """Part of the difference of an event before its chunk may have happened in the gap."""
    gap, _ = a_gap(lab, memory=1, power_state="Halted")
    mod = lab.event("mod", "vm", "web1", record("web1", memory=2, power_state="Running"))
    again = lab.event("mod", "vm", "web1", record("web1", memory=3, power_state="Running"))
    born = lab.event("add", "vm", "web4", record("web4"))
    died = lab.event("del", "vm", "web9", record("web9"))
    lab.chunk("vm", {"web1": record("web1", memory=2), "web2": record("web2")}, low=0, high=4)
    lab.done()
    lab.close(gap)
    later = lab.event("mod", "vm", "web2", record("web2", memory=9))
    with history_of(path, told) as history:
        assert rows(history, EVENTS)[2:] == [
            (mod, "mod", "web1", "live", gap, ["memory", "power_state"]),
            (again, "mod", "web1", "live", None, ["memory"]),
            (born, "add", "web4", "live", None, None),
            (died, "del", "web9", "live", gap, None),
            (later, "mod", "web2", "live", None, ["memory"]),
        ]
        assert rows(history, CHANGES)[:3] == [
            (mod, "web1", "memory", "1", "2", "inferred", gap),
            (mod, "web1", "power_state", '"Halted"', '"Running"', "inferred", gap),
            (again, "web1", "memory", "2", "3", "live", None),
        ]


def test_crash_inside_a_baseline_counts_only_complete_chunks(
    path: Path, told: Told, lab: Pool
) -> None:
    """A chunk that lost its last rows is as if it had never been read."""
    gap, _ = a_gap(lab, memory=1)
    (add,) = lab.chunk("host", {"host1": record("host1")})
    lab.chunk("vm", {"web1": record("web1", memory=5), "web2": record("web2")}, rows=1)
    lab.register()
    (host_mod,) = lab.chunk("host", {"host1": record("host1", cpus=4)})
    (mod,) = lab.chunk("vm", {"web1": record("web1", memory=6)})
    done = lab.done()
    lab.close(gap)
    with history_of(path, told) as history:
        assert rows(history, EVENTS)[2:] == [
            (add, "add", "host1", "baseline", None, None),
            (host_mod, "mod", "host1", "inferred", gap, ["cpus"]),
            (mod, "mod", "web1", "inferred", gap, ["memory"]),
            (done, "del", "web2", "inferred", gap, None),
        ]


def test_skipped_class_proves_no_deletion(path: Path, told: Told, lab: Pool) -> None:
    """Objects of a class that a baseline could not read are neither confirmed nor gone."""
    gap, _ = a_gap(lab)
    lab.chunk("host", {})
    lab.done()
    lab.close(gap)
    mod = lab.event("mod", "vm", "web1", record("web1", memory=7))
    with history_of(path, told) as history:
        assert rows(history, EVENTS)[2:] == [(mod, "mod", "web1", "live", gap, ["memory"])]


def test_two_pools_do_not_disturb_each_other(path: Path, told: Told, lab: Pool) -> None:
    """The same reference in two pools is two objects; a gap is of one pool."""
    east = Pool(told, "east")
    lab.register()
    east.register()
    lab.chunk("vm", {"web1": record("web1")})
    east.chunk("vm", {"web1": record("web1")})
    lab.done()
    gap = lab.lose(GapCause.EVENTS_LOST)
    east.done()
    lab.register()
    live = east.event("mod", "vm", "web1", record("web1", memory=1))
    (mod,) = lab.chunk("vm", {"web1": record("web1", memory=2)})
    lab.done()
    lab.close(gap)
    with history_of(path, told) as history:
        sql = "SELECT seq, pool, origin, gap FROM events ORDER BY seq"
        assert rows(history, sql)[2:] == [
            (live, "east", "live", None),
            (mod, "lab", "inferred", gap),
        ]
        assert rows(history, "SELECT pool, pool_uuid FROM pools ORDER BY pool") == [
            ("east", "east-pool"),
            ("lab", "lab-pool"),
        ]


def test_stream_of_last_states_repeats_adds_and_deletes_without_a_snapshot(
    path: Path, told: Told, lab: Pool
) -> None:
    """In a `from` stream an add of a known object is compared, a del keeps name and uuid."""
    lab.register(Stream.FROM)
    lab.chunk("vm", {"web1": record("web1", memory=1)}, low=0, high=0)
    lab.done()
    again = lab.event("add", "vm", "web1", record("web1", memory=2), id=900)
    same = lab.event("add", "vm", "web1", record("web1", memory=2), id=900)
    gone = lab.event("del", "vm", "web1", id=850)
    with history_of(path, told) as history:
        assert rows(history, EVENTS)[1:] == [
            (again, "add", "web1", "live", None, ["memory"]),
            (same, "add", "web1", "live", None, []),
            (gone, "del", "web1", "live", None, None),
        ]
        assert rows(history, "SELECT uuid, snapshot FROM events ORDER BY seq DESC LIMIT 1") == [
            ("web1-uuid", None)
        ]


def test_missing_entries_are_a_gap_of_every_pool(path: Path, told: Told, lab: Pool) -> None:
    """A hole in the numbers is a gap that the next complete baseline closes."""
    lab.register()
    lab.chunk("vm", {"web1": record("web1", memory=1)})
    lab.done()
    lost = lab.event("mod", "vm", "web1", record("web1", memory=2))
    mod = lab.event("mod", "vm", "web1", record("web1", memory=3))
    lab.register()
    lab.chunk("vm", {"web1": record("web1", memory=3)})
    done = lab.done()
    del told.entries[lost - 1]
    with history_of(path, told) as history:
        assert rows(history, EVENTS)[1:] == [(mod, "mod", "web1", "live", lost, ["memory"])]
        assert rows(history, "SELECT seq, cause, detail, closed_seq FROM gaps") == [
            (
                lost,
                "entries-missing",
                f"entries {lost} to {lost} are missing from the journal",
                done,
            )
        ]
