"""What is known of the methods that workloads call. Plain data."""

from collections.abc import Mapping

import msgspec

from ..xapi.jsonrpc import Param


class Needs(msgspec.Struct, frozen=True):
    """What a VM must be like: its power state, and what its `allowed_operations` must name.

    XAPI allows what asks the guest once the agent in it has reported.
    """

    power_state: str | None = None
    allowed: str | None = None


_NEEDS: Mapping[str, Needs] = {
    "VM.start": Needs("Halted"),
    "VM.start_on": Needs("Halted"),
    "VM.clone": Needs("Halted"),
    "VM.resume": Needs("Suspended"),
    "VM.resume_on": Needs("Suspended"),
    "VM.unpause": Needs("Paused"),
    "VM.pause": Needs("Running"),
    "VM.hard_reboot": Needs("Running"),
    "VM.suspend": Needs("Running", "suspend"),
    "VM.clean_shutdown": Needs("Running", "clean_shutdown"),
    "VM.clean_reboot": Needs("Running", "clean_reboot"),
    "VM.pool_migrate": Needs("Running", "pool_migrate"),
}

CHANGED_CODES = frozenset(
    {"HANDLE_INVALID", "VM_BAD_POWER_STATE", "OTHER_OPERATION_IN_PROGRESS", "OPERATION_NOT_ALLOWED"}
)
"""Errors that may come from what somebody else does to a VM at the same time."""

PARAMS: Mapping[str, tuple[Param, ...]] = {
    "VM.start": (False, True),
    "VM.resume": (False, True),
}
"""What comes behind the VM, unless said otherwise: not paused, and by force, as in the samples."""


def needs_of(method: str) -> Needs:
    """Return what a VM must be like for a method; nothing for one that is not known."""
    return _NEEDS.get(method, Needs())
