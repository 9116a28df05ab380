"""Where the journal stands with each pool, kept up to date from the entries alone."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from types import MappingProxyType

from msgspec.structs import fields

from ..model import (
    Body,
    Draft,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Mark,
    MarkName,
    PoolTail,
)

_TYPES: tuple[tuple[str, type], ...] = (
    ("pool_uuid", str),
    ("epoch", int),
    ("last_event_id", int),
    ("last_event_at_ns", int),
    ("last_seq", int),
    ("last_received_at_ns", int),
    ("open_gap", int),
    ("members", str),
    ("generation", int),
)
_NEVER_NONE = frozenset({"last_seq", "last_received_at_ns"})
assert tuple(name for name, _ in _TYPES) == tuple(field.name for field in fields(PoolTail))


class _Tail:
    """One pool's tail in the making: a new PoolTail for each event would cost more than packing."""

    __slots__ = tuple(name for name, _ in _TYPES)

    pool_uuid: str | None
    epoch: int | None
    last_event_id: int | None
    last_event_at_ns: int | None
    last_seq: int
    last_received_at_ns: int
    open_gap: int | None
    members: str | None
    generation: int | None

    def __init__(self, tail: PoolTail) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(tail, name))

    def freeze(self) -> PoolTail:
        return PoolTail(*(getattr(self, name) for name in self.__slots__))

    def take(self, seq: int, body: Body) -> None:
        """Take what an entry that is no event says of the pool."""
        match body:
            case GapOpened(cause=GapCause.AUDIT_TRAIL):
                pass  # of lines, not of events: the state of the pool is as well known as before
            case GapOpened():
                # Blind since the first gap that nothing closed, whatever came on top of it.
                self.open_gap = seq if self.open_gap is None else self.open_gap
            case GapClosed():
                self.open_gap = None
            case Mark():
                self._take_mark(seq, body)
            case _:
                pass  # the other entries move only the last seq and its time

    def _take_mark(self, seq: int, mark: Mark) -> None:
        match mark.name:
            case MarkName.CONNECTED:
                uuid, generation = mark.detail.get("pool_uuid"), mark.detail.get("generation")
                self.pool_uuid = uuid if isinstance(uuid, str) else self.pool_uuid
                self.generation = generation if isinstance(generation, int) else self.generation
            case MarkName.MEMBERS:
                members = mark.detail.get("addresses")
                self.members = members if isinstance(members, str) else self.members
            case MarkName.REGISTERED:
                self.epoch = seq
                self.last_event_id = self.last_event_at_ns = None
            case _:
                pass


class Tails:
    """The tails of all pools; RECORDER (the empty name) has one as well.

    `verify` computes them anew and compares, so that another rule needs another version of the
    format. Of the events of a pool only the last may count: see `codec.telling`.
    """

    __slots__ = ("_frozen", "_tails")

    def __init__(self, tails: Mapping[str, PoolTail]) -> None:
        self._tails = {pool: _Tail(tail) for pool, tail in tails.items()}
        self._frozen: Mapping[str, PoolTail] | None = None

    def take(self, seq: int, received_at_ns: int, pool: str, body: Body) -> None:
        """Move the tail of `pool` past an entry."""
        self.take_all(seq, (Draft(received_at_ns, pool, body),))

    def take_all(self, first: int, drafts: Iterable[Draft]) -> None:
        """Move the tails past drafts, which are the entries from `first` on."""
        self._frozen = None
        tails = self._tails
        for seq, draft in enumerate(drafts, first):
            tail = tails.get(draft.pool)
            if tail is None:
                tail = tails[draft.pool] = _Tail(PoolTail())
            body = draft.body
            tail.last_seq = seq
            tail.last_received_at_ns = draft.received_at_ns
            if isinstance(body, Event):  # as nearly all are: no call for each of them
                tail.last_event_id = body.id
                tail.last_event_at_ns = draft.received_at_ns
            else:
                tail.take(seq, body)

    def freeze(self) -> Mapping[str, PoolTail]:
        """Return the tails as they are now; the mapping never changes afterwards."""
        if self._frozen is None:
            frozen = {pool: tail.freeze() for pool, tail in self._tails.items()}
            self._frozen = MappingProxyType(frozen)
        return self._frozen


def tails_to_plain(tails: Mapping[str, PoolTail]) -> dict[str, list[object]]:
    """Return the tails as a segment header holds them: by pool, the fields in their order."""
    return {pool: [getattr(tail, name) for name, _ in _TYPES] for pool, tail in tails.items()}


def tails_digest(tails: Mapping[str, PoolTail]) -> bytes:
    """Return a SHA-256 that two mappings share if they are equal; it is stored nowhere."""
    text = repr(sorted(tails_to_plain(tails).items()))
    return sha256(text.encode(errors="surrogatepass")).digest()


def tails_from_plain(plain: object) -> dict[str, PoolTail]:
    """Return the tails that a segment header holds. Raises ValueError."""
    if not isinstance(plain, dict):
        raise ValueError("the tails are not a map")
    return {_pool(pool): _tail(values) for pool, values in plain.items()}


def _pool(pool: object) -> str:
    if not isinstance(pool, str):
        raise ValueError("the name of a pool is not text")
    return pool


def _tail(values: object) -> PoolTail:
    if not isinstance(values, list) or len(values) != len(_TYPES):
        raise ValueError("the tail of a pool has the wrong shape")
    for (name, kind), value in zip(_TYPES, values, strict=True):
        if type(value) is not kind and (value is not None or name in _NEVER_NONE):
            raise ValueError(f"{name} in the tail of a pool has the wrong type")
    return PoolTail(*values)
