"""The replies of XML-RPC as xapi writes them. Requests are read by `xmlcall`."""

from collections.abc import Iterable, Iterator

from .calls import Batch, Result, RowReply, TableReply
from .eventrows import EventRow, FromReply
from .pieces import in_pieces
from .rows import Row
from .values import Fault, Record
from .xmlcall import decode_call
from .xmlvalue import encode_record, encode_value, escape

__all__ = [
    "decode_call",
    "encode_bare",
    "encode_failure",
    "encode_success",
    "encode_value",
    "escape",
    "success_pieces",
]

_HEAD = b'<?xml version="1.0"?><methodResponse><params><param>'
_SUCCESS = b"<value><struct><member><name>Status</name><value>Success</value></member>"
_SUCCESS += b"<member><name>Value</name>"
_SUCCESS_END = b"</member></struct></value>"
_TAIL = b"</param></params></methodResponse>"


def encode_success(result: Result) -> bytes:
    """Return the reply of a call that worked."""
    return b"".join(success_pieces(result))


def success_pieces(result: Result) -> Iterator[bytes]:
    """Yield the same in pieces of some PIECE_BYTES.

    What is in the database is read before the first piece. Fault if it is not there (any more).
    """
    return _pieces(_HEAD + _SUCCESS, result, _SUCCESS_END + _TAIL)


def encode_bare(result: Result) -> bytes:
    """Return the reply of `system.listMethods`, the only one without a Status."""
    return b"".join(_pieces(_HEAD, result, _TAIL))


def encode_failure(fault: Fault) -> bytes:
    """Return the reply of a call that failed: still HTTP 200, and no <fault>."""
    value = encode_value({"Status": "Failure", "ErrorDescription": [fault.code, *fault.params]})
    return _HEAD + _bytes(value) + _TAIL


def _pieces(head: bytes, result: Result, tail: bytes) -> Iterator[bytes]:
    items: Iterable[bytes]
    match result:
        case Batch(rows):
            head, tail = head + b"<value><array><data>", b"</data></array></value>" + tail
            items = map(_event, rows)
        case TableReply(database, cls, refs):
            head, tail = head + b"<value><struct>", b"</struct></value>" + tail
            found = [database.row(cls, ref) for ref in refs]
            records = [row.record for row in found]
            items = map(_member, refs, found, records)
        case FromReply(rows, counts, token):
            head += b"<value><struct><member><name>events</name><value><array><data>"
            tail = _after_events(counts, token) + tail
            items = map(_event, rows)
        case RowReply(database, cls, ref):
            row = database.row(cls, ref)
            items = [_row(row, row.record)]
        case _:
            items = [_bytes(encode_value(result))]
    yield from in_pieces(head, items, tail)


def _member(ref: str, row: Row, record: Record) -> bytes:
    return b"<member><name>%s</name>%s</member>" % (ref.encode(), _row(row, record))


def _row(row: Row, record: Record) -> bytes:
    """Return the text of a row as it was when it had this record; of the newest, it is kept."""
    if row.record is not record:
        return _bytes(encode_record(record))
    if row.xml is None:
        row.xml = _bytes(encode_record(record))
    return row.xml


def _event(event: EventRow) -> bytes:
    snapshot = ""
    if event.record is not None:
        snapshot = f"<member><name>snapshot</name>{encode_record(event.record)}</member>"
    return _bytes(
        f"<value><struct><member><name>id</name><value>{event.id}</value></member>"
        f"<member><name>timestamp</name><value>{event.timestamp}</value></member>"
        f"<member><name>class</name><value>{event.cls}</value></member>"
        f"<member><name>operation</name><value>{event.operation}</value></member>"
        f"<member><name>ref</name><value>{escape(event.ref)}</value></member>"
        f"{snapshot}</struct></value>"
    )


def _after_events(counts: dict[str, int], token: str) -> bytes:
    parts = ["</data></array></value></member><member><name>valid_ref_counts</name><value><struct>"]
    parts += [
        f"<member><name>{cls}</name><value><i4>{count}</i4></value></member>"
        for cls, count in counts.items()
    ]
    parts.append("</struct></value></member>")
    parts.append(f"<member><name>token</name><value>{escape(token)}</value></member>")
    parts.append("</struct></value>")
    return _bytes("".join(parts))


def _bytes(text: str) -> bytes:
    """Encode text; what came in as bytes that are no UTF-8 goes out as the same bytes."""
    return text.encode("utf-8", "surrogateescape")
