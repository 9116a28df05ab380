"""An entry of the journal as one line of JSON, for whoever follows a recorder.

    kind      keys besides seq, pool, received_at (ISO text in UTC)
    --------  --------------------------------------------------------------------------------------
    event     class, operation, ref, event_id, server_at_s, uuid, name, snapshot
    baseline  class, ref, uuid, name, snapshot (an object), or class, count (what it begins with)
    gap       what: opened (cause, detail, last_event_id, complete_until), closed (opened_seq,
              blind_until)
    mark      name, detail
    audit     host, imported, line (text; bytes that are no UTF-8 as \\xNN)

`snapshot` is the record as the server sent it, but for secrets; null where there is none. The pool
of the recorder's own marks is "". Names of events are those that `xentrail events` uses.
"""

import msgspec

from ..instant import time_text
from ..model import (
    AuditLine,
    BaselineChunk,
    BaselineRecord,
    Body,
    Draft,
    Event,
    GapClosed,
    GapOpened,
    Heartbeat,
    Mark,
    Redacted,
)
from .kinds import Kind

KIND_OF: dict[type[Body], Kind | None] = {
    Event: Kind.EVENT,
    BaselineChunk: Kind.BASELINE,
    BaselineRecord: Kind.BASELINE,
    AuditLine: Kind.AUDIT,
    GapOpened: Kind.GAP,
    GapClosed: Kind.GAP,
    Mark: Kind.MARK,
    Heartbeat: None,
    Redacted: None,  # it was there before; nobody records one anew
}
"""The kind of each body; None is followed by nobody."""


class Title(msgspec.Struct, frozen=True):
    """What a record calls its object."""

    uuid: str | None = None
    name: str | None = None


class _Named(msgspec.Struct):
    uuid: object = None
    name_label: object = None
    name: object = None


_NAMED = msgspec.json.Decoder(_Named)
_ENCODER = msgspec.json.Encoder()


def title_of(snapshot: bytes | None) -> Title:
    """Return uuid and name in a record, as far as it is an object that has them."""
    if snapshot is None:
        return Title()
    try:
        named = _NAMED.decode(snapshot)
    except ValueError:
        return Title()
    name = named.name if named.name_label is None else named.name_label
    return Title(_text(named.uuid), _text(name))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def line_of(seq: int, draft: Draft, title: Title) -> bytes:
    """Return the line of an entry, with its line feed; `title` is that of its record."""
    head: dict[str, object] = {
        "kind": KIND_OF[type(draft.body)],
        "seq": seq,
        "pool": draft.pool,
        "received_at": iso(draft.received_at_ns),
    }
    return _ENCODER.encode(head | _fields(draft.body, title)) + b"\n"


def missed_line(count: int, first_seq: int, last_seq: int) -> bytes:
    """Return the line that stands for entries which a client was too slow for."""
    told = {"kind": "missed", "count": count, "first_seq": first_seq, "last_seq": last_seq}
    return _ENCODER.encode(told) + b"\n"


def end_line(reason: str) -> bytes:
    """Return the last line of all."""
    return _ENCODER.encode({"kind": "end", "reason": reason}) + b"\n"


def iso(at_ns: int) -> str:
    """Return a time as ISO text."""
    return time_text(at_ns // 1000)


def _fields(body: Body, title: Title) -> dict[str, object]:
    match body:
        case Event():
            what = {"class": body.cls, "operation": body.operation, "ref": body.ref}
            when = {"event_id": body.id, "server_at_s": body.server_at_s}
            return what | when | _record(body.snapshot, title)
        case BaselineRecord():
            return {"class": body.cls, "ref": body.ref} | _record(body.snapshot, title)
        case GapOpened() | GapClosed():
            return _gap(body)
        case _:
            return _plain(body)


def _plain(body: BaselineChunk | AuditLine | Mark | Heartbeat | Redacted) -> dict[str, object]:
    match body:
        case BaselineChunk():
            return {"class": body.cls, "count": body.count}
        case AuditLine():
            line = body.line.decode(errors="backslashreplace")
            return {"host": body.host, "imported": body.imported, "line": line}
        case Mark():
            return {"name": body.name, "detail": dict(body.detail)}
        case Heartbeat() | Redacted():
            return {}


def _gap(gap: GapOpened | GapClosed) -> dict[str, object]:
    if isinstance(gap, GapClosed):
        until = iso(gap.blind_until_ns)
        return {"what": "closed", "opened_seq": gap.opened_seq, "blind_until": until}
    until_ns = gap.complete_until_ns
    return {
        "what": "opened",
        "cause": gap.cause,
        "detail": gap.detail,
        "last_event_id": gap.last_event_id,
        "complete_until": None if until_ns is None else iso(until_ns),
    }


def _record(snapshot: bytes | None, title: Title) -> dict[str, object]:
    raw = None if snapshot is None else msgspec.Raw(_on_one_line(snapshot))
    return {"uuid": title.uuid, "name": title.name, "snapshot": raw}


def _on_one_line(snapshot: bytes) -> bytes:
    """Return JSON text without line feeds, which are only ever between its values."""
    if b"\n" not in snapshot and b"\r" not in snapshot:
        return snapshot
    return msgspec.json.format(snapshot, indent=-1)
