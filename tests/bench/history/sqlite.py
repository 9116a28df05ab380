"""The history in SQLite: the same rows, found by the same change detection, in another store."""

import gc
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from query.history.schema import CHANGES, EVENTS
from query.load.batches import batches
from query.load.fold import Fold
from query.load.known import Memory
from query.load.rows import ByObject, sorted_rows
from recorder.journal.scan import scan

INDICES = """
CREATE INDEX events_of_object ON events (pool, class, ref, seq);
CREATE INDEX events_by_time ON events (received_at, seq);
CREATE INDEX events_by_class ON events (class, received_at);
CREATE INDEX changes_of_object ON changes (pool, class, ref, seq);
CREATE INDEX changes_of_field ON changes (class, field, received_at);
CREATE INDEX vms ON objects (class, ref);
ANALYZE;
"""
_OBJECT = ("pool", "class", "ref", "uuid", "name", "first_seq", "last_seq", "gone")


def load(folder: Path) -> None:
    """Load the journal in `folder`, in one transaction."""
    path = folder / "history.sqlite"
    path.unlink(missing_ok=True)
    gc.disable()  # As our own loader does, and for the same reason.
    with closing(sqlite3.connect(path)) as connection:
        _create(connection, "events", EVENTS.names)
        _create(connection, "changes", CHANGES.names)
        _create(connection, "objects", _OBJECT)
        memory = Memory()
        for batch in batches(scan(folder / "journal")):
            fold = Fold(memory)
            for entry in batch:
                fold.take(entry)
            _insert(connection, "events", len(EVENTS), fold.rows.events)
            _insert(connection, "changes", len(CHANGES), fold.rows.changes)
        objects = (
            (*known.key, known.uuid, known.name, known.first_seq, known.last_seq, known.gone)
            for pool in memory.pools
            for known in memory.of_pool(pool)
        )
        connection.executemany(f"INSERT INTO objects VALUES ({_marks(len(_OBJECT))})", objects)  # noqa: S608  # a constant
        connection.commit()
        connection.executescript(INDICES)


def _create(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> None:
    """Create a table; SQLite needs no types."""
    connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")


def _insert(connection: sqlite3.Connection, table: str, width: int, rows: ByObject) -> None:
    sql = f"INSERT INTO {table} VALUES ({_marks(width)})"  # noqa: S608  # names are ours
    connection.executemany(sql, _plain(rows))


def _plain(rows: ByObject) -> Iterator[tuple[object, ...]]:
    """Yield rows as SQLite takes them: lists as JSON, snapshots as text."""
    for row in sorted_rows(rows):
        yield tuple([_value(value) for value in row])


def _value(value: object) -> object:
    if isinstance(value, list):
        return json.dumps(value)
    return str(value, "utf-8") if isinstance(value, bytes) else value


def _marks(width: int) -> str:
    return ", ".join("?" * width)
