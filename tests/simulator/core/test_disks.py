"""Disks: what calls do, in which order it is told, and what they refuse."""

import pytest
import trio

from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Value, int_of, texts_of
from tests.simulator.core.rooms import (
    END,
    GIB,
    a_disk,
    a_furnished_pool,
    a_vbd,
    call,
    disk_of,
    fault_of,
    made,
    offers,
    record,
    shared_sr,
    sr_args,
    told,
)
from tests.simulator.core.support import vm_named

LVM: dict[str, Value] = {"device": "/dev/sdb"}
HOLD_SR = ["sr current_operations", "sr allowed_operations"]


@pytest.fixture
async def pool(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> SimulatedPool:
    pool = a_furnished_pool()
    await nursery.start(pool.run)
    return pool


async def _local_sr(pool: SimulatedPool, kind: str = "lvm", **config: Value) -> str:
    given = config or LVM
    return await made(pool, "SR.create", *sr_args(pool.hosts[0].ref, kind, given, shared=False))


async def test_vdi_create_is_told_as_the_plugin_and_then_xapi_write(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The SR is held, the plugin adds the disk and counts it, then xapi writes its own fields."""
    fields = a_disk(shared_sr(pool), other_config={"k": "v"}, tags=["t"])
    assert await told(pool, "VDI.create", fields) == [
        "task add VDI.create",
        "task allowed_operations",
        *HOLD_SR,
        "vdi add",
        "sr VDIs",
        "vdi allowed_operations",
        "sr virtual_allocation",
        "sr physical_utilisation",
        "vdi other_config",
        "vdi tags",
        *HOLD_SR,
        "task allowed_operations",
        *END,
        "task del",
    ]


async def test_vdi_create_makes_a_managed_disk_that_can_be_used(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The disk has what was asked for, rounded up to blocks of 2 MiB, and offers all it can."""
    sr = shared_sr(pool)
    before = int_of(record(pool, "SR", sr), "virtual_allocation")
    vdi = await made(pool, "VDI.create", a_disk(sr, virtual_size=GIB - 1))
    its = record(pool, "VDI", vdi)
    assert (its["virtual_size"], its["managed"], its["location"]) == (GIB, True, its["uuid"])
    assert int_of(record(pool, "SR", sr), "virtual_allocation") == before + GIB
    assert offers(pool, "VDI", vdi) == [
        "copy",
        "generate_config",
        "clone",
        "forget",
        "update",
        "resize",
        "snapshot",
        "destroy",
    ]


async def test_vdi_destroy_is_told_in_the_order_of_xapi(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """SR and disk are held; the disk goes, then its VBDs; the SR is free last."""
    vm = vm_named(pool, "vm-003")
    assert await told(pool, "VDI.destroy", disk_of(pool, vm)) == [
        "task add VDI.destroy",
        "task allowed_operations",
        *HOLD_SR,
        "vdi current_operations",
        "vdi allowed_operations",
        "vdi del",
        "sr VDIs",
        "sr virtual_allocation",
        "sr physical_utilisation",
        "vbd del",
        "vm VBDs",
        *HOLD_SR,
        "task allowed_operations",
        *END,
        "task del",
    ]


async def test_vdi_destroy_gives_its_bytes_back(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A disk that came and went leaves the SR as it was."""
    sr = shared_sr(pool)
    before = record(pool, "SR", sr)
    await call(pool, "VDI.destroy", await made(pool, "VDI.create", a_disk(sr)))
    assert record(pool, "SR", sr) == before


async def test_vdi_destroy_forgets_a_suspend_image(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A VM whose suspend image is destroyed has none any more."""
    vm = vm_named(pool, "vm-003")
    vdi = await made(pool, "VDI.create", a_disk(shared_sr(pool), type="suspend"))
    pool.database.write("VM", vm, "suspend_VDI", vdi)
    await call(pool, "VDI.destroy", vdi)
    assert record(pool, "VM", vm)["suspend_VDI"] == NULL_REF


async def test_vdi_in_use_cannot_be_destroyed_or_resized(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """While a running VM has a disk, only what works live is offered."""
    vdi = disk_of(pool, vm_named(pool, "vm-001"))
    for operation, args in (("destroy", ()), ("resize", (90 * GIB,)), ("forget", ())):
        fault = await fault_of(pool, f"VDI.{operation}", vdi, *args)
        assert fault == ["VDI_IN_USE", vdi, operation]
    assert offers(pool, "VDI", vdi) == ["clone", "snapshot"]


async def test_full_sr_refuses_thick_disks(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A thick disk that does not fit is refused by the plugin, and nothing of it stays."""
    sr = await _local_sr(pool)
    wanted = a_disk(sr, virtual_size=500 * GIB)
    before = record(pool, "SR", sr)
    fault = await fault_of(pool, "VDI.create", wanted)
    assert fault == ["SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""]
    assert record(pool, "SR", sr) == before
    assert texts_of(await _grown(pool, sr), "VDIs")


async def _grown(pool: SimulatedPool, sr: str) -> dict[str, Value]:
    vdi = await made(pool, "VDI.create", a_disk(sr, virtual_size=300 * GIB))
    fault = await fault_of(pool, "VDI.resize", vdi, 401 * GIB)
    assert fault[0] == "SR_BACKEND_FAILURE_44"
    return record(pool, "SR", sr)


@pytest.mark.parametrize("size", [0, 3 * 1024 * GIB])
async def test_disk_of_an_impossible_size_is_refused(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock, size: int
) -> None:
    """VHDs are at least 1 MiB and a little under 2 TiB."""
    fault = await fault_of(pool, "VDI.create", a_disk(shared_sr(pool), virtual_size=size))
    assert fault[0] == "SR_BACKEND_FAILURE_79"
    assert "VDI size must be between 1 MB and 2088960 MB" in fault[2]


async def test_resize_only_grows(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The new size is in the disk and in its SR; a smaller one is refused."""
    sr = shared_sr(pool)
    vdi = await made(pool, "VDI.create", a_disk(sr))
    before = int_of(record(pool, "SR", sr), "virtual_allocation")
    await call(pool, "VDI.resize", vdi, 3 * GIB)
    assert record(pool, "VDI", vdi)["virtual_size"] == 3 * GIB
    assert record(pool, "SR", sr)["virtual_allocation"] == before + 2 * GIB
    fault = await fault_of(pool, "VDI.resize", vdi, GIB)
    shrink = "VDI Invalid size [opterr=shrinking not allowed]"
    assert fault == ["SR_BACKEND_FAILURE_79", "", shrink, ""]


async def test_snapshot_points_back_to_its_disk(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A snapshot is one of its disk's, of a running VM too; a clone is nobody's."""
    vdi = disk_of(pool, vm_named(pool, "vm-001"))
    snapshot = await made(pool, "VDI.snapshot", vdi, {})
    clone = await made(pool, "VDI.clone", vdi, {})
    its = record(pool, "VDI", snapshot)
    assert (its["is_a_snapshot"], its["snapshot_of"]) == (True, vdi)
    assert its["name_label"] == record(pool, "VDI", vdi)["name_label"]
    assert texts_of(record(pool, "VDI", vdi), "snapshots") == [snapshot]
    assert record(pool, "VDI", clone)["snapshot_of"] == NULL_REF
    assert offers(pool, "VDI", snapshot) == offers(pool, "VDI", clone)


async def test_snapshot_is_told_with_the_set_of_its_disk(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """SR and disk are held, the new disk joins both, and the SR is free before the disk."""
    vdi = disk_of(pool, vm_named(pool, "vm-003"))
    hold_vdi = ["vdi current_operations", "vdi allowed_operations"]
    lines = await told(pool, "VDI.snapshot", vdi, {})
    begin = ["task add VDI.snapshot", "task allowed_operations", *HOLD_SR, *hold_vdi]
    assert lines[:9] == [*begin, "vdi add", "sr VDIs", "vdi snapshots"]
    assert lines[-10:] == [*HOLD_SR, *hold_vdi, "task allowed_operations", *END, "task del"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"sharable": True}, ["VDI_IS_SHARABLE", "VDI"]),
        ({"on_boot": "reset"}, ["VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION"]),
        ({"managed": False}, ["VDI_NOT_MANAGED", "VDI"]),
        ({"type": "cbt_metadata"}, ["VDI_INCOMPATIBLE_TYPE", "VDI", "cbt_metadata"]),
    ],
)
async def test_snapshot_is_refused_for_some_disks(
    pool: SimulatedPool,
    autojump_clock: trio.testing.MockClock,
    change: dict[str, Value],
    fault: list[str],
) -> None:
    """Shared disks, those that are reset at boot, and those that xapi does not manage."""
    vdi = disk_of(pool, vm_named(pool, "vm-003"))
    for field, value in change.items():
        pool.database.write("VDI", vdi, field, value)
    expected = [vdi if word == "VDI" else word for word in fault]
    assert await fault_of(pool, "VDI.snapshot", vdi, {}) == expected


async def test_copy_makes_a_disk_in_another_sr_by_an_inner_call(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The copy is made by a VDI.create of its own; meanwhile both disks are attached."""
    vdi = disk_of(pool, vm_named(pool, "vm-003"))
    sr = await _local_sr(pool)
    lines = await told(pool, "VDI.copy", vdi, sr, NULL_REF, NULL_REF)
    assert "task add VDI.create" in lines
    assert lines.count("vbd add") == lines.count("vbd del") == 2
    (copy,) = texts_of(record(pool, "SR", sr), "VDIs")
    its, source = record(pool, "VDI", copy), record(pool, "VDI", vdi)
    assert [its[field] for field in ("name_label", "virtual_size", "physical_utilisation")] == [
        source[field] for field in ("name_label", "virtual_size", "physical_utilisation")
    ]
    assert "destroy" in offers(pool, "VDI", copy)


async def test_copy_into_a_disk_that_does_not_do_is_refused(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """It must be writable and as large as the source; it stays."""
    sr, vdi = shared_sr(pool), disk_of(pool, vm_named(pool, "vm-003"))
    small = await made(pool, "VDI.create", a_disk(sr))
    size = str(record(pool, "VDI", vdi)["virtual_size"])
    fault = await fault_of(pool, "VDI.copy", vdi, NULL_REF, NULL_REF, small)
    assert fault == ["VDI_TOO_SMALL", small, size]
    pool.database.write("VDI", small, "read_only", True)
    fault = await fault_of(pool, "VDI.copy", vdi, NULL_REF, NULL_REF, small)
    assert fault == ["VDI_READONLY", small]
    assert pool.database.exists("VDI", small)


async def test_migrated_disk_has_a_new_reference_under_its_vm(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The VBD of the running VM points to the disk in the other SR; the old one is gone."""
    vm = vm_named(pool, "vm-001")
    await trio.sleep(30)
    vdi, sr = disk_of(pool, vm), await _local_sr(pool)
    new = await made(pool, "VDI.pool_migrate", vdi, sr, {})
    assert disk_of(pool, vm) == new
    assert record(pool, "VDI", new)["SR"] == sr
    assert not pool.database.exists("VDI", vdi)
    lonely = await made(pool, "VDI.create", a_disk(sr))
    fault = await fault_of(pool, "VDI.pool_migrate", lonely, shared_sr(pool), {})
    assert fault == ["VDI_NEEDS_VM_FOR_MIGRATE", lonely]


async def test_changed_blocks_are_tracked_only_where_possible(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A snapshot of a tracked disk is tracked, too, and its data can go."""
    vdi = await made(pool, "VDI.create", a_disk(shared_sr(pool)))
    await call(pool, "VDI.enable_cbt", vdi)
    snapshot = await made(pool, "VDI.snapshot", vdi, {})
    assert await fault_of(pool, "VDI.enable_cbt", snapshot) == [
        "OPERATION_NOT_ALLOWED",
        f"VDI is a snapshot: {snapshot}",
    ]
    assert await fault_of(pool, "VDI.data_destroy", vdi) == [
        "OPERATION_NOT_ALLOWED",
        f"VDI is not a snapshot: {vdi}",
    ]
    assert await call(pool, "VDI.list_changed_blocks", snapshot, vdi) == "AAAA" * 682 + "AAA="
    await call(pool, "VDI.data_destroy", snapshot)
    assert record(pool, "VDI", snapshot)["type"] == "cbt_metadata"
    await call(pool, "VDI.disable_cbt", vdi)
    plain = await made(pool, "VDI.snapshot", vdi, {})
    assert await fault_of(pool, "VDI.data_destroy", plain) == ["VDI_NO_CBT_METADATA", plain]


async def test_fields_of_plugins_are_not_for_clients(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Only the session of a plugin may write what the plugin knows."""
    vdi = disk_of(pool, vm_named(pool, "vm-003"))
    assert await fault_of(pool, "VDI.set_sharable", vdi, True) == ["PERMISSION_DENIED", ""]
    pbd = texts_of(record(pool, "SR", shared_sr(pool)), "PBDs")[0]
    assert await fault_of(pool, "PBD.set_device_config", pbd, {}) == ["PERMISSION_DENIED", ""]


async def test_boot_mode_is_not_changed_under_a_running_vm(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """set_on_boot wants the VM halted."""
    running, halted = vm_named(pool, "vm-001"), vm_named(pool, "vm-003")
    fault = await fault_of(pool, "VDI.set_on_boot", disk_of(pool, running), "reset")
    assert fault == ["VM_BAD_POWER_STATE", running, "halted", "running"]
    await call(pool, "VDI.set_on_boot", disk_of(pool, halted), "reset")
    assert record(pool, "VDI", disk_of(pool, halted))["on_boot"] == "reset"


async def test_disk_is_introduced_only_where_the_plugin_can(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """udev SRs take disks that are there; a location is in an SR once; VHD SRs refuse."""
    uuid = "12345678-1234-4234-8234-123456789abc"
    udev = await _local_sr(pool, "udev", location="/dev/xapi/block")
    args: list[Value] = [uuid, "n", "d", udev, "user", False, False, {}, "/dev/sdc"]
    vdi = await made(pool, "VDI.introduce", *args)
    assert record(pool, "VDI", vdi)["uuid"] == uuid
    other = [uuid.replace("1", "2"), *args[1:]]
    fault = await fault_of(pool, "VDI.introduce", *other)
    assert fault == ["LOCATION_NOT_UNIQUE", udev, "/dev/sdc"]
    assert await fault_of(pool, "VDI.destroy", vdi) == ["SR_OPERATION_NOT_SUPPORTED", udev]
    args[3] = sr = shared_sr(pool)
    assert await fault_of(pool, "VDI.introduce", *args) == ["SR_OPERATION_NOT_SUPPORTED", sr]


async def test_forgotten_disk_leaves_an_empty_drive(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A CD drive is empty afterwards, a disk's VBD is gone."""
    sr, vm = shared_sr(pool), vm_named(pool, "vm-003")
    vdi = await made(pool, "VDI.create", a_disk(sr))
    drive = await made(pool, "VBD.create", a_vbd(vm, vdi, type="CD", mode="RO"))
    disk = await made(pool, "VBD.create", a_vbd(vm, vdi))
    await call(pool, "VDI.forget", vdi)
    its = record(pool, "VBD", drive)
    assert (its["empty"], its["VDI"]) == (True, NULL_REF)
    assert not pool.database.exists("VBD", disk)
