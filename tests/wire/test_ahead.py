"""A call that is sent with the answer before it: the host works while that is worked on."""

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing

from recorder.client.transport import Connection, HttpRefused
from recorder.errors import TransportError
from tests.fakes import FakeHost
from tests.wire.pools import Pool
from tests.wire.test_session import EVENT, names_of
from tests.wire.test_transport import HOST, OK, REPLY_BYTES_MAX, Script


async def test_next_call_is_sent_with_the_answer_and_only_once() -> None:
    """The host works on the next answer while this one is worked on; nothing is asked twice."""
    script = Script(OK, OK.replace(b"hello", b"world"), stays=True)
    assert await script.post(ahead=b"next") == b"hello"
    assert script.sent.get_data_nowait().endswith(b"\r\n\r\nnext")
    assert await script.post() == b"world"
    await script.sent.aclose()
    assert await script.sent.get_data() == b""


async def test_nothing_is_asked_ahead_after_a_refusal_or_the_last_answer() -> None:
    """Where the connection ends, or the host refuses, the next call is made anew."""
    closing = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    refusing = OK.replace(b"200 OK", b"500 Bad")
    for answer in (closing, refusing):
        script = Script(answer, stays=True)
        with contextlib.suppress(HttpRefused):
            await script.post(ahead=b"next")
        assert not script.sent.get_data_nowait().endswith(b"next")
        assert not script.connection.was_asked_ahead
        assert not script.connection.usable


async def test_answer_is_not_lost_with_the_call_that_follows_it() -> None:
    """Where the connection breaks behind an answer, whoever waits for the next one is told."""
    receive = trio.testing.MemoryReceiveStream()
    calls: list[None] = []

    def send() -> None:
        calls.append(None)
        if len(calls) > 1:
            raise trio.BrokenResourceError
        receive.put_data(OK)

    sends = trio.testing.MemorySendStream(send_all_hook=_checkpointed(send))
    connection = Connection(
        trio.StapledStream(sends, receive), HOST, reply_bytes_max=REPLY_BYTES_MAX
    )
    post = partial(connection.post, "/jsonrpc", "text/plain", b"call", timeout_s=5.0)
    assert await post(ahead=b"next") == b"hello"
    receive.put_eof()
    with pytest.raises(TransportError, match="closed the connection without an answer"):
        await post()
    assert len(calls) == 2


def _checkpointed(step: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def stepped() -> None:
        await trio.lowlevel.checkpoint()
        step()

    return stepped


async def test_answer_that_was_asked_for_ahead_counts_as_come_before_it_was_waited_for(
    autojump_clock: object,
) -> None:
    """Nobody saw when it came: it may be as old as the call."""
    script = Script(OK, OK, stays=True)
    began_s = trio.current_time()
    await script.post(ahead=b"next")
    await trio.sleep(100)
    await script.post()
    assert script.connection.asked_at_s == began_s
    assert script.connection.answered_at_s == began_s


async def test_next_events_can_ask_for_the_batch_after_it(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    """The server makes it while the first is worked on; it comes to whoever waits next."""
    host = FakeHost({"event.next": lambda _session: [EVENT]})
    pool = Pool(nursery, xen1=host)
    async with pool.open("xen1") as session, session.open_line() as second:
        for number in range(1, 4):
            assert len(await second.next_events(ahead=True)) == 1
            asked_at_s = second.asked_at_s
            await trio.sleep(1000)  # longer than any other connection would be trusted
            assert names_of(host).count("event.next") == number + 1
            assert asked_at_s == trio.current_time() - 1000
        assert len(pool.network.dialled) == 2
