"""A host that has as many connections as it may have."""

from functools import partial

import trio
import trio.testing

from recorder.simulator.capacity import attend
from tests.simulator.network.support import QUIET_S


async def _echo(stream: trio.abc.Stream) -> None:
    async with stream:
        async for data in stream:
            await stream.send_all(data)


async def test_a_connection_too_many_waits_for_a_place(nursery: trio.Nursery) -> None:
    """The kernel connects it, nobody answers, and as soon as another has ended it is served."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(partial(attend, _echo, listener, connections_max=2))
    served = [await trio.testing.open_stream_to_socket_listener(listener) for _ in range(2)]
    for stream in served:
        await stream.send_all(b"first")
        assert await stream.receive_some() == b"first"
    late = await trio.testing.open_stream_to_socket_listener(listener)
    await late.send_all(b"late")
    with trio.move_on_after(QUIET_S) as quiet:
        await late.receive_some()
    assert quiet.cancelled_caught
    await served[0].aclose()
    assert await late.receive_some() == b"late"
    await served[1].send_all(b"still")
    assert await served[1].receive_some() == b"still"
    for stream in (late, served[1]):
        await stream.aclose()


async def test_a_place_is_free_again_when_a_connection_breaks(nursery: trio.Nursery) -> None:
    """However connections end, the host never runs out of places."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def handler(stream: trio.abc.Stream) -> None:
        try:
            await _echo(stream)
        except trio.BrokenResourceError:
            return

    nursery.start_soon(partial(attend, handler, listener, connections_max=1))
    for _ in range(5):
        stream = await trio.testing.open_stream_to_socket_listener(listener)
        await stream.send_all(b"here")
        assert await stream.receive_some() == b"here"
        await stream.send_all(b"gone")
        await trio.aclose_forcefully(stream)
