"""The faults that only real sockets can show: resets, and TLS that is never agreed on."""

import errno
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from recorder.simulator.faults.reading import plan_of
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.server import Served, Sockets, serve
from tests.simulator.faults.support import LOGIN, PASSWORD, request
from tests.simulator.network.support import dial


@asynccontextmanager
async def served(rule: dict[str, object]) -> AsyncIterator[Served]:
    """A pool on loopback with one rule."""
    async with trio.open_nursery() as nursery:
        spec = PoolSpec(hosts=1, vms=0, password=PASSWORD)
        (pool,) = await nursery.start(
            partial(serve, [spec], Sockets(tls_port=0), now_s=trio.current_time)
        )
        pool.front.faults.take(plan_of({"fault": [rule]}, "test"))
        yield pool
        nursery.cancel_scope.cancel()


async def test_a_reset_is_an_rst() -> None:
    """The client's read fails with ECONNRESET, not with an end of file."""
    async with served({"match": "session.*", "effect": "reset"}) as pool:
        async with await dial(pool.url) as stream:
            await stream.send_all(request(LOGIN, "root", PASSWORD))
            with pytest.raises(trio.BrokenResourceError) as error:
                await stream.receive_some()
        cause = error.value.__cause__
        assert isinstance(cause, OSError)
        assert cause.errno == errno.ECONNRESET


async def test_a_half_reply_ends_in_good_order() -> None:
    """The end of file comes after the bytes."""
    async with served({"match": "session.*", "effect": "half_reply"}) as pool:
        async with await dial(pool.url) as stream:
            await stream.send_all(request(LOGIN, "root", PASSWORD))
            got = b""
            async for piece in stream:
                got += piece
        assert got.startswith(b"HTTP/1.1 200 OK\r\n")


def _over_tls(stream: trio.SocketStream) -> trio.SSLStream[trio.SocketStream]:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return trio.SSLStream(stream, trusting)


async def test_a_handshake_is_never_answered() -> None:
    """The connection is open, TLS is not."""
    rule: dict[str, object] = {"match": "connect", "effect": "stall"}
    async with served(rule) as pool, await dial(str(pool.tls_url)) as stream:
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.05):
            await _over_tls(stream).do_handshake()


async def test_garbage_comes_in_place_of_a_handshake() -> None:
    """What answers is no TLS."""
    async with served({"match": "connect", "effect": "garbage"}) as pool:
        async with await dial(str(pool.tls_url)) as stream:
            with pytest.raises(trio.BrokenResourceError) as error:
                await _over_tls(stream).do_handshake()
        assert isinstance(error.value.__cause__, ssl.SSLError)


async def test_a_reply_over_tls_can_be_disturbed() -> None:
    """Above TLS, the rules for replies are the same."""
    rule: dict[str, object] = {"match": "session.*", "effect": "body", "text": "nonsense"}
    async with served(rule) as pool, await dial(str(pool.tls_url)) as below:
        stream = _over_tls(below)
        await stream.send_all(request(LOGIN, "root", PASSWORD))
        assert bytes(await stream.receive_some()).endswith(b"\r\n\r\nnonsense")
