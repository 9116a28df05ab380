"""Copies of VMs: clone, copy, snapshot, and how a VM is destroyed."""

from collections.abc import Mapping

from .toolstack import Call
from .values import EPOCH, NULL_REF, Record, Value, datetime_of, text_of, texts_of

CLONE_S = 1.0
COPY_S = 20.0
SNAPSHOT_S = 2.0
DESTROY_S = 0.3

_NOT_COPIED = ("uuid", "VIFs", "VBDs", "consoles", "snapshots", "children", "crash_dumps", "VTPMs")
_OF_A_NEW_VM: Mapping[str, Value] = {
    "power_state": "Halted",
    "resident_on": NULL_REF,
    "scheduled_to_be_resident_on": NULL_REF,
    "suspend_VDI": NULL_REF,
    "guest_metrics": NULL_REF,
    "domid": -1,
    "is_default_template": False,
    "is_control_domain": False,
}


async def clone(call: Call, vm: str, new_name: str) -> Value:
    """VM.clone: a new VM with disks of its own; returns its reference."""
    return await _copy(call, vm, new_name, "clone", CLONE_S)


async def copy(call: Call, vm: str, new_name: str, sr: str) -> Value:
    """VM.copy: as clone, with disks in another SR (NULL: the same); returns its reference."""
    if sr != NULL_REF:
        call.database.record("SR", sr)
    return await _copy(call, vm, new_name, "copy", COPY_S, sr=sr)


async def snapshot(call: Call, vm: str, new_name: str, ignore_vdis: list[Value]) -> Value:
    """VM.snapshot: disks in `ignore_vdis` are left out; returns the reference of the snapshot."""
    database = call.database
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, "snapshot"):
        await call.work(SNAPSHOT_S)
        left_out = [item for item in ignore_vdis if isinstance(item, str)]
        now = datetime_of(database.now_s())
        source = call.vm(vm)
        fields: dict[str, Value] = {
            "is_a_template": True,
            "is_a_snapshot": True,
            "snapshot_of": vm,
            "snapshot_time": now,
            "transportable_snapshot_id": "",
            "snapshot_info": {"power-state-at-snapshot": source["power_state"]},
        }
        new = _new_vm(call, source, new_name, fields)
        call.set("VM", vm, "parent", new)
        _copy_devices(call, source, new, sr=NULL_REF, snapshot_at=now, left_out=left_out)
        _release(call, new)
    name = f"snapshotted, snapshot name: {new_name}"
    call.toolstack.announce("VM_SNAPSHOTTED", vm, name)
    return new


async def destroy(call: Call, vm: str) -> Value:
    """VM.destroy: the VM goes, its disks stay."""
    database = call.database
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, "destroy"):
        await call.work(DESTROY_S)
        record = call.vm(vm)
        for child in texts_of(record, "children"):
            call.set("VM", child, "parent", record["parent"])
        for vif in texts_of(record, "VIFs"):
            destroy_vif(call, vif)
        for vbd in texts_of(record, "VBDs"):
            database.delete("VBD", vbd)
        for console in texts_of(record, "consoles"):
            database.delete("console", console)
        for cls, field in (("VM_guest_metrics", "guest_metrics"), ("VM_metrics", "metrics")):
            ref = text_of(record, field)
            if database.exists(cls, ref):
                database.delete(cls, ref)
        database.delete("VM", vm)
    return ""


def destroy_vif(call: Call, vif: str) -> None:
    """Remove a network interface and its metrics."""
    metrics = text_of(call.database.record("VIF", vif), "metrics")
    if call.database.exists("VIF_metrics", metrics):
        call.database.delete("VIF_metrics", metrics)
    call.database.delete("VIF", vif)


async def _copy(
    call: Call, vm: str, new_name: str, operation: str, duration_s: float, *, sr: str = NULL_REF
) -> Value:
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, operation):
        await call.work(duration_s)
        source = call.vm(vm)
        fields: dict[str, Value] = {
            "is_a_snapshot": False,
            "snapshot_of": NULL_REF,
            "snapshot_time": EPOCH,
            "snapshot_info": {},
            "parent": NULL_REF,
        }
        if source["is_a_snapshot"] is True:
            fields["is_a_template"] = False
        new = _new_vm(call, source, new_name, fields)
        _copy_devices(call, source, new, sr=sr)
        _release(call, new)
    return new


def _new_vm(call: Call, source: Record, name: str, fields: Mapping[str, Value]) -> str:
    # The copy is born with the operations of its source in it, as in xapi, and loses them later.
    database = call.database
    metrics = database.create("VM_metrics", {"hvm": True, "current_domain_type": "hvm"})
    copied = {field: value for field, value in source.items() if field not in _NOT_COPIED}
    own = {"name_label": name, "metrics": metrics}
    return database.create("VM", {**copied, **_OF_A_NEW_VM, **own, **fields})


def _copy_devices(
    call: Call,
    source: Record,
    new: str,
    *,
    sr: str,
    snapshot_at: Value | None = None,
    left_out: list[str] | None = None,
) -> None:
    database = call.database
    for vbd in texts_of(source, "VBDs"):
        record = database.record("VBD", vbd)
        disk = text_of(record, "VDI")
        if disk not in (left_out or ()):
            if disk != NULL_REF and record["type"] == "Disk":
                record["VDI"] = _copy_disk(call, disk, sr=sr, snapshot_at=snapshot_at)
            _add_device(call, "VBD", record, new)
    for vif in texts_of(source, "VIFs"):
        record = database.record("VIF", vif)
        record["metrics"] = database.create("VIF_metrics", {})
        if snapshot_at is None:
            record |= {"MAC": new_mac(database.new_uuid()), "MAC_autogenerated": True}
        _add_device(call, "VIF", record, new)


def _add_device(call: Call, cls: str, record: Record, vm: str) -> None:
    del record["uuid"]
    born: dict[str, Value] = {"VM": vm, "currently_attached": False, "allowed_operations": []}
    device = call.database.create(cls, {**record, **born})
    call.set(cls, device, "allowed_operations", ["attach"])


def _copy_disk(call: Call, disk: str, *, sr: str, snapshot_at: Value | None) -> str:
    record = call.database.record("VDI", disk)
    for field in ("uuid", "VBDs", "snapshots", "crash_dumps"):
        del record[field]
    record |= {"location": call.database.new_uuid(), "is_a_snapshot": snapshot_at is not None}
    record |= {"snapshot_of": disk if snapshot_at is not None else NULL_REF}
    record |= {"snapshot_time": EPOCH if snapshot_at is None else snapshot_at}
    if sr != NULL_REF:
        record["SR"] = sr
    return call.database.create("VDI", record)


def _release(call: Call, vm: str) -> None:
    call.set("VM", vm, "current_operations", {})
    call.toolstack.update_allowed(vm)


def new_mac(uuid: str) -> str:
    """Return a locally administered MAC address made from a random uuid."""
    digits = uuid.replace("-", "")
    first = (int(digits[:2], 16) & 0xFC) | 0x02
    return ":".join([f"{first:02x}", *(digits[at : at + 2] for at in range(2, 12, 2))])
