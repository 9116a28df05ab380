"""What may be done to a virtual block device now: its VM, its guest, its disk and who shares it."""

from .database import Database
from .refusals import Refusals, current_operations, in_progress
from .values import NULL_REF, Fault, Record, map_of, text_of, texts_of

OPERATIONS = ("attach", "unpause", "unplug", "plug", "insert", "unplug_force", "pause", "eject")
"""In the order in which `allowed_operations` shows them."""

HOTPLUG = ("plug", "unplug", "unplug_force")
_PAUSES = frozenset({"pause", "unpause"})
_LEAVING = frozenset({"clean_shutdown", "hard_shutdown", "suspend", "pause"})
"""While a VM does one of these, none of its devices may be plugged or unplugged."""
_UNKNOWN = ("", "unspecified")
"""What a type of domain is in rows that an old product wrote."""


def refusal(database: Database, vbd: str, operation: str) -> Fault | None:
    """Return why an operation is not possible on a VBD now, None if it is."""
    return _refusals(database, vbd, sharing=True).against(operation)


def offer(database: Database, vbd: str) -> list[str]:
    """Return what the VBD's `allowed_operations` must show; who shares its disk is not asked."""
    return _refusals(database, vbd, sharing=False).offered()


def hotplug_fault(database: Database, vm: str, field: str, device: str) -> Fault | None:
    """Return why the guest of a running VM cannot have devices plugged, None if it can.

    `field` is what the guest says of it (`can_use_hotplug_vbd`), `device` the name of the kind.
    """
    record = database.row("VM", vm).record
    if record["power_state"] != "Running" or domain_type(database, record) != "hvm":
        return None
    missing = Fault("VM_MISSING_PV_DRIVERS", vm)
    ref = text_of(record, "guest_metrics")
    if not database.exists("VM_guest_metrics", ref):
        return missing
    guest = database.row("VM_guest_metrics", ref).record
    if guest[field] == "no":
        return Fault("OPERATION_NOT_ALLOWED", f"VM states it does not support {device} hotplug.")
    if guest[field] == "yes" or guest["PV_drivers_detected"] is True:
        return None
    return None if map_of(guest, "PV_drivers_version") else missing


def domain_type(database: Database, vm: Record) -> str:
    """Return `hvm`, `pv` or another type of domain: of the one that runs, if one does."""
    metrics = text_of(vm, "metrics")
    if vm["power_state"] in ("Running", "Paused") and database.exists("VM_metrics", metrics):
        running = str(database.field("VM_metrics", metrics, "current_domain_type"))
        if running not in _UNKNOWN:
            return running
    wanted = text_of(vm, "domain_type")
    if wanted not in _UNKNOWN:
        return wanted
    return "hvm" if text_of(vm, "HVM_boot_policy") else "pv"


def leaving_fault(database: Database, vm: str) -> Fault | None:
    """Return why no device may be plugged while its VM shuts down, suspends or pauses."""
    for operation, _task in current_operations(database, "VM", vm):
        if operation in _LEAVING:
            reason = f"Current operation on VM:{vm} is {operation}"
            return Fault("OPERATION_NOT_ALLOWED", reason)
    return None


def not_running_fault(vm: str, power_state: str) -> Fault:
    """Return VM_BAD_POWER_STATE [vm, running, actual state]."""
    return Fault("VM_BAD_POWER_STATE", vm, "running", power_state.lower())


def _refusals(database: Database, vbd: str, *, sharing: bool) -> Refusals:
    found = Refusals(OPERATIONS)
    record = database.row("VBD", vbd).record
    _consider_others(database, vbd, found)
    _consider_drive(vbd, record, found)
    vm = text_of(record, "VM")
    if database.exists("VM", vm):
        _consider_vm(database, vbd, record, found)
        if (fault := leaving_fault(database, vm)) is not None:
            found.forbid(fault, ("plug", "unplug"))
        _consider_guest(database, record, found)
    disk = text_of(record, "VDI")
    if record["empty"] is not True and disk != NULL_REF and database.exists("VDI", disk):
        _consider_disk(database, vbd, record, found, sharing=sharing)
    return found


def _consider_others(database: Database, vbd: str, found: Refusals) -> None:
    current = current_operations(database, "VBD", vbd)
    if not current:
        return
    fault = in_progress("VBD", vbd, *current[0])
    names = {operation for operation, _task in current}
    found.forbid(fault, [name for name in OPERATIONS if name not in _PAUSES])
    if not names <= _PAUSES:
        found.forbid(fault, ("pause",))
    if not names <= _PAUSES | {"attach"}:
        found.forbid(fault, ("unpause",))


def _consider_drive(vbd: str, record: Record, found: Refusals) -> None:
    if record["unpluggable"] is not True:
        found.forbid(Fault("VBD_NOT_UNPLUGGABLE", vbd), ("unplug", "unplug_force"))
    if record["type"] != "CD":
        found.forbid(Fault("VBD_NOT_REMOVABLE_MEDIA", vbd), ("insert", "eject"))
    if record["empty"] is True:
        found.forbid(Fault("VBD_IS_EMPTY", vbd), ("eject",))
    else:
        found.forbid(Fault("VBD_NOT_EMPTY", vbd), ("insert",))


def _consider_vm(database: Database, vbd: str, record: Record, found: Refusals) -> None:
    vm = text_of(record, "VM")
    state = str(database.field("VM", vm, "power_state"))
    if state != "Running":
        banned = HOTPLUG if state == "Paused" else (*_PAUSES, *HOTPLUG)
        found.forbid(not_running_fault(vm, state), banned)
    elif record["currently_attached"] is True:
        found.forbid(Fault("DEVICE_ALREADY_ATTACHED", vbd), ("plug",))
    else:
        found.forbid(Fault("DEVICE_ALREADY_DETACHED", vbd), ("unplug", "unplug_force"))


def _consider_guest(database: Database, record: Record, found: Refusals) -> None:
    vm = text_of(record, "VM")
    state = str(database.field("VM", vm, "power_state"))
    fault = hotplug_fault(database, vm, "can_use_hotplug_vbd", "VBD")
    if fault is not None:
        found.forbid(fault, HOTPLUG)
    if record["type"] != "CD":
        return
    if state == "Running" and domain_type(database, database.row("VM", vm).record) == "hvm":
        reason = "HVM CDROMs cannot be hotplugged/unplugged, only inserted or ejected"
        found.forbid(Fault("OPERATION_NOT_ALLOWED", reason), HOTPLUG)
    if state == "Suspended":
        suspended = Fault("VM_BAD_POWER_STATE", vm, "halted, running", "suspended")
        found.forbid(suspended, ("insert", "eject"))


def _consider_disk(
    database: Database, vbd: str, record: Record, found: Refusals, *, sharing: bool
) -> None:
    vdi = text_of(record, "VDI")
    if database.field("VDI", vdi, "managed") is not True:
        found.forbid(Fault("VDI_NOT_MANAGED", vbd), OPERATIONS)
    current = current_operations(database, "VDI", vdi)
    wanted = ("attach", "plug", "insert")
    if any(operation not in ("mirror", "copy") for operation, _task in current):
        found.forbid(in_progress("VDI", vdi, *current[0]), wanted)
    if record["currently_attached"] is True or not sharing:
        return
    disk = database.row("VDI", vdi).record
    needs_write = record["mode"] == "RW"
    if disk["sharable"] is not True and not _is_of_system_domain(database, record):
        others = _other_users(database, vbd, disk)
        if any(other["mode"] == "RW" for other in others) or (needs_write and others):
            found.forbid(Fault("VDI_IN_USE", vdi), wanted)
    if needs_write and disk["read_only"] is True:
        found.forbid(Fault("VDI_READONLY", vdi), wanted)


def _other_users(database: Database, vbd: str, disk: Record) -> list[Record]:
    """Return the other VBDs that have this disk now and do not know how to share it."""
    records = [database.row("VBD", ref).record for ref in texts_of(disk, "VBDs") if ref != vbd]
    return [
        record
        for record in records
        if (record["currently_attached"] is True or record["current_operations"])
        and database.exists("VM", text_of(record, "VM"))
        and database.field("VM", text_of(record, "VM"), "power_state") != "Suspended"
        and not _is_of_system_domain(database, record)
    ]


def _is_of_system_domain(database: Database, vbd: Record) -> bool:
    vm = text_of(vbd, "VM")
    if not database.exists("VM", vm):
        return False
    record = database.row("VM", vm).record
    marked = map_of(record, "other_config").get("is_system_domain") == "true"
    return marked or record["is_control_domain"] is True
