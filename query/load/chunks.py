"""The rules of baselines: what a chunk tells anew, and which objects its class no longer has.

A baseline row is older than an event of its object with an id from the chunk's `low` on, and newer
than one below. What it tells anew is inferred, except in the first reading of a class. A class may
be read again within an epoch, so that each chunk is a reading by itself.
"""

import msgspec

from recorder.model import BaselineChunk, BaselineRecord, Operation, Stream

from ..records import fields_of, title_of
from .compare import Comparison
from .known import Known, Memory, Origin, PoolState, Reading
from .rows import Rows, Stamp, Told


class Baselines(msgspec.Struct):
    """Collects the rows of a chunk and uses them once the chunk is complete.

    Half a chunk proves nothing: neither that its other objects are gone nor that they are not.
    """

    memory: Memory
    rows: Rows
    comparison: Comparison
    _chunk: BaselineChunk | None = None
    _chunk_seq: int = 0
    _records: list[tuple[Stamp, BaselineRecord]] = msgspec.field(default_factory=list)

    def interrupt(self) -> None:
        """The chunk under way, if any, ends here."""
        self._chunk = None

    def begin(self, pool: PoolState, stamp: Stamp, chunk: BaselineChunk) -> None:
        """A chunk begins; `chunk.count` rows follow."""
        self._chunk, self._chunk_seq, self._records = chunk, stamp.seq, []
        self._use_if_complete(pool)

    def add(self, pool: PoolState, stamp: Stamp, record: BaselineRecord) -> None:
        """Take the next row of the chunk."""
        self._records.append((stamp, record))
        self._use_if_complete(pool)

    def _use_if_complete(self, pool: PoolState) -> None:
        chunk = self._chunk
        if chunk is None or len(self._records) < chunk.count:
            return
        first_reading = chunk.cls not in pool.classes
        for stamp, record in self._records:
            self._use(pool, stamp, chunk.low, record, first_reading=first_reading)
        pool.readings[chunk.cls] = Reading(self._chunk_seq, chunk.low)
        pool.classes.add(chunk.cls)
        self._chunk = None

    def _use(
        self,
        pool: PoolState,
        stamp: Stamp,
        low: int,
        record: BaselineRecord,
        *,
        first_reading: bool,
    ) -> None:
        known = self.memory.get((pool.pool, record.cls, record.ref))
        if known is None:
            told = self._appeared(pool, record, None, first_reading=first_reading)
            known = Known(
                pool.pool,
                record.cls,
                record.ref,
                first_seq=stamp.seq,
                first_at_us=stamp.at_us,
                first_origin=told.origin.value,
                first_operation=told.operation.value,
            )
            self.memory.put(known)
        elif _told_since(pool, known, low):
            known.chunk_seq = stamp.seq
            self.rows.touched.add(known.key)
            return
        elif known.gone or known.snapshot is None:
            told = self._appeared(pool, record, known, first_reading=False)
        elif not record.snapshot:
            told = Told(Operation.MOD, Origin.INFERRED, pool.gap_found(known))
        else:
            changes = self.comparison.changes(known.key, known.snapshot, record.snapshot)
            told = Told(
                Operation.MOD, Origin.INFERRED, pool.gap_found(known), changes, record.snapshot
            )
        known.seen_seq = known.chunk_seq = stamp.seq
        self.rows.touched.add(known.key)
        if told.changes != ():
            learn(known, told)
            self.rows.tell(pool, stamp, known, told)
        if not record.snapshot:
            known.snapshot = None  # It was taken out: the next one has nothing to compare with.

    def _appeared(
        self,
        pool: PoolState,
        record: BaselineRecord,
        known: Known | None,
        *,
        first_reading: bool,
    ) -> Told:
        snapshot = record.snapshot or None
        if first_reading:
            return Told(Operation.ADD, Origin.BASELINE, None, None, snapshot)
        return Told(Operation.ADD, Origin.INFERRED, pool.gap_found(known), None, snapshot)

    def end(self, pool: PoolState, stamp: Stamp, *, whole: bool) -> None:
        """The baseline is complete: what it should have told of and did not is gone.

        `whole` is false if only one class was read again.
        """
        gone = [known for known in self.memory.of_pool(pool.pool) if _is_missing(pool, known)]
        for known in sorted(gone, key=lambda known: known.key):
            told = Told(Operation.DEL, Origin.INFERRED, pool.gap_found(known))
            learn(known, told)
            known.seen_seq = stamp.seq
            self.rows.tell(pool, stamp, known, told)
        if whole:
            pool.baselined_seq = pool.baselined_seq or stamp.seq
            pool.done_seq = stamp.seq
        pool.readings = {}


def _told_since(pool: PoolState, known: Known, low: int) -> bool:
    """True if an event of this epoch is as new as the chunk or newer."""
    if known.event_seq < pool.anchor_seq or known.event_seq == 0:
        return False
    return pool.stream is Stream.FROM or known.event_id >= low


def _is_missing(pool: PoolState, known: Known) -> bool:
    """True if the baseline that ends here should have told of the object and did not."""
    reading = pool.readings.get(known.cls)
    if reading is None or known.gone or known.chunk_seq > reading.seq:
        return False
    return not _told_since(pool, known, reading.low)


def learn(known: Known, told: Told) -> None:
    """Take over the state that was told, and the name in it."""
    known.gone = told.operation is Operation.DEL
    known.gone_origin = told.origin.value if known.gone else None
    if told.snapshot is None:
        return
    known.snapshot = told.snapshot
    if told.changes is None or not _TITLES.isdisjoint([one.field for one in told.changes]):
        known.uuid, known.name = title_of(fields_of(told.snapshot))


_TITLES = frozenset({"uuid", "name_label", "name"})
