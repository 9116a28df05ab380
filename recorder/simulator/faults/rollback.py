"""The database as it was last flushed to disk, and going back to it: what a crash of xapi does.

Rows and generation go back; messages are files of their own and stay. Tasks and sessions are
never on disk. Nobody hears of any of it, but the truth has every object that is not what it was.
"""

from collections.abc import Mapping

import msgspec

from .. import hostlife
from ..datamodel import SILENT
from ..pool import SimulatedPool
from ..rows import MESSAGE, Row, Rows, Table
from ..truth import Change
from ..values import Record

_NOT_FLUSHED = frozenset({MESSAGE, "task", "session"})


class Flushed(msgspec.Struct, frozen=True):
    """What is on disk: the record of every object by class and reference, and the generation."""

    records: Mapping[str, Mapping[str, Record]]
    generation: int


def flush(rows: Rows) -> Flushed:
    """Write the database down. Records are never changed in place, so none is copied."""
    return Flushed(
        {
            cls: {ref: row.record for ref, row in table.rows.items()}
            for cls, table in rows.tables.items()
            if cls not in _NOT_FLUSHED
        },
        rows.generation,
    )


def roll_back(pool: SimulatedPool, flushed: Flushed) -> int:
    """Restart the toolstack on the flushed database; return how many objects went back in time."""
    pool.restart_toolstack()
    rows = pool.hub.rows
    went_back = sum(
        _restore(pool, cls, rows.tables[cls], records) for cls, records in flushed.records.items()
    )
    rows.generation = flushed.generation
    for row in rows.tables[MESSAGE].rows.values():
        row.created = row.modified = min(row.created, flushed.generation)
    rows.forget_history()
    hostlife.forget_all_operations(pool.toolstack)
    return went_back


def _restore(pool: SimulatedPool, cls: str, table: Table, records: Mapping[str, Record]) -> int:
    """Make a table what it was; return how many of its objects that changed."""
    before = dict(table.rows)
    table.rows.clear()
    for ref, record in records.items():
        row = before.get(ref)
        same = row is not None and row.record is record
        table.rows[ref] = row if row is not None and same else Row(record, 0)
    table.recent.clear()
    table.recent.update(dict.fromkeys(table.rows))
    changes = [
        (operation, ref, row)
        for operation, ref, row in _differences(before, table.rows)
        if operation != "mod" or row.record != before[ref].record
    ]
    if pool.truth.kept and cls not in SILENT:
        now_s, name = pool.database.now_s(), cls.lower()
        for operation, ref, row in changes:
            pool.truth.append(Change(now_s, None, name, operation, ref, row.json))
    return len(changes)


def _differences(before: Mapping[str, Row], after: Mapping[str, Row]) -> list[tuple[str, str, Row]]:
    """Return what happened to each object between two states: operation, reference, row."""
    gone = [("del", ref, row) for ref, row in before.items() if ref not in after]
    come = [("add", ref, row) for ref, row in after.items() if ref not in before]
    changed = [
        ("mod", ref, row) for ref, row in after.items() if ref in before and row is not before[ref]
    ]
    return [*gone, *come, *changed]
