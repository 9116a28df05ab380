"""What the history remembers between two entries: the last state of each object and pool."""

from collections.abc import Iterator, Mapping
from enum import StrEnum

import msgspec

from recorder.model import Stream

Key = tuple[str, str, str]
"""Pool, class in lower case, reference."""


class Origin(StrEnum):
    """How a row came to be known."""

    LIVE = "live"
    BASELINE = "baseline"
    INFERRED = "inferred"


class Known(msgspec.Struct):
    """An object as far as it was followed.

    `seen_seq` is the last entry that told or confirmed its state, `chunk_seq` its last baseline row
    and `event_seq`, `event_id` its last event; 0 where there was none. `snapshot` is the last state
    told, also of an object that is gone. `carries` are the tasks in its current_operations, and
    what they do; None where nobody looked.
    """

    pool: str
    cls: str
    ref: str
    first_seq: int
    first_at_us: int
    first_origin: str
    first_operation: str
    uuid: str | None = None
    name: str | None = None
    last_seq: int = 0
    last_at_us: int = 0
    gone: bool = False
    gone_origin: str | None = None
    gap: int | None = None
    seen_seq: int = 0
    chunk_seq: int = 0
    event_seq: int = 0
    event_id: int = 0
    snapshot: bytes | None = None
    carries: Mapping[str, str] | None = None

    @property
    def key(self) -> Key:
        """Where this object is found."""
        return self.pool, self.cls, self.ref


class Gap(msgspec.Struct):
    """A row of `gap_spans` (see there). Times are microseconds since 1970 UTC."""

    seq: int
    pool: str
    cause: str
    told_cause: str
    detail: str
    stream: str
    since_us: int
    since_seq: int
    opened_at_us: int
    last_event_id: int | None = None
    last_event_at_us: int | None = None
    first_event_id: int | None = None
    first_event_at_us: int | None = None
    ids_missed: int | None = None
    rolled_back_from: int | None = None
    rolled_back_to: int | None = None
    blind_until_us: int | None = None
    closed_at_us: int | None = None
    closed_seq: int | None = None

    @property
    def key(self) -> tuple[str, int]:
        """Where this gap is found."""
        return self.pool, self.seq

    @property
    def is_settled(self) -> bool:
        """True once nothing more can be learned of it."""
        return self.closed_seq is not None and self.first_event_at_us is not None


class Facts(msgspec.Struct):
    """What a pool told that its next gap is measured by.

    `last_event_*` are of the last event of this epoch. `expected_id` is the id that its next event
    gets, None where ids are not dense; `ids_missed` those since the pool was last settled, None if
    they cannot be counted. `address` is where the recorder is connected, `master` the first of the
    members. What is `settled_*` held at the end of the last complete baseline.
    """

    last_event_id: int | None = None
    last_event_at_us: int | None = None
    expected_id: int | None = None
    ids_missed: int | None = 0
    address: str = ""
    master: str = ""
    settled_address: str = ""
    settled_master: str = ""
    settled_agent_started: str | None = None

    def has_another_master(self) -> bool:
        """Compare with the settled master: by its own address if both are known, else by ours."""
        if self.master and self.settled_master:
            return self.master != self.settled_master
        unknown = not (self.master or self.settled_master)
        return unknown and self.settled_address not in ("", self.address)

    def settle(self, agent_started: str | None) -> None:
        """The pool is known completely."""
        self.ids_missed = 0
        self.settled_address, self.settled_master = self.address, self.master
        self.settled_agent_started = agent_started


class Reading(msgspec.Struct, frozen=True):
    """The last reading of a class: the entry of its chunk, and the chunk's `low`."""

    seq: int
    low: int


class PoolState(msgspec.Struct):
    """A pool as far as it was followed.

    What was seen before `anchor_seq` (the last registration, or a hole in the journal) may have
    changed unseen. `certain_seq` and `certain_at_us` are where nothing had been missed yet.
    `baselined_seq` is the end of the first baseline, `done_seq` of the last. `gap` is the last gap,
    which may be over; `gaps` are those of which something is still to be learned. `readings` are
    the classes read since a baseline was last complete; `classes` those ever read.
    """

    pool: str
    first_seq: int
    first_at_us: int
    pool_uuid: str | None = None
    last_seq: int = 0
    last_at_us: int = 0
    baselined_seq: int | None = None
    done_seq: int = 0
    epoch: int | None = None
    stream: Stream = Stream.REGISTER
    anchor_seq: int = 0
    certain_seq: int = 0
    certain_at_us: int = 0
    gap: int | None = None
    gaps: list[Gap] = msgspec.field(default_factory=list)
    facts: Facts = msgspec.field(default_factory=Facts)
    readings: dict[str, Reading] = msgspec.field(default_factory=dict)
    classes: set[str] = msgspec.field(default_factory=set)

    @property
    def in_baseline(self) -> bool:
        """True between a registration and the end of its baseline."""
        return self.epoch is not None and self.done_seq < self.epoch

    @property
    def open_gaps(self) -> list[Gap]:
        """The gaps that nothing closed yet."""
        return [gap for gap in self.gaps if gap.closed_seq is None]

    def gap_hiding(self, known: Known | None) -> int | None:
        """Return the gap in which an object may have changed unseen, None if it was followed."""
        followed = known is not None and known.seen_seq >= self.anchor_seq
        return None if followed else self.gap

    def gap_found(self, known: Known | None) -> int | None:
        """Return the gap in which what a baseline tells anew may have happened.

        A class that is read again within an epoch is read because events of it are missing: there
        even an object that was followed may have changed unseen.
        """
        if self.open_gaps and not self.in_baseline:
            return self.gap
        return self.gap_hiding(known)


class Memory(msgspec.Struct):
    """All that the loader holds in mind: objects, by pool too, and pools; `last_seq` is the entry
    that was folded last."""

    last_seq: int = 0
    pools: dict[str, PoolState] = msgspec.field(default_factory=dict)
    _objects: dict[str, dict[Key, Known]] = msgspec.field(default_factory=dict)

    def get(self, key: Key) -> Known | None:
        """Return an object, None if it was never seen."""
        return self._objects.get(key[0], {}).get(key)

    def put(self, known: Known) -> None:
        """Remember an object."""
        self._objects.setdefault(known.pool, {})[known.key] = known

    def drop(self, key: Key) -> None:
        """Forget an object; the history file still knows it."""
        self._objects.get(key[0], {}).pop(key, None)

    def of_pool(self, pool: str) -> Iterator[Known]:
        """Yield the objects of a pool."""
        return iter(list(self._objects.get(pool, {}).values()))
