"""From entries to rows: what each entry adds to the history, given what is known so far.

- REGISTERED opens an epoch. What was known before it is unconfirmed until an event or a baseline
  row of the epoch tells or confirms it.
- The first event of an unconfirmed object after a gap is live, but its differences are inferred:
  part of them may have happened in the gap.
- Sequence numbers that are missing are a gap of every pool.
- The rules of baselines are in `chunks`, those of gaps in `ledger`.
"""

import msgspec

from recorder.errors import JournalError
from recorder.model import (
    RECORDER,
    AuditLine,
    BaselineChunk,
    BaselineRecord,
    Entry,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Mark,
    MarkName,
    Operation,
    Stream,
    rest_of,
)

from .chunks import Baselines, learn
from .compare import Comparison
from .known import Known, Memory, Origin, PoolState
from .ledger import Ledger
from .rows import Rows, Stamp, Told
from .trail.rows import line_row


class Fold:
    """Folds entries, in order, into `memory` and `rows`; it never reads or writes a file."""

    def __init__(self, memory: Memory, comparison: Comparison | None = None) -> None:
        self.memory = memory
        self.rows = Rows()
        self._comparison = comparison or Comparison()
        self._baselines = Baselines(memory, self.rows, self._comparison)
        self._ledger = Ledger(memory, self.rows)

    def take(self, entry: Entry) -> None:
        """Fold the next entry. Raises JournalError if a snapshot in it is no JSON object."""
        stamp = Stamp(entry.seq, entry.received_at_ns // 1000)
        last_seq, self.memory.last_seq = self.memory.last_seq, entry.seq
        if last_seq and entry.seq != last_seq + 1:
            self._entries_missing(last_seq + 1, stamp)
        try:
            self._take(entry, stamp)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise JournalError(
                f"entry {entry.seq} of the journal holds a record that cannot be read: {error}"
            ) from error

    def _take(self, entry: Entry, stamp: Stamp) -> None:
        body = rest_of(entry.body)
        pool = self._pool(entry.pool, stamp)
        if not isinstance(body, BaselineRecord):
            self._baselines.interrupt()
        match body:
            case Event():
                self._event(pool, stamp, body)
                if entry.body is not body:
                    self._forget(pool, body)
            case BaselineChunk():
                self._baselines.begin(pool, stamp, body)
            case BaselineRecord():
                self._baselines.add(pool, stamp, body)
            case GapOpened(cause=GapCause.AUDIT_TRAIL):
                self._lines_missing(pool, stamp, body)
            case GapOpened():
                self._ledger.opened(pool, stamp, body)
            case GapClosed():
                self._ledger.closed(pool, stamp, body)
            case Mark():
                self._mark(pool, stamp, body)
            case AuditLine():
                self.rows.audit_lines.append(line_row(pool.pool, stamp, body))
            case _:
                pass  # a heartbeat says only that nothing happened

    def _pool(self, name: str, stamp: Stamp) -> PoolState:
        pool = self.memory.pools.get(name)
        if pool is None:
            pool = PoolState(name, stamp.seq, stamp.at_us)
            pool.certain_seq, pool.certain_at_us = stamp.seq, stamp.at_us
            self.memory.pools[name] = pool
        pool.last_seq, pool.last_at_us = stamp.seq, stamp.at_us
        return pool

    def _event(self, pool: PoolState, stamp: Stamp, event: Event) -> None:
        pool.certain_seq, pool.certain_at_us = stamp.seq, stamp.at_us
        self._ledger.event(pool, stamp, event)
        key = pool.pool, event.cls, event.ref
        known = self.memory.get(key)
        born = event.operation is Operation.ADD and (known is None or known.gone)
        gap = None if born else pool.gap_hiding(known)
        known = known or self._first_seen(pool, stamp, event)
        changes = None
        if not known.gone and known.snapshot is not None and event.snapshot is not None:
            changes = self._comparison.changes(key, known.snapshot, event.snapshot)
        told = Told(
            event.operation,
            Origin.LIVE,
            gap,
            changes,
            event.snapshot,
            event.id,
            int(event.server_at_s * 1_000_000) or None,
        )
        learn(known, told)
        known.seen_seq = known.event_seq = stamp.seq
        known.event_id = event.id
        self.rows.tell(pool, stamp, known, told)

    def _forget(self, pool: PoolState, event: Event) -> None:
        """The state that an event told was taken out: the next one has nothing to compare with."""
        known = self.memory.get((pool.pool, event.cls, event.ref))
        assert known is not None
        known.snapshot = None

    def _first_seen(self, pool: PoolState, stamp: Stamp, event: Event) -> Known:
        known = Known(
            pool.pool,
            event.cls,
            event.ref,
            first_seq=stamp.seq,
            first_at_us=stamp.at_us,
            first_origin=Origin.LIVE.value,
            first_operation=event.operation.value,
        )
        self.memory.put(known)
        return known

    def _entries_missing(self, first_seq: int, after: Stamp) -> None:
        """Every pool may have had events among the entries that are not there."""
        self._baselines.interrupt()
        for pool in self.memory.pools.values():
            if pool.epoch is not None:
                self._ledger.entries_missing(pool, first_seq, after)
                pool.anchor_seq = first_seq
                pool.readings = {}

    def _lines_missing(self, pool: PoolState, stamp: Stamp, gap: GapOpened) -> None:
        """Lines of the audit trail are not there: a row of the ledger that no state depends on."""
        since_us = None if gap.complete_until_ns is None else gap.complete_until_ns // 1000
        detail = msgspec.json.encode({"text": gap.detail, "since_us": since_us}).decode()
        cause = gap.cause.value
        self.rows.marks.append((stamp.seq, pool.pool, stamp.at_us, cause, pool.epoch, detail))

    def _mark(self, pool: PoolState, stamp: Stamp, mark: Mark) -> None:
        match mark.name:
            case MarkName.CONNECTED:
                uuid = mark.detail.get("pool_uuid")
                pool.pool_uuid = uuid if isinstance(uuid, str) else pool.pool_uuid
            case MarkName.REGISTERED:
                pool.epoch = pool.anchor_seq = pool.certain_seq = stamp.seq
                pool.certain_at_us = stamp.at_us
                pool.stream = Stream(str(mark.detail.get("stream", Stream.REGISTER.value)))
                pool.readings = {}
            case MarkName.BASELINE_DONE:
                self._baselines.end(pool, stamp, whole="class" not in mark.detail)
            case _:
                pass  # the other marks are rows and change nothing else
        self._ledger.mark(pool, stamp, mark)
        detail = msgspec.json.encode(mark.detail).decode()
        row = (stamp.seq, pool.pool, stamp.at_us, mark.name.value, pool.epoch, detail)
        self.rows.marks.append(row)


def followed(memory: Memory) -> list[PoolState]:
    """Return the pools; the recorder itself has entries but is none."""
    return [pool for name, pool in memory.pools.items() if name != RECORDER]
