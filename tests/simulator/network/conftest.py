"""A small pool on loopback whose operations take no time."""

from functools import partial

import pytest
import trio

from recorder.simulator.inventory import PoolSpec
from recorder.simulator.server import Served, Sockets, serve
from tests.simulator.network.support import NOW_S, PASSWORD


@pytest.fixture
def spec() -> PoolSpec:
    return PoolSpec(hosts=2, vms=3, speed=0.0, password=PASSWORD)


@pytest.fixture
async def served(nursery: trio.Nursery, spec: PoolSpec) -> Served:
    start = partial(serve, [spec], Sockets(tls_port=0), now_s=lambda: NOW_S)
    (pool,) = await nursery.start(start)
    assert isinstance(pool, Served)
    return pool
