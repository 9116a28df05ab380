"""What may be done to a virtual network interface now: one thing at a time, and its guest."""

from .database import Database
from .refusals import Refusals, current_operations
from .values import Fault, text_of
from .vbdstate import hotplug_fault, leaving_fault, not_running_fault

OPERATIONS = ("attach", "unplug", "plug")
"""In the order in which `allowed_operations` shows them."""

_HOTPLUG = ("plug", "unplug")


def refusal(database: Database, vif: str, operation: str) -> Fault | None:
    """Return why an operation is not possible on a VIF now, None if it is."""
    return _refusals(database, vif).against(operation)


def offer(database: Database, vif: str) -> list[str]:
    """Return what the VIF's `allowed_operations` must show."""
    return _refusals(database, vif).offered()


def _refusals(database: Database, vif: str) -> Refusals:
    found = Refusals(OPERATIONS)
    record = database.row("VIF", vif).record
    if current := current_operations(database, "VIF", vif):
        names, tasks = ("; ".join(texts) for texts in zip(*current, strict=True))
        busy = Fault("OTHER_OPERATION_IN_PROGRESS", "VIF", vif, f"{{{names}}}", f"{{{tasks}}}")
        found.forbid(busy, OPERATIONS)
    vm = text_of(record, "VM")
    if not database.exists("VM", vm):
        return found
    guest = database.row("VM", vm).record
    if guest["is_control_domain"] is True:
        reason = "Control domain does not support hotplug"
        found.forbid(Fault("OPERATION_NOT_ALLOWED", reason), ("plug",))
    if guest["power_state"] != "Running":
        found.forbid(not_running_fault(vm, text_of(guest, "power_state")), _HOTPLUG)
    elif record["currently_attached"] is True:
        found.forbid(Fault("DEVICE_ALREADY_ATTACHED", vif), ("plug",))
    else:
        found.forbid(Fault("DEVICE_ALREADY_DETACHED", vif), ("unplug",))
    for fault in (leaving_fault(database, vm), _guest_fault(database, vm)):
        if fault is not None:
            found.forbid(fault, _HOTPLUG)
    return found


def _guest_fault(database: Database, vm: str) -> Fault | None:
    return hotplug_fault(database, vm, "can_use_hotplug_vif", "VIF")
