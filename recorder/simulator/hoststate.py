"""What may be done to a host in which state: xapi's checks, in its order. Pure: reads records."""

from .values import Fault, Record, map_of

OPERATIONS = (
    "vm_migrate",
    "provision",
    "vm_resume",
    "enable",
    "evacuate",
    "vm_start",
    "apply_updates",
    "shutdown",
    "reboot",
    "power_on",
)
"""In the order of `allowed_operations`."""

_CREATING = frozenset({"provision", "vm_resume", "vm_migrate"})
_REMOVING = frozenset({"evacuate", "reboot", "shutdown"})
_DOWN = frozenset({"reboot", "shutdown", "apply_updates"})


def refusal(host: str, record: Record, operation: str, *, live: bool) -> Fault | None:
    """Return why an operation is not possible on a host now, None if it is.

    Faults: OTHER_OPERATION_IN_PROGRESS ["host", host, operation, task], HOST_NOT_DISABLED [],
    HOST_IS_LIVE [host], HOST_POWER_ON_MODE_DISABLED [].
    """
    if operation == "power_on":
        return _refusal_of_power(host, record, live=live)
    current = {str(name): task for task, name in map_of(record, "current_operations").items()}
    if rivals := [name for name in current if _exclude(name, operation)]:
        return Fault("OTHER_OPERATION_IN_PROGRESS", "host", host, rivals[0], current[rivals[0]])
    if operation in _DOWN and record["enabled"] is True:
        return Fault("HOST_NOT_DISABLED")
    return None


def allowed_operations(host: str, record: Record, *, live: bool) -> list[str]:
    """Return what the host's `allowed_operations` must show."""
    return [name for name in OPERATIONS if refusal(host, record, name, live=live) is None]


def _refusal_of_power(host: str, record: Record, *, live: bool) -> Fault | None:
    if live:
        return Fault("HOST_IS_LIVE", host)
    return None if record["power_on_mode"] else Fault("HOST_POWER_ON_MODE_DISABLED")


def _exclude(current: str, wanted: str) -> bool:
    if wanted in _CREATING and current in _REMOVING:
        return True
    if wanted in _REMOVING and current in _CREATING:
        return True
    if wanted == "provision":
        return current == "provision"
    return wanted in _DOWN and current in _DOWN and wanted != current
