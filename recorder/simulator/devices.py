"""Virtual block devices, and how all devices of a VM come with its domain and go with it."""

from collections.abc import Mapping

from .catalogue import Handler
from .constructors import given
from .disks import check_managed
from .dom0 import hand_over
from .drives import chosen, free_numbers, linux_name, number_of
from .refusals import current_operations
from .rules import rules_of
from .srstate import plugged_pbds
from .toolstack import Call, Toolstack
from .values import NULL_REF, Fault, Record, Value, text_of, texts_of
from .vbdstate import domain_type

PLUG_S = 1.5
UNPLUG_S = 1.0
INSERT_S = 0.5

_REQUIRED = (
    "VM",
    "VDI",
    "userdevice",
    "bootable",
    "mode",
    "type",
    "empty",
    "other_config",
    "qos_algorithm_type",
    "qos_algorithm_params",
)
_TYPES = frozenset(
    {"system", "user", "ephemeral", "suspend", "crashdump", "metadata", "rrd", "pvs_cache"}
)
"""Types of disks that a VM may have."""
_MIGRATIONS = ("migrate_send", "pool_migrate")


async def create(call: Call, args: Value) -> Value:
    """VBD.create: returns its reference; `userdevice` may be `autodetect`.

    Faults: FIELD_TYPE_ERROR, VM_BAD_POWER_STATE, VDI_INCOMPATIBLE_TYPE [vdi, type],
    VBD_CDS_MUST_BE_READONLY [], VBD_NOT_REMOVABLE_MEDIA ["in constructor"], VDI_READONLY [vdi],
    OTHER_OPERATION_IN_PROGRESS ["VM", vm, operation, task] while the VM migrates, INVALID_DEVICE
    [device], DEVICE_ALREADY_EXISTS [device].
    """
    fields = given("VBD", args, _REQUIRED)
    vm = text_of(fields, "VM")
    _check_new(call, fields)
    for operation, task in current_operations(call.database, "VM", vm):
        if operation in _MIGRATIONS:
            raise Fault("OTHER_OPERATION_IN_PROGRESS", "VM", vm, operation, task)
    wanted, kind = text_of(fields, "userdevice"), text_of(fields, "type")
    fields["userdevice"] = chosen(call.database, vm, wanted, kind)
    vbd = call.database.create("VBD", fields)
    call.toolstack.update_allowed(vbd, "VBD")
    return vbd


async def destroy(call: Call, vbd: str) -> Value:
    """VBD.destroy: Fault OPERATION_NOT_ALLOWED while it is attached."""
    record = call.database.record("VBD", vbd)
    if record["currently_attached"] is True:
        vm = call.database.field("VM", text_of(record, "VM"), "uuid")
        reason = f"VBD '{record['uuid']}' still attached to '{vm}'"
        raise Fault("OPERATION_NOT_ALLOWED", reason)
    metrics = text_of(record, "metrics")
    if call.database.exists("VBD_metrics", metrics):
        call.database.delete("VBD_metrics", metrics)
    call.database.delete("VBD", vbd)
    return ""


async def plug(call: Call, vbd: str) -> Value:
    """VBD.plug: into the running VM.

    Faults of the rules: DEVICE_ALREADY_ATTACHED [vbd], VM_BAD_POWER_STATE, VM_MISSING_PV_DRIVERS
    [vm], VDI_IN_USE [vdi], VDI_READONLY [vdi]; and DISK_VBD_MUST_BE_READWRITE_FOR_HVM [vbd],
    SR_NOT_ATTACHED [sr].
    """
    async with call.operation_on(vbd, "plug", "VBD"):
        _check_pluggable(call, vbd)
        await hand_over(call, PLUG_S, cancel_points=4)
        _show_attached(call, vbd, attached=True)
    _update_with_disk(call.toolstack, vbd)
    return ""


async def unplug(call: Call, vbd: str) -> Value:
    """VBD.unplug. Faults of the rules: DEVICE_ALREADY_DETACHED [vbd], VBD_NOT_UNPLUGGABLE [vbd]."""
    return await _unplug(call, vbd, "unplug")


async def unplug_force(call: Call, vbd: str) -> Value:
    """VBD.unplug_force: whatever the guest says."""
    return await _unplug(call, vbd, "unplug_force")


async def insert(call: Call, vbd: str, vdi: str) -> Value:
    """VBD.insert: a disk into an empty drive, whether the VM runs or not.

    Faults of the rules: VBD_NOT_REMOVABLE_MEDIA [vbd], VBD_NOT_EMPTY [vbd]; VDI_NOT_MANAGED [vdi].
    """
    async with call.operation_on(vbd, "insert", "VBD"):
        check_managed(call, vdi)
        if _is_live(call, vbd):
            await hand_over(call, INSERT_S, cancel_points=2)
        call.set("VBD", vbd, "VDI", vdi)
        call.set("VBD", vbd, "empty", False)
    _update_with_disk(call.toolstack, vbd)
    return ""


async def eject(call: Call, vbd: str) -> Value:
    """VBD.eject. Faults of the rules: VBD_NOT_REMOVABLE_MEDIA [vbd], VBD_IS_EMPTY [vbd]."""
    async with call.operation_on(vbd, "eject", "VBD"):
        vdi = text_of(call.database.record("VBD", vbd), "VDI")
        if _is_live(call, vbd):
            await hand_over(call, INSERT_S, cancel_points=2)
        call.set("VBD", vbd, "empty", True)
        call.set("VBD", vbd, "VDI", NULL_REF)
    _update_with_disk(call.toolstack, vbd)
    if call.database.exists("VDI", vdi):
        call.toolstack.update_allowed(vdi, "VDI")
    return ""


async def pause(call: Call, vbd: str) -> Value:
    """VBD.pause: no SR supports it. Fault SR_OPERATION_NOT_SUPPORTED [sr]."""
    return await _pause(call, vbd, "pause")


async def unpause(call: Call, vbd: str, _token: str) -> Value:
    """VBD.unpause: no SR supports it. Fault SR_OPERATION_NOT_SUPPORTED [sr]."""
    return await _pause(call, vbd, "unpause")


async def set_mode(call: Call, vbd: str, value: str) -> Value:
    """VBD.set_mode: `RO` or `RW`. Fault VM_BAD_POWER_STATE [vm, halted, actual]."""
    vm = text_of(call.database.record("VBD", vbd), "VM")
    state = text_of(call.vm(vm), "power_state")
    if state != "Halted":
        raise Fault("VM_BAD_POWER_STATE", vm, "halted", state.lower())
    call.set("VBD", vbd, "mode", value)
    return ""


async def assert_attachable(call: Call, vbd: str) -> Value:
    """VBD.assert_attachable: raises what stands against attaching it now."""
    call.database.record("VBD", vbd)
    if fault := rules_of("VBD").refusal(call.database, vbd, "attach"):
        raise fault
    return ""


async def get_allowed_vbd_devices(call: Call, vm: str) -> Value:
    """VM.get_allowed_VBD_devices: the numbers that are free."""
    return [*free_numbers(call.database, vm)]


def attach_all(call: Call, vm: str) -> None:
    """Write that all devices of a VM came with its domain: disks first, then interfaces."""
    _show_all(call, vm, attached=True)


def detach_all(call: Call, vm: str) -> None:
    """Write that all devices of a VM went with its domain (not when it is suspended)."""
    _show_all(call, vm, attached=False)


def update_offers(toolstack: Toolstack, vm: str) -> None:
    """Compute `allowed_operations` of the devices of a VM anew: its state or its guest changed."""
    record = toolstack.database.record("VM", vm)
    for vbd in texts_of(record, "VBDs"):
        toolstack.update_allowed(vbd, "VBD")
    for vif in texts_of(record, "VIFs"):
        toolstack.update_allowed(vif, "VIF")


def _check_new(call: Call, fields: Record) -> None:
    vm, vdi = text_of(fields, "VM"), text_of(fields, "VDI")
    plugged = fields["device"] != "" or fields["currently_attached"] is True
    if plugged and call.vm(vm)["power_state"] != "Suspended":
        reason = "Plugged VBD creation only allowed for suspended VM"
        raise Fault("VM_BAD_POWER_STATE", reason)
    if fields["empty"] is not True:
        kind = text_of(call.database.record("VDI", vdi), "type")
        if kind not in _TYPES:
            raise Fault("VDI_INCOMPATIBLE_TYPE", vdi, kind)
    if fields["type"] == "CD" and fields["mode"] != "RO":
        raise Fault("VBD_CDS_MUST_BE_READONLY")
    if fields["type"] != "CD" and fields["empty"] is True:
        raise Fault("VBD_NOT_REMOVABLE_MEDIA", "in constructor")
    if fields["mode"] == "RW" and call.database.record("VDI", vdi)["read_only"] is True:
        raise Fault("VDI_READONLY", vdi)
    call.vm(vm)


def _check_pluggable(call: Call, vbd: str) -> None:
    record = call.database.record("VBD", vbd)
    vm = call.vm(text_of(record, "VM"))
    writes = record["mode"] == "RW" or record["type"] == "CD"
    if domain_type(call.database, vm) == "hvm" and not writes:
        raise Fault("DISK_VBD_MUST_BE_READWRITE_FOR_HVM", vbd)
    if record["empty"] is True:
        return
    sr = str(call.database.field("VDI", text_of(record, "VDI"), "SR"))
    pbds = plugged_pbds(call.database, sr)
    if vm["resident_on"] not in [call.database.field("PBD", pbd, "host") for pbd in pbds]:
        raise Fault("SR_NOT_ATTACHED", sr)


async def _unplug(call: Call, vbd: str, operation: str) -> Value:
    async with call.operation_on(vbd, operation, "VBD"):
        await hand_over(call, UNPLUG_S, cancel_points=3)
        _show_attached(call, vbd, attached=False)
    _update_with_disk(call.toolstack, vbd)
    return ""


async def _pause(call: Call, vbd: str, operation: str) -> Value:
    async with call.operation_on(vbd, operation, "VBD"):
        vdi = text_of(call.database.record("VBD", vbd), "VDI")
        raise Fault("SR_OPERATION_NOT_SUPPORTED", str(call.database.field("VDI", vdi, "SR")))


def _is_live(call: Call, vbd: str) -> bool:
    vm = call.vm(text_of(call.database.record("VBD", vbd), "VM"))
    return vm["power_state"] in ("Running", "Paused")


def _show_attached(call: Call, vbd: str, *, attached: bool) -> None:
    if attached:
        number = number_of(text_of(call.database.record("VBD", vbd), "userdevice"))
        if number is not None:
            call.set("VBD", vbd, "device", linux_name(number))
    call.set("VBD", vbd, "currently_attached", attached)
    _update_with_disk(call.toolstack, vbd)


def _update_with_disk(toolstack: Toolstack, vbd: str) -> None:
    database = toolstack.database
    if not database.exists("VBD", vbd):
        return
    toolstack.update_allowed(vbd, "VBD")
    vdi = text_of(database.record("VBD", vbd), "VDI")
    if database.exists("VDI", vdi):
        toolstack.update_allowed(vdi, "VDI")


def _show_all(call: Call, vm: str, *, attached: bool) -> None:
    record = call.vm(vm)
    for vbd in texts_of(record, "VBDs"):
        _show_attached(call, vbd, attached=attached)
    for vif in texts_of(record, "VIFs"):
        call.set("VIF", vif, "currently_attached", attached)
        call.toolstack.update_allowed(vif, "VIF")


HANDLERS: Mapping[str, Handler] = {
    "VBD.create": create,
    "VBD.destroy": destroy,
    "VBD.plug": plug,
    "VBD.unplug": unplug,
    "VBD.unplug_force": unplug_force,
    "VBD.unplug_force_no_safety_check": unplug_force,
    "VBD.insert": insert,
    "VBD.eject": eject,
    "VBD.pause": pause,
    "VBD.unpause": unpause,
    "VBD.set_mode": set_mode,
    "VBD.assert_attachable": assert_attachable,
    "VM.get_allowed_VBD_devices": get_allowed_vbd_devices,
}
