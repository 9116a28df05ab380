"""The server over streams in memory: an hour of a pool passes in a moment."""

import json
from typing import Any

import trio
import trio.testing

from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from tests.simulator.network.support import PASSWORD


class Line:
    """One connection in memory, spoken to in JSON-RPC 1.0."""

    def __init__(self, front: Front, nursery: trio.Nursery) -> None:
        self._stream, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(front.serve_stream, theirs)

    async def call(self, method: str, *params: object) -> Any:
        body = json.dumps({"method": method, "params": params, "id": "x"}).encode()
        head = b"POST /jsonrpc HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)
        await self._stream.send_all(head + body)
        reply = b""
        while not reply.endswith(b',"id":"x"}'):
            reply += await self._stream.receive_some()
        document = json.loads(reply.partition(b"\r\n\r\n")[2])
        assert document["error"] is None
        return document["result"]


async def test_an_hour_of_heartbeats(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A subscriber of `*` is woken every 30 s by the pool."""
    spec = PoolSpec(hosts=1, vms=0, password=PASSWORD)
    pool = SimulatedPool.build(spec, now_s=trio.current_time)
    front = Front(pool, now_s=trio.current_time)
    await nursery.start(front.run)
    line = Line(front, nursery)
    session = await line.call("session.login_with_password", "root", PASSWORD)
    await line.call("event.register", session, ["*"])
    begun_s = trio.current_time()
    for _ in range(120):
        (event,) = await line.call("event.next", session)
        assert (event["class"], event["operation"]) == ("pool", "mod")
    assert 3_570 < trio.current_time() - begun_s <= 3_600
