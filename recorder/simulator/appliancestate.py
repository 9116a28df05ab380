"""What may be done to an appliance now: one thing at a time, and only if it does something."""

from collections.abc import Mapping

from .database import Database
from .refusals import current_operations, in_progress
from .values import Fault, texts_of

_DOWN = frozenset({"Running", "Paused", "Suspended"})
_WANTED: Mapping[str, tuple[frozenset[str], str]] = {
    "start": (frozenset({"Halted"}), "There are no halted VMs in this appliance."),
    "clean_shutdown": (frozenset({"Running"}), "There are no running VMs in this appliance."),
    "hard_shutdown": (_DOWN, "All VMs in this appliance are halted."),
    "shutdown": (_DOWN, "All VMs in this appliance are halted."),
}
"""The power states of which a VM must be in one, and what is said if there is no such VM."""


def refusal(database: Database, appliance: str, operation: str) -> Fault | None:
    """Return why an operation is not possible on an appliance now, None if it is."""
    for current in current_operations(database, "VM_appliance", appliance):
        return in_progress("VM_appliance", appliance, *current)
    vms = texts_of(database.row("VM_appliance", appliance).record, "VMs")
    if not vms:
        return Fault("OPERATION_NOT_ALLOWED", "Appliance has no VMs.")
    states, reason = _WANTED[operation]
    if all(database.field("VM", vm, "power_state") not in states for vm in vms):
        return Fault("OPERATION_NOT_ALLOWED", reason)
    return None


def offer(database: Database, appliance: str) -> list[str]:
    """Return what the appliance's `allowed_operations` must show."""
    return [name for name in _WANTED if refusal(database, appliance, name) is None]
