"""Checkpoints keep the memory of a VM, and revert brings back what a snapshot holds."""

import pytest
import trio
from trio.testing import MockClock

from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Fault, texts_of
from tests.simulator.core.support import a_pool, power_state, vm_named

SESSION = "OpaqueRef:s"


@pytest.fixture
async def pool(nursery: trio.Nursery) -> SimulatedPool:
    """A running pool of one host."""
    made = a_pool(PoolSpec(hosts=1, vms=3))
    await nursery.start(made.run)
    return made


def _disk(pool: SimulatedPool, vm: str) -> str:
    (vbd,) = texts_of(pool.database.record("VM", vm), "VBDs")
    return str(pool.database.field("VBD", vbd, "VDI"))


async def test_a_checkpoint_keeps_the_memory_of_a_running_vm(
    pool: SimulatedPool, autojump_clock: MockClock
) -> None:
    """The VM runs again afterwards; the snapshot is suspended and has an image of its own."""
    vm = vm_named(pool, "vm-001")
    snapshot = str(await pool.call_operation(SESSION, "VM.checkpoint", [vm, "before"]))
    record = pool.database.record("VM", snapshot)
    assert power_state(pool, vm) == "Running"
    assert pool.database.field("VM", vm, "suspend_VDI") == NULL_REF
    assert record["power_state"] == "Suspended"
    assert record["snapshot_info"] == {"power-state-at-snapshot": "Running"}
    assert pool.database.exists("VDI", str(record["suspend_VDI"]))
    offers = texts_of(record, "allowed_operations")
    assert {"revert", "clone", "destroy"} <= set(offers)
    assert not {"resume", "hard_shutdown"} & set(offers)


async def test_revert_brings_back_fields_disks_and_memory(
    pool: SimulatedPool, autojump_clock: MockClock
) -> None:
    """What was changed since is gone: the VM is the checkpoint again, under its own name."""
    vm = vm_named(pool, "vm-001")
    old_disk = _disk(pool, vm)
    snapshot = str(await pool.call_operation(SESSION, "VM.checkpoint", [vm, "before"]))
    before = pool.database.record("VM", vm)
    pool.database.write("VM", vm, "name_description", "changed")
    pool.database.write("VM", vm, "tags", ["changed"])
    await pool.call_operation(SESSION, "VM.revert", [snapshot])
    after = pool.database.record("VM", vm)
    assert after["name_label"] == "vm-001"
    assert (after["name_description"], after["tags"]) == (before["name_description"], [])
    assert after["power_state"] == "Suspended"
    assert after["parent"] == snapshot
    assert not pool.database.exists("VDI", old_disk)
    kept = _disk(pool, snapshot)
    assert pool.database.field("VDI", kept, "snapshot_of") == _disk(pool, vm)
    assert len(texts_of(after, "VIFs")) == 1
    await pool.call_operation(SESSION, "VM.resume", [vm, False, False])
    assert power_state(pool, vm) == "Running"


async def test_revert_to_a_snapshot_without_memory_halts_the_vm(
    pool: SimulatedPool, autojump_clock: MockClock
) -> None:
    """A running VM is shut down by force first."""
    vm = vm_named(pool, "vm-001")
    snapshot = str(await pool.call_operation(SESSION, "VM.snapshot", [vm, "before"]))
    await pool.call_operation(SESSION, "VM.revert", [snapshot])
    assert power_state(pool, vm) == "Halted"
    assert "start" in texts_of(pool.database.record("VM", vm), "allowed_operations")


async def test_only_a_snapshot_can_be_reverted_to(
    pool: SimulatedPool, autojump_clock: MockClock
) -> None:
    """A VM that is none is refused."""
    with pytest.raises(Fault, match="REVERT_ONLY_ALLOWED_ON_SNAPSHOT"):
        await pool.call_operation(SESSION, "VM.revert", [vm_named(pool, "vm-001")])
