"""Checkpoints keep the memory of a VM, and revert brings back what a snapshot holds."""

import pytest
import trio
from trio.testing import MockClock

from recorder.simulator.addresses import generated_mac
from recorder.simulator.dump_values import read_map
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Fault, Record, Value, map_of, texts_of
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
    assert record["snapshot_info"] == {
        "disk-snapshot-type": "crash_consistent",
        "power-state-at-snapshot": "Running",
    }
    assert pool.database.exists("VDI", str(record["suspend_VDI"]))
    offers = texts_of(record, "allowed_operations")
    assert {"revert", "clone", "destroy"} <= set(offers)
    assert not {"resume", "hard_shutdown"} & set(offers)


def _attached(pool: SimulatedPool, vm: str) -> list[Value]:
    record = pool.database.record("VM", vm)
    devices = [("VBD", ref) for ref in texts_of(record, "VBDs")]
    devices += [("VIF", ref) for ref in texts_of(record, "VIFs")]
    return [pool.database.field(cls, ref, "currently_attached") for cls, ref in devices]


async def test_a_vm_resumes_from_a_checkpoint_with_its_devices(
    pool: SimulatedPool, autojump_clock: MockClock
) -> None:
    """Memory knows of devices, so that they stay attached; of a snapshot without it none is."""
    vm = vm_named(pool, "vm-001")
    checkpoint = str(await pool.call_operation(SESSION, "VM.checkpoint", [vm, "with memory"]))
    snapshot = str(await pool.call_operation(SESSION, "VM.snapshot", [vm, "without", []]))
    assert _attached(pool, vm) == _attached(pool, checkpoint) == [True, True]
    assert _attached(pool, snapshot) == [False, False]
    await pool.call_operation(SESSION, "VM.revert", [checkpoint])
    await pool.call_operation(SESSION, "VM.resume", [vm, False, False])
    assert power_state(pool, vm) == "Running"
    assert _attached(pool, vm) == [True, True]
    await pool.call_operation(SESSION, "VM.revert", [snapshot])
    assert _attached(pool, vm) == [False, False]


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


async def test_a_snapshot_keeps_the_row_of_its_vm_as_text(
    pool: SimulatedPool, autojump_clock: MockClock
) -> None:
    """`snapshot_metadata` is the row of the database, and what a snapshot has in common with its
    VM it has from it: the address, the seed of more addresses, what the guest told."""
    vm = vm_named(pool, "vm-001")
    config: Record = {"mac_seed": "s", "default_template": "true", "note": "it's \\"}
    pool.database.write("VM", vm, "other_config", config)
    pool.database.write("VM", vm, "blocked_operations", {"destroy": "mine"})
    source = pool.database.record("VM", vm)
    snapshot = str(await pool.call_operation(SESSION, "VM.snapshot", [vm, "before"]))
    record = pool.database.record("VM", snapshot)
    columns = read_map(str(record["snapshot_metadata"]))
    assert list(columns) == sorted(columns, reverse=True)
    assert columns["_ref"] == vm
    assert columns["name__label"] == "vm-001"
    assert columns["memory__dynamic_max"] == str(source["memory_dynamic_max"])
    assert read_map(columns["other_config"]) == config
    assert columns["is_a_template"] == "false"
    assert columns["HVM__shadow_multiplier"] == "1"
    assert record["other_config"] == {"mac_seed": "s", "note": "it's \\"}
    assert record["blocked_operations"] == {}
    assert record["snapshot_info"] == {
        "disk-snapshot-type": "crash_consistent",
        "power-state-at-snapshot": "Running",
    }
    assert _macs(pool, snapshot) == _macs(pool, vm)
    guests = [str(pool.database.field("VM", each, "guest_metrics")) for each in (vm, snapshot)]
    assert guests[0] != guests[1]
    told = [pool.database.record("VM_guest_metrics", guest) for guest in guests]
    assert told[0] | {"uuid": ""} == told[1] | {"uuid": ""}


async def test_a_clone_has_addresses_of_its_own(
    pool: SimulatedPool, autojump_clock: MockClock
) -> None:
    """They are made of a seed that is new, as xapi makes them; a clone of a template names it."""
    vm = vm_named(pool, "vm-003")
    pool.database.write("VM", vm, "other_config", {"a": "1", "mac_seed": "s", "b": "2"})
    clone = str(await pool.call_operation(SESSION, "VM.clone", [vm, "other"]))
    config = map_of(pool.database.record("VM", clone), "other_config")
    assert [*config] == ["a", "mac_seed", "b"]
    assert config["mac_seed"] != "s"
    assert _macs(pool, clone) == [generated_mac(0, str(config["mac_seed"]))]
    snapshot = str(await pool.call_operation(SESSION, "VM.snapshot", [vm, "before"]))
    again = str(await pool.call_operation(SESSION, "VM.clone", [snapshot, "again"]))
    made = map_of(pool.database.record("VM", again), "other_config")
    assert [*made] == ["base_template_name", "a", "mac_seed", "b"]
    assert made["base_template_name"] == "before"


def _macs(pool: SimulatedPool, vm: str) -> list[Value]:
    vifs = texts_of(pool.database.record("VM", vm), "VIFs")
    return [pool.database.field("VIF", vif, "MAC") for vif in vifs]
