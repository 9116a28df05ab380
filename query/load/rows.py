"""Rows on their way into the history: what is added to it in one transaction."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec
import pyarrow as pa

from recorder.model import MarkName, Operation

from ..records import FieldChange
from .known import Gap, Key, Known, Origin, PoolState
from .tasks_carried import bonds_of

Row = tuple[object, ...]
ByObject = dict[Key, list[Row]]
"""Rows by their object, those of one object in the order of entries."""
PIECE_ROWS = 2048
_POOL = pa.system_memory_pool()
"""Measured: the usual one gives memory back to the system, and asks for it again for each batch;
together with that, making the tables takes 1.6 times as long."""


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """Where and when an entry was written: sequence number, microseconds since 1970 UTC."""

    seq: int
    at_us: int


class Told(msgspec.Struct, frozen=True, gc=False):
    """What an entry tells of an object. `changes` is None where nothing is there to compare."""

    operation: Operation
    origin: Origin
    gap: int | None
    changes: tuple[FieldChange, ...] | None = None
    snapshot: bytes | None = None
    event_id: int | None = None
    server_at_us: int | None = None


class Rows(msgspec.Struct):
    """Rows by table, the gaps that something was learned of, and the objects whose state moved.

    `tasks_told` are those tasks of which there was an event or something new in a baseline.
    """

    events: ByObject = msgspec.field(default_factory=dict)
    changes: ByObject = msgspec.field(default_factory=dict)
    carried: ByObject = msgspec.field(default_factory=dict)
    marks: list[Row] = msgspec.field(default_factory=list)
    audit_lines: list[Row] = msgspec.field(default_factory=list)
    gaps: dict[tuple[str, int], Gap] = msgspec.field(default_factory=dict)
    touched: set[Key] = msgspec.field(default_factory=set)
    tasks_told: set[Key] = msgspec.field(default_factory=set)

    @property
    def redactions(self) -> list[Row]:
        """The marks that say of an entry that its state was taken out."""
        return [mark for mark in self.marks if mark[3] == MarkName.REDACTED]

    def tell(self, pool: PoolState, stamp: Stamp, known: Known, told: Told) -> None:
        """Add the row of an event and those of its changed fields; `known` is the state after."""
        seq, at_us = known.last_seq, known.last_at_us = stamp.seq, stamp.at_us
        gap, changes, origin = told.gap, told.changes, told.origin._value_
        if gap is not None:
            known.gap = gap
        key = name, cls, ref = known.key
        number = known.first_seq
        self.touched.add(key)
        if cls == "task":
            self.tasks_told.add(key)
        names = None if changes is None else [change.field for change in changes]
        self.events.setdefault(key, []).append(
            (
                seq,
                name,
                pool.epoch,
                at_us,
                told.server_at_us,
                told.event_id,
                cls,
                told.operation._value_,
                ref,
                known.uuid,
                known.name,
                origin,
                gap,
                names,
                told.snapshot,
                number,
            )
        )
        if gap is not None:
            # What happened across a gap was not seen happen, even where the event itself was.
            origin = Origin.INFERRED._value_
        uuid, title = known.uuid, known.name
        bonds = bonds_of(known, changes, told.snapshot)
        for task, operation, part in bonds:
            row = (
                seq,
                name,
                at_us,
                task,
                cls,
                ref,
                title,
                operation,
                part,
                len(bonds),
                origin,
                gap,
                number,
            )
            self.carried.setdefault(key, []).append(row)
        if not changes:
            return
        self.changes.setdefault(key, []).extend(
            (
                seq,
                name,
                at_us,
                cls,
                ref,
                uuid,
                title,
                change.field,
                change.old,
                change.new,
                origin,
                gap,
                number,
            )
            for change in changes
        )


def sorted_rows(rows: ByObject) -> Iterator[Row]:
    """Take rows out so that those of one object come together, oldest first.

    Objects are in the order of their numbers, the last column, by which they are found: DuckDB
    knows the least and the greatest value in every few thousand rows. No row is kept: while the
    snapshots of one batch are written, those of the next arrive.
    """
    for key in sorted(rows, key=lambda key: _place(key, rows)):
        yield from rows.pop(key)


def _place(key: Key, rows: ByObject) -> tuple[object, ...]:
    pool, cls, _ = key
    return pool, cls, rows[key][0][-1]


def pieces_of(rows: Iterable[Row], schema: pa.Schema) -> pa.RecordBatchReader:
    """Return rows as an Arrow stream of small pieces: the snapshots of a batch take 100 MB."""
    return pa.RecordBatchReader.from_batches(schema, _pieces(iter(rows), schema))


def _pieces(rows: Iterator[Row], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while some := list(islice(rows, PIECE_ROWS)):
        yield from table_of(some, schema).to_batches()


def table_of(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Return rows as an Arrow table.

    Times are whole microseconds since 1970 UTC. Texts may be bytes; what is no UTF-8 in them is
    replaced, because the bytes themselves are evidence of the journal only.
    """
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    arrays = [_array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(column: tuple[object, ...], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(column, pa.int64(), memory_pool=_POOL).cast(kind)
    try:
        return pa.array(column, kind, memory_pool=_POOL)
    except pa.ArrowInvalid:
        return pa.array([_text(value) for value in column], kind, memory_pool=_POOL)


def _text(value: object) -> object:
    return str(value, "utf-8", "replace") if isinstance(value, bytes) else value
