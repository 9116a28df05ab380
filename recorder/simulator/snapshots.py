"""Checkpoints, and the way back: a VM made again what it was when a snapshot was taken."""

from collections.abc import Mapping
from functools import partial

from . import disks
from .catalogue import Handler
from .copiedvm import snapshot_info
from .copies import destroy_vif, take_snapshot
from .domains import appear, vanish
from .images import drop_suspend_image, make_suspend_image
from .lifecycle import hard_shutdown
from .marks import refresh_devices
from .toolstack import Call
from .values import NULL_REF, Fault, Record, Value, text_of, texts_of
from .xenops import DomainTask, perform

_SAVE = DomainTask(10.0, 11, progress=(0.3, 0.6000000000000001), listed=False)
_RESTORE = DomainTask(6.0, 5, progress=(0.9, 1.0), listed=False)
_STAYS = frozenset(
    {"uuid", "allowed_operations", "current_operations", "snapshots", "snapshot_of", "parent"}
    | {"children", "snapshot_info", "snapshot_time", "snapshot_metadata", "is_a_snapshot"}
    | {"transportable_snapshot_id", "is_a_template", "resident_on", "metrics", "guest_metrics"}
    | {"scheduled_to_be_resident_on", "power_state", "domid", "suspend_VDI", "VBDs", "VIFs"}
    | {"consoles", "VTPMs", "VGPUs", "VUSBs", "crash_dumps", "attached_PCIs", "blobs"}
    | {"is_default_template", "is_control_domain", "name_label", "affinity", "groups"}
    | {"is_vmss_snapshot", "is_snapshot_from_vmpp", "requires_reboot"}
)
"""Fields that belong to the one row or the other and are not what a VM is."""


async def checkpoint(call: Call, vm: str, new_name: str) -> Value:
    """VM.checkpoint: a snapshot with the memory of the VM; a running VM is away meanwhile.

    Returns the snapshot, which is Suspended. Faults VM_NO_SUSPEND_SR [vm], those of VM.snapshot.
    """
    async with call.operation_on(vm, "checkpoint"):
        was = text_of(call.vm(vm), "power_state")
        host = text_of(call.vm(vm), "resident_on")
        if was != "Suspended":
            await _save(call, vm)
        try:
            snapshot = await take_snapshot(call, vm, new_name, with_memory=True)
            await _keep_memory(call, vm, snapshot, was)
        finally:
            if was != "Suspended":
                await _restore(call, vm, host, was)
    refresh_devices(call, vm)
    call.toolstack.announce("VM_CHECKPOINTED", vm, f"checkpointed, snapshot name: {new_name}")
    return snapshot


async def revert(call: Call, snapshot: str) -> Value:
    """VM.revert: the VM of a snapshot becomes what the snapshot is, disks and interfaces included.

    It is Halted afterwards, or Suspended if the snapshot has its memory. Faults
    REVERT_ONLY_ALLOWED_ON_SNAPSHOT [], HANDLE_INVALID if the VM itself is gone.
    """
    async with call.operation_on(snapshot, "revert"):
        record = call.vm(snapshot)
        vm = text_of(record, "snapshot_of")
        if call.vm(vm)["power_state"] != "Halted":
            await call.inner("VM.hard_shutdown", lambda inner: hard_shutdown(inner, vm))
        async with call.operation_on(vm, "reverting"):
            await _replace_disks(call, vm, record)
            _replace_interfaces(call, vm, record)
            for field, value in record.items():
                if field not in _STAYS:
                    call.set("VM", vm, field, value)
            await _replace_memory(call, vm, record)
            _note_parent(call, vm, snapshot)
    name = text_of(record, "name_label")
    call.toolstack.announce("VM_SNAPSHOT_REVERTED", vm, f"reverted to snapshot {name}")
    return ""


async def _save(call: Call, vm: str) -> None:
    await make_suspend_image(call, vm)
    try:
        await perform(call, _SAVE)
    except Fault:
        await drop_suspend_image(call, vm, forget_first=False)
        raise
    vanish(call, vm, "Suspended")


async def _restore(call: Call, vm: str, host: str, power_state: str) -> None:
    await perform(call, _RESTORE)
    appear(call, vm, host, power_state, resumed=True)
    await drop_suspend_image(call, vm, forget_first=True)


async def _keep_memory(call: Call, vm: str, snapshot: str, was: str) -> None:
    """Give the snapshot a copy of the suspend image."""
    copy = await _cloned(call, text_of(call.vm(vm), "suspend_VDI"))
    call.set("VM", snapshot, "suspend_VDI", copy)
    call.set("VM", snapshot, "power_state", "Suspended")
    call.set("VM", snapshot, "snapshot_info", snapshot_info(was))
    call.toolstack.update_allowed(snapshot)


async def _cloned(call: Call, disk: str) -> str:
    made = await call.inner("Async.VDI.clone", lambda inner: disks.clone(inner, disk, {}))
    return str(made)


async def _replace_disks(call: Call, vm: str, snapshot: Record) -> None:
    """Drop the disks that the snapshot has copies of, and give the VM copies of those.

    The snapshots of a disk that goes become those of the disk that comes.
    """
    kept = {disk: vbd for vbd, disk in _disks(call, snapshot)}
    origins = {str(call.database.field("VDI", disk, "snapshot_of")) for disk in kept}
    for vbd in texts_of(call.vm(vm), "VBDs"):
        disk = str(call.database.field("VBD", vbd, "VDI"))
        call.database.delete("VBD", vbd)
        if disk in origins:
            await call.inner("VDI.destroy", partial(_destroyed, disk))
    for disk, vbd in kept.items():
        origin = call.database.field("VDI", disk, "snapshot_of")
        new = await _cloned(call, disk)
        for sibling in call.database.find("VDI", "snapshot_of", origin):
            call.set("VDI", sibling, "snapshot_of", new)
        _copy_device(call, "VBD", vbd, vm, {"VDI": new})
    for vbd in texts_of(snapshot, "VBDs"):
        if vbd not in kept.values():
            _copy_device(call, "VBD", vbd, vm, {})


async def _destroyed(disk: str, inner: Call) -> Value:
    return await disks.destroy(inner, disk)


def _disks(call: Call, record: Record) -> list[tuple[str, str]]:
    """Return the disks of a VM with the VBDs that they hang on."""
    found = []
    for vbd in texts_of(record, "VBDs"):
        device = call.database.record("VBD", vbd)
        if device["type"] == "Disk" and device["VDI"] != NULL_REF:
            found.append((vbd, text_of(device, "VDI")))
    return found


def _replace_interfaces(call: Call, vm: str, snapshot: Record) -> None:
    for vif in texts_of(call.vm(vm), "VIFs"):
        destroy_vif(call, vif)
    for vif in texts_of(snapshot, "VIFs"):
        metrics = call.database.create("VIF_metrics", {})
        _copy_device(call, "VIF", vif, vm, {"metrics": metrics})


def _copy_device(call: Call, cls: str, device: str, vm: str, own: Mapping[str, Value]) -> None:
    record = call.database.record(cls, device)
    del record["uuid"]
    born: Record = {"VM": vm, "current_operations": {}}
    new = call.database.create(cls, {**record, **born, **own}, extra=True)
    call.toolstack.update_allowed(new, cls)


async def _replace_memory(call: Call, vm: str, snapshot: Record) -> None:
    image = text_of(snapshot, "suspend_VDI")
    if image != NULL_REF:
        call.set("VM", vm, "suspend_VDI", await _cloned(call, image))
        call.set("VM", vm, "power_state", "Suspended")


def _note_parent(call: Call, vm: str, snapshot: str) -> None:
    call.set("VM", vm, "parent", snapshot)
    call.toolstack.update_allowed(vm)


HANDLERS: Mapping[str, Handler] = {
    "VM.checkpoint": checkpoint,
    "VM.revert": revert,
}
