"""Devices that their VM holds on to: marked while it starts, so that nobody takes their disks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .rules import rules_of
from .toolstack import Call
from .values import Fault, texts_of

LOOK_AGAIN_S = 2.0
BUSY_MAX_S = 120.0
"""Devices are waited for two minutes only: an operation should not hang on a disk being copied."""

DEVICES = (("VBD", "VBDs"), ("VIF", "VIFs"))
"""Class of a device, and the field of the VM that lists them."""


@asynccontextmanager
async def devices_marked(call: Call, vm: str, cls: str) -> AsyncIterator[None]:
    """Show in the devices of a class that they are being attached, and take it back afterwards.

    Faults: what the rules of the class refuse, for the first device that is refused.
    """
    await call.until_free(
        lambda: _obstacle(call, vm, cls), pause_s=LOOK_AGAIN_S, busy_max_s=BUSY_MAX_S
    )
    devices = devices_of(call, vm, cls)
    for device in devices:
        call.enter(device, "attach", cls)
    try:
        yield
    finally:
        for device in devices:
            call.leave(device, cls)


def devices_of(call: Call, vm: str, cls: str) -> list[str]:
    """Return the references of the VBDs or VIFs of a VM."""
    return texts_of(call.vm(vm), dict(DEVICES)[cls])


def refresh_devices(call: Call, vm: str) -> None:
    """Compute `allowed_operations` of all devices of a VM anew, as xapi does after operations."""
    for cls, _field in DEVICES:
        for device in devices_of(call, vm, cls):
            call.toolstack.update_allowed(device, cls)


def _obstacle(call: Call, vm: str, cls: str) -> Fault | None:
    refusal = rules_of(cls).refusal
    faults = (refusal(call.database, device, "attach") for device in devices_of(call, vm, cls))
    return next((fault for fault in faults if fault is not None), None)
