"""What the state of an object proves of a call whose task is gone. Pure.

A proof says how an object is, not who made it so: somebody else may have been faster. What a call
leaves no trace of in the state, such as a reboot, is never proven.
"""

from collections.abc import Mapping

from .evidence import Intent
from .inventory import HostRecord, VmRecord, host_in, vm_in
from .plan import Subject

MAKERS = frozenset({"VM.clone", "VM.copy", "VM.snapshot"})
"""What makes another VM, whose name comes first behind the reference."""

_REACHES: Mapping[str, str] = {
    "VM.start": "Running",
    "VM.start_on": "Running",
    "VM.resume": "Running",
    "VM.resume_on": "Running",
    "VM.unpause": "Running",
    "VM.pool_migrate": "Running",
    "VM.pause": "Paused",
    "VM.suspend": "Suspended",
    "VM.clean_shutdown": "Halted",
    "VM.hard_shutdown": "Halted",
}
_TO_A_HOST = frozenset({"VM.start_on", "VM.resume_on", "VM.pool_migrate"})
"""What names a host first behind the reference."""
_ENABLED: Mapping[str, bool] = {"host.enable": True, "host.disable": False}
_STARTS_PAUSED: Mapping[str, int] = {"VM.start": 0, "VM.resume": 0, "VM.start_on": 1}
"""Where among the parameters it is said that a VM is not to run yet."""


def proof_of(intent: Intent, snapshot: bytes | None) -> str | None:
    """Say how an object is as a call was to leave it; None if it is not, or nobody can tell.

    `snapshot` is its record, None for an object that is gone. Raises ProtocolError.
    """
    if intent.method == "VM.destroy":
        return "the VM is gone" if snapshot is None else None
    if snapshot is None:
        return None
    if intent.cls is Subject.HOST:
        return _of_host(intent, host_in(snapshot))
    return _of_vm(intent, vm_in(snapshot))


def _of_vm(intent: Intent, vm: VmRecord) -> str | None:
    operation = intent.method.rpartition(".")[2]
    reached = _REACHES.get(intent.method)
    place = _STARTS_PAUSED.get(intent.method)
    if place is not None and intent.params[place : place + 1] == (True,):
        reached = "Paused"
    if reached is None or vm.power_state != reached or operation in vm.current_operations.values():
        return None
    if intent.method not in _TO_A_HOST:
        return f"the VM is {reached}"
    is_there = intent.params[:1] == (vm.resident_on,)
    return f"the VM is {reached} on {vm.resident_on}" if is_there else None


def _of_host(intent: Intent, host: HostRecord) -> str | None:
    wanted = _ENABLED.get(intent.method)
    if wanted is None or host.enabled is not wanted:
        return None
    return f"the host is {'enabled' if wanted else 'disabled'}"
