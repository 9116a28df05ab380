"""JSON-RPC 1.0 and 2.0 as xapi reads and writes them; there are no batches and no notifications."""

import json
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from . import yojson
from .calls import Batch, Call, MalformedError, Result, RowReply, Sent, TableReply
from .events import FromReply
from .ocaml import quoted
from .pieces import in_pieces
from .values import Fault, Value


class Version(StrEnum):
    """2.0 if the request says so, else 1.0."""

    ONE = "1.0"
    TWO = "2.0"


class Request(msgspec.Struct, frozen=True):
    """A call with what its reply must repeat."""

    call: Call
    version: Version
    id: str | int


def decode_request(body: bytes) -> Request:
    """Read one request object. Raises MalformedError for anything else."""
    document = yojson.parse(body)
    if not isinstance(document, dict):
        raise _malformed("Invalid request body")
    method = document.get("method")
    if "method" not in document:
        raise _malformed("Required field method is missing")
    if not isinstance(method, str):
        raise _malformed("Invalid field 'method' in request body")
    version = _version(document)
    call = Call(method, _params(document, version))
    ident = document.get("id")
    if isinstance(ident, bool) or not isinstance(ident, str | int):
        raise _malformed("Invalid field 'id' in request body")
    return Request(call, version, ident)


def _malformed(text: str) -> MalformedError:
    return MalformedError(f"Jsonrpc.Malformed_method_request({quoted(text)})")


def _version(document: dict[str, Sent]) -> Version:
    if "jsonrpc" not in document:
        return Version.ONE
    if document["jsonrpc"] != "2.0":
        raise _malformed("Invalid field 'jsonrpc' in request body")
    return Version.TWO


def _params(document: dict[str, Sent], version: Version) -> list[Sent]:
    """Return the parameters; version 2.0 may leave them out or name them (as one struct)."""
    params = document.get("params")
    if isinstance(params, list):
        return params
    if version is Version.TWO and params is None:
        return []
    if version is Version.TWO and isinstance(params, dict):
        return [params]
    if "params" not in document:
        raise _malformed("Required field params is missing")
    raise _malformed("Invalid field 'params' in request body")


def encode_success(request: Request, result: Result) -> bytes:
    """Return the reply of a call that worked."""
    return b"".join(success_pieces(request, result))


def success_pieces(request: Request, result: Result) -> Iterator[bytes]:
    """Yield the same in pieces of some PIECE_BYTES.

    What is in the database is read before the first piece. Fault if it is not there (any more).
    """
    head, tail = b'{"result":', b',"error":null,"id":%s}'
    if request.version is Version.TWO:
        head, tail = b'{"jsonrpc":"2.0","result":', b',"id":%s}'
    tail %= _dumps(request.id)
    match result:
        case Batch(rows):
            head, tail = head + b"[", b"]" + tail
            items = [row.json for row in rows]
        case TableReply(database, cls, refs):
            head, tail = head + b"{", b"}" + tail
            items = [b'"%s":%s' % (ref.encode(), database.json(cls, ref)) for ref in refs]
        case FromReply(rows, counts, token):
            head += b'{"events":['
            tail = b'],"valid_ref_counts":%s,"token":%s}%s' % (_dumps(counts), _dumps(token), tail)
            items = [row.json for row in rows]
        case RowReply(database, cls, ref):
            items = [database.json(cls, ref)]
        case _:
            items = [_dumps(result)]
    yield from in_pieces(head, items, tail, between=b",")


def encode_failure(request: Request, fault: Fault) -> bytes:
    """Return the reply of a call that failed: code and parameters in one array, or an object."""
    ident = _dumps(request.id)
    if request.version is Version.TWO:
        error = {"code": 1, "message": fault.code, "data": list(fault.params)}
        return b'{"jsonrpc":"2.0","error":%s,"id":%s}' % (_dumps(error), ident)
    return b'{"result":null,"error":%s,"id":%s}' % (_dumps([fault.code, *fault.params]), ident)


def encode_raised(fault: Fault) -> bytes:
    """Return the reply to an error before the dispatch: id 0, an array, 2.0 whatever was asked."""
    return b'{"jsonrpc":"2.0","error":%s,"id":0}' % _dumps([fault.code, *fault.params])


def _dumps(value: Value | dict[str, int] | dict[str, object] | list[str]) -> bytes:
    """Write a value as yojson does: it escapes DEL, and text that is no UTF-8 goes out as it is."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f").encode("utf-8", "surrogateescape")
