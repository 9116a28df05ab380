"""VBDs and VIFs: what calls do, in which order it is told, and what they refuse."""

import pytest
import trio

from recorder.simulator import devices
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.toolstack import Call
from recorder.simulator.values import NULL_REF, Fault, Record, Value, text_of, texts_of
from tests.simulator.core.rooms import (
    END,
    SESSION,
    a_disk,
    a_furnished_pool,
    a_vbd,
    call,
    disk_of,
    fault_of,
    first_of,
    made,
    offers,
    record,
    shared_sr,
    told,
)
from tests.simulator.core.support import vm_named

Clock = trio.testing.MockClock


@pytest.fixture
async def pool(nursery: trio.Nursery, autojump_clock: Clock) -> SimulatedPool:
    pool = a_furnished_pool()
    await nursery.start(pool.run)
    return pool


async def _disk(pool: SimulatedPool, **fields: Value) -> str:
    return await made(pool, "VDI.create", a_disk(shared_sr(pool), **fields))


async def _spare(pool: SimulatedPool, vm: str, **fields: Value) -> str:
    """A VBD of a VM with a disk of its own, not plugged."""
    return await made(pool, "VBD.create", a_vbd(vm, await _disk(pool), **fields))


async def _drive(pool: SimulatedPool, vm: str) -> str:
    """An empty CD drive of a VM."""
    empty: dict[str, Value] = {"type": "CD", "mode": "RO", "empty": True}
    return await made(pool, "VBD.create", a_vbd(vm, NULL_REF, **empty))


def _guest(pool: SimulatedPool, vm: str, **fields: Value) -> None:
    """Let the guest of a VM say something else of itself."""
    guest = text_of(record(pool, "VM", vm), "guest_metrics")
    for field, value in fields.items():
        pool.database.write("VM_guest_metrics", guest, field, value)


async def test_vbd_create_takes_the_first_free_number(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """autodetect becomes a number; VM and disk show the device, which offers to be attached."""
    vm, vdi = vm_named(pool, "vm-003"), await _disk(pool)
    free = texts_of({"devices": await call(pool, "VM.get_allowed_VBD_devices", vm)}, "devices")
    assert await told(pool, "VBD.create", a_vbd(vm, vdi)) == [
        "task add VBD.create",
        "vbd add",
        "vm VBDs",
        "vdi VBDs",
        "vbd allowed_operations",
        *END,
        "task del",
    ]
    (vbd,) = texts_of(record(pool, "VDI", vdi), "VBDs")
    its = record(pool, "VBD", vbd)
    assert (its["userdevice"], its["currently_attached"]) == (free[0], False)
    assert offers(pool, "VBD", vbd) == ["attach"]
    left = await call(pool, "VM.get_allowed_VBD_devices", vm)
    assert left == free[1:]


@pytest.mark.parametrize("device", ["0", "xvda", "hda"])
async def test_device_name_is_taken_under_any_of_its_names(
    pool: SimulatedPool, autojump_clock: Clock, device: str
) -> None:
    """A number and the names that guests may have for it are one device."""
    vm = vm_named(pool, "vm-003")
    fault = await fault_of(pool, "VBD.create", a_vbd(vm, await _disk(pool), userdevice=device))
    assert fault == ["DEVICE_ALREADY_EXISTS", device]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"userdevice": "tape"}, ["INVALID_DEVICE", "tape"]),
        ({"type": "CD", "mode": "RW"}, ["VBD_CDS_MUST_BE_READONLY"]),
        ({"empty": True}, ["VBD_NOT_REMOVABLE_MEDIA", "in constructor"]),
        (
            {"currently_attached": True},
            ["VM_BAD_POWER_STATE", "Plugged VBD creation only allowed for suspended VM"],
        ),
        ({"VDI": "OpaqueRef:no"}, ["HANDLE_INVALID", "VDI", "OpaqueRef:no"]),
        ({"VM": "OpaqueRef:no"}, ["HANDLE_INVALID", "VM", "OpaqueRef:no"]),
    ],
)
async def test_vbd_create_refuses(
    pool: SimulatedPool, autojump_clock: Clock, fields: Record, fault: list[str]
) -> None:
    """What is wrong with the record is said before anything is made."""
    before = pool.database.refs("VBD")
    vm = vm_named(pool, "vm-003")
    assert await fault_of(pool, "VBD.create", a_vbd(vm, await _disk(pool)) | fields) == fault
    assert pool.database.refs("VBD") == before


async def test_vbd_create_needs_its_fields(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """The first field that is missing is named."""
    wanted = a_vbd(vm_named(pool, "vm-003"), NULL_REF)
    del wanted["mode"]
    assert await fault_of(pool, "VBD.create", wanted) == ["FIELD_TYPE_ERROR", "mode"]


async def test_disk_must_be_fit_for_a_vbd(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """Read-only disks are not written to, and state files of HA are nobody's disk."""
    vm, read_only = vm_named(pool, "vm-003"), await _disk(pool, read_only=True)
    assert await fault_of(pool, "VBD.create", a_vbd(vm, read_only)) == ["VDI_READONLY", read_only]
    log = await _disk(pool, type="redo_log")
    fault = await fault_of(pool, "VBD.create", a_vbd(vm, log))
    assert fault == ["VDI_INCOMPATIBLE_TYPE", log, "redo_log"]


async def test_plug_shows_device_disk_and_task(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """The VBD is held, the host works, the device appears; VBD and disk offer what is possible."""
    vm = vm_named(pool, "vm-001")
    vbd = await _spare(pool, vm)
    assert offers(pool, "VBD", vbd) == ["attach", "unpause", "plug", "pause"]
    hold = ["vbd current_operations", "vbd allowed_operations"]
    assert await told(pool, "VBD.plug", vbd) == [
        "task add VBD.plug",
        "task allowed_operations",
        *hold,
        "task allowed_operations",
        "task other_config",
        "vbd device",
        "vbd currently_attached",
        "vdi allowed_operations",
        *hold,
        "vdi allowed_operations",
        *END,
        "task del",
    ]
    its = record(pool, "VBD", vbd)
    assert (its["device"], its["currently_attached"]) == ("xvdb", True)
    assert offers(pool, "VBD", vbd) == ["attach", "unpause", "unplug", "unplug_force", "pause"]
    assert offers(pool, "VDI", text_of(its, "VDI")) == ["clone", "snapshot"]


async def test_unplug_is_told_in_the_order_of_xapi(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """The device is detached while the VBD is held; afterwards its disk is free again."""
    vbd = await _spare(pool, vm_named(pool, "vm-001"))
    await call(pool, "VBD.plug", vbd)
    hold = ["vbd current_operations", "vbd allowed_operations"]
    assert await told(pool, "VBD.unplug", vbd) == [
        "task add VBD.unplug",
        "task allowed_operations",
        *hold,
        "task allowed_operations",
        "task other_config",
        "vbd currently_attached",
        "vdi allowed_operations",
        *hold,
        "vdi allowed_operations",
        *END,
        "task del",
    ]
    assert "destroy" in offers(pool, "VDI", text_of(record(pool, "VBD", vbd), "VDI"))


async def test_plug_is_refused_where_it_makes_no_sense(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """What is plugged already, what is not, and what has no running VM."""
    running, halted = vm_named(pool, "vm-001"), vm_named(pool, "vm-003")
    plugged, spare = first_of(pool, running, "VBDs"), await _spare(pool, running)
    assert await fault_of(pool, "VBD.plug", plugged) == ["DEVICE_ALREADY_ATTACHED", plugged]
    assert await fault_of(pool, "VBD.unplug", spare) == ["DEVICE_ALREADY_DETACHED", spare]
    at_rest = first_of(pool, halted, "VBDs")
    for method in ("VBD.plug", "VBD.unplug", "VBD.unplug_force"):
        fault = await fault_of(pool, method, at_rest)
        assert fault == ["VM_BAD_POWER_STATE", halted, "running", "halted"]


async def test_hotplug_is_for_guests_that_can(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """A guest that says no is refused; one that says nothing and has no drivers lacks them."""
    vm = vm_named(pool, "vm-001")
    vbd, vif = await _spare(pool, vm), first_of(pool, vm, "VIFs")
    _guest(pool, vm, can_use_hotplug_vbd="no", can_use_hotplug_vif="no")
    for method, device, kind in (("VBD.plug", vbd, "VBD"), ("VIF.unplug", vif, "VIF")):
        fault = await fault_of(pool, method, device)
        assert fault == ["OPERATION_NOT_ALLOWED", f"VM states it does not support {kind} hotplug."]
    silent: dict[str, Value] = {
        "can_use_hotplug_vbd": "unspecified",
        "PV_drivers_detected": False,
        "PV_drivers_version": {},
    }
    _guest(pool, vm, **silent)
    assert await fault_of(pool, "VBD.plug", vbd) == ["VM_MISSING_PV_DRIVERS", vm]
    devices.update_offers(pool.toolstack, vm)
    assert offers(pool, "VBD", vbd) == ["attach", "unpause", "pause"]


async def test_disk_is_one_writer_s(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """A disk that a VM writes to is no other VM's, unless it is sharable."""
    first, second = vm_named(pool, "vm-001"), vm_named(pool, "vm-002")
    vdi = disk_of(pool, first)
    vbd = await made(pool, "VBD.create", a_vbd(second, vdi))
    assert await fault_of(pool, "VBD.plug", vbd) == ["VDI_IN_USE", vdi]
    assert await fault_of(pool, "VBD.assert_attachable", vbd) == ["VDI_IN_USE", vdi]
    pool.database.write("VDI", vdi, "sharable", True)
    assert await call(pool, "VBD.assert_attachable", vbd) == ""
    await call(pool, "VBD.plug", vbd)
    assert await fault_of(pool, "VDI.destroy", vdi) == ["VDI_IN_USE", vdi, "destroy"]


async def test_plug_needs_storage_and_a_writable_disk(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """HVM guests have no read-only disks, and the SR must be attached where the VM runs."""
    vm = vm_named(pool, "vm-001")
    read_only = await _spare(pool, vm, mode="RO")
    fault = await fault_of(pool, "VBD.plug", read_only)
    assert fault == ["DISK_VBD_MUST_BE_READWRITE_FOR_HVM", read_only]
    vbd = await _spare(pool, vm)
    host, sr = record(pool, "VM", vm)["resident_on"], shared_sr(pool)
    for pbd in texts_of(record(pool, "SR", sr), "PBDs"):
        if record(pool, "PBD", pbd)["host"] == host:
            pool.database.write("PBD", pbd, "currently_attached", False)
    assert await fault_of(pool, "VBD.plug", vbd) == ["SR_NOT_ATTACHED", sr]
    disk = text_of(record(pool, "VBD", vbd), "VDI")
    pool.database.write("VDI", disk, "managed", False)
    assert await fault_of(pool, "VBD.plug", vbd) == ["VDI_NOT_MANAGED", vbd]


async def test_vbd_that_may_not_be_unplugged(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """`unpluggable` false bars unplug, by force too."""
    vbd = first_of(pool, vm_named(pool, "vm-001"), "VBDs")
    pool.database.write("VBD", vbd, "unpluggable", False)
    for method in ("VBD.unplug", "VBD.unplug_force"):
        assert await fault_of(pool, method, vbd) == ["VBD_NOT_UNPLUGGABLE", vbd]


async def test_nothing_is_plugged_into_a_vm_that_leaves(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """While its VM shuts down, a device is refused with the operation that is in its way."""
    vm = vm_named(pool, "vm-001")
    vbd = await _spare(pool, vm)
    pool.database.write("VM", vm, "current_operations", {"OpaqueRef:t": "clean_shutdown"})
    with pytest.raises(Fault) as caught:
        await call(pool, "VBD.plug", vbd)
    reason = f"Current operation on VM:{vm} is clean_shutdown"
    assert (caught.value.code, *caught.value.params) == ("OPERATION_NOT_ALLOWED", reason)


async def test_no_device_comes_to_a_vm_that_migrates(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """VBD.create does not wait for a migration."""
    vm, vdi = vm_named(pool, "vm-001"), await _disk(pool)
    pool.database.write("VM", vm, "current_operations", {"OpaqueRef:t": "pool_migrate"})
    with pytest.raises(Fault) as caught:
        await call(pool, "VBD.create", a_vbd(vm, vdi))
    assert caught.value.params == ("VM", vm, "pool_migrate", "OpaqueRef:t")


async def test_disc_is_inserted_and_ejected(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """In a running VM by its host, in a halted one by a change of the rows alone."""
    iso = await _disk(pool, read_only=True)
    hold = ["vbd current_operations", "vbd allowed_operations"]
    for name in ("vm-001", "vm-003"):
        drive = await _drive(pool, vm_named(pool, name))
        assert await fault_of(pool, "VBD.eject", drive) == ["VBD_IS_EMPTY", drive]
        lines = await told(pool, "VBD.insert", drive, iso)
        assert [line for line in lines if line.startswith(("vbd", "vdi"))] == [
            *hold,
            "vbd VDI",
            "vdi VBDs",
            "vbd empty",
            *hold,
        ]
        assert ("task other_config" in lines) is (name == "vm-001")
        assert await fault_of(pool, "VBD.insert", drive, iso) == ["VBD_NOT_EMPTY", drive]
        assert "eject" in offers(pool, "VBD", drive)
        await call(pool, "VBD.eject", drive)
        assert record(pool, "VBD", drive)["VDI"] == NULL_REF
        assert "insert" in offers(pool, "VBD", drive)


async def test_drives_differ_from_disks(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """A disk is not ejected, a CD drive is not plugged, and one of a suspended VM not touched."""
    vm = vm_named(pool, "vm-001")
    disk, drive = first_of(pool, vm, "VBDs"), await _drive(pool, vm)
    assert await fault_of(pool, "VBD.eject", disk) == ["VBD_NOT_REMOVABLE_MEDIA", disk]
    reason = "HVM CDROMs cannot be hotplugged/unplugged, only inserted or ejected"
    assert await fault_of(pool, "VBD.plug", drive) == ["OPERATION_NOT_ALLOWED", reason]
    pool.database.write("VM", vm, "power_state", "Suspended")
    iso = await _disk(pool)
    fault = await fault_of(pool, "VBD.insert", drive, iso)
    assert fault == ["VM_BAD_POWER_STATE", vm, "halted, running", "suspended"]


async def test_mode_changes_only_at_rest(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """VBD.set_mode wants the VM halted."""
    running, halted = vm_named(pool, "vm-001"), vm_named(pool, "vm-003")
    fault = await fault_of(pool, "VBD.set_mode", first_of(pool, running, "VBDs"), "RO")
    assert fault == ["VM_BAD_POWER_STATE", running, "halted", "running"]
    vbd = first_of(pool, halted, "VBDs")
    await call(pool, "VBD.set_mode", vbd, "RO")
    assert record(pool, "VBD", vbd)["mode"] == "RO"


async def test_pause_is_supported_by_no_sr(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """Both calls exist, and are refused by the SR of the disk."""
    vbd = first_of(pool, vm_named(pool, "vm-001"), "VBDs")
    sr = text_of(record(pool, "VDI", text_of(record(pool, "VBD", vbd), "VDI")), "SR")
    for method in ("VBD.pause", "VBD.unpause"):
        assert await fault_of(pool, method, vbd) == ["SR_OPERATION_NOT_SUPPORTED", sr]


async def test_attached_devices_are_not_destroyed(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """First they must be unplugged."""
    vm = vm_named(pool, "vm-001")
    vbd, vif = first_of(pool, vm, "VBDs"), first_of(pool, vm, "VIFs")
    uuids = record(pool, "VBD", vbd)["uuid"], record(pool, "VM", vm)["uuid"]
    reason = f"VBD '{uuids[0]}' still attached to '{uuids[1]}'"
    assert await fault_of(pool, "VBD.destroy", vbd) == ["OPERATION_NOT_ALLOWED", reason]
    reason = "VIF currently attached to a running VM"
    assert await fault_of(pool, "VIF.destroy", vif) == ["OPERATION_NOT_ALLOWED", reason]
    await call(pool, "VBD.unplug_force", vbd)
    await call(pool, "VIF.unplug_force", vif)
    await call(pool, "VBD.destroy", vbd)
    await call(pool, "VIF.destroy", vif)
    assert not record(pool, "VM", vm)["VBDs"]


async def test_destroy_is_told_as_recorded(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """The events of VBD.destroy and VIF.destroy of a real server, nine each.

    A VIF of ours has metrics, which go before it.
    """
    vm = vm_named(pool, "vm-003")
    gone = ["vbd del", "vm VBDs", "vdi VBDs"]
    lines = await told(pool, "VBD.destroy", first_of(pool, vm, "VBDs"))
    assert lines == ["task add VBD.destroy", *gone, *END, "task del"]
    vif = first_of(pool, vm, "VIFs")
    pool.database.write("VIF", vif, "metrics", NULL_REF)
    lines = await told(pool, "VIF.destroy", vif)
    gone = ["vif del", "network VIFs", "vm VIFs"]
    assert lines == ["task add VIF.destroy", *gone, *END, "task del"]


async def test_cancelled_plug_leaves_the_device_out(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """A task that is cancelled while the host works ends so, and nothing is in progress."""
    vbd = await _spare(pool, vm_named(pool, "vm-001"))
    task = pool.start_operation(SESSION, "VBD.plug", [vbd])
    await trio.sleep(0.5)
    assert record(pool, "task", task)["allowed_operations"] == ["cancel"]
    await call(pool, "task.cancel", task)
    await trio.sleep(5)
    assert record(pool, "task", task)["status"] == "cancelled"
    its = record(pool, "VBD", vbd)
    assert (its["currently_attached"], its["current_operations"]) == (False, {})


async def test_devices_come_and_go_with_the_domain(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """attach_all and detach_all write every device of a VM, disks first."""
    vm = vm_named(pool, "vm-003")
    inner = Call(pool.toolstack, SESSION, pool.tasks.begin("inner"))
    vbd, vif = first_of(pool, vm, "VBDs"), first_of(pool, vm, "VIFs")
    devices.attach_all(inner, vm)
    attached = [
        record(pool, cls, ref)["currently_attached"] for cls, ref in (("VBD", vbd), ("VIF", vif))
    ]
    assert attached == [True, True]
    devices.detach_all(inner, vm)
    assert record(pool, "VBD", vbd)["currently_attached"] is False
    assert offers(pool, "VIF", vif) == ["attach"]
