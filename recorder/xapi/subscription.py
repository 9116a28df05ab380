"""The state machine of one pool's subscription: what each thing that happens puts in the journal.

It sees what the server said and returns drafts; it never waits, reads a clock or asks for anything.

    phase     happens      drafts                           next phase
    --------  -----------  -------------------------------  ----------
    OFFLINE   connected    Mark CONNECTED                   OFFLINE
    OFFLINE   registered   Mark REGISTERED                  BASELINE
    BASELINE  batch        Event ...                        BASELINE
    BASELINE  chunk        BaselineChunk, BaselineRecord... BASELINE
    BASELINE  baselined    Mark BASELINE_DONE, GapClosed    LIVE
    LIVE      batch        Event ...                        LIVE
    LIVE      doubted      GapOpened                        BASELINE
    BASELINE  lost         GapOpened, unless one is open    OFFLINE
    LIVE      lost         GapOpened, unless one is open    OFFLINE
    OFFLINE   lost         nothing                          OFFLINE

A REGISTERED mark opens an epoch. Inside an epoch of a `register` stream the ids of the events are
dense (a session registered for `*` matches every event), so a hole is a counted loss.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, auto

import msgspec

from ..model import (
    BaselineChunk,
    BaselineRecord,
    Body,
    Detail,
    Draft,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Mark,
    MarkName,
    PoolTail,
    Stream,
)

TRANSIT_MAX_NS = 5 * 10**9
"""An answer that is not late begins to come at most this long after the server made it. What
happened in between is in no answer that was received."""

SERVER_TICK_NS = 10**9
"""The server tells the time of an event in whole seconds."""


class Phase(Enum):
    """Where the subscription of a pool stands."""

    OFFLINE = auto()
    BASELINE = auto()
    LIVE = auto()


class Chunk(msgspec.Struct, frozen=True):
    """One class, read between two readings of `event.get_current_id`: ids in [low, high)."""

    cls: str
    low: int
    high: int
    records: Mapping[str, bytes]


class Subscription:
    """The subscription of one pool, across sessions and restarts.

    `tail` is where the journal stands with this pool; an open gap in it is continued.
    """

    def __init__(self, pool: str, tail: PoolTail) -> None:
        self.pool = pool
        self.phase = Phase.OFFLINE
        self.drained_to = -1
        """Every event with an id up to here was received."""
        self._stream = Stream.REGISTER
        self._expected_id_max = 0
        self._last_event_id: int | None = tail.last_event_id
        last_at_ns = tail.last_event_at_ns or tail.last_received_at_ns
        self._complete_until_ns = self._complete_before_ns = last_at_ns - TRANSIT_MAX_NS
        self._registered_at_ns = 0
        self._least_lag_ns: int | None = None
        self._was_recorded = tail.epoch is not None
        self.gap_is_open = tail.open_gap is not None
        """True while the state of the pool is not known."""
        self._gap: int | None = tail.open_gap

    def connected(self, detail: Detail, *, at_ns: int) -> list[Draft]:
        """A login succeeded; `detail` says where, as whom and to which pool."""
        assert self.phase is Phase.OFFLINE
        return self._drafts([Mark(MarkName.CONNECTED, detail)], at_ns)

    def rolled_back(self, generation: int, before: int, *, at_ns: int) -> list[Draft]:
        """The pool's database is older than it was: what was written since is undone."""
        detail = {"generation": generation, "before": before}
        return self._drafts([Mark(MarkName.ROLLED_BACK, detail)], at_ns)

    def members(self, addresses: str, *, at_ns: int) -> list[Draft]:
        """The pool has these hosts now; their addresses are separated by spaces."""
        return self._drafts([Mark(MarkName.MEMBERS, {"addresses": addresses})], at_ns)

    def registered(
        self, stream: Stream, *, id_before: int, id_after: int, asked_at_ns: int, at_ns: int
    ) -> list[Draft]:
        """The server confirmed the registration that it was asked for at `asked_at_ns`.

        `id_before` and `id_after` are `event.get_current_id` before and after the call: the first
        event comes with an id between the two, or later with exactly `id_after`. That holds for a
        session that was never registered before; another is owed older events, too.
        """
        assert self.phase is Phase.OFFLINE
        self.phase = Phase.BASELINE
        self._stream = stream
        self.drained_to = id_before - 1
        self._expected_id_max = id_after
        self._last_event_id = None
        self._least_lag_ns = None
        self._complete_until_ns = self._complete_before_ns = asked_at_ns
        self._registered_at_ns = at_ns
        detail = {"stream": stream.value, "next_event_id": id_after}
        return self._drafts([Mark(MarkName.REGISTERED, detail)], at_ns)

    def batch(
        self, events: Sequence[Event], *, asked_at_ns: int, answered_at_ns: int, at_ns: int
    ) -> tuple[list[Draft], str | None]:
        """One reply of the event call: return its drafts and, if ids are missing, which.

        The call was sent at `asked_at_ns`, the answer began to come at `answered_at_ns`, and it was
        read by `at_ns`; a large one may be long on its way.

        With a hole in the ids only the events before it are journaled. The caller declares the
        epoch lost, and the baseline that follows tells what came of the others.
        """
        assert self.phase is not Phase.OFFLINE
        hole = None
        if self._stream is Stream.REGISTER:
            events, hole = self._until_hole(events)
        if events:
            self._last_event_id = max(event.id for event in events)
            made_at_ns = answered_at_ns - TRANSIT_MAX_NS - self._late_ns(events[-1], answered_at_ns)
            self._complete_before_ns = self._complete_until_ns
            if hole is None:
                self._complete_until_ns = max(asked_at_ns, made_at_ns)
        elif hole is not None:
            # What is missing came after the last event, and that after the answer before its own.
            self._complete_until_ns = self._complete_before_ns
        return self._drafts(events, at_ns), hole

    def _late_ns(self, newest: Event, answered_at_ns: int) -> int:
        """Return by how much an answer is late, compared with the quickest one of this epoch.

        A network that was cut holds answers back for longer than anybody would guess. The server
        answers when something happens, and tells when that was; by how much its clock and ours
        differ does not matter.
        """
        if not newest.server_at_s:
            return 0
        lag_ns = answered_at_ns - int(newest.server_at_s * 1e9)
        if self._least_lag_ns is None or lag_ns < self._least_lag_ns:
            self._least_lag_ns = lag_ns
        return max(0, lag_ns - self._least_lag_ns - SERVER_TICK_NS)

    def _until_hole(self, events: Sequence[Event]) -> tuple[Sequence[Event], str | None]:
        for index, event in enumerate(events):
            if event.id > self._expected_id_max:
                missing = f"events {self._expected_id_max} to {event.id - 1} never came"
                return events[:index], missing
            # The server reads the id outside its lock: an id may repeat, it never leaps back.
            self._expected_id_max = max(self._expected_id_max, event.id + 1)
            self.drained_to = max(self.drained_to, event.id)
        return events, None

    def may_write(self, chunk: Chunk) -> bool:
        """True once every event with an id below the chunk's `high` was received.

        The journal then holds ids in ascending order, so that its reader never has to look ahead
        to know whether an event is older or newer than the chunk.
        """
        return self._stream is Stream.FROM or self.drained_to >= chunk.high - 1

    def chunk(self, chunk: Chunk, *, at_ns: int) -> list[Draft]:
        """All objects of one class were read; `may_write` must hold."""
        assert self.phase is Phase.BASELINE
        assert self.may_write(chunk)
        head = BaselineChunk(chunk.cls, chunk.low, chunk.high, len(chunk.records))
        bodies: list[Body] = [head]
        bodies += [BaselineRecord(chunk.cls, ref, raw) for ref, raw in chunk.records.items()]
        return self._drafts(bodies, at_ns)

    def class_skipped(self, cls: str, error: str, *, at_ns: int) -> list[Draft]:
        """The server would not let this class be read."""
        detail = {"class": cls, "error": error}
        return self._drafts([Mark(MarkName.CLASS_SKIPPED, detail)], at_ns)

    def baselined(self, *, classes: int, objects: int, at_ns: int) -> list[Draft]:
        """The last chunk of the baseline is written: the state of the pool is known again.

        Of a gap that is open `gap_opened` must have been told.
        """
        detail: Detail = {"classes": classes, "objects": objects}
        return self._complete(detail, self._registered_at_ns, at_ns)

    def reread(self, chunk: Chunk, *, asked_at_ns: int, at_ns: int) -> list[Draft]:
        """The one chunk is written that clears a doubt; it was asked for at `asked_at_ns`."""
        detail: Detail = {"classes": 1, "objects": len(chunk.records), "class": chunk.cls}
        return self._complete(detail, asked_at_ns, at_ns)

    def _complete(self, detail: Detail, blind_until_ns: int, at_ns: int) -> list[Draft]:
        assert self.phase is Phase.BASELINE
        self.phase = Phase.LIVE
        bodies: list[Body] = [Mark(MarkName.BASELINE_DONE, detail)]
        if self.gap_is_open:
            assert self._gap is not None
            bodies.append(GapClosed(self._gap, blind_until_ns))
        self.gap_is_open, self._gap = False, None
        return self._drafts(bodies, at_ns)

    def doubted(self, detail: str, *, agreed_at_ns: int, at_ns: int) -> list[Draft]:
        """The state of the pool is not the recorded one, and that was right at `agreed_at_ns`."""
        assert self.phase is Phase.LIVE
        self.phase = Phase.BASELINE
        return self._open_gap(GapCause.CENSUS_MISMATCH, detail, agreed_at_ns, at_ns)

    def uncounted(self, detail: Detail, *, at_ns: int) -> list[Draft]:
        """The census of this epoch goes on without a class, or ends."""
        return self._drafts([Mark(MarkName.UNCOUNTED, detail)], at_ns)

    def pressed(self, fill: float, *, at_ns: int) -> list[Draft]:
        """The server's queue of events got this full, as a fraction, before it was read."""
        detail: Detail = {"percent": round(100 * fill)}
        return self._drafts([Mark(MarkName.QUEUE_PRESSURE, detail)], at_ns)

    def refused(self, error: str, *, at_ns: int) -> list[Draft]:
        """The pool cannot be recorded for a reason that only its operator can change."""
        return self._drafts([Mark(MarkName.REFUSED, {"error": error})], at_ns)

    def lost(
        self, cause: GapCause, detail: str, *, at_ns: int, agreed_at_ns: int | None = None
    ) -> list[Draft]:
        """The epoch ended; events may be missed from the last one received on.

        They may be missed since `agreed_at_ns`, if that is given: the record is known to have been
        right then, and to be wrong now.
        """
        was, self.phase = self.phase, Phase.OFFLINE
        if was is Phase.OFFLINE or self.gap_is_open:
            return []
        until_ns = self._complete_until_ns if agreed_at_ns is None else agreed_at_ns
        return self._open_gap(cause, detail, until_ns, at_ns)

    def died(self, *, at_ns: int) -> list[Draft]:
        """The recorder starts, and the one before it left no word of its end."""
        if not self._was_recorded or self.gap_is_open:
            return []
        detail = "the recorder ended without a clean stop"
        return self._open_gap(GapCause.RECORDER_DIED, detail, self._complete_until_ns, at_ns)

    def _open_gap(
        self, cause: GapCause, detail: str, complete_until_ns: int, at_ns: int
    ) -> list[Draft]:
        self.gap_is_open = True
        opened = GapOpened(cause, detail, self._last_event_id, complete_until_ns)
        return self._drafts([opened], at_ns)

    def gap_opened(self, seq: int) -> None:
        """The journal holds the GapOpened of this pool at `seq`."""
        assert self.gap_is_open
        self._gap = seq

    def _drafts(self, bodies: Sequence[Body], at_ns: int) -> list[Draft]:
        return [Draft(at_ns, self.pool, body) for body in bodies]
