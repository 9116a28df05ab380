"""What may be done to a VM in which state: xapi's checks, in its order. Pure: reads records."""

from collections.abc import Mapping

from .values import Fault, Record, map_of, text_of

OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "create_vtpm": ("Halted",),
    "sysprep": ("Running",),
    "destroy": ("Halted", "Suspended"),
    "metadata_export": ("Halted", "Paused", "Suspended", "Running"),
    "export": ("Halted", "Suspended"),
    "make_into_template": ("Halted",),
    "changing_NVRAM": ("Halted",),
    "changing_VCPUs_live": ("Running",),
    "changing_shadow_memory": ("Halted",),
    "changing_static_range": ("Halted",),
    "changing_dynamic_range": ("Halted", "Running"),
    "migrate_send": ("Halted", "Suspended", "Running"),
    "pool_migrate": ("Running",),
    "resume_on": ("Suspended",),
    "resume": ("Suspended",),
    "suspend": ("Running",),
    "hard_reboot": ("Paused", "Running"),
    "hard_shutdown": ("Paused", "Suspended", "Running"),
    "clean_reboot": ("Running",),
    "clean_shutdown": ("Running",),
    "unpause": ("Paused",),
    "pause": ("Running",),
    "start_on": ("Halted",),
    "start": ("Halted",),
    "provision": ("Halted",),
    "checkpoint": ("Paused", "Suspended", "Running"),
    "revert": ("Halted", "Paused", "Suspended", "Running"),
    "copy": ("Halted",),
    "clone": ("Halted",),
    "snapshot": ("Halted", "Paused", "Suspended", "Running"),
}
"""The power states in which an operation is allowed, in the order of `allowed_operations`."""

_NEVER_OFFERED: Mapping[str, tuple[str, ...]] = {
    "shutdown": ("Paused", "Suspended", "Running"),
    "changing_memory_limits": ("Halted",),
    "changing_memory_live": ("Running",),
    "changing_VCPUs": ("Halted",),
    "get_boot_record": ("Paused", "Suspended", "Running"),
    "send_sysrq": ("Running",),
    "send_trigger": ("Running",),
    "call_plugin": ("Running",),
    "query_services": ("Running",),
    "csvm": ("Halted", "Suspended"),
    "power_state_reset": ("Halted", "Paused", "Suspended", "Running"),
    "reverting": ("Halted", "Paused", "Suspended", "Running"),
    "create_template": ("Halted", "Suspended"),
    "assert_operation_valid": ("Halted", "Paused", "Suspended", "Running"),
    "update_allowed_operations": ("Halted", "Paused", "Suspended", "Running"),
}
"""The power states of operations that exist and are never listed as allowed."""

_ON_TEMPLATES = frozenset(
    {"changing_memory_limits", "changing_VCPUs", "create_template", "reverting"}
    | {"changing_dynamic_range", "changing_static_range", "changing_shadow_memory"}
    | {"clone", "copy", "export", "metadata_export", "provision", "destroy"}
)
_ON_SNAPSHOTS = frozenset({"destroy", "metadata_export", "export", "revert", "copy", "clone"})
_ON_CONTROL_DOMAINS = frozenset({"metadata_export", "changing_dynamic_range"})
_TOGETHER = (frozenset({"clone", "copy", "export"}), frozenset({"snapshot", "checkpoint"}))
_FROM_SUSPENDED = frozenset({"clone", "copy"})
"""What may be done to a suspended VM if it is a snapshot, that is a checkpoint."""
_HARD = frozenset({"hard_shutdown", "hard_reboot"})
_FEATURES: Mapping[str, tuple[str, ...]] = {
    "clean_shutdown": ("feature-shutdown", "feature-poweroff"),
    "clean_reboot": ("feature-shutdown", "feature-reboot"),
    "changing_VCPUs_live": ("feature-vcpu-hotplug",),
    "suspend": ("feature-suspend",),
    "checkpoint": ("feature-suspend",),
    "pool_migrate": ("feature-suspend",),
    "migrate_send": ("feature-suspend",),
}
"""What the guest must have announced, one of the features, for an operation to be listed."""


def refusal(vm: str, record: Record, operation: str) -> Fault | None:
    """Return why an operation is not possible now, None if it is."""
    faults = (check(vm, record, operation) for check in _CHECKS)
    return next((fault for fault in faults if fault is not None), None)


def allowed_operations(vm: str, record: Record, guest: Record | None) -> list[str]:
    """Return what the VM's `allowed_operations` must show; `guest` is its guest metrics."""
    return [
        operation
        for operation in OPERATIONS
        if refusal(vm, record, operation) is None and _announced(record, guest, operation)
    ]


def announces(guest: Record | None, operation: str) -> bool:
    """Say whether the guest agent told that it can do this."""
    known = {} if guest is None else map_of(guest, "other")
    return any(known.get(feature) == "1" for feature in _FEATURES[operation])


def _announced(record: Record, guest: Record | None, operation: str) -> bool:
    if operation not in _FEATURES or record["power_state"] != "Running":
        return True
    return announces(guest, operation)


def _on_template(record: Record, operation: str) -> bool:
    if operation == "destroy":
        return record["is_default_template"] is not True
    return operation in _ON_TEMPLATES


def _can_join(operation: str, current: frozenset[str]) -> bool:
    if not current:
        return True
    if operation in _HARD:
        return not current & (_HARD | {"destroy"})
    return any(operation in group and current <= group for group in _TOGETHER)


def _blocked(vm: str, record: Record, operation: str) -> Fault | None:
    reasons = map_of(record, "blocked_operations")
    if operation not in reasons:
        return None
    return Fault("OPERATION_BLOCKED", vm, str(reasons[operation]))


def _in_another_state(vm: str, record: Record, operation: str) -> Fault | None:
    state = text_of(record, "power_state")
    allowed = OPERATIONS.get(operation) or _NEVER_OFFERED[operation]
    if operation in _FROM_SUSPENDED and record["is_a_snapshot"] is True:
        allowed = (*allowed, "Suspended")
    if state in allowed:
        return None
    return Fault("VM_BAD_POWER_STATE", vm, ", ".join(allowed).lower(), state.lower())


def _busy(vm: str, record: Record, operation: str) -> Fault | None:
    current = map_of(record, "current_operations")
    names = [str(name) for name in current.values()]
    if _can_join(operation, frozenset(names)):
        return None
    if len(names) == 1:
        return Fault("OTHER_OPERATION_IN_PROGRESS", "VM", vm, names[0], *current)
    together = (f"{{{','.join(texts)}}}" for texts in (names, current))
    return Fault("OTHER_OPERATION_IN_PROGRESS", "VM", vm, *together)


def _of_another_kind(vm: str, record: Record, operation: str) -> Fault | None:
    is_template, is_snapshot = record["is_a_template"] is True, record["is_a_snapshot"] is True
    if is_template and not is_snapshot and not _on_template(record, operation):
        return Fault("VM_IS_TEMPLATE", vm, operation)
    if is_snapshot and operation not in _ON_SNAPSHOTS:
        return Fault("VM_IS_SNAPSHOT", vm, operation)
    if operation == "provision" and not is_template:
        return Fault("PROVISION_ONLY_ALLOWED_ON_TEMPLATE")
    if operation == "revert" and not is_snapshot:
        return Fault("REVERT_ONLY_ALLOWED_ON_SNAPSHOT")
    return None


def _on_domain_0(_vm: str, record: Record, operation: str) -> Fault | None:
    if record["is_control_domain"] is True and operation not in _ON_CONTROL_DOMAINS:
        return Fault("OPERATION_NOT_ALLOWED", "Operations on domain 0 are not allowed")
    return None


_CHECKS = (_blocked, _in_another_state, _busy, _of_another_kind, _on_domain_0)
"""The first that objects decides, as in xapi."""
