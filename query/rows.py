"""Rows on their way into the history: what one batch of entries adds to it."""

from dataclasses import dataclass, field

import pyarrow as pa

from recorder.model import Operation

from .known import Gap, Key, Known, Origin, PoolState
from .records import FieldChange

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where and when an entry was written: sequence number, microseconds since 1970 UTC."""

    seq: int
    at_us: int


@dataclass(frozen=True, slots=True)
class Told:
    """What an entry tells of an object. `changes` is None where nothing is there to compare."""

    operation: Operation
    origin: Origin
    gap: int | None
    changes: tuple[FieldChange, ...] | None = None
    snapshot: bytes | None = None
    event_id: int | None = None
    server_at_us: int | None = None


@dataclass(slots=True)
class Rows:
    """Rows by table, the gaps that something was learned of, and the objects whose state moved."""

    events: list[Row] = field(default_factory=list)
    changes: list[Row] = field(default_factory=list)
    marks: list[Row] = field(default_factory=list)
    gaps: dict[tuple[str, int], Gap] = field(default_factory=dict)
    touched: set[Key] = field(default_factory=set)

    def tell(self, pool: PoolState, stamp: Stamp, known: Known, told: Told) -> None:
        """Add the row of an event and those of its changed fields; `known` is the state after."""
        known.last_seq, known.last_at_us = stamp.seq, stamp.at_us
        known.gap = told.gap if told.gap is not None else known.gap
        self.touched.add(known.key)
        names = None if told.changes is None else [change.field for change in told.changes]
        self.events.append(
            (
                *(stamp.seq, pool.pool, pool.epoch, stamp.at_us, told.server_at_us, told.event_id),
                *(known.cls, told.operation.value, known.ref, known.uuid, known.name),
                *(told.origin.value, told.gap, names, text_of(told.snapshot)),
            )
        )
        # What happened across a gap was not seen happen, even where the event itself was.
        origin = told.origin if told.gap is None else Origin.INFERRED
        who = (stamp.seq, pool.pool, stamp.at_us, known.cls, known.ref, known.uuid, known.name)
        self.changes += [
            (*who, change.field, change.old, change.new, origin.value, told.gap)
            for change in told.changes or ()
        ]


def table_of(rows: list[Row], schema: pa.Schema) -> pa.Table:
    """Return rows as an Arrow table; times are whole microseconds since 1970 UTC."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    arrays = [_array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(column: tuple[object, ...], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(column, pa.int64()).cast(kind)
    return pa.array(column, kind)


def text_of(snapshot: bytes | None) -> str | None:
    """Return a snapshot as text; bytes that are no UTF-8 are evidence of the journal only."""
    return None if snapshot is None else str(snapshot, "utf-8", "replace")
