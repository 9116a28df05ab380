"""JSON-RPC 1.0 and 2.0 as xapi reads and writes them; there are no batches and no notifications."""

import json
from dataclasses import dataclass
from enum import StrEnum

from .calls import DEPTH_MAX, Batch, Call, MalformedError, Result, RowReply, Sent, TableReply
from .events import FromReply
from .values import Fault, Value


class Version(StrEnum):
    """2.0 if the request says so, else 1.0."""

    ONE = "1.0"
    TWO = "2.0"


@dataclass(frozen=True, slots=True)
class Request:
    """A call with what its reply must repeat."""

    call: Call
    version: Version
    id: str | int


def decode_request(body: bytes) -> Request:
    """Read one request object. Raises MalformedError for anything else."""
    document = _parse(body)
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
    return MalformedError(f'Jsonrpc.Malformed_method_request("{text}")')


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


def _parse(body: bytes) -> Sent:
    """Read JSON. Whole numbers beyond 64 bits, deep nesting and broken UTF-8 are malformed."""
    try:
        text = body.decode()
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise MalformedError(_yojson_text(text, error)) from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        # ValueError: Python refuses whole numbers of more than 4300 digits.
        raise MalformedError(
            'Yojson__Common.Json_error("Line 1, bytes 0-1:\\nInvalid token")'
        ) from error
    return _checked(document, 0)


def _checked(value: object, depth: int) -> Sent:
    if depth > DEPTH_MAX:
        raise MalformedError("Stack_overflow")
    match value:
        case bool() | float() | None:
            return value
        case str():
            return _text(value)
        case int():
            if not -(2**63) <= value < 2**63:
                raise MalformedError('Failure("Int64.of_string")')
            return value
        case list():
            return [_checked(item, depth + 1) for item in value]
        case dict():
            return {_text(name): _checked(item, depth + 1) for name, item in value.items()}
        case _:
            raise AssertionError(value)


def _text(text: str) -> str:
    """Return the text; half of a surrogate pair can't be answered in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MalformedError(
            'Yojson__Common.Json_error("Line 1:\\nInvalid low surrogate")'
        ) from None
    return text


def _yojson_text(text: str, error: json.JSONDecodeError) -> str:
    """Return the words of xapi's parser, which counts bytes and looks one byte past the end."""
    if not text.strip():
        return 'Yojson__Common.Json_error("Blank input data")'
    # A bare word is read as the name of a member: what is missing is what should come after it.
    at = len(text) if text[error.pos :].strip().isalnum() else error.pos
    if at >= len(text):
        line, column = text.count("\n") + 1, len(text) - (text.rfind("\n") + 1)
        reason = "Unexpected end of input"
    else:
        line, column = error.lineno, error.colno - 1
        reason = "Invalid token"
    return f'Yojson__Common.Json_error("Line {line}, bytes {column - 1}-{column}:\\n{reason}")'


def encode_success(request: Request, result: Result) -> bytes:
    """Return the reply of a call that worked."""
    ident = _dumps(request.id)
    if request.version is Version.TWO:
        return b'{"jsonrpc":"2.0","result":%s,"id":%s}' % (_result(result), ident)
    return b'{"result":%s,"error":null,"id":%s}' % (_result(result), ident)


def encode_failure(request: Request, fault: Fault) -> bytes:
    """Return the reply of a call that failed: an array in 1.0, an object in 2.0."""
    ident = _dumps(request.id)
    if request.version is Version.TWO:
        error = {"code": 1, "message": fault.code, "data": list(fault.params)}
        return b'{"jsonrpc":"2.0","error":%s,"id":%s}' % (_dumps(error), ident)
    return b'{"result":null,"error":%s,"id":%s}' % (_dumps([fault.code, *fault.params]), ident)


def encode_raised(fault: Fault) -> bytes:
    """Return the reply to an error before the dispatch: id 0, an array, 2.0 whatever was asked."""
    return b'{"jsonrpc":"2.0","error":%s,"id":0}' % _dumps([fault.code, *fault.params])


def _result(result: Result) -> bytes:
    match result:
        case Batch(rows):
            return b"[%s]" % b",".join(row.json for row in rows)
        case RowReply(database, cls, ref):
            return database.json(cls, ref)
        case TableReply(database, cls, refs):
            members = (b"%s:%s" % (_dumps(ref), database.json(cls, ref)) for ref in refs)
            return b"{%s}" % b",".join(members)
        case FromReply(rows, counts, token):
            events = b",".join(row.json for row in rows)
            return b'{"events":[%s],"valid_ref_counts":%s,"token":%s}' % (
                events,
                _dumps(counts),
                _dumps(token),
            )
        case _:
            return _dumps(result)


def _dumps(value: Value | dict[str, int] | dict[str, object] | list[str]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
