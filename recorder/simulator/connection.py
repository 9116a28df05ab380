"""One connection of a client: requests one after the other, until either side has enough."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from . import http, jsonwire, xmlwire
from .calls import Call, MalformedError, Result
from .values import Fault

FIRST_HEAD_S_MAX = 10.0
"""How long xapi waits for bytes of the first head on TCP; later requests may take their time."""
_CHUNK_BYTES = 65_536
_JSON = "application/json"
_XML = "text/xml"
_RPC_JSON_PREFIX = "/jsonrpc"

Answer = Callable[[Call], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Manners:
    """What a connection is allowed, and who answers its calls.

    `emergency` returns the fault that a host in emergency mode gives to every call, before
    anything else is looked at. `may_reply` is awaited before each reply. `first_head_s_max` is
    infinite on a unix socket.
    """

    answer: Answer
    emergency: Callable[[], Fault | None]
    may_reply: Callable[[], Awaitable[None]]
    first_head_s_max: float


class _Inlet:
    """Bytes from a peer, in the pieces that HTTP is made of."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def head(self) -> bytes | None:
        """Return a request head with its empty line, None at the end of the stream.

        Raises HttpError if it is longer than HEAD_BYTES_MAX.
        """
        searched = 0
        while True:
            end = self._buffer.find(b"\r\n\r\n", max(searched - 3, 0))
            enough = len(self._buffer) >= http.FIRST_READ_BYTES
            if end >= 0 and enough:
                # xapi reads FIRST_READ_BYTES in any case and forgets what a shorter head left over.
                return self._take(max(end + 4, http.FIRST_READ_BYTES))[: end + 4]
            if len(self._buffer) > http.HEAD_BYTES_MAX:
                raise http.head_too_large()
            searched = len(self._buffer)
            if not await self._more():
                return None

    async def exactly(self, count: int) -> bytes | None:
        """Return this many bytes, None if the stream ends before."""
        while len(self._buffer) < count:
            if not await self._more():
                return None
        return self._take(count)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _more(self) -> bool:
        data = await self._stream.receive_some(_CHUNK_BYTES)
        self._buffer += data
        return bool(data)


async def converse(stream: trio.abc.Stream, manners: Manners) -> None:
    """Answer the requests of one connection until it ends.

    The caller closes the stream. Raises what the stream raises when the peer is gone.
    """
    inlet = _Inlet(stream)
    limit_s = manners.first_head_s_max
    try:
        while (head := await _next_head(inlet, limit_s)) is not None:
            limit_s = float("inf")
            reply = await _reply(head, inlet, manners)
            if reply is None:
                return
            await manners.may_reply()
            await stream.send_all(reply)
            if head.close:
                return
    except http.HttpError as error:
        await manners.may_reply()
        await stream.send_all(error.encode())


async def _next_head(inlet: _Inlet, limit_s: float) -> http.Head | None:
    with trio.move_on_after(limit_s):
        raw = await inlet.head()
        return None if raw is None else http.parse_head(raw)
    raise http.too_slow()


async def _reply(head: http.Head, inlet: _Inlet, manners: Manners) -> bytes | None:
    """Return the reply to one request, None if the peer went away in the middle of it."""
    refusal = http.refusal(head)
    if refusal is not None:
        raise refusal
    if head.method == "OPTIONS":
        return http.encode_options(head)
    body = await inlet.exactly(http.body_length(head))
    if body is None:
        return None
    try:
        if head.path.startswith(_RPC_JSON_PREFIX):
            return await _json_reply(head, body, manners)
        return await _xml_reply(head, body, manners)
    except MalformedError as error:
        raise http.internal_error(str(error), head=head) from error


async def _xml_reply(head: http.Head, body: bytes, manners: Manners) -> bytes:
    call = xmlwire.decode_call(body)
    raised = manners.emergency()
    if raised is not None:
        return http.encode_raised(head, _XML, xmlwire.encode_failure(raised))
    try:
        result = await manners.answer(call)
        if call.method == "system.listMethods":
            return http.encode_reply(head, _XML, xmlwire.encode_bare(result))
        return http.encode_reply(head, _XML, xmlwire.encode_success(result))
    except Fault as fault:
        return http.encode_reply(head, _XML, xmlwire.encode_failure(fault))


async def _json_reply(head: http.Head, body: bytes, manners: Manners) -> bytes:
    request = jsonwire.decode_request(body)
    raised = manners.emergency()
    if raised is not None:
        return http.encode_raised(head, _JSON, jsonwire.encode_raised(raised))
    try:
        result = await manners.answer(request.call)
        return http.encode_reply(head, _JSON, jsonwire.encode_success(request, result))
    except Fault as fault:
        return http.encode_reply(head, _JSON, jsonwire.encode_failure(request, fault))
