"""Small objects: secrets, blobs, consoles, groups and appliances of VMs, virtual TPMs."""

import pytest
import trio

from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, texts_of
from tests.simulator.core.rooms import (
    END,
    a_furnished_pool,
    call,
    fault_of,
    made,
    offers,
    record,
    told,
)
from tests.simulator.core.support import power_state, vm_named

Clock = trio.testing.MockClock


@pytest.fixture
async def pool(nursery: trio.Nursery, autojump_clock: Clock) -> SimulatedPool:
    pool = a_furnished_pool()
    await nursery.start(pool.run)
    return pool


async def test_secret_comes_without_an_event(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """Only the task is told, as recorded; the value is there for those who may read it."""
    lines = await told(pool, "secret.create", {"value": "x"})
    assert lines == ["task add secret.create", *END, "task del"]
    (secret,) = pool.database.refs("secret")
    assert record(pool, "secret", secret)["value"] == "x"
    assert await fault_of(pool, "secret.create", {}) == ["FIELD_TYPE_ERROR", "value"]
    await call(pool, "secret.destroy", secret)
    assert not pool.database.refs("secret")
    uuid = "12345678-1234-4234-8234-123456789abc"
    known = await made(pool, "secret.introduce", uuid, "y", {})
    assert record(pool, "secret", known)["uuid"] == uuid


async def test_blob_is_made_for_any_type(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """Without a type it is just bytes."""
    blob = await made(pool, "blob.create", "text/plain", True)
    its = record(pool, "blob", blob)
    assert (its["mime_type"], its["public"], its["size"]) == ("text/plain", True, 0)
    await call(pool, "blob.destroy", blob)
    assert await fault_of(pool, "blob.destroy", blob) == ["HANDLE_INVALID", "blob", blob]


async def test_consoles_are_not_made_by_clients(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """They come and go with domains."""
    assert (await fault_of(pool, "console.create", {}))[0] == "NOT_IMPLEMENTED"
    console = pool.database.refs("console")[0]
    assert (await fault_of(pool, "console.destroy", console))[0] == "NOT_IMPLEMENTED"
    fault = await fault_of(pool, "console.destroy", "OpaqueRef:no")
    assert fault == ["HANDLE_INVALID", "console", "OpaqueRef:no"]


async def test_group_is_left_by_its_vms(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """A group that is destroyed is in no VM any more."""
    vm = vm_named(pool, "vm-003")
    fields = {"name_label": "g", "placement": "anti_affinity"}
    group = await made(pool, "VM_group.create", {**fields})
    pool.database.write("VM", vm, "groups", [group])
    assert texts_of(record(pool, "VM_group", group), "VMs") == [vm]
    await call(pool, "VM_group.destroy", group)
    assert record(pool, "VM", vm)["groups"] == []


async def test_vm_has_one_tpm_at_most(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """It is made and destroyed while the VM is halted."""
    vm, running = vm_named(pool, "vm-003"), vm_named(pool, "vm-001")
    vtpm = await made(pool, "VTPM.create", vm, False)
    assert texts_of(record(pool, "VM", vm), "VTPMs") == [vtpm]
    assert await fault_of(pool, "VTPM.create", vm, False) == ["VTPM_MAX_AMOUNT_REACHED", "1"]
    fault = await fault_of(pool, "VTPM.create", running, False)
    assert fault == ["VM_BAD_POWER_STATE", running, "halted", "running"]
    pool.database.write("VM", vm, "power_state", "Running")
    fault = await fault_of(pool, "VTPM.destroy", vtpm)
    assert fault == ["VM_BAD_POWER_STATE", vm, "halted", "running"]
    pool.database.write("VM", vm, "power_state", "Halted")
    await call(pool, "VTPM.destroy", vtpm)
    assert record(pool, "VM", vm)["VTPMs"] == []


async def test_appliance_starts_and_stops_its_vms(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """It offers what makes sense for some of its VMs; each VM gets a task of its own."""
    appliance = await made(pool, "VM_appliance.create", {"name_label": "a"})
    nothing = ["OPERATION_NOT_ALLOWED", "Appliance has no VMs."]
    assert await fault_of(pool, "VM_appliance.start", appliance, False) == nothing
    vms = [vm_named(pool, name) for name in ("vm-003", "vm-006")]
    for order, vm in enumerate(vms):
        pool.database.write("VM", vm, "appliance", appliance)
        pool.database.write("VM", vm, "order", order)
    halted = ["OPERATION_NOT_ALLOWED", "All VMs in this appliance are halted."]
    assert await fault_of(pool, "VM_appliance.hard_shutdown", appliance) == halted
    lines = await told(pool, "VM_appliance.start", appliance, False)
    assert lines.count("task add Async.VM.start") == 2
    assert [power_state(pool, vm) for vm in vms] == ["Running", "Running"]
    assert offers(pool, "VM_appliance", appliance) == [
        "clean_shutdown",
        "hard_shutdown",
        "shutdown",
    ]
    await call(pool, "VM_appliance.shutdown", appliance)
    assert [power_state(pool, vm) for vm in vms] == ["Halted", "Halted"]
    await call(pool, "VM_appliance.destroy", appliance)
    assert record(pool, "VM", vms[0])["appliance"] == NULL_REF


async def test_appliance_names_the_vms_that_failed(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """The others are started all the same."""
    appliance = await made(pool, "VM_appliance.create", {"name_label": "a"})
    good, bad = (vm_named(pool, name) for name in ("vm-003", "vm-006"))
    for vm in (good, bad):
        pool.database.write("VM", vm, "appliance", appliance)
    pool.database.write("VM", bad, "blocked_operations", {"start": "NO"})
    fault = await fault_of(pool, "VM_appliance.start", appliance, False)
    assert fault == ["OPERATION_PARTIALLY_FAILED", "VM_appliance.start", bad]
    assert power_state(pool, good) == "Running"
