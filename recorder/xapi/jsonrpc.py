"""JSON-RPC: calls to bytes, replies to typed values. Records and snapshots stay the server's bytes.

A reply carries `error` as an object (JSON-RPC 2.0) or as a list (1.0, and 2.0 of a host in
emergency mode, whose `id` is 0 whatever was asked): both are taken, and the id is not insisted on.
"""

import math
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar, cast

import msgspec

from ..errors import ProtocolError, XapiFault
from ..model import Event, Operation
from . import faults

T = TypeVar("T")

Param = str | int | float | bool | Sequence["Param"] | dict[str, "Param"]
"""What a call may carry. XAPI knows no null."""

ID_MAX = 2**63 - 1

NAME_CHARS_MAX = 1024
"""Of what names something: references, classes, operations. Real ones have some 50."""

Id = Annotated[int, msgspec.Meta(ge=0, le=ID_MAX)]
Name = Annotated[str, msgspec.Meta(max_length=NAME_CHARS_MAX)]

_MISSING = msgspec.Raw(b"null")


class FromReply(msgspec.Struct, frozen=True):
    """The answer of `event.from`.

    `valid_ref_counts` maps each lower-case class name to the number of its objects. `token` is what
    the next call starts from.
    """

    events: list[Event]
    valid_ref_counts: dict[str, int]
    token: str


class _Reply(msgspec.Struct, Generic[T]):
    result: T
    error: msgspec.Raw = _MISSING


class _Envelope(msgspec.Struct):
    result: msgspec.Raw = _MISSING
    error: msgspec.Raw = _MISSING


class _ErrorObject(msgspec.Struct):
    message: str
    data: Any = None


class _Event(msgspec.Struct):
    id: str | int
    cls: Name = msgspec.field(name="class")
    operation: Name
    ref: Name
    timestamp: str | float = 0.0
    snapshot: msgspec.Raw = _MISSING


class _From(msgspec.Struct):
    events: list[_Event]
    token: str
    valid_ref_counts: dict[Name, Id] = msgspec.field(default_factory=dict)


def encode(method: str, params: Sequence[Param], *, call_id: int) -> bytes:
    """Return the body of a call. `params[0]` is the session ref wherever the method needs one."""
    call = {"jsonrpc": "2.0", "method": method, "params": params, "id": call_id}
    return msgspec.json.encode(call)


def decode(body: bytes, returns: type[T]) -> T:
    """Return the result that a reply carries, checked to be a `returns`.

    The reply is read once, from the envelope to the last byte of the last snapshot. Raises
    XapiFault if it is an error, ProtocolError if it is no reply or holds another type.
    """
    _check_text(body)
    try:
        reply = _decoder(cast("Hashable", returns)).decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        mismatch = str(error)
    else:
        _raise_fault_in(reply)
        result: T = reply.result
        return result
    _raise_fault_in(_envelope_of(body))
    raise ProtocolError(f"the answer is not what XAPI documents: {mismatch}")


def decode_records(body: bytes) -> dict[str, bytes]:
    """Return the records of a `get_all_records` by ref, each as the JSON text that came."""
    return {ref: bytes(raw) for ref, raw in decode(body, dict[Name, msgspec.Raw]).items()}


def decode_id(body: bytes) -> int:
    """Return the id of an event, which has 63 bits."""
    number: int = decode(body, _ID)
    return number


def decode_name(body: bytes) -> str:
    """Return a reference, or the name of something else."""
    name: str = decode(body, _NAME)
    return name


def decode_names(body: bytes) -> list[str]:
    """Return names, such as those of all methods."""
    return decode(body, list[Name])


def decode_events(body: bytes) -> list[Event]:
    """Return the batch of an `event.next`, in the order in which the server sent it."""
    return [_event(event) for event in decode(body, list[_Event])]


def decode_from(body: bytes) -> FromReply:
    """Return the batch of an `event.from` with the token to go on from."""
    reply = decode(body, _From)
    return FromReply([_event(event) for event in reply.events], reply.valid_ref_counts, reply.token)


def _check_text(body: bytes) -> None:
    """Refuse what is not UTF-8: inside a snapshot nobody else looks.

    The cause is not chained: it holds the body, and that of a login is a session ref.
    """
    if body.isascii():
        return  # The usual answer, which is not copied then: one of all VMs has many megabytes.
    try:
        body.decode("utf-8")
        return
    except UnicodeDecodeError as error:
        position = error.start
    raise ProtocolError(f"the answer is not UTF-8 text (byte {position})")


def _envelope_of(body: bytes) -> _Envelope:
    try:
        return _ENVELOPE.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(f"the answer is not JSON-RPC: {error}") from error


def _raise_fault_in(reply: _Reply[Any] | _Envelope) -> None:
    if reply.error is not _MISSING and bytes(reply.error) != b"null":
        raise _fault_in(reply.error)


def _fault_in(error: msgspec.Raw) -> XapiFault:
    try:
        value = _ERROR.decode(error)
    except msgspec.DecodeError:
        raise ProtocolError("the answer holds an error of unknown form") from None
    if isinstance(value, _ErrorObject):
        params = value.data if isinstance(value.data, list) else []
        return faults.from_reply(value.message, [_text(param) for param in params])
    if not value:
        raise ProtocolError("the answer holds an error without a code")
    return faults.from_reply(_text(value[0]), [_text(param) for param in value[1:]])


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode("utf-8")


def _event(wire: _Event) -> Event:
    snapshot = bytes(wire.snapshot)
    return Event(
        _event_id(wire.id),
        _server_time(wire.timestamp),
        wire.cls.lower(),
        # An operation that we do not know still says that the object was touched: it is kept as
        # a change, rather than ending the recording of this pool.
        _OPERATIONS.get(wire.operation, Operation.MOD),
        wire.ref,
        None if snapshot == b"null" else snapshot,
    )


def _event_id(text: str | int) -> int:
    """Return the id, which the wire carries as a text of digits."""
    is_number = isinstance(text, int) or (text.isascii() and text.isdigit() and len(text) < 20)
    number = int(text) if is_number else -1
    if not 0 <= number <= ID_MAX:
        raise ProtocolError(f"an event has the id {text!r:.40}, which is not a number")
    return number


@lru_cache(maxsize=16)
def _server_time(text: str | float) -> float:
    """Return seconds since 1970 from OCaml's text, such as `1795452673.`; 0.0 if it is none."""
    try:
        time_s = float(text)
    except ValueError:
        return 0.0
    return time_s if math.isfinite(time_s) else 0.0


@lru_cache(maxsize=64)
def _decoder(returns: Hashable) -> msgspec.json.Decoder[_Reply[Any]]:
    generic: Any = _Reply  # mypy knows no type that is chosen at run time
    return msgspec.json.Decoder(generic[returns])


_ID: Any = Id  # mypy takes an annotated type for no type
_NAME: Any = Name
_OPERATIONS = {operation.value: operation for operation in Operation}
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ERROR: msgspec.json.Decoder[_ErrorObject | list[Any]] = msgspec.json.Decoder(
    _ErrorObject | list[Any]
)
