"""Disks: how they come, are copied, grow, move and go. Their plain fields are in diskfields."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from .catalogue import Handler, signatures
from .constructors import given, subset
from .room import charge_for, check_attached, check_room, rounded_bytes, taken_bytes
from .toolstack import Call
from .values import EPOCH, NULL_REF, Fault, Record, Value, datetime_of, int_of, text_of, texts_of

CREATE_S = 1.0
DESTROY_S = 0.5
CLONE_S = 2.0
RESIZE_S = 1.0
COPY_S = 20.0
MIGRATE_S = 30.0

_REQUIRED = ("SR", "virtual_size", "type", "sharable", "read_only", "other_config")
_OF_SM = ("name_label", "name_description", "SR", "type", "read_only", "sm_config")
"""What the plugin writes when it makes a disk; the rest is written by xapi afterwards."""
_OF_XAPI = ("other_config", "sharable", "tags", "xenstore_data")
_COPIED = ("name_label", "name_description", "type", "read_only", "virtual_size", "SR")
_COPIED_LATER = ("sharable", "other_config", "xenstore_data", "on_boot", "allow_caching", "tags")


async def create(call: Call, args: Value) -> Value:
    """VDI.create: an empty disk, returns its reference.

    Faults: FIELD_TYPE_ERROR, VDI_INCOMPATIBLE_TYPE, SR_OPERATION_NOT_SUPPORTED, SR_HAS_NO_PBDS,
    SR_BACKEND_FAILURE_44 (no space), SR_BACKEND_FAILURE_79 (size).
    """
    fields = given("VDI", args, _REQUIRED)
    sr = text_of(fields, "SR")
    async with call.operation_on(sr, "vdi_create", "SR"):
        check_attached(call, sr)
        if fields["type"] == "cbt_metadata":
            raise Fault("VDI_INCOMPATIBLE_TYPE", "", "cbt_metadata")
        size = rounded_bytes(call, sr, int_of(fields, "virtual_size"))
        taken = taken_bytes(call, sr, size)
        check_room(call, sr, taken)
        await call.work(CREATE_S)
        sizes: Record = {"virtual_size": size, "physical_utilisation": taken}
        vdi = add_disk(call, subset(fields, _OF_SM) | sizes)
        for field in _OF_XAPI:
            call.set("VDI", vdi, field, fields[field])
        call.toolstack.update_allowed(vdi, "VDI")
    return vdi


async def introduce(call: Call, *params: Value) -> Value:
    """VDI.introduce: a disk that is in the SR already; returns its reference.

    Faults: SR_OPERATION_NOT_SUPPORTED, SR_HAS_NO_PBDS, LOCATION_NOT_UNIQUE [sr, location].
    """
    fields = _introduced(params, "introduce")
    sr = text_of(fields, "SR")
    async with call.operation_on(sr, "vdi_introduce", "SR"):
        check_attached(call, sr)
        _check_location(call, fields)
        await call.work(CREATE_S)
        vdi = add_disk(call, fields)
        call.toolstack.update_allowed(vdi, "VDI")
    return vdi


async def pool_introduce(call: Call, *params: Value) -> Value:
    """VDI.pool_introduce: only the row. Faults LOCATION_NOT_UNIQUE, UUID_INVALID."""
    fields = _introduced(params, "pool_introduce")
    _check_location(call, fields)
    if len(text_of(fields, "uuid")) != 36:
        raise Fault("UUID_INVALID", "VDI", text_of(fields, "uuid"))
    vdi = call.database.create("VDI", fields)
    call.toolstack.update_allowed(vdi, "VDI")
    return vdi


async def destroy(call: Call, vdi: str) -> Value:
    """VDI.destroy: with the VBDs that point to it. Faults of the rules, VDI_NOT_MANAGED [vdi]."""
    async with hold(call, vdi, "vdi_destroy", "destroy"):
        check_managed(call, vdi)
        await call.work(DESTROY_S, cancellable=False)
        remove_disk(call, vdi)
    return ""


async def forget(call: Call, vdi: str) -> Value:
    """VDI.forget: only the row goes."""
    async with call.operation_on(vdi, "forget", "VDI"):
        drop_row(call, vdi)
    return ""


async def snapshot(call: Call, vdi: str, driver_params: Value) -> Value:
    """VDI.snapshot: returns the reference of the snapshot."""
    async with hold(call, vdi, "vdi_snapshot", "snapshot"):
        check_managed(call, vdi)
        now = datetime_of(call.database.now_s())
        own: Record = {"is_a_snapshot": True, "snapshot_of": vdi, "snapshot_time": now}
        return await _duplicate(call, vdi, own, driver_params)


async def clone(call: Call, vdi: str, driver_params: Value) -> Value:
    """VDI.clone: returns the reference of the new disk, which is no snapshot."""
    async with hold(call, vdi, "vdi_clone", "clone"):
        check_managed(call, vdi)
        return await _duplicate(call, vdi, {"snapshot_time": EPOCH}, driver_params)


async def copy(call: Call, vdi: str, sr: str, _base_vdi: str, into_vdi: str) -> Value:
    """VDI.copy: all data, into a new disk in another SR or into one that is there.

    Faults: VDI_READONLY [vdi], VDI_TOO_SMALL [vdi, size], and those of VDI.create.
    """
    database = call.database
    async with call.operation_on(vdi, "copy", "VDI"):
        check_managed(call, vdi)
        source = database.record("VDI", vdi)
        made = not database.exists("VDI", into_vdi)
        target = await _made_inside(call, source, sr) if made else into_vdi
        try:
            _check_target(call, source, target)
            await _pour(call, vdi, target)
        except Fault:
            if made:
                remove_disk(call, target)
            raise
        taken = database.field("VDI", vdi, "physical_utilisation")
        call.set("VDI", target, "physical_utilisation", taken)
        call.toolstack.update_allowed(target, "VDI")
    return target


async def resize(call: Call, vdi: str, size: int) -> Value:
    """VDI.resize: disks only grow. Faults SR_BACKEND_FAILURE_44 and _79."""
    async with hold(call, vdi, "vdi_resize", "resize") as sr:
        check_managed(call, vdi)
        before = call.database.record("VDI", vdi)
        after_bytes = rounded_bytes(call, sr, size)
        if after_bytes < int_of(before, "virtual_size"):
            reason = "VDI Invalid size [opterr=shrinking not allowed]"
            raise Fault("SR_BACKEND_FAILURE_79", "", reason, "")
        data_bytes = int_of(before, "physical_utilisation")
        taken = taken_bytes(call, sr, after_bytes, data_bytes=data_bytes)
        check_room(call, sr, taken - data_bytes)
        await call.work(RESIZE_S)
        charge_for(call, before, sign=-1)
        call.set("VDI", vdi, "physical_utilisation", taken)
        call.set("VDI", vdi, "virtual_size", after_bytes)
        charge_for(call, call.database.record("VDI", vdi))
    return ""


async def pool_migrate(call: Call, vdi: str, sr: str, _options: Value) -> Value:
    """VDI.pool_migrate: the disk of a VM goes to another SR; returns its new reference.

    Faults: VDI_NEEDS_VM_FOR_MIGRATE [vdi], and those of the rules of VM and disk.
    """
    vbds = texts_of(call.database.record("VDI", vdi), "VBDs")
    if not vbds:
        raise Fault("VDI_NEEDS_VM_FOR_MIGRATE", vdi)
    vm = str(call.database.field("VBD", vbds[0], "VM"))
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, "migrate_send"), call.operation_on(vdi, "mirror", "VDI"):
        source = call.database.record("VDI", vdi)
        target = await _made_inside(call, source, sr)
        try:
            await call.work(MIGRATE_S)
        except Fault:
            remove_disk(call, target)
            raise
        call.set("VDI", target, "physical_utilisation", source["physical_utilisation"])
        for vbd in vbds:
            call.set("VBD", vbd, "VDI", target)
        remove_disk(call, vdi)
        call.toolstack.update_allowed(target, "VDI")
    return target


@asynccontextmanager
async def hold(call: Call, vdi: str, sr_operation: str, operation: str) -> AsyncIterator[str]:
    """Have a disk and its SR for an operation; gives the SR. Afterwards the SR is free first.

    Faults: those of both rules, SR_HAS_NO_PBDS [sr].
    """
    sr = text_of(call.database.record("VDI", vdi), "SR")
    async with AsyncExitStack() as first:
        await first.enter_async_context(call.operation_on(sr, sr_operation, "SR"))
        async with AsyncExitStack() as last:
            await last.enter_async_context(call.operation_on(vdi, operation, "VDI"))
            last.push_async_exit(first.pop_all())
            check_attached(call, sr)
            yield sr


def add_disk(call: Call, fields: Mapping[str, Value]) -> str:
    """Add a row for a disk that the plugin made, and say so in its SR; returns the reference."""
    uuid = call.database.new_uuid()
    own: Record = {"uuid": uuid, "location": uuid, "managed": True}
    vdi = call.database.create("VDI", {**own, **fields})
    call.toolstack.update_allowed(vdi, "VDI")
    charge_for(call, call.database.record("VDI", vdi))
    return vdi


def remove_disk(call: Call, vdi: str) -> None:
    """Remove a disk and its VBDs, and give its bytes back to the SR."""
    record = call.database.record("VDI", vdi)
    call.database.delete("VDI", vdi)
    charge_for(call, record, sign=-1)
    for vbd in texts_of(record, "VBDs"):
        if call.database.field("VBD", vbd, "VDI") == vdi:
            call.database.delete("VBD", vbd)
    for vm in call.database.find("VM", "suspend_VDI", vdi):
        call.set("VM", vm, "suspend_VDI", NULL_REF)


def drop_row(call: Call, vdi: str) -> None:
    """Remove the row of a disk that may still be there: drives become empty, other VBDs go.

    xapi leaves those VBDs to its next collection of garbage, half a minute later.
    """
    vbds = texts_of(call.database.record("VDI", vdi), "VBDs")
    for vbd in vbds:
        if call.database.field("VBD", vbd, "type") == "CD":
            call.set("VBD", vbd, "VDI", NULL_REF)
            call.set("VBD", vbd, "empty", True)
    call.database.delete("VDI", vdi)
    for vbd in vbds:
        if call.database.field("VBD", vbd, "VDI") == vdi:
            call.database.delete("VBD", vbd)


def check_managed(call: Call, vdi: str) -> None:
    """Fault VDI_NOT_MANAGED [vdi]."""
    if call.database.record("VDI", vdi)["managed"] is not True:
        raise Fault("VDI_NOT_MANAGED", vdi)


async def _duplicate(call: Call, vdi: str, own: Record, driver_params: Value) -> str:
    source = call.database.record("VDI", vdi)
    sr = text_of(source, "SR")
    taken = taken_bytes(call, sr, int_of(source, "virtual_size"))
    check_room(call, sr, taken)
    await call.work(CLONE_S)
    sizes: Record = {"physical_utilisation": taken, "sm_config": driver_params}
    new = add_disk(call, subset(source, _COPIED) | sizes | own)
    for field in _COPIED_LATER:
        call.set("VDI", new, field, source[field])
    call.set("VDI", new, "cbt_enabled", source["cbt_enabled"] is True and "snapshot_of" in own)
    call.toolstack.update_allowed(new, "VDI")
    return new


async def _made_inside(call: Call, source: Record, sr: str) -> str:
    """Make the target of a copy by an inner VDI.create, which is a task of its own."""
    wanted = subset(source, (*_OF_SM, "virtual_size", *_OF_XAPI))
    own: Record = {"SR": sr, "read_only": False, "sm_config": {}}
    made = await call.inner("VDI.create", lambda inner: create(inner, wanted | own))
    assert isinstance(made, str)
    return made


def _check_target(call: Call, source: Record, target: str) -> None:
    record = call.database.record("VDI", target)
    if record["read_only"] is True:
        raise Fault("VDI_READONLY", target)
    if int_of(record, "virtual_size") < int_of(source, "virtual_size"):
        raise Fault("VDI_TOO_SMALL", target, str(source["virtual_size"]))


async def _pour(call: Call, source: str, target: str) -> None:
    """Let time pass with both disks attached to the control domain of the master."""
    database = call.database
    host = database.field("pool", call.toolstack.pool_ref, "master")
    vm = database.field("host", str(host), "control_domain")
    attached: list[tuple[str, str]] = []
    try:
        for vdi, mode in ((source, "RO"), (target, "RW")):
            fields: Record = {"VM": vm, "VDI": vdi, "mode": mode, "userdevice": "autodetect"}
            vbd = database.create("VBD", fields | {"currently_attached": True})
            attached.append((vbd, vdi))
            call.toolstack.update_allowed(vdi, "VDI")
        await call.work(COPY_S)
    finally:
        for vbd, vdi in attached:
            database.delete("VBD", vbd)
            call.toolstack.update_allowed(vdi, "VDI")


def _introduced(params: tuple[Value, ...], verb: str) -> Record:
    names = [param.name for param in signatures()[f"VDI.{verb}"].params]
    return dict(zip(names, params, strict=True))


def _check_location(call: Call, fields: Record) -> None:
    sr, location = text_of(fields, "SR"), text_of(fields, "location")
    for vdi in texts_of(call.database.record("SR", sr), "VDIs"):
        record = call.database.record("VDI", vdi)
        if record["location"] == location and record["uuid"] != fields["uuid"]:
            raise Fault("LOCATION_NOT_UNIQUE", sr, location)


HANDLERS: Mapping[str, Handler] = {
    "VDI.create": create,
    "VDI.introduce": introduce,
    "VDI.pool_introduce": pool_introduce,
    "VDI.destroy": destroy,
    "VDI.forget": forget,
    "VDI.snapshot": snapshot,
    "VDI.clone": clone,
    "VDI.copy": copy,
    "VDI.resize": resize,
    "VDI.pool_migrate": pool_migrate,
}
