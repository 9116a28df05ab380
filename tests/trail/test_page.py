"""Answers of a real xapi, however they are cut on their way; what is no answer is an error."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from recorder.client.address import Address
from recorder.client.line import Route
from recorder.client.tls import TlsPolicy
from recorder.client.transport import HttpRefused
from recorder.config import Limits
from recorder.errors import ProtocolError, TransportError
from recorder.pools.trail.page import LINE_BYTES_MAX, Splitter, open_page
from recorder.threads import inline
from tests.trail.test_ends import GOLDEN

TOKEN = "OpaqueRef:18ac0b9b-b943-0654-63d5-d98fb29974ef"
OK = sorted(path.name for path in GOLDEN.glob("*.resp") if path.read_bytes()[9:12] == b"200")
HEAD = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\ncontent-type: text/plain\r\n\r\n"


@asynccontextmanager
async def host(reply: bytes, *, piece: int = 1 << 20) -> AsyncIterator[tuple[Route, list[bytes]]]:
    """A host that answers one request with these bytes, and then closes; and what it was asked."""
    asked: list[bytes] = []

    async def serve(stream: trio.abc.Stream) -> None:
        async with stream:
            while not b"".join(asked).endswith(b"\r\n\r\n"):
                asked.append(bytes(await stream.receive_some(65536)))
            for at in range(0, len(reply), piece):
                await stream.send_all(reply[at : at + piece])

    async with trio.open_nursery() as nursery:

        async def dial(_address: Address) -> trio.abc.Stream:
            near, far = trio.testing.memory_stream_pair()
            nursery.start_soon(serve, far)
            await trio.lowlevel.checkpoint()
            return near

        limits = Limits(call_timeout_s=5.0, reply_mib_max=1)
        address = Address.parse("http://127.0.0.1")
        yield Route(address, TlsPolicy(), dial, limits, inline), asked
        nursery.cancel_scope.cancel()


async def lines_of(route: Route, since: bytes = b"", task: str | None = None) -> list[bytes]:
    found: list[bytes] = []
    async with open_page(route, TOKEN, since=since, task=task) as page:
        while (lines := await page.lines()) is not None:
            found += lines
    return found


@pytest.mark.parametrize("piece", [1, 7, 4096, 1 << 20])
@pytest.mark.parametrize("name", OK)
async def test_lines_of_a_real_xapi_come_verbatim(name: str, piece: int) -> None:
    """Every byte of every line, whoever wrote it; an empty answer has none."""
    reply = (GOLDEN / name).read_bytes()
    body = reply.partition(b"\r\n\r\n")[2]
    async with host(reply, piece=piece) as (route, _):
        found = await lines_of(route)
    assert b"".join(line + b"\n" for line in found) == body


def test_there_are_answers_with_lines_and_without() -> None:
    """The test above tests something."""
    sizes = [len((GOLDEN / name).read_bytes()) for name in OK]
    assert min(sizes) < 200
    assert max(sizes) > 10_000


@pytest.mark.parametrize(("name", "status"), [("22-no-permissions", 403), ("13-bad-session", 401)])
async def test_refusal_of_a_real_xapi_is_told_with_its_status(name: str, status: int) -> None:
    """And without the session."""
    async with host((GOLDEN / f"v25.32.0-{name}.resp").read_bytes()) as (route, _):
        with pytest.raises(HttpRefused) as refused:
            await lines_of(route)
    assert refused.value.status == status
    assert f"/audit_log answers HTTP {status}" in str(refused.value)
    assert TOKEN not in str(refused.value)


async def test_session_goes_as_a_cookie_and_not_in_the_path() -> None:
    """Proxies log paths."""
    async with host(HEAD) as (route, asked):
        assert await lines_of(route, b"20261123T17:13:34.250", "OpaqueRef:task") == []
    request, _, headers = b"".join(asked).partition(b"\r\n")
    assert request == (
        b"GET /audit_log?since=20261123T17:13:34.250&task_id=OpaqueRef:task HTTP/1.1"
    )
    assert f"session_id={TOKEN}".encode() in headers


async def test_half_a_line_at_the_end_is_not_a_line() -> None:
    """xapi ends each; the connection broke."""
    async with host(HEAD + b"one\ntwo\nthr") as (route, _):
        assert await lines_of(route) == [b"one", b"two"]


async def test_answer_that_does_not_end_is_left(autojump_clock: trio.testing.MockClock) -> None:
    """A host that says nothing more holds nobody up for ever."""
    stuck = trio.Event()
    async with host(HEAD + b"one\n") as (route, _):
        near, far = trio.testing.memory_stream_pair()

        async def dial(_address: Address) -> trio.abc.Stream:
            await far.send_all(HEAD + b"one\n")
            return near

        slow = Route(route.address, route.tls, dial, route.limits, inline)
        with pytest.raises(TransportError, match="did not go on with its answer within 5 s"):
            await lines_of(slow)
    assert not stuck.is_set()


async def test_answer_without_end_is_given_up() -> None:
    """Nobody has an audit trail of more bytes than the limit of an answer."""
    async with host(HEAD + b"x\n" * (1 << 20)) as (route, _):
        with pytest.raises(ProtocolError, match=r"limits\.reply_mib_max allows 1048576"):
            await lines_of(route)


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\n", b"nonsense\r\n\r\n"])
async def test_what_is_no_answer_is_an_error(reply: bytes) -> None:
    """A host may say anything."""
    async with host(reply) as (route, _):
        with pytest.raises((TransportError, ProtocolError)):
            await lines_of(route)


@pytest.mark.parametrize("token", ["a\r\nb: c", "a;b", "", "x" * 300, "é"])
async def test_session_that_would_break_the_request_is_not_sent(token: str) -> None:
    """A hostile server chooses it."""
    async with host(HEAD) as (route, asked):
        with pytest.raises(ProtocolError, match="a session that is no cookie"):
            async with open_page(route, token, since=b"", task=None):
                pass
    assert asked == []


def test_endless_line_is_cut() -> None:
    """It is kept all the same, in parts."""
    splitter = Splitter()
    found = [part for _ in range(3) for part in splitter.feed(b"x" * LINE_BYTES_MAX)]
    found += splitter.feed(b"\n\ny\n")
    assert b"".join(found) == b"x" * (3 * LINE_BYTES_MAX) + b"y"
    assert max(map(len, found)) == LINE_BYTES_MAX
