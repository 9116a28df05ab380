"""Copies of VMs: clone, copy, snapshot, and how a VM is destroyed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import msgspec

from . import disks
from .addresses import generated_mac
from .copiedvm import copied, generation_id, snapshotted
from .interfaces import number_of
from .toolstack import Call
from .values import NULL_REF, Fault, Record, Value, datetime_of, map_of, text_of, texts_of

CLONE_S = 1.0
COPY_S = 20.0
SNAPSHOT_S = 2.0
DESTROY_S = 0.3


class DiskMaker(msgspec.Struct, frozen=True):
    """The call that copies one disk: what its task is called, and what it does."""

    name: str
    make: Callable[[str, Call], Awaitable[Value]]


async def clone(call: Call, vm: str, new_name: str) -> Value:
    """VM.clone: a new VM with disks of its own; returns its reference."""

    async def cloned(disk: str, inner: Call) -> Value:
        return await disks.clone(inner, disk, {})

    return await _copy(call, vm, new_name, "clone", CLONE_S, DiskMaker("Async.VDI.clone", cloned))


async def copy(call: Call, vm: str, new_name: str, sr: str) -> Value:
    """VM.copy: as clone, with all data in another SR (NULL: the same); returns its reference."""
    if sr != NULL_REF:
        call.database.record("SR", sr)

    async def filled(disk: str, inner: Call) -> Value:
        target = sr if sr != NULL_REF else str(inner.database.field("VDI", disk, "SR"))
        return await disks.copy(inner, disk, target, NULL_REF, NULL_REF)

    return await _copy(call, vm, new_name, "copy", COPY_S, DiskMaker("Async.VDI.copy", filled))


async def snapshot(call: Call, vm: str, new_name: str, ignore_vdis: list[Value]) -> Value:
    """VM.snapshot: disks in `ignore_vdis` are left out; returns the reference of the snapshot."""
    async with call.operation_on(vm, "snapshot"):
        await call.work(SNAPSHOT_S)
        left_out = [item for item in ignore_vdis if isinstance(item, str)]
        new = await take_snapshot(call, vm, new_name, left_out=left_out)
    name = f"snapshotted, snapshot name: {new_name}"
    call.toolstack.announce("VM_SNAPSHOTTED", vm, name)
    return new


async def take_snapshot(
    call: Call, vm: str, new_name: str, *, left_out: Sequence[str] = (), with_memory: bool = False
) -> str:
    """Make a snapshot of a VM that the caller has: disks first, then rows; returns it.

    In one with memory, which will resume, devices stay attached.
    """

    async def kept(disk: str, inner: Call) -> Value:
        return await disks.snapshot(inner, disk, {})

    made = await _copy_disks(call, vm, DiskMaker("Async.VDI.snapshot", kept), left_out)
    source = call.vm(vm)
    generation = generation_id(call.database.new_uuid())
    row = snapshotted(source, ref=vm, name=new_name, generation=generation)
    taken_at = datetime_of(call.database.now_s())
    new = _new_vm(call, source, {**row, "snapshot_time": taken_at})
    call.set("VM", vm, "parent", new)
    _copy_devices(call, source, new, made, keep_mac=True, keep_attached=with_memory)
    _release(call, new)
    return new


async def destroy(call: Call, vm: str) -> Value:
    """VM.destroy: the VM goes, its disks stay."""
    database = call.database
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
    call: Call, vm: str, new_name: str, operation: str, duration_s: float, disk_maker: DiskMaker
) -> Value:
    async with call.operation_on(vm, operation):
        await call.work(duration_s)
        made = await _copy_disks(call, vm, disk_maker, ())
        source = call.vm(vm)
        seed, generation = call.database.new_uuid(), generation_id(call.database.new_uuid())
        row = copied(source, name=new_name, mac_seed=seed, generation=generation)
        new = _new_vm(call, source, row)
        _copy_devices(call, source, new, made, keep_mac=False)
        _release(call, new)
    return new


async def _copy_disks(
    call: Call, vm: str, disk_maker: DiskMaker, left_out: Sequence[str]
) -> Mapping[str, str]:
    """Copy the disks of a VM, each by a call of its own; returns the copies by the VBDs.

    CDs stay what they are. If one disk fails, the copies of the others are removed.
    """
    made: dict[str, str] = {}
    try:
        for vbd in texts_of(call.vm(vm), "VBDs"):
            record = call.database.record("VBD", vbd)
            disk = text_of(record, "VDI")
            if record["type"] == "Disk" and disk != NULL_REF and disk not in left_out:
                copied = await call.inner(disk_maker.name, partial(disk_maker.make, disk))
                made[vbd] = str(copied)
    except Fault:
        for copied in made.values():
            disks.remove_disk(call, copied)
        raise
    return made


def _new_vm(call: Call, source: Record, row: Record) -> str:
    # The copy is born with the operation that makes it, as in xapi, and loses it later.
    current = map_of(source, "current_operations")
    return call.database.create(
        "VM",
        {
            **row,
            "metrics": _copied_metrics(call, source),
            "guest_metrics": _copied_row(
                call, "VM_guest_metrics", text_of(source, "guest_metrics")
            ),
            "current_operations": {task: current[task] for task in current if task == call.task},
        },
        extra=True,
    )


def _copied_metrics(call: Call, source: Record) -> str:
    metrics = _copied_row(call, "VM_metrics", text_of(source, "metrics"))
    if metrics != NULL_REF:
        return metrics
    return call.database.create("VM_metrics", {"VCPUs_utilisation": {"0": 0.0}})


def _copied_row(call: Call, cls: str, ref: str) -> str:
    """Make a row like this one and return its reference, NULL if there is no such row."""
    if not call.database.exists(cls, ref):
        return NULL_REF
    fields = {key: value for key, value in call.database.record(cls, ref).items() if key != "uuid"}
    return call.database.create(cls, fields, extra=True)


def _copy_devices(
    call: Call,
    source: Record,
    new: str,
    made: Mapping[str, str],
    *,
    keep_mac: bool,
    keep_attached: bool = False,
) -> None:
    database = call.database
    add = partial(_add_device, call, vm=new, keep_attached=keep_attached)
    for vbd in texts_of(source, "VBDs"):
        record = database.record("VBD", vbd)
        if vbd in made:
            record["VDI"] = made[vbd]
        if vbd in made or record["type"] != "Disk" or record["VDI"] == NULL_REF:
            add("VBD", record)
    for vif in texts_of(source, "VIFs"):
        record = database.record("VIF", vif)
        record["metrics"] = database.create("VIF_metrics", {})
        if not keep_mac:
            record |= {"MAC": _own_mac(call, new, record), "MAC_autogenerated": True}
        add("VIF", record)


def _add_device(call: Call, cls: str, record: Record, *, vm: str, keep_attached: bool) -> None:
    del record["uuid"]
    born: dict[str, Value] = {
        "VM": vm,
        "currently_attached": keep_attached and record["currently_attached"],
        "allowed_operations": [],
        "current_operations": {},
    }
    device = call.database.create(cls, {**record, **born}, extra=True)
    call.toolstack.update_allowed(device, cls)


def _release(call: Call, vm: str) -> None:
    call.set("VM", vm, "current_operations", {})
    call.toolstack.update_allowed(vm)


def _own_mac(call: Call, vm: str, vif: Record) -> str:
    seed = text_of(map_of(call.vm(vm), "other_config"), "mac_seed")
    return generated_mac(number_of(text_of(vif, "device")), seed)


def new_mac(uuid: str) -> str:
    """Return a locally administered MAC address made from a random uuid."""
    digits = uuid.replace("-", "")
    first = (int(digits[:2], 16) & 0xFC) | 0x02
    return ":".join([f"{first:02x}", *(digits[at : at + 2] for at in range(2, 12, 2))])
