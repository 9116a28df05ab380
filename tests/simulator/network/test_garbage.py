"""Whatever comes in, the server goes on."""

import random
from contextlib import suppress

import pytest
import trio
import trio.testing

from recorder.simulator.front import Front
from recorder.simulator.http import BODY_BYTES_MAX, HEAD_BYTES_MAX
from recorder.simulator.server import Served
from tests.simulator.network.mutations import case, recorded_requests
from tests.simulator.network.support import PASSWORD, dial, receive

LOGIN = (
    b'{"method":"session.login_with_password","params":["root","%s"],"id":1}' % PASSWORD.encode()
)


def _post(body: bytes, *extra: bytes, path: bytes = b"/jsonrpc") -> bytes:
    lines = [b"POST %s HTTP/1.1" % path, b"content-length: %d" % len(body), *extra]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def _still_serves(url: str) -> None:
    async with await dial(url) as stream:
        await stream.send_all(_post(LOGIN))
        assert b'"result":"OpaqueRef:' in await receive(stream, 250)


async def _answer(front: Front, sent: bytes) -> bytes:
    """Send bytes over a stream in memory, end it, and return all that came back."""
    ours, theirs = trio.testing.memory_stream_pair()
    reply = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(front.serve_stream, theirs)
        await ours.send_all(sent)
        await ours.send_eof()
        while data := await ours.receive_some():
            reply += data
    return bytes(reply)


async def test_random_bytes_never_stop_the_server(served: Served) -> None:
    """Noise of any length, with or without a request around it, leaves the server working."""
    rng = random.Random(20)
    for _ in range(60):
        noise = rng.randbytes(rng.randrange(1, 3000))
        await _answer(served.front, rng.choice([noise, noise + b"\r\n\r\n", _post(noise)]))
        await _answer(served.front, _post(noise, path=b"/"))
    await _still_serves(served.url)


async def test_mutilated_requests_never_stop_the_server(served: Served) -> None:
    """A request with some bytes changed is answered or refused, and the next one is served."""
    rng = random.Random(21)
    for _ in range(200):
        request = bytearray(_post(LOGIN))
        for _ in range(rng.randrange(1, 6)):
            request[rng.randrange(len(request))] = rng.randrange(256)
        await _answer(served.front, bytes(request))
    await _still_serves(served.url)


async def test_half_requests_are_dropped(served: Served) -> None:
    """A peer that goes away in the middle of head or body gets no reply."""
    whole = _post(LOGIN)
    for length in range(0, len(whole), 7):
        assert await _answer(served.front, whole[:length]) == b""
    await _still_serves(served.url)


async def test_a_peer_that_resets_is_forgotten(served: Served) -> None:
    """A connection that is torn down by force does no harm."""
    for _ in range(10):
        stream = await dial(served.url)
        await stream.send_all(_post(LOGIN)[:40])
        await trio.aclose_forcefully(stream)
    await _still_serves(served.url)


@pytest.mark.parametrize("length", [BODY_BYTES_MAX + 1, 10**12, -1])
async def test_a_body_of_impossible_length_is_refused(length: int, served: Served) -> None:
    """More than 300 KiB, or less than nothing, is HTTP 500 and the end of the connection."""
    reply = await _answer(
        served.front, b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % length + b"x" * 100
    )
    assert reply.startswith(b"HTTP/1.1 500 Internal Error\r\n")
    assert reply.count(b"HTTP/") == 1


async def test_the_largest_body_is_taken(served: Served) -> None:
    """A body of exactly 300 KiB is read and understood."""
    padded = LOGIN[:-1] + b" " * (BODY_BYTES_MAX - len(LOGIN)) + b"}"
    reply = await _answer(served.front, _post(padded))
    assert b'"result":"OpaqueRef:' in reply


async def test_the_longest_head_is_taken_and_a_longer_one_refused(served: Served) -> None:
    """A head of 1006 bytes fits into the buffer of xapi; one byte more is HTTP 431."""
    lines = b"POST /jsonrpc HTTP/1.1\r\ncontent-length: %d\r\nx: \r\n\r\n" % len(LOGIN)
    for length, status in ((HEAD_BYTES_MAX, b"200 OK"), (HEAD_BYTES_MAX + 1, b"431 Request")):
        head = lines.replace(b"x: ", b"x: " + b"y" * (length - len(lines)))
        assert (await _answer(served.front, head + LOGIN)).startswith(b"HTTP/1.1 " + status)


async def test_a_lie_about_the_length_is_believed(served: Served) -> None:
    """Too long, and the rest never comes; too short, and the rest is the next request."""
    whole = _post(LOGIN)
    assert await _answer(served.front, whole.replace(b": %d" % len(LOGIN), b": 4000")) == b""
    cut = await _answer(served.front, whole.replace(b": %d" % len(LOGIN), b": 5"))
    assert b"Unexpected end of input" in cut
    replies = await _answer(served.front, whole.replace(b"length: ", b"length: 0x0\r\nn: ") + whole)
    assert b"Blank input data" in replies


@pytest.mark.parametrize("length", [b"0x%x", b"0u%d", b"+%d", b" %d\t"])
async def test_a_length_is_read_as_ocaml_reads_numbers(length: bytes, served: Served) -> None:
    """Other bases and a sign are as good as plain digits."""
    text = length % len(LOGIN)
    request = _post(LOGIN).replace(b": %d" % len(LOGIN), b": " + text)
    assert b'"result":"OpaqueRef:' in await _answer(served.front, request)


@pytest.mark.parametrize(
    "line",
    [
        b"POST http://host:80/jsonrpc?x=1 HTTP/1.1",
        b"POST /%6Asonrpc HTTP/1.1",
        b"POST\t/jsonrpc\x0b HTTP/1.1",
        b"POST /jsonrpc PTTH/1.1",
        b"POST /jsonrpc/any/thing HTTP/3.0",
    ],
)
async def test_request_lines_are_read_generously(line: bytes, served: Served) -> None:
    """Whole URIs, escapes, other white space and other protocols are all served."""
    request = _post(LOGIN).replace(b"POST /jsonrpc HTTP/1.1", line)
    reply = await _answer(served.front, request)
    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"result":"OpaqueRef:' in reply


async def test_a_request_line_without_a_version_is_an_exception(served: Served) -> None:
    """xapi cuts five letters off the third word; a shorter one makes it raise."""
    reply = await _answer(served.front, b"POST /jsonrpc HTTP\r\n\r\n")
    assert b"Invalid_argument(&quot;String.sub / Bytes.sub&quot;)" in reply


async def test_text_that_is_no_text_is_refused_before_the_dispatch(served: Served) -> None:
    """INVALID_VALUE in the form of early errors, with the bytes as they came."""
    body = b'{"jsonrpc":"2.0","method":"no.such","params":[["a\xff"]],"id":5}'
    reply = await _answer(served.front, _post(body))
    assert reply.endswith(
        b'\r\n\r\n{"jsonrpc":"2.0","error":["INVALID_VALUE",'
        b'"Invalid UTF-8 string in parameter","[S(a\xff)]"],"id":0}'
    )
    assert b"Access-Control" not in reply


async def test_a_head_without_end_is_refused(served: Served) -> None:
    """More than 1 KiB of headers is HTTP 431."""
    reply = await _answer(served.front, b"POST / HTTP/1.1\r\nx: " + b"y" * 4000)
    assert reply.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


async def test_a_bad_request_line_is_refused(served: Served) -> None:
    """A line that is no request line is HTTP 500 with xapi's words."""
    reply = await _answer(served.front, b"hello, is this the pool?\r\n\r\n")
    assert b"<h1> Additional information </h1>The HTTP headers could not be parsed.<" in reply


async def test_a_client_that_says_nothing_is_sent_away(
    served: Served, mock_clock: trio.testing.MockClock
) -> None:
    """The first request must begin within 10 s; HTTP 408 otherwise."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.front.serve_stream, theirs)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(10.5)
        assert (await ours.receive_some()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.parametrize(
    ("pause_s", "reply"), [(9.0, b"HTTP/1.1 408 "), (2.0, b"HTTP/1.1 200 ")], ids=["slow", "ok"]
)
async def test_a_slow_head_has_a_minute(
    pause_s: float, reply: bytes, served: Served, autojump_clock: trio.testing.MockClock
) -> None:
    """Each piece of the first head may take 10 s, all of them 60 s; a body may take any time."""
    ours, theirs = trio.testing.memory_stream_pair()
    head, body = _post(LOGIN)[: -len(LOGIN)], LOGIN
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.front.serve_stream, theirs)
        try:
            for place in range(0, len(head), 5):
                await trio.sleep(pause_s)
                await ours.send_all(head[place : place + 5])
            await trio.sleep(3600)
            await ours.send_all(body)
        except trio.BrokenResourceError:
            assert reply.endswith(b"408 ")
        assert (await ours.receive_some()).startswith(reply)
        await ours.aclose()


async def test_mutated_requests_over_real_sockets_never_stop_the_server(served: Served) -> None:
    """The kernel cuts and resets as it likes; afterwards an ordinary call works."""
    requests = recorded_requests()
    for number in range(40):
        played = case(99, number, requests, [b"OpaqueRef:nobody"])
        async with await dial(served.url) as stream:
            with trio.move_on_after(0.05), suppress(trio.BrokenResourceError):
                await stream.send_all(played.sent)
                await stream.send_eof()
                async for _data in stream:
                    continue
    await _still_serves(served.url)


async def test_tls_noise_is_dropped(served: Served) -> None:
    """Plain text on the TLS port ends that connection only."""
    assert served.tls_url is not None
    async with await dial(served.tls_url) as stream:
        await stream.send_all(_post(LOGIN))
        await receive(stream, 10_000)
    await _still_serves(served.url)
