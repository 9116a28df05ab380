"""The gap ledger: when each gap begins and ends, and what the pool tells that measures it.

- A gap is written anew whenever something is learned of it, until it is closed and the first event
  after it has come.
- `cause` is what the recorder wrote, unless the pool turns out to have another master afterwards.
- Ids are counted from the last one of an epoch to the first of the next, for as long as the
  toolstack of the master is the same: they restart with it.
"""

from collections.abc import Iterator

import msgspec

from recorder.model import Event, GapCause, GapClosed, GapOpened, Mark, MarkName, Stream

from .known import Gap, Memory, PoolState
from .rows import Rows, Stamp

ENTRIES_MISSING = "entries-missing"
"""The cause of a gap that the reader finds: entries are lost, or damaged beyond reading."""

_BLAMED_ON_THE_MASTER = frozenset(
    {GapCause.SESSION_LOST, GapCause.CONNECTION_LOST, GapCause.SERVER_SILENT}
)
"""What the end of a master looks like from outside. A stop of the recorder stays one."""


class Ledger(msgspec.Struct):
    """Keeps the gaps of all pools, in `memory` and `rows`."""

    memory: Memory
    rows: Rows

    def opened(self, pool: PoolState, stamp: Stamp, body: GapOpened) -> None:
        """The recorder says that events may be missed from here on."""
        since = stamp
        if body.complete_until_ns is not None:
            since = Stamp(pool.certain_seq, body.complete_until_ns // 1000)
        gap = self._open(pool, stamp, since, body.cause.value, body.detail)
        gap.last_event_id = body.last_event_id
        gap.last_event_at_us = None if body.last_event_id is None else pool.facts.last_event_at_us

    def entries_missing(self, pool: PoolState, first_seq: int, after: Stamp) -> None:
        """Entries from `first_seq` on are not in the journal; `after` is the next one that is."""
        detail = f"entries {first_seq} to {after.seq - 1} are missing from the journal"
        since = Stamp(pool.certain_seq, pool.certain_at_us)
        gap = self._open(pool, Stamp(first_seq, after.at_us), since, ENTRIES_MISSING, detail)
        gap.last_event_id = pool.facts.last_event_id
        gap.last_event_at_us = pool.facts.last_event_at_us
        pool.facts.expected_id = None

    def _open(self, pool: PoolState, at: Stamp, since: Stamp, cause: str, detail: str) -> Gap:
        """A pool is blind from the first gap that nothing closed, whatever comes on top of it."""
        if not pool.open_gaps:
            pool.gap = at.seq
        gap = Gap(
            at.seq,
            pool.pool,
            cause,
            cause,
            detail,
            pool.stream.value,
            since_us=since.at_us,
            since_seq=since.seq,
            opened_at_us=at.at_us,
        )
        pool.gaps.append(gap)
        self.rows.gaps[gap.key] = gap
        return gap

    def closed(self, pool: PoolState, stamp: Stamp, body: GapClosed) -> None:
        """The recorder knows of no gap that only its reader found: it closes its own."""
        self._close(pool, stamp, body.blind_until_ns // 1000, found_by_reader=False)

    def _close(
        self, pool: PoolState, stamp: Stamp, blind_until_us: int, *, found_by_reader: bool
    ) -> None:
        for gap in self._learning(pool):
            if gap.closed_seq is None and (gap.told_cause == ENTRIES_MISSING) is found_by_reader:
                gap.closed_seq, gap.closed_at_us = stamp.seq, stamp.at_us
                gap.blind_until_us = blind_until_us

    def event(self, pool: PoolState, stamp: Stamp, event: Event) -> None:
        """An event came: the first after the gaps that had none yet."""
        facts = pool.facts
        if facts.expected_id is not None:
            if facts.last_event_id is None and facts.ids_missed is not None:
                # The mark has the id after the registration: what happened during it is told, too.
                facts.ids_missed -= max(facts.expected_id - event.id, 0)
            facts.expected_id = max(facts.expected_id, event.id + 1)
        facts.last_event_id, facts.last_event_at_us = event.id, stamp.at_us
        if pool.gaps:
            for gap in self._learning(pool):
                if gap.first_event_at_us is None:
                    gap.first_event_id, gap.first_event_at_us = event.id, stamp.at_us

    def mark(self, pool: PoolState, stamp: Stamp, mark: Mark) -> None:
        """Take what a mark says of the pool and its gaps. BASELINE_DONE: once it was folded."""
        facts = pool.facts
        match mark.name:
            case MarkName.CONNECTED:
                facts.address = str(mark.detail.get("address", ""))
            case MarkName.MEMBERS:
                facts.master = str(mark.detail.get("addresses", "")).partition(" ")[0]
            case MarkName.ROLLED_BACK:
                self._rolled_back(pool, mark)
            case MarkName.REGISTERED:
                self._registered(pool, mark)
            case MarkName.BASELINE_DONE if "class" in mark.detail:
                # Ids are dense: what nobody told had none.
                self._count(pool, 0 if pool.stream is Stream.REGISTER else None)
            case MarkName.BASELINE_DONE:
                self._baselined(pool)
                self._close(pool, stamp, stamp.at_us, found_by_reader=True)
            case _:
                pass  # the other marks say nothing of gaps

    def _rolled_back(self, pool: PoolState, mark: Mark) -> None:
        before, generation = mark.detail.get("before"), mark.detail.get("generation")
        for gap in self._learning(pool):
            if gap.closed_seq is None and isinstance(before, int) and isinstance(generation, int):
                gap.rolled_back_from = gap.rolled_back_from or before
                gap.rolled_back_to = generation

    def _registered(self, pool: PoolState, mark: Mark) -> None:
        """Count what was told to nobody here since the last event of the epoch before."""
        facts, next_id = pool.facts, mark.detail.get("next_event_id")
        before, facts.expected_id = facts.expected_id, None
        facts.last_event_id = facts.last_event_at_us = None
        if pool.stream is Stream.REGISTER and isinstance(next_id, int):
            facts.expected_id = next_id
        if before is None or facts.expected_id is None or facts.expected_id < before:
            facts.ids_missed = None
        elif facts.ids_missed is not None:
            facts.ids_missed += facts.expected_id - before

    def _baselined(self, pool: PoolState) -> None:
        """The pool is known again: compare its master with the one that it had before."""
        facts = pool.facts
        started = agent_started(self.memory, pool)
        same_toolstack = started is not None and started == facts.settled_agent_started
        self._count(pool, facts.ids_missed if same_toolstack else None)
        if facts.has_another_master():
            for gap in self._learning(pool):
                if gap.closed_seq is None and gap.told_cause in _BLAMED_ON_THE_MASTER:
                    gap.cause = GapCause.MASTER_CHANGED.value
        facts.settle(started)

    def _count(self, pool: PoolState, ids_missed: int | None) -> None:
        for gap in self._learning(pool):
            if gap.closed_seq is None and gap.told_cause != ENTRIES_MISSING:
                gap.ids_missed = ids_missed

    def _learning(self, pool: PoolState) -> Iterator[Gap]:
        """Yield the gaps of which something is still to be learned, and write them anew."""
        for gap in pool.gaps:
            self.rows.gaps[gap.key] = gap
            yield gap
        pool.gaps = [gap for gap in pool.gaps if not gap.is_settled]


class _PoolRecord(msgspec.Struct):
    master: str = ""


class _HostRecord(msgspec.Struct):
    other_config: dict[str, str] = {}


def agent_started(memory: Memory, pool: PoolState) -> str | None:
    """Return when the toolstack of the pool's master was started, as the master says it.

    None if the pool, or its host, says nothing of it.
    """
    records = (known for known in memory.of_pool(pool.pool) if known.cls == "pool")
    record = next((known.snapshot for known in records if not known.gone), None)
    try:
        master = "" if record is None else msgspec.json.decode(record, type=_PoolRecord).master
        host = memory.get((pool.pool, "host", master))
        if host is None or host.snapshot is None:
            return None
        told = msgspec.json.decode(host.snapshot, type=_HostRecord)
    except msgspec.ValidationError:
        return None  # In another shape than ours it is a record like any other, and no measure.
    return told.other_config.get("agent_start_time")
