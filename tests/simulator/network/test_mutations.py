"""Recorded requests, mutated: whatever comes in, the server answers as xapi could, and goes on.

Everything runs in memory and in virtual time; what a case sends follows from its seed and number.
"""

import json
import logging
import re
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from tests.simulator.network.mutations import REF, Case, case, recorded_requests
from tests.simulator.network.support import NOW_S, PASSWORD

CASES = 300
"""Cases a seed."""
SEEDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 334))]
"""The long form has 100,000 cases."""
PATIENCE_S = 200.0
"""When a client gives up; longer than any pause of a case and any timeout of xapi's."""
STATUSES = {
    b"200 OK",
    b"403 Forbidden",
    b"408 Request Timeout",
    b"431 Request Header Fields Too Large",
    b"500 Internal Error",
    b"501 Method not implemented",
}
_HEAD = re.compile(
    rb"HTTP/1\.[01] ([^\r\n]+)\r\ncontent-length: (\d+)\r\n((?:[A-Za-z-]+: [^\r\n]*\r\n)+)\r\n"
)


def _checked_replies(received: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield status and body of every reply. Fails where it is no reply of xapi's."""
    while received:
        head = _HEAD.match(received)
        assert head is not None, received[:300]
        status, length, headers = head[1], int(head[2]), head[3]
        body, received = received[head.end() :][:length], received[head.end() + length :]
        assert status in STATUSES
        assert len(body) == length, "the reply is cut"
        closes = b"connection: close\r\n" in headers
        assert closes or b"connection: keep-alive\r\n" in headers
        assert not (closes and received), "more came after the last reply"
        _check_body(status, headers, body)
        yield status, body


def _check_body(status: bytes, headers: bytes, body: bytes) -> None:
    if status != b"200 OK":
        assert b"content-type: text/html\r\n" in headers
        assert b"connection: close\r\n" in headers
        assert re.fullmatch(rb"<html><body>.*</body></html>", body, re.DOTALL)
    elif b"content-type: application/json" in headers:
        reply = json.loads(body.decode("utf-8", "surrogateescape"), strict=False)
        assert {"id"} < set(reply)
    elif b"content-type: text/xml" in headers:
        assert body.startswith(b'<?xml version="1.0"?><methodResponse><params><param><value>')
        assert body.endswith(b"</value></param></params></methodResponse>")
    else:
        assert body == b"", "only OPTIONS is answered without a type"


async def _send(stream: trio.abc.HalfCloseableStream, sent: Case) -> None:
    try:
        for pause_s, piece in sent.pieces:
            await trio.sleep(pause_s)
            await stream.send_all(piece)
        if sent.ends:
            await stream.send_eof()
    except trio.BrokenResourceError:
        pass  # The server has closed: it may.


async def _received(front: Front, sent: Case) -> bytes:
    """Play a case on a connection of its own; return all that came back."""
    ours, theirs = trio.testing.memory_stream_pair()
    received = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(front.serve_stream, theirs)
        nursery.start_soon(_send, ours, sent)
        with trio.move_on_after(PATIENCE_S):
            async for data in ours:
                received += data
        front.drop_connections()  # A call that waits for an event does not see its client go.
    return bytes(received)


async def _play(front: Front, seed: int) -> None:
    """Play all cases of a seed; a failure names its case and what it sent."""
    requests = recorded_requests()
    refs = [await _login(front), *(host.ref.encode() for host in front.pool.hosts)]
    for number in range(CASES):
        played = case(seed, number, requests, [*[refs[0]] * 9, *refs[1:]])
        try:
            replies = list(_checked_replies(await _received(front, played)))
        except BaseException as error:
            error.add_note(f"{played.name} sent {played.sent[:2000]!r}")
            raise
        if any(b"SESSION_INVALID" in body for _status, body in replies):
            refs[0] = await _login(front)  # Some case has logged out.


async def _login(front: Front) -> bytes:
    """Make an ordinary call on a new connection, and return what every client asks for first."""
    body = b'{"method":"session.login_with_password","params":["root","%s"],"id":7}' % (
        PASSWORD.encode()
    )
    request = b"POST /jsonrpc HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    received = await _received(front, Case("login", ((0.0, request),), ends=True))
    found = REF.search(received)
    assert found is not None, received
    return found[0]


@pytest.mark.parametrize("seed", SEEDS)
async def test_mutated_requests_never_stop_the_server(
    seed: int, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Every reply is one of xapi's; afterwards nothing is left over and a login works.

    Nothing left over means: no task of a connection lives (their nurseries end), and nothing was
    logged.
    """
    pool = SimulatedPool.build(
        PoolSpec(hosts=2, vms=3, speed=0.0, password=PASSWORD), now_s=lambda: NOW_S
    )
    front = Front(pool, now_s=lambda: NOW_S)
    tasks = trio.lowlevel.current_statistics().tasks_living
    with caplog.at_level(logging.DEBUG):
        async with trio.open_nursery() as nursery:
            await nursery.start(front.run)
            await _play(front, seed)
            await _login(front)
            nursery.cancel_scope.cancel()
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    assert not caplog.records
