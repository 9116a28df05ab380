"""One connection of a client: requests one after the other, until either side has enough.

A request is a call (POST on any path) unless `Manners.pages` has its exact method and path: then
the page there answers it by its head alone. See `pages` for what a page gets and gives.
"""

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing

import msgspec
import trio
from msgspec.structs import replace

from . import http, jsonwire, xmlwire
from .calls import Call, MalformedError, Result
from .coerce import check_texts
from .emergency import is_emergency_call
from .pages import PageReply, Pages
from .values import Fault

FIRST_HEAD_S_MAX = 10.0
"""How long xapi waits for each piece of the first head on TCP (header_read_timeout_tcp).

Later requests may take their time.
"""
FIRST_HEAD_TOTAL_S_MAX = 60.0
"""How long all pieces of the first head may take together (header_total_timeout_tcp)."""
_CHUNK_BYTES = 65_536
_JSON = "application/json"
_XML = "text/xml"
_RPC_JSON_PREFIX = "/jsonrpc"

Answer = Callable[[Call], Awaitable[Result]]


class Manners(msgspec.Struct, frozen=True):
    """What a connection is allowed, and who answers its calls.

    `emergency` returns the fault that a host in emergency mode gives to every call, before
    anything else is looked at. `may_reply` is awaited before each reply. `first_head_s_max` is
    infinite on a unix socket. `pages` are served beside the calls.
    """

    answer: Answer
    emergency: Callable[[], Fault | None]
    may_reply: Callable[[], Awaitable[None]]
    first_head_s_max: float
    pages: Pages = msgspec.field(default_factory=dict)


class _Inlet:
    """Bytes from a peer, in the pieces that HTTP is made of."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def head(self, read_s_max: float) -> bytes | None:
        """Return a request head with its empty line, None at the end of the stream.

        Raises HttpError if it is longer than HEAD_BYTES_MAX, or does not come in time.
        """
        total_s_max = math.inf if math.isinf(read_s_max) else FIRST_HEAD_TOTAL_S_MAX
        deadline = trio.current_time() + total_s_max
        searched = 0
        while True:
            end = self._buffer.find(b"\r\n\r\n", max(searched - 3, 0), http.HEAD_BYTES_MAX)
            enough = len(self._buffer) >= http.FIRST_READ_BYTES
            if end >= 0 and enough:
                # xapi reads FIRST_READ_BYTES in any case and forgets what a shorter head left over.
                return self._take(max(end + 4, http.FIRST_READ_BYTES))[: end + 4]
            if len(self._buffer) >= http.HEAD_BYTES_MAX:
                raise http.head_too_large()
            searched = len(self._buffer)
            if trio.current_time() > deadline:
                raise http.too_slow()
            if not await self._more(read_s_max):
                return None

    async def exactly(self, count: int) -> bytes | None:
        """Return this many bytes, None if the stream ends before."""
        while len(self._buffer) < count:
            if not await self._more(math.inf):
                return None
        return self._take(count)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _more(self, limit_s: float) -> bool:
        with trio.move_on_after(limit_s):
            data = await self._stream.receive_some(_CHUNK_BYTES)
            self._buffer += data
            return bool(data)
        raise http.too_slow()


async def converse(stream: trio.abc.Stream, manners: Manners) -> None:
    """Answer the requests of one connection until it ends.

    The caller closes the stream. Raises what the stream raises when the peer is gone.
    """
    inlet = _Inlet(stream)
    limit_s = manners.first_head_s_max
    try:
        while (raw := await inlet.head(limit_s)) is not None:
            limit_s = math.inf
            head = http.parse_head(raw)
            if not await _serve(head, inlet, stream, manners):
                return
    except http.HttpError as error:
        await manners.may_reply()
        await stream.send_all(error.encode())


async def _serve(head: http.Head, inlet: _Inlet, stream: trio.abc.Stream, manners: Manners) -> bool:
    """Answer one request; return whether the connection may go on."""
    page = manners.pages.get((head.method, head.path))
    if page is not None:
        reply = await page(head)
        await _send_page(stream, reply, manners)
        return not reply.close
    pieces = await _reply(head, inlet, manners)
    if pieces is None:
        return False
    await manners.may_reply()
    for piece in pieces:
        await stream.send_all(piece)
    return not head.close


async def _send_page(stream: trio.abc.Stream, reply: PageReply, manners: Manners) -> None:
    try:
        await manners.may_reply()
        async with aclosing(reply.body) as pieces:
            await stream.send_all(reply.encode_head())
            async for piece in pieces:
                await stream.send_all(piece)
    finally:
        # A body that was never begun has no end of its own to clean up at.
        reply.done()


async def _reply(head: http.Head, inlet: _Inlet, manners: Manners) -> list[bytes] | None:
    """Return the reply to one request, None if the peer went away in the middle of it."""
    refusal = http.refusal(head)
    if refusal is not None:
        raise refusal
    if head.method == "OPTIONS":
        return [http.encode_options(head)]
    body = await inlet.exactly(http.body_length(head))
    if body is None:
        return None
    try:
        if head.path.startswith(_RPC_JSON_PREFIX):
            return await _json_reply(head, body, manners)
        return await _xml_reply(head, body, manners)
    except MalformedError as error:
        raise http.internal_error(str(error), head=head) from error


async def _xml_reply(head: http.Head, body: bytes, manners: Manners) -> list[bytes]:
    call = replace(xmlwire.decode_call(body), headers=head.headers)
    try:
        _check(call, manners)
    except Fault as raised:
        headers = http.raised_headers(head, _XML)
        return await _framed(head, headers, iter([xmlwire.encode_failure(raised)]))
    headers = http.rpc_headers(head, _XML)
    try:
        result = await manners.answer(call)
        if call.method == "system.listMethods":
            return await _framed(head, headers, iter([xmlwire.encode_bare(result)]))
        return await _framed(head, headers, xmlwire.success_pieces(result))
    except Fault as fault:
        return await _framed(head, headers, iter([xmlwire.encode_failure(fault)]))


async def _json_reply(head: http.Head, body: bytes, manners: Manners) -> list[bytes]:
    request = jsonwire.decode_request(body)
    try:
        _check(request.call, manners)
    except Fault as raised:
        headers = http.raised_headers(head, _JSON)
        return await _framed(head, headers, iter([jsonwire.encode_raised(raised)]))
    headers = http.rpc_headers(head, _JSON)
    try:
        result = await manners.answer(replace(request.call, headers=head.headers))
        return await _framed(head, headers, jsonwire.success_pieces(request, result))
    except Fault as fault:
        return await _framed(head, headers, iter([jsonwire.encode_failure(request, fault)]))


def _check(call: Call, manners: Manners) -> None:
    """Raise the Fault of a call that does not get as far as the dispatch."""
    raised = None if is_emergency_call(call.method) else manners.emergency()
    if raised is not None:
        raise raised
    check_texts(call.params)


async def _framed(
    head: http.Head, headers: Mapping[str, str], body: Iterator[bytes]
) -> list[bytes]:
    """Return a reply in pieces. Others get their turn between any two pieces of the body."""
    pieces = [next(body)]
    for piece in body:
        await trio.lowlevel.checkpoint()
        pieces.append(piece)
    length = sum(map(len, pieces))
    pieces[0] = http.reply_head(head.reply_version, "200 OK", headers, length) + pieces[0]
    return pieces
