"""One journal in which everything happens, and what a history holds in the end."""

from pathlib import Path

from query.history.database import open_for_loading, open_for_reading
from query.history.schema import TABLES
from query.load import loader
from query.load.known import Memory
from recorder.journal.store import Journal
from recorder.model import Stream
from tests.history.journals import START_NS, Pool, Told, record, rows

ROOT = Path(__file__).parents[2]


def a_long_story() -> Told:
    """Two pools, gaps, an interrupted baseline, tasks, deletions, both kinds of stream."""
    told = Told()
    lab, east = Pool(told, "lab"), Pool(told, "east")
    lab.register()
    east.register(Stream.FROM)
    lab.event("mod", "vm", "web1", record("web1", memory=1))
    lab.event("del", "vm", "web9", record("web9"))
    lab.chunk("vm", {"web1": record("web1", memory=2), "web9": record("web9")}, low=0, high=2)
    east.chunk("vm", {"db1": record("db1"), "db2": record("db2")}, low=0, high=0)
    lab.chunk("task", {})
    lab.done()
    east.done()
    lab.event("add", "task", "t1", record("VM.start", status="pending"))
    east.event("del", "vm", "db1", id=40)
    lab.event("mod", "task", "t1", record("VM.start", status="success"))
    lab.event("del", "task", "t1", record("VM.start", status="success"))
    lab.event("add", "task", "t2", record("VM.clone", status="pending"))
    gap = lab.lose()
    lab.register()
    lab.event("mod", "vm", "web1", record("web1", memory=3))
    east.event("add", "vm", "db3", record("db3"), id=41)
    lab.event("add", "vm", "web5", record("web5"))
    lab.event("del", "vm", "web5", record("web5"))
    lab.chunk("vm", {"web1": record("web1", memory=3)}, rows=0)
    lab.register()
    lab.chunk("vm", {"web1": record("web1", memory=4), "web5": record("web5")}, low=0, high=0)
    lab.chunk("host", {"h1": record("host1")})
    lab.chunk("task", {})
    lab.done()
    lab.close(gap)
    lab.event("mod", "vm", "web1", record("web1", memory=5))
    east.lose()
    return told


STORY = a_long_story()


def contents(path: Path) -> dict[str, list[str]]:
    """Return every table of a history but the log of its loads, in no particular order."""
    with open_for_reading(path) as history:
        return {
            name: sorted(map(repr, rows(history, f"FROM {name}")))
            for name in (*TABLES, "attributions")
        }


def recalled(path: Path) -> Memory:
    """Return what a new process knows of a history, which is created if it is not there."""
    with open_for_loading(path) as history:
        return loader._where_it_stands(history)[1]


def write_more(data: Path, told: Told, first: int, last: int | None = None) -> None:
    """Add some entries of a story to the journal in `data`."""
    with Journal.open(data / "journal", now_ns=lambda: START_NS) as journal:
        journal.append(told.drafts()[first:last])
