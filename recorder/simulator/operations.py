"""Who does which operation: the methods that do more than read or write a field."""

from collections.abc import Mapping
from functools import cache

import msgspec

from . import (
    administration,
    appliances,
    availability,
    belongings,
    bonds,
    copies,
    devices,
    diskfields,
    disks,
    evacuation,
    hosts,
    hostservices,
    interfaces,
    lifecycle,
    messages,
    networks,
    nics,
    pbds,
    pifs,
    placement,
    pooling,
    provisioning,
    sizing,
    snapshots,
    storage,
    vlans,
)
from .catalogue import Handler, Param, Signature, signatures
from .settings import setter

__all__ = ["Operation", "Param", "operations"]


class Operation(msgspec.Struct, frozen=True):
    """A method that does something, by its sync name (`VM.start`).

    `params` does not count the session. `has_async` says whether `Async.` exists; such methods
    make a task when they are called either way, others (task.cancel, message.create) do not.
    """

    name: str
    params: tuple[Param, ...]
    has_async: bool
    handler: Handler


_HANDLERS: Mapping[str, Handler] = {
    "VM.start": lifecycle.start,
    "VM.start_on": lifecycle.start_on,
    "VM.pause": lifecycle.pause,
    "VM.unpause": lifecycle.unpause,
    "VM.clean_shutdown": lifecycle.clean_shutdown,
    "VM.hard_shutdown": lifecycle.hard_shutdown,
    "VM.shutdown": lifecycle.shutdown,
    "VM.clean_reboot": lifecycle.clean_reboot,
    "VM.hard_reboot": lifecycle.hard_reboot,
    "VM.suspend": lifecycle.suspend,
    "VM.resume": lifecycle.resume,
    "VM.resume_on": lifecycle.resume_on,
    "VM.pool_migrate": lifecycle.pool_migrate,
    "VM.clone": copies.clone,
    "VM.copy": copies.copy,
    "VM.snapshot": copies.snapshot,
    "VM.destroy": copies.destroy,
    **hosts.HANDLERS,
    **hostservices.HANDLERS,
    **evacuation.HANDLERS,
    **placement.HANDLERS,
    **pooling.HANDLERS,
    **availability.HANDLERS,
    **provisioning.HANDLERS,
    **snapshots.HANDLERS,
    **sizing.HANDLERS,
    **storage.HANDLERS,
    **pbds.HANDLERS,
    **disks.HANDLERS,
    **diskfields.HANDLERS,
    **devices.HANDLERS,
    **interfaces.HANDLERS,
    **networks.HANDLERS,
    **pifs.HANDLERS,
    **nics.HANDLERS,
    **vlans.HANDLERS,
    **bonds.HANDLERS,
    **belongings.HANDLERS,
    **appliances.HANDLERS,
    **messages.HANDLERS,
    **administration.HANDLERS,
}
"""A coroutine for each, which takes the call and the parameters."""


@cache
def operations() -> Mapping[str, Operation]:
    """Return every operation by its name."""
    found = ((signature, _handler(signature)) for signature in signatures().values())
    return {
        known.name: Operation(known.name, known.params, known.has_async, handler)
        for known, handler in found
        if handler is not None
    }


def _handler(signature: Signature) -> Handler | None:
    if signature.removed:
        return None
    return _HANDLERS.get(signature.name) or setter(signature)
