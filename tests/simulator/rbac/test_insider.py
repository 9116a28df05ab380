"""Whoever is at work in a pool by itself is a client like any other."""

import random
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from recorder.simulator.activity import drive
from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.load import Load
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import Fault


def _front() -> Front:
    spec = PoolSpec(hosts=2, vms=4, speed=0.0)
    pool = SimulatedPool.build(spec, now_s=lambda: 1_700_000_000.0)
    return Front(pool, now_s=lambda: 1_700_000_000.0)


async def test_what_a_load_does_has_a_session(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """One session is opened for all deeds; it is opened anew when it is gone."""
    front = _front()
    await nursery.start(front.run)
    load = Load(per_minute=60.0, kinds={"edit": 1.0})
    nursery.start_soon(partial(drive, front.pool, load, random.Random(1), call=front.insider()))
    await trio.sleep(30)
    (session,) = front.sessions.refs()
    assert front.pool.database.field("session", session, "originator") == "load generator"
    front.sessions.expire_all()
    await trio.sleep(30)
    (other,) = front.sessions.refs()
    assert other != session


async def test_a_refused_deed_is_refused(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Faults come through, and a session that is somebody else's is not replaced."""
    front = _front()
    await nursery.start(front.run)
    call = front.insider()
    with pytest.raises(Fault, match="HANDLE_INVALID VM nowhere"):
        await call("VM.get_record", ["nowhere"])
    with pytest.raises(Fault, match="MESSAGE_METHOD_UNKNOWN"):
        await call("VM.no_such_method", [])
