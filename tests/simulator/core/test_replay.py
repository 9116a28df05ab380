"""The stream of events, the truth and the rows tell the same story; the seed tells it again."""

import json
import random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from recorder.simulator.database import Database
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Fault
from tests.simulator.core.support import a_database, a_pool, vm_named

SESSION = "OpaqueRef:s"
State = dict[tuple[str, str], object]

CLASSES = ("VM", "VBD", "VIF", "VDI", "network", "host")
STEPS = st.lists(
    st.tuples(st.sampled_from(("create", "write", "delete")), st.integers(0, 10**6)), max_size=40
)


def _state(database: Database) -> State:
    rows = database.hub.rows.tables
    return {
        (cls.lower(), ref): json.loads(row.json)
        for cls, table in rows.items()
        for ref, row in table.rows.items()
    }


def _do(database: Database, kind: str, number: int) -> None:
    rng = random.Random(number)
    cls = rng.choice(CLASSES)
    refs = {name: database.refs(name) for name in CLASSES}
    links = {"VBD": ("VM", "VDI"), "VIF": ("network", "VM"), "VM": ("resident_on", "parent")}
    targets = {"resident_on": "host", "parent": "VM"}
    if kind == "create":
        chosen = {
            link: rng.choice([*refs[targets.get(link, link)], NULL_REF])
            for link in links.get(cls, ())
        }
        database.create(cls, {**chosen})
    elif refs[cls] and kind == "write":
        ref, link = rng.choice(refs[cls]), rng.choice([*links.get(cls, ()), ""])
        if link:
            database.write(cls, ref, link, rng.choice([*refs[targets.get(link, link)], NULL_REF]))
        else:
            database.write(cls, ref, "other_config", {"n": str(rng.randrange(3))})
    elif refs[cls]:
        database.delete(cls, rng.choice(refs[cls]))


def _replayed(events: list[bytes], state: State) -> State:
    for text in events:
        event = json.loads(text)
        key = event["class"], event["ref"]
        if event["operation"] == "del":
            state.pop(key, None)
        else:
            state[key] = event["snapshot"]
    return state


@given(before=STEPS, after=STEPS)
@settings(max_examples=60, deadline=None)
def test_replayed_events_give_the_last_state(
    before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    """The first state and every event after it, read from their texts, give the last state."""
    database = a_database()
    for kind, number in before:
        _do(database, kind, number)
    first = _state(database)
    changes = len(database.hub.truth.changes)
    database.hub.register(SESSION, ["*"])
    for kind, number in after:
        _do(database, kind, number)
    if database.hub.current_id() > 0:
        events = trio.run(database.hub.next, SESSION)
        assert [event.id for event in events] == list(range(len(events)))
        assert _replayed([event.json for event in events], first) == _state(database)
    truth = database.hub.truth
    told = truth.state_at(len(truth.changes))
    assert {key: json.loads(text) for key, text in told.items()} == _state(database)
    assert len(truth.changes) - changes == database.hub.current_id()


@given(before=STEPS, after=STEPS)
@settings(max_examples=60, deadline=None)
def test_comparison_gives_the_last_state(
    before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    """One event.from with a token, laid over the first state, gives the last state."""
    database = a_database()
    for kind, number in before:
        _do(database, kind, number)
    first = _state(database)
    reply = trio.run(database.hub.from_, SESSION, ["*"], "", 0.0)
    for kind, number in after:
        _do(database, kind, number)
    later = trio.run(database.hub.from_, SESSION, ["*"], reply.token, 0.0)
    assert _replayed([event.json for event in later.events], first) == _state(database)


async def _story(pool: SimulatedPool, nursery: trio.Nursery) -> list[bytes]:
    await nursery.start(pool.run)
    pool.hub.register(SESSION, ["*"])
    vm, other = vm_named(pool, "vm-001"), vm_named(pool, "vm-003")
    pool.start_operation(SESSION, "VM.pool_migrate", [vm, pool.hosts[1].ref, {}])
    await trio.sleep(0.5)
    await pool.call_operation(SESSION, "VM.start", [other, False, False])
    await trio.sleep(40)
    await pool.call_operation(SESSION, "VM.snapshot", [vm, "snap"])
    return [event.json for event in await pool.hub.next(SESSION)]


async def test_same_seed_gives_the_same_bytes(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The same spec and calls at the same times give byte-identical pools and events."""
    first = await _story(a_pool(), nursery)
    second = await _story(a_pool(), nursery)
    other = await _story(a_pool(PoolSpec(seed=2)), nursery)
    assert len(first) > 100
    assert first == second
    assert first != other


async def test_flood_makes_a_slow_reader_lose_events(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """flood changes VMs often enough to fill the queue, and every change is in the truth."""
    pool = a_pool(replace(PoolSpec(), queue_bytes_max=100_000))
    pool.hub.register(SESSION, ["*"])
    before = len(pool.truth.changes)
    pool.flood(100)
    assert len(pool.truth.changes) - before == 100
    with pytest.raises(Fault, match="EVENTS_LOST"):
        await pool.hub.next(SESSION)


async def test_truth_finds_the_state_at_an_event() -> None:
    """index_after leads from an event id to the state right after that event."""
    database = a_database()
    database.hub.register(SESSION, ["*"])
    vm = database.create("VM", {"name_label": "a"})
    database.write("VM", vm, "name_label", "b")
    database.delete("VM", vm)
    truth = database.hub.truth
    names = [
        [json.loads(text)["name_label"] for text in truth.state_at(truth.index_after(at)).values()]
        for at in range(3)
    ]
    assert names == [["a"], ["b"], []]
    with pytest.raises(ValueError, match="no change has the event id 3"):
        truth.index_after(3)


def test_truth_can_be_left_out() -> None:
    """A pool that runs for weeks keeps no list of its changes."""
    pool = SimulatedPool.build(PoolSpec(keeps_truth=False), now_s=lambda: 0.0)
    assert pool.truth.changes == []
