"""Pages beside the calls: exact method and path, answered by the head of the request alone."""

import math
from collections.abc import AsyncGenerator

import pytest
import trio
import trio.testing

from recorder.simulator import connection, http
from recorder.simulator.calls import Call, Result
from recorder.simulator.connection import Manners
from recorder.simulator.pages import PageReply, Pages

HEADERS = (("Connection", "keep-alive"), ("content-type", "text/plain"))


async def _answer(_call: Call) -> Result:
    return "called"


async def _may_reply() -> None:
    return None


async def _lines(*lines: str) -> AsyncGenerator[bytes, None]:
    for line in lines:
        yield line.encode()


async def _told(head: http.Head) -> PageReply:
    """Answer with what the page was given."""
    lines = [f"{sorted(head.query.items())}\n", f"{sorted(head.cookies.items())}\n"]
    return PageReply("200 OK", HEADERS, _lines(*lines))


async def _kept(_head: http.Head) -> PageReply:
    headers = (*HEADERS, ("content-length", "2"))
    return PageReply("200 OK", headers, _lines("ok"), close=False)


async def _refused(_head: http.Head) -> PageReply:
    page = "<h1>HTTP 401 unauthorised</h1>Please check your credentials and retry."
    raise http.HttpError(
        "401 Unauthorised", page, headers={"WWW-Authenticate": 'Basic realm="get_audit_log"'}
    )


PAGES: Pages = {("GET", "/told"): _told, ("GET", "/kept"): _kept, ("GET", "/no"): _refused}


async def _received(sent: bytes) -> bytes:
    ours, theirs = trio.testing.memory_stream_pair()
    manners = Manners(_answer, lambda: None, _may_reply, math.inf, PAGES)

    async def serve() -> None:
        await connection.converse(theirs, manners)
        await theirs.aclose()

    received = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await ours.send_all(sent)
        await ours.send_eof()
        async for data in ours:
            received += data
    return received


async def test_a_page_gets_query_and_cookies_decoded() -> None:
    """Escapes and plus signs are read; of a name that comes twice the first value counts."""
    received = await _received(
        b"GET /told?a=%C3%A9+x&b=1%2C2&a=2&c HTTP/1.1\r\nCookie: session_id=r%3a1; k=v\r\n\r\n"
    )
    assert received == (
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\ncontent-type: text/plain\r\n\r\n"
        b"[('a', '\xc3\xa9 x'), ('b', '1,2'), ('c', '')]\n[('k', 'v'), ('session_id', 'r:1')]\n"
    )


async def test_a_page_may_leave_the_connection_open() -> None:
    """After a reply with a length the next request is served."""
    received = await _received(b"GET /kept HTTP/1.1\r\n\r\n" * 2)
    assert received.count(b"content-length: 2\r\n\r\nok") == 2


async def test_a_page_may_refuse() -> None:
    """What a page raises is sent in place of its reply, byte for byte as recorded."""
    assert await _received(b"GET /no HTTP/1.1\r\n\r\n") == (
        b"HTTP/1.1 401 Unauthorised\r\ncontent-length: 96\r\ncontent-type: text/html\r\n"
        b"connection: close\r\ncache-control: no-cache, no-store\r\n"
        b'WWW-Authenticate: Basic realm="get_audit_log"\r\n\r\n'
        b"<html><body><h1>HTTP 401 unauthorised</h1>"
        b"Please check your credentials and retry.</body></html>"
    )


@pytest.mark.parametrize("line", [b"GET /told/x", b"PUT /told", b"GET /Told", b"HEAD /told"])
async def test_only_the_exact_method_and_path_is_a_page(line: bytes) -> None:
    """Anything else is what it would be without pages."""
    received = await _received(line + b" HTTP/1.1\r\n\r\n")
    assert received.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 501 "))


async def test_calls_are_served_beside_pages() -> None:
    """A POST to the path of a page is a call like any other."""
    body = b"<methodCall><methodName>m</methodName><params/></methodCall>"
    received = await _received(
        b"POST /told HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    )
    assert b"<value>called</value>" in received
