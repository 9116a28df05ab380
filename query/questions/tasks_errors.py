"""Why a task failed, in words: the commonest error codes of the server, and what stands behind."""

from collections.abc import Mapping, Sequence

from ..values import value_text

_WORDS = {
    "CANNOT_CONTACT_HOST": "host {0} cannot be reached",
    "DEVICE_ALREADY_ATTACHED": "device {0} is attached already",
    "DEVICE_ALREADY_DETACHED": "device {0} is detached already",
    "DEVICE_ALREADY_EXISTS": "there is a device {0} already",
    "FIELD_TYPE_ERROR": "the field {0} has a value of the wrong type",
    "HANDLE_INVALID": "there is no {0} with the reference {1}",
    "HOST_DISABLED": "host {0} is disabled",
    "HOST_IN_USE": "host {0} is in use by {1} {2}",
    "HOST_NOT_DISABLED": "the host is not disabled",
    "HOST_NOT_ENOUGH_FREE_MEMORY": "the host has too little free memory: {0} needed, {1} free",
    "HOST_NOT_LIVE": "the host is not live",
    "HOST_OFFLINE": "host {0} is offline",
    "INTERNAL_ERROR": "the server has a bug: {0}",
    "INVALID_VALUE": "the field {0} cannot be {1}",
    "LICENCE_RESTRICTION": "the licence does not allow {0}",
    "MAP_DUPLICATE_KEY": "{0}.{1} has the key {3} already",
    "MESSAGE_METHOD_UNKNOWN": "the server has no call {0}",
    "MESSAGE_PARAMETER_COUNT_MISMATCH": "{0} takes {1} parameters, but got {2}",
    "NO_HOSTS_AVAILABLE": "no host can run it",
    "NOT_IMPLEMENTED": "the server does not know how to do {0}",
    "OPERATION_BLOCKED": "{0} is blocked against it: {1}",
    "OPERATION_NOT_ALLOWED": "it is not allowed: {0}",
    "OTHER_OPERATION_IN_PROGRESS": "another operation is under way on {1}",
    "PERMISSION_DENIED": "it is not permitted: {0}",
    "RBAC_PERMISSION_DENIED": "the user has no role with the permission {0}",
    "SESSION_INVALID": "the session had ended",
    "SR_FULL": "the storage is full: {0} needed, {1} free",
    "SR_HAS_NO_PBDS": "storage {0} is plugged into no host",
    "TASK_CANCELLED": "it was cancelled",
    "TOO_MANY_PENDING_TASKS": "too many operations wait for locks",
    "UUID_INVALID": "there is no {0} with the uuid {1}",
    "VALUE_NOT_SUPPORTED": "the field {0} cannot be {1}: {2}",
    "VDI_IN_USE": "disk {0} is in use",
    "VDI_IS_A_PHYSICAL_DEVICE": "disk {0} is a physical device",
    "VDI_NOT_AVAILABLE": "disk {0} is not available",
    "VM_BAD_POWER_STATE": "{0} is {2}, but has to be {1}",
    "VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT": "{0} did not answer the request to shut down",
    "VM_HAS_PCI_ATTACHED": "{0} has a PCI device of its host",
    "VM_IS_PROTECTED": "{0} is protected by high availability",
    "VM_IS_SNAPSHOT": "{0} is a snapshot",
    "VM_IS_TEMPLATE": "{0} is a template",
    "VM_LACKS_FEATURE": "the guest in {0} has no support for it",
    "VM_MISSING_PV_DRIVERS": "the guest in {0} has no drivers for it",
    "VM_NON_SUSPENDABLE": "{0} cannot be suspended: {1}",
    "VM_REQUIRES_NETWORK": "{0} needs network {1}, which the host does not have",
    "VM_REQUIRES_SR": "{0} needs storage {1}, which the host does not have",
    "VM_SHUTDOWN_TIMEOUT": "{0} did not shut down within {1} s",
}
_STORAGE = "SR_BACKEND_FAILURE"


def in_words(code: str, params: Sequence[str], names: Mapping[str, str]) -> str | None:
    """Return what an error says, with the `names` of its references; None if nobody knows.

    How many parameters a code has differs by release: one with too few is not put into words.
    """
    texts = [" ".join(value_text(param, dict(names)).split()) for param in params]
    if code.startswith(_STORAGE):
        told = [text for text in texts if text != '""']
        return f"the storage failed: {told[-1]}" if told else "the storage failed"
    words = _WORDS.get(code)
    try:
        return None if words is None else words.format(*texts)
    except IndexError:
        return None
