"""The command that serves pools: what it prints, what it refuses, what goes on in its pools."""

import json
import random
from functools import partial

import pytest
import trio

from recorder.errors import ConfigError, TransportError
from recorder.simulator.activity import stir
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.presets import Counts
from recorder.simulator.serve import Format, SimulateOptions, simulate
from recorder.simulator.server import Served
from tests.simulator.network.support import NOW_S, PASSWORD, dial, free_ports


async def _lines(nursery: trio.Nursery, options: SimulateOptions, count: int) -> list[str]:
    send, receive = trio.open_memory_channel[str](10)
    nursery.start_soon(partial(simulate, options, announce=send.send_nowait))
    with trio.fail_after(5):
        return [await receive.receive() for _ in range(count)]


async def test_each_pool_is_announced_in_json(nursery: trio.Nursery) -> None:
    """One line a pool with exactly the promised keys; further pools have the following ports."""
    port = free_ports(4)
    options = SimulateOptions(
        port=port,
        tls_port=port + 2,
        pools=2,
        counts=Counts(hosts=2),
        password=PASSWORD,
        format=Format.JSON,
    )
    first, second = map(json.loads, await _lines(nursery, options, 2))
    assert first == {
        "pool": "pool-1",
        "url": f"http://127.0.0.1:{port}",
        "tls_url": f"https://127.0.0.1:{port + 2}",
        "members": [f"http://127.0.0.2:{port}"],
        "user": "root",
        "password": PASSWORD,
        "fingerprint": first["fingerprint"],
    }
    assert list(first) == ["pool", "url", "tls_url", "members", "user", "password", "fingerprint"]
    assert len(bytes.fromhex(first["fingerprint"].replace(":", ""))) == 32
    assert list(second) == list(first)
    assert (second["pool"], second["url"]) == ("pool-2", f"http://127.0.0.1:{port + 1}")
    assert second["tls_url"] == f"https://127.0.0.1:{port + 3}"
    assert second["fingerprint"] != first["fingerprint"]
    await (await dial(second["url"])).aclose()


async def test_a_pool_is_announced_in_words(nursery: trio.Nursery) -> None:
    """Without TLS there is no fingerprint to tell."""
    port = free_ports(1)
    options = SimulateOptions(port=port, counts=Counts(hosts=2), password=PASSWORD)
    (line,) = await _lines(nursery, options, 1)
    assert line == (
        f"pool-1 at http://127.0.0.1:{port}, with members http://127.0.0.2:{port}, "
        f"user root, password {PASSWORD}"
    )


async def test_a_port_in_use_ends_the_command(served: Served) -> None:
    """The error is the plain one, so that the command line can show it."""
    port = int(served.url.rpartition(":")[2])
    announced: list[str] = []
    with pytest.raises(TransportError, match=f"^port {port} of 127.0.0.1 is in use: "):
        await simulate(SimulateOptions(port=port), announce=announced.append)
    assert announced == []


async def test_ports_that_would_meet_are_refused() -> None:
    """Plain and TLS ports of several pools must not overlap."""
    options = SimulateOptions(port=8000, tls_port=8001, pools=2)
    with pytest.raises(ConfigError) as error:
        await simulate(options, announce=print)
    assert str(error.value) == (
        "--port 8000 and --tls-port 8001 are too close for 2 pools, which take as many ports in "
        "a row: move one of them"
    )


async def _stirred(seed: int) -> list[tuple[object, object]]:
    """Return the states and descriptions of all VMs after 20 minutes of activity."""
    pool = SimulatedPool.build(PoolSpec(hosts=2, vms=6, speed=1.0), now_s=lambda: NOW_S)
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        nursery.start_soon(partial(stir, pool, random.Random(seed), per_minute=6.0))
        await trio.sleep(1200)
        nursery.cancel_scope.cancel()
    records = [pool.database.record("VM", ref) for ref in pool.database.refs("VM")]
    return [(record["power_state"], record["name_description"]) for record in records]


async def test_activity_changes_the_pool(autojump_clock: trio.testing.MockClock) -> None:
    """Soon VMs were started, stopped and renamed; the same seed does the same."""
    untouched = SimulatedPool.build(PoolSpec(hosts=2, vms=6), now_s=lambda: NOW_S).database
    before = [untouched.record("VM", ref)["name_description"] for ref in untouched.refs("VM")]
    after = await _stirred(5)
    assert [description for _, description in after] != before
    assert await _stirred(5) == after
    assert await _stirred(6) != after
