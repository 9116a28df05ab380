"""Entries to msgpack and back: total over what can be recorded, strict about what is read.

An item is the array [seq, received_at_ns, kind, pool, ...fields of the body]. A snapshot is carried
as the bytes that the server sent, never decoded: that is better evidence and several times faster.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType
from typing import cast

import msgpack

from ..errors import JournalError
from ..model import (
    AuditLine,
    BaselineChunk,
    BaselineRecord,
    Body,
    Draft,
    Entry,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Heartbeat,
    Mark,
    MarkName,
    Operation,
    Redacted,
)
from .frame import ITEM_BYTES_MAX, REDACTED_CODE, redacted_leaf

EVENT = "event"
CHUNK = "chunk"
RECORD = "record"
AUDIT_LINE = "audit-line"
GAP_OPENED = "gap-opened"
GAP_CLOSED = "gap-closed"
MARK = "mark"
HEARTBEAT = "heartbeat"

FIELDS: Mapping[str, tuple[str, ...]] = {
    EVENT: ("id", "server_at_s", "class", "operation", "ref", "snapshot"),
    CHUNK: ("class", "low", "high", "count"),
    RECORD: ("class", "ref", "snapshot"),
    AUDIT_LINE: ("host", "imported", "line"),
    GAP_OPENED: ("cause", "detail", "last_event_id", "complete_until_ns"),
    GAP_CLOSED: ("opened_seq", "blind_until_ns"),
    MARK: ("name", "detail"),
    HEARTBEAT: (),
}
"""By kind: what FORMAT.md calls the fields of an entry behind its pool."""


_Event = tuple[int, int, str, str, int, float, str, str, str, bytes | None]
_EVENT_TYPES = frozenset(
    (int, int, str, str, int, float, str, str, str, snapshot) for snapshot in (bytes, NoneType)
)


class BadEntry(ValueError):
    """The item is msgpack, but not an entry."""


class Packer:
    """Packs entries; not for two threads at once, because it reuses one buffer."""

    __slots__ = ("_pack",)

    def __init__(self) -> None:
        self._pack = _fresh_pack()

    def entry(self, seq: int, draft: Draft) -> bytes:
        """Return the bytes of the draft as entry `seq`. Raises JournalError if that cannot be."""
        return self.entries(seq, (draft,))[0]

    def entries(self, first: int, drafts: Iterable[Draft]) -> list[bytes]:
        """Return the bytes of the drafts as the entries from `first` on. Raises as `entry`."""
        items: list[bytes] = []
        pack = self._pack
        for seq, draft in enumerate(drafts, first):
            try:
                item = pack(_plain(seq, draft.received_at_ns, draft.pool, draft.body))
            except (OverflowError, TypeError, ValueError) as error:
                self._pack = _fresh_pack()  # the old one may hold half an item
                raise JournalError(
                    f"an entry of pool {draft.pool!r} cannot be packed ({error}):"
                    f" {draft.body!r:.200}"
                ) from error
            if len(item) > ITEM_BYTES_MAX:
                raise JournalError(
                    f"an entry of pool {draft.pool!r} has {len(item)} bytes,"
                    f" more than {ITEM_BYTES_MAX}"
                )
            items.append(item)
        return items

    def plain(self, value: object) -> bytes:
        """Return the bytes of plain data: headers and seals."""
        return self._pack(value)


def _fresh_pack() -> Callable[[object], bytes]:
    # surrogatepass: JSON can escape half a surrogate pair, Python can hold it, and so must we.
    pack: Callable[[object], bytes] = msgpack.Packer(unicode_errors="surrogatepass").pack
    return pack


def redacted_item(item: object, leaf: bytes) -> bytes:
    """Return the bytes of an unpacked event, record or audit line without its last field."""
    assert isinstance(item, list)
    return _fresh_pack()([*item[:-1], msgpack.ExtType(REDACTED_CODE, leaf)])


def _plain(seq: int, at_ns: int, pool: str, body: Body) -> tuple[object, ...]:
    """Return the item that an entry is, as plain data."""
    # A pool that lives sends little but events: a match, the value of an enum that is a string
    # already, and one tuple put into another, would take as long as packing.
    if isinstance(body, Event):
        at_s, ref = float(body.server_at_s), body.ref
        return seq, at_ns, EVENT, pool, body.id, at_s, body.cls, body.operation, ref, body.snapshot
    if isinstance(body, Redacted):
        rest = _plain(seq, at_ns, pool, body.body)[:-1]
        return (*rest, msgpack.ExtType(REDACTED_CODE, body.leaf))
    return (seq, at_ns, *_fields(pool, body))


def _fields(pool: str, body: Body) -> tuple[object, ...]:
    fields: tuple[object, ...]
    match body:
        case BaselineRecord(cls, ref, snapshot):
            fields = (RECORD, pool, cls, ref, snapshot)
        case AuditLine(host, line, imported):
            fields = (AUDIT_LINE, pool, host, imported, line)
        case BaselineChunk(cls, low, high, count):
            fields = (CHUNK, pool, cls, low, high, count)
        case GapOpened(cause, detail, last_event_id, complete_until_ns):
            fields = (GAP_OPENED, pool, cause.value, detail, last_event_id, complete_until_ns)
        case GapClosed(opened_seq, blind_until_ns):
            fields = (GAP_CLOSED, pool, opened_seq, blind_until_ns)
        case Mark(name, facts):
            fields = (MARK, pool, name.value, dict(facts))
        case Heartbeat():
            fields = (HEARTBEAT, pool)
    return fields


def decode(item: object) -> Entry:
    """Return the entry that an unpacked item is. Raises BadEntry."""
    leaf = redacted_leaf(item)
    if leaf is None:
        return _decode(item)
    assert isinstance(item, list)
    nothing = b"" if len(item) > 2 and item[2] in {RECORD, AUDIT_LINE} else None
    entry = _decode([*item[:-1], nothing])
    if not isinstance(entry.body, Event | BaselineRecord | AuditLine):
        raise BadEntry("something was taken out of an entry that holds no record")
    return Entry(entry.seq, entry.received_at_ns, entry.pool, Redacted(leaf, entry.body))


def telling(items: Sequence[object]) -> list[Entry]:
    """Return the entries of a data frame, less those events that one of their pool follows.

    That is enough for whoever follows where the journal stands, and takes a third of the time; all
    items are checked. Raises BadEntry.
    """
    entries: list[Entry] = []
    followed: set[object] = set()
    for item in reversed(items):
        if _is_event(item):
            pool = cast(_Event, item)[3]
            if pool in followed:
                continue
            followed.add(pool)
        entries.append(decode(item))
    entries.reverse()
    return entries


def _is_event(item: object) -> bool:
    # Nearly every item is one: this is all the checking of types that an event gets.
    return (
        type(item) is list
        and tuple(map(type, item)) in _EVENT_TYPES
        and item[2] == EVENT
        and item[7] in _OPERATIONS
    )


def _decode(item: object) -> Entry:
    if _is_event(item):
        seq, received_at_ns, _, pool, id_, at_s, cls, operation, ref, snapshot = cast(_Event, item)
        body = Event(id_, at_s, cls, _OPERATIONS[operation], ref, snapshot)
        return Entry(seq, received_at_ns, pool, body)
    if type(item) is not list or len(item) < 4:
        raise BadEntry("an item is not an entry")
    seq, received_at_ns, kind, pool = item[:4]
    if type(seq) is not int or type(received_at_ns) is not int:
        raise BadEntry("an item is not an entry")
    if type(kind) is not str or type(pool) is not str:
        raise BadEntry("an item is not an entry")
    return Entry(seq, received_at_ns, pool, _body(kind, item[4:]))


def _body(kind: str, fields: list[object]) -> Body:
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise BadEntry(f"an entry has the unknown kind {kind!r}")
    try:
        body = decoder(fields)
    except (ValueError, KeyError) as error:  # a word that is none of those that there are
        raise BadEntry(f"an entry of kind {kind!r}: {error}") from error
    if body is None:
        raise BadEntry(f"an entry of kind {kind!r} has fields that do not belong to it")
    return body


def _no_event(_fields: list[object]) -> Body | None:
    return None  # a good one does not come here


def _record(fields: list[object]) -> Body | None:
    match fields:
        case [str(cls), str(ref), bytes(snapshot)]:
            return BaselineRecord(cls, ref, snapshot)
    return None


def _audit_line(fields: list[object]) -> Body | None:
    match fields:
        case [str(host), bool(imported), bytes(line)]:
            return AuditLine(host, line, imported)
    return None


def _chunk(fields: list[object]) -> Body | None:
    match fields:
        case [str(cls), int(low), int(high), int(count)]:
            return BaselineChunk(cls, low, high, count)
    return None


def _gap_opened(fields: list[object]) -> Body | None:
    match fields:
        case [str(cause), str(detail), None | int() as last_id, None | int() as last_at_ns]:
            return GapOpened(GapCause(cause), detail, last_id, last_at_ns)
    return None


def _gap_closed(fields: list[object]) -> Body | None:
    match fields:
        case [int(opened_seq), int(blind_until_ns)]:
            return GapClosed(opened_seq, blind_until_ns)
    return None


def _mark(fields: list[object]) -> Body | None:
    match fields:
        case [str(name), dict(detail)]:
            for key, value in detail.items():
                if not isinstance(key, str) or not isinstance(value, str | int | float | None):
                    raise ValueError("a detail is not plain")
            return Mark(MarkName(name), detail)
    return None


def _heartbeat(fields: list[object]) -> Body | None:
    return Heartbeat() if not fields else None


_OPERATIONS = {operation.value: operation for operation in Operation}
_DECODERS: dict[str, Callable[[list[object]], Body | None]] = {
    EVENT: _no_event,
    RECORD: _record,
    AUDIT_LINE: _audit_line,
    CHUNK: _chunk,
    GAP_OPENED: _gap_opened,
    GAP_CLOSED: _gap_closed,
    MARK: _mark,
    HEARTBEAT: _heartbeat,
}
