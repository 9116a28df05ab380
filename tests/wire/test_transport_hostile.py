"""Answers made to hurt: without end, in drips and in crumbs. All cost a bounded time and memory."""

import tracemalloc
from itertools import count

import pytest
import trio
import trio.testing

from recorder.client.transport import PARTS_AT_ONCE, Address, Connection
from recorder.errors import ProtocolError, TransportError

Clock = trio.testing.MockClock

HOST = Address.parse("https://xen1")
MIB = 1024 * 1024
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Hose(trio.abc.Stream):
    """A host that sends `head` and then the same bytes for ever, once every `wait_s`."""

    def __init__(self, head: bytes, more: bytes, wait_s: float = 0.0) -> None:
        self.closed = False
        self._next = (head if number == 0 else more for number in count())
        self._wait_s = wait_s

    async def send_all(self, *_: object) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, *_: object) -> bytes:
        await trio.sleep(self._wait_s)
        return next(self._next)

    async def aclose(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()


async def ask(hose: Hose, *, reply_bytes_max: int = MIB, timeout_s: float | None = 120.0) -> bytes:
    connection = Connection(hose, HOST, reply_bytes_max=reply_bytes_max)
    return await connection.post("/jsonrpc", "text/plain", b"call", timeout_s=timeout_s)


@pytest.mark.parametrize(
    "head",
    [
        CHUNKED,
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        CONTINUE,
    ],
    ids=["chunks", "length", "headers", "continue"],
)
async def test_answer_that_drips_ends_with_the_time_of_the_call(
    head: bytes, autojump_clock: Clock
) -> None:
    """A byte a second is a sign of life, and no reason to wait for longer."""
    more = {CHUNKED: b"1\r\nx\r\n", CONTINUE: CONTINUE}.get(head, b"x")
    hose = Hose(head, more, wait_s=1.0)
    with pytest.raises(TransportError) as caught:
        await ask(hose)
    assert trio.current_time() == pytest.approx(120.0)
    assert str(caught.value) == (
        "https://xen1:443 did not end its answer within 120 s; the host may be overloaded"
    )
    assert hose.closed


@pytest.mark.parametrize("crumb", [b"1\r\nx\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n"])
async def test_memory_of_an_endless_answer_is_bounded(crumb: bytes) -> None:
    """Chunks of one byte take no more room than large ones: twice the limit, and what is read."""
    limit, reading = 16 * 1024, 2048
    hose = Hose(CHUNKED, crumb * (reading // len(crumb)))
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match=r"limits\.reply_mib_max allows 16384$"):
            await ask(hose, reply_bytes_max=limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * limit + 20 * reading
    assert hose.closed


@pytest.mark.parametrize("crumb", [b"1\r\nx\r\n", CONTINUE], ids=["chunks", "continue"])
async def test_answer_in_crumbs_leaves_others_their_turn(crumb: bytes) -> None:
    """One reading may hold ten thousand parts: other pools do not wait until all are looked at."""
    crumbs = 10_000
    hose = Hose(CHUNKED if crumb != CONTINUE else crumb, crumb * crumbs)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        with trio.move_on_after(60) as scope:
            readings = iter(range(2))
            inner = hose.receive_some

            async def some(max_bytes: int | None = None) -> bytes:
                if next(readings, None) is None:
                    scope.cancel()
                return await inner(max_bytes)

            hose.receive_some = some  # type: ignore[method-assign, assignment]
            await ask(hose, timeout_s=None)
        nursery.cancel_scope.cancel()
    assert turns >= crumbs // PARTS_AT_ONCE


async def test_headers_without_end_are_refused() -> None:
    """They are held in memory until their end: 64 KiB are enough."""
    with pytest.raises(
        ProtocolError, match=r"^https://xen1:443 does not answer in HTTP: "
    ) as caught:
        await ask(Hose(b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 4096 + b"\r\n"))
    assert len(str(caught.value)) < 300
