"""What the history remembers between two entries: the last state of each object and pool."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from recorder.model import Stream

Key = tuple[str, str, str]
"""Pool, class in lower case, reference."""


class Origin(StrEnum):
    """How a row came to be known."""

    LIVE = "live"
    BASELINE = "baseline"
    INFERRED = "inferred"


@dataclass(slots=True)
class Known:
    """An object as far as it was followed.

    `seen_seq` is the last entry that told or confirmed its state, `chunk_seq` its last baseline row
    and `event_seq`, `event_id` its last event; 0 where there was none. `snapshot` is the last state
    told, also of an object that is gone.
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

    @property
    def key(self) -> Key:
        """Where this object is found."""
        return self.pool, self.cls, self.ref


@dataclass(slots=True)
class PoolState:
    """A pool as far as it was followed.

    What was seen before `anchor_seq` (the last registration, or a hole in the journal) may have
    changed unseen. `certain_seq` and `certain_at_us` are where nothing had been missed yet.
    `baselined_seq` is the end of the first baseline, `done_seq` of the last. `gap` is the last gap,
    which may be over; `open_gaps` are the causes of those that are not. `chunks` are the classes
    that this epoch has read, with the id that the next event had before; `classes` those ever read.
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
    open_gaps: dict[int, str] = field(default_factory=dict)
    chunks: dict[str, int] = field(default_factory=dict)
    classes: set[str] = field(default_factory=set)

    @property
    def in_baseline(self) -> bool:
        """True between a registration and the end of its baseline."""
        return self.epoch is not None and self.done_seq < self.epoch

    def gap_hiding(self, known: Known | None) -> int | None:
        """Return the gap in which an object may have changed unseen, None if it was followed."""
        followed = known is not None and known.seen_seq >= self.anchor_seq
        return None if followed else self.gap


@dataclass(slots=True)
class Memory:
    """All that the loader holds in mind: objects, by pool too, and pools; `last_seq` is the entry
    that was folded last."""

    last_seq: int = 0
    pools: dict[str, PoolState] = field(default_factory=dict)
    _objects: dict[str, dict[Key, Known]] = field(default_factory=dict)

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
