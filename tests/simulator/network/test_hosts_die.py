"""What clients see of hosts that die, come back and take over, through operations of the pool."""

import json
from functools import partial

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool

START_S = 1_700_000_000.0


async def _ask(front: Front, host: int, method: str, *params: object) -> object:
    """Call one host over a connection of its own; None if nothing comes back within a minute."""
    client, server = memory_stream_pair()
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    head = b"POST /jsonrpc HTTP/1.1\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
    reply = b""
    async with trio.open_nursery() as nursery:
        address = front.pool.hosts[host].address
        nursery.start_soon(partial(front.serve_stream, server, address=address))
        with trio.move_on_after(60):
            await client.send_all(head + body)
            async for piece in client:
                reply += piece
        nursery.cancel_scope.cancel()
    answer = json.loads(reply.partition(b"\r\n\r\n")[2]) if reply else None
    return answer and answer.get("error", answer.get("result"))


async def _login(front: Front, host: int) -> object:
    password = front.pool.spec.password
    return await _ask(front, host, "session.login_with_password", "root", password)


@pytest.fixture
def front() -> Front:
    """A pool of three hosts whose clock stands still."""
    pool = SimulatedPool.build(PoolSpec(hosts=3, vms=3, speed=0.0), now_s=lambda: START_S)
    return Front(pool, now_s=lambda: START_S)


async def test_a_planned_master_answers_and_the_old_one_names_it(
    front: Front, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """After pool.designate_new_master sessions are gone and the old master is a member."""
    await nursery.start(front.run)
    session = await _login(front, 0)
    new = front.pool.hosts[1]
    await _ask(front, 0, "pool.designate_new_master", session, new.ref)
    await trio.sleep(60)
    assert front.pool.master == new.ref
    refused = await _login(front, 0)
    assert refused == {"code": 1, "message": "HOST_IS_SLAVE", "data": [new.address]}
    assert await _ask(front, 1, "VM.get_all", session) == {
        "code": 1,
        "message": "SESSION_INVALID",
        "data": [session],
    }
    assert str(await _login(front, 1)).startswith("OpaqueRef:")


@pytest.mark.parametrize(
    ("method", "host"),
    [("pool.designate_new_master", 1), ("host.restart_agent", 0), ("host.reboot", 0)],
)
async def test_what_ends_connections_is_answered_first(
    front: Front, nursery: trio.Nursery, autojump_clock: MockClock, method: str, host: int
) -> None:
    """The client hears that its call succeeded, even where operations take no time at all."""
    await nursery.start(front.run)
    session = await _login(front, 0)
    target = front.pool.hosts[host].ref
    await _ask(front, 0, "host.disable", session, target)
    assert await _ask(front, 0, method, session, target) == ""
    await trio.sleep(60)
    refused = await _ask(front, 0, "VM.get_all", session)
    assert isinstance(refused, dict), "the session is over"


async def test_a_dead_host_is_silent_until_it_is_back(
    front: Front, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Nothing comes back from it, the others go on; after a boot it is a member again."""
    await nursery.start(front.run)
    front.pool.kill_host(front.pool.hosts[2].ref)
    assert await _login(front, 2) is None
    assert str(await _login(front, 0)).startswith("OpaqueRef:")
    front.pool.revive_host(front.pool.hosts[2].ref)
    refused = await _login(front, 2)
    assert isinstance(refused, dict)
    assert refused["message"] == "HOST_IS_SLAVE"


async def test_with_ha_another_host_takes_over(
    front: Front, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The master dies; some minutes later the next host answers as the master."""
    await nursery.start(front.run)
    session = await _login(front, 0)
    database = front.pool.database
    shared = database.find("SR", "type", "nfs")
    await _ask(front, 0, "pool.enable_ha", session, shared, {})
    assert database.field("pool", front.pool.pool_ref, "ha_enabled") is True
    front.pool.kill_host(front.pool.hosts[0].ref)
    await trio.sleep(600)
    assert front.pool.master == front.pool.hosts[1].ref
    assert str(await _login(front, 1)).startswith("OpaqueRef:")
    assert await _login(front, 0) is None
