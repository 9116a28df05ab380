"""TLS as a stream: every byte in its order, every record that has come, and an end that is told."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import pytest
import trio
import trio.testing
import trustme

from recorder.client.tlsstream import RECORD_BYTES_MAX, TlsStream

LEAF = trustme.CA().issue_cert("127.0.0.1")
DATA = Random(1).randbytes(20 * RECORD_BYTES_MAX)
ALL = 10 * len(DATA)

Serve = Callable[[trio.SSLStream[trio.SocketStream]], Awaitable[None]]


@asynccontextmanager
async def connected(
    serve: Serve, *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> AsyncIterator[TlsStream]:
    """Connect to a server on loopback that does one thing and closes the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    LEAF.configure_cert(context)

    async def handle(plain: trio.SocketStream) -> None:
        async with plain:
            await serve(trio.SSLStream(plain, context, server_side=True))

    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        plain = await trio.open_tcp_stream(*listeners[0].socket.getsockname())
        async with TlsStream(plain, unchecked, host="127.0.0.1") as stream:
            await stream.do_handshake()
            yield stream
        nursery.cancel_scope.cancel()


async def read_all(stream: TlsStream) -> bytes:
    parts = []
    while part := await stream.receive_some(ALL):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_every_byte_arrives_until_the_server_is_gone(newest: ssl.TLSVersion) -> None:
    """A server that closes without a good-bye ends the stream, and no byte is missing."""
    async with connected(lambda server: server.send_all(DATA), newest=newest) as stream:
        assert await read_all(stream) == DATA


async def test_a_good_bye_ends_the_stream_as_well() -> None:
    """What a server says on closing is no error."""

    async def serve(server: trio.SSLStream[trio.SocketStream]) -> None:
        await server.send_all(DATA)
        await server.unwrap()

    async with connected(serve) as stream:
        assert await read_all(stream) == DATA


async def test_all_records_that_have_come_are_read_at_once() -> None:
    """One reading returns as many records as are there, up to what was asked for."""
    sent = trio.Event()

    async def serve(server: trio.SSLStream[trio.SocketStream]) -> None:
        await server.send_all(DATA[: 5 * RECORD_BYTES_MAX])
        sent.set()
        await trio.sleep_forever()

    async with connected(serve) as stream:
        await sent.wait()
        first = await stream.receive_some(3 * RECORD_BYTES_MAX)
        rest = await stream.receive_some(ALL)
    assert len(first) == 3 * RECORD_BYTES_MAX
    assert first + rest == DATA[: 5 * RECORD_BYTES_MAX]


async def test_what_came_before_a_broken_record_is_read() -> None:
    """What is no TLS breaks the stream, but only behind the last good record."""

    async def serve(server: trio.SSLStream[trio.SocketStream]) -> None:
        await server.send_all(DATA)
        await server.transport_stream.send_all(b"x" * 100)
        await trio.sleep_forever()

    read = bytearray()
    async with connected(serve) as stream:
        while len(read) < len(DATA):
            read += await stream.receive_some(ALL)
        with pytest.raises(trio.BrokenResourceError) as broken:
            await stream.receive_some(ALL)
    assert bytes(read) == DATA
    assert isinstance(broken.value.__cause__, ssl.SSLError)


async def test_more_is_sent_than_the_system_takes_at_once() -> None:
    """The sender waits for a receiver that is slow, and every byte arrives."""
    received = bytearray()
    done = trio.Event()

    async def serve(server: trio.SSLStream[trio.SocketStream]) -> None:
        while len(received) < ALL:
            received.extend(await server.receive_some())
        done.set()

    async with connected(serve) as stream:
        await stream.send_all(DATA * 10)
        await done.wait()
    assert bytes(received) == DATA * 10


async def test_who_waits_for_data_can_be_cancelled_and_reads_on() -> None:
    """A cancelled reading has lost nothing."""
    go = trio.Event()

    async def serve(server: trio.SSLStream[trio.SocketStream]) -> None:
        await server.do_handshake()
        await go.wait()
        await server.send_all(b"hello")

    async with connected(serve) as stream:
        with trio.move_on_after(0) as scope:
            await stream.receive_some(ALL)
        assert scope.cancelled_caught
        go.set()
        assert await read_all(stream) == b"hello"


async def test_a_closed_stream_tells_that_it_is_broken() -> None:
    """Who uses it after that learns so by the exception that streams have for it."""
    async with connected(lambda server: server.do_handshake()) as stream:
        await stream.aclose()
        await stream.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some(ALL)


async def test_a_stream_that_ended_is_at_its_end_whatever_is_sent() -> None:
    """After its good-bye a server has nothing more to say, even if it keeps the connection."""

    async def serve(server: trio.SSLStream[trio.SocketStream]) -> None:
        await server.send_all(DATA)
        with contextlib.suppress(trio.BrokenResourceError):
            await server.unwrap()
        await trio.sleep_forever()

    async with connected(serve, newest=ssl.TLSVersion.TLSv1_3) as stream:
        assert await read_all(stream) == DATA
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(b"hello")
        with trio.fail_after(5):
            assert await stream.receive_some(ALL) == b""


async def test_a_stream_that_is_closed_after_sending_is_broken() -> None:
    """Also for who would wait for the answer to what was sent."""
    async with connected(lambda server: server.do_handshake()) as stream:
        await stream.send_all(b"hello")
        await stream.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some(ALL)


async def test_answers_follow_calls_however_often() -> None:
    """Nothing that has come is waited for again: each call gets the whole of its answer."""

    async def serve(server: trio.SSLStream[trio.SocketStream]) -> None:
        while called := await server.receive_some():
            await server.send_all(DATA[: 1_000 * called[0]])

    async with connected(serve) as stream:
        for kilobytes in (1, 200, 16, 17, 1):
            await stream.send_all(bytes([kilobytes]))
            answer = b""
            with trio.fail_after(5):
                while len(answer) < 1_000 * kilobytes:
                    answer += await stream.receive_some(20_000)
            assert answer == DATA[: 1_000 * kilobytes]


async def test_who_waits_for_data_is_told_that_the_stream_is_closed() -> None:
    """It is not left waiting for a socket that is gone, or that somebody else has by now."""

    async def serve(server: trio.SSLStream[trio.SocketStream]) -> None:
        await server.do_handshake()
        await trio.sleep_forever()

    async def wait() -> None:
        with trio.fail_after(5), pytest.raises(trio.ClosedResourceError):
            await stream.receive_some(ALL)

    async with connected(serve) as stream, trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await stream.aclose()
