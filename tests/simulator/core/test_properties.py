"""What holds for any sequence of operations, at any rhythm of readers."""

import json
import random
from collections.abc import Iterable, Sequence

import pytest
import trio

from recorder.simulator.catalogue import signatures
from recorder.simulator.database import Database
from recorder.simulator.events import EventHub, EventRow
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.relations import relations
from recorder.simulator.values import NULL_REF, Fault, Value, texts_of
from tests.simulator.core.deeds import SESSION, deed, do
from tests.simulator.core.support import a_pool

DEEDS = 120
ENDS_SESSIONS = frozenset(
    {"host.restart_agent", "host.reboot", "host.shutdown", "pool.designate_new_master"}
    | {"pool.emergency_transition_to_master", "pool.emergency_reset_master"}
)
"""Operations after which the toolstack begins anew, which no reader outlives."""
State = dict[tuple[str, str], object]


def _state(database: Database) -> State:
    return {
        (cls.lower(), ref): json.loads(row.json)
        for cls, table in database.hub.rows.tables.items()
        for ref, row in table.rows.items()
        if cls not in ("session", "user", "secret")
    }


def _lay(events: Iterable[EventRow], state: State) -> None:
    for event in events:
        if event.operation == "del":
            state.pop((event.cls, event.ref), None)
        else:
            state[event.cls, event.ref] = json.loads(event.json)["snapshot"]


def _broken_relations(database: Database) -> list[str]:
    """Say which references are not listed on the other side, and the other way round."""
    broken = []
    for relation in relations():
        listed = {
            (ref, member)
            for ref in database.refs(relation.other_cls)
            for member in texts_of(database.record(relation.other_cls, ref), relation.other_field)
        }
        pointing = set()
        for ref in database.refs(relation.cls):
            value = database.field(relation.cls, ref, relation.field)
            targets = value if isinstance(value, list) else [value]
            pointing |= {(str(target), ref) for target in targets if target != NULL_REF}
        living = {pair for pair in pointing if database.exists(relation.other_cls, pair[0])}
        broken += [f"{relation}: {pair}" for pair in listed ^ living]
    return broken


async def _follow_next(hub: EventHub, state: State) -> None:
    while True:
        _lay(await hub.next(SESSION), state)


async def _follow_from(hub: EventHub, state: State, rng: random.Random) -> None:
    token = ""
    while True:
        reply = await hub.from_(SESSION, ["*"], token, rng.choice((0.0, 0.01, 5.0, 30.0)))
        _lay(reply.events, state)
        token = reply.token
        await trio.sleep(rng.choice((0.0, 0.0, 0.2, 3.0)))


async def _settle() -> None:
    """Wait until nothing moves any more: no operation lasts as long as this."""
    await trio.sleep(20_000.0)


@pytest.mark.parametrize("seed", range(4))
async def test_everybody_sees_the_same_pool(
    seed: int, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Operations in any order, many at once: events laid over the first state give the last.

    That holds for event.next and for event.from at any rhythm; every reference points to an
    object that lists it, and every set lists nothing else.
    """
    rng = random.Random(f"deeds {seed}")
    pool = a_pool(PoolSpec(hosts=3, vms=8, seed=seed, queue_bytes_max=10**9))
    await nursery.start(pool.run)
    queued, compared = _state(pool.database), dict[tuple[str, str], object]()
    pool.hub.register(SESSION, ["*"])
    nursery.start_soon(_follow_next, pool.hub, queued)
    nursery.start_soon(_follow_from, pool.hub, compared, random.Random(seed))
    async with trio.open_nursery() as busy:
        for _ in range(DEEDS):
            operation, args = deed(pool, rng)
            if operation.name in ENDS_SESSIONS:
                continue
            busy.start_soon(do, pool, operation, args)
            await trio.sleep(rng.choice((0.0, 0.0, 0.5, 4.0)))
            assert _broken_relations(pool.database) == [], operation.name
    await _settle()
    assert _broken_relations(pool.database) == []
    assert queued == _state(pool.database)
    assert compared == _state(pool.database)


@pytest.mark.parametrize("seed", range(3))
async def test_offers_hold(
    seed: int, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """What allowed_operations offers is never refused for the power state of the VM."""
    rng = random.Random(f"offers {seed}")
    pool = a_pool(PoolSpec(hosts=2, vms=6, seed=seed))
    await nursery.start(pool.run)
    done = set()
    for _ in range(DEEDS):
        operation, args = deed(pool, rng)
        offered = _is_offered(pool, operation.name, args)
        fault = await do(pool, operation, args)
        if offered:
            done.add(operation.name)
            assert fault is None or fault.code != "VM_BAD_POWER_STATE", (operation.name, fault)
    assert len(done) > 8


def _is_offered(pool: SimulatedPool, method: str, args: Sequence[Value]) -> bool:
    cls, _, verb = method.partition(".")
    if cls != "VM" or not args or not pool.database.exists("VM", str(args[0])):
        return False
    return verb in texts_of(pool.database.record("VM", str(args[0])), "allowed_operations")


def test_the_catalogue_knows_every_operation() -> None:
    """Whatever is done here is a method of xapi, with as many parameters as it takes there."""
    assert set(a_pool_of_nothing().operations) <= set(signatures())


def a_pool_of_nothing() -> SimulatedPool:
    """A pool without VMs."""
    return SimulatedPool.build(PoolSpec(vms=0), now_s=lambda: 0.0)


async def test_a_removed_method_fails(autojump_clock: trio.testing.MockClock) -> None:
    """A fault is a fault: the helper above tells faults from results."""
    pool = a_pool(PoolSpec(vms=1))
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        fault = await do(pool, pool.operations["VM.start"], [NULL_REF, False, False])
        assert isinstance(fault, Fault)
        assert (fault.code, fault.params) == ("HANDLE_INVALID", ("VM", NULL_REF))
        nursery.cancel_scope.cancel()
