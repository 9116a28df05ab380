"""Evacuation: who moves where, and who is in the way."""

import pytest
import trio

from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, text_of, texts_of

from .hosting import SESSION, a_settled_pool, do, fault_of, guests
from .support import Storyteller


@pytest.fixture
async def pool(nursery: trio.Nursery) -> SimulatedPool:
    """A pool at rest."""
    return await a_settled_pool(nursery)


async def test_evacuate_moves_every_vm_in_batches(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """All VMs run on, elsewhere; each move is an Async task inside that of the evacuation."""
    host = pool.hosts[1].ref
    before = guests(pool, host)
    assert len(before) > 1
    pool.hub.register(SESSION, ["*"])
    storyteller = Storyteller(pool)
    await do(pool, "host.disable", host)
    await do(pool, "host.evacuate", host, NULL_REF, 1)
    assert guests(pool, host) == []
    for vm in before:
        record = pool.database.record("VM", vm)
        assert record["power_state"] == "Running"
        assert record["resident_on"] not in (host, NULL_REF)
    story = storyteller.tell(await pool.hub.next(SESSION))
    assert story.count("task add Async.VM.pool_migrate") == len(before)
    assert story.count("message add VM_MIGRATED") == len(before)
    assert story[0] == "task add host.disable"
    # One at a time: the next one begins after the last one has told that it is done.
    begun = [n for n, line in enumerate(story) if line == "task add Async.VM.pool_migrate"]
    told = [n for n, line in enumerate(story) if line == "message add VM_MIGRATED"]
    assert begun[1] > told[0]
    assert pool.database.field("host", host, "current_operations") == {}


async def test_evacuation_says_who_is_in_the_way(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """assert_can_evacuate has one text, get_vms_.. a map; evacuate fails with the first."""
    host = pool.hosts[1].ref
    first, *others = guests(pool, host)
    for other in pool.hosts:
        if other.ref != host:
            await do(pool, "host.disable", other.ref)
    fault = await fault_of(pool, "host.assert_can_evacuate", [host])
    texts = [f"NO_HOSTS_AVAILABLE,{vm}" for vm in (first, *others)]
    assert fault == ["CANNOT_EVACUATE_HOST", "|".join(texts)]
    prevent = await do(pool, "host.get_vms_which_prevent_evacuation", host)
    assert prevent == {vm: ["NO_HOSTS_AVAILABLE", vm] for vm in (first, *others)}
    fault = await fault_of(pool, "host.evacuate", [host, NULL_REF, 0])
    assert fault == ["NO_HOSTS_AVAILABLE", first]
    assert await fault_of(pool, "host.retrieve_wlb_evacuate_recommendations", [host]) == [
        "WLB_NOT_INITIALIZED"
    ]


async def test_evacuation_needs_room_and_storage(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Too little memory is told by VM; so is an SR that a target does not see."""
    database, host = pool.database, pool.hosts[1].ref
    vm = guests(pool, host)[0]
    database.write("VM", vm, "memory_static_max", 2**50)
    assert await do(pool, "host.get_vms_which_prevent_evacuation", host) == {
        vm: ["HOST_NOT_ENOUGH_FREE_MEMORY", vm]
    }
    database.write("VM", vm, "memory_static_max", 2**30)
    vbd = texts_of(database.record("VM", vm), "VBDs")[0]
    sr = text_of(database.record("VDI", text_of(database.record("VBD", vbd), "VDI")), "SR")
    for pbd in texts_of(database.record("host", pool.hosts[2].ref), "PBDs"):
        database.write("PBD", pbd, "currently_attached", False)
    blocked = await do(pool, "host.get_vms_which_prevent_evacuation", host)
    assert isinstance(blocked, dict)
    assert blocked[vm] == ["VM_REQUIRES_SR", vm, sr]


async def test_ha_counts_unprotected_vms_as_in_the_way_of_an_evacuation(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """They would have to be suspended first, which is said as if there was no room."""
    host = pool.hosts[1].ref
    first, *others = guests(pool, host)
    await pool.call_operation(SESSION, "VM.set_ha_restart_priority", [first, "restart"])
    await do(pool, "pool.enable_ha", [], {})
    assert await do(pool, "host.get_vms_which_prevent_evacuation", host) == {
        vm: ["HOST_NOT_ENOUGH_FREE_MEMORY", vm] for vm in others
    }


async def test_busy_vm_can_not_be_evacuated(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The fault is that of pool_migrate, here of a blocked VM; nothing has moved."""
    host = pool.hosts[1].ref
    vm = guests(pool, host)[0]
    pool.database.write("VM", vm, "blocked_operations", {"pool_migrate": "backup"})
    fault = await fault_of(pool, "host.evacuate", [host, NULL_REF, 0])
    assert fault == ["OPERATION_BLOCKED", vm, "backup"]
    assert vm in guests(pool, host)
