"""Appliances: VMs that are started and shut down together, in their order."""

from collections.abc import Mapping
from contextlib import suppress
from itertools import groupby

import msgspec
import trio

from . import lifecycle
from .catalogue import Handler
from .constructors import given, subset
from .innercalls import start_inside
from .toolstack import Call
from .values import NULL_REF, Fault, Value, int_of, texts_of


class _Wave(msgspec.Struct, frozen=True):
    """What is done to the VMs: those with the same `order` at the same time."""

    operation: str
    handler: Handler
    args: tuple[Value, ...] = ()
    state: str = "Halted"


async def create(call: Call, args: Value) -> Value:
    """VM_appliance.create: returns its reference."""
    fields = subset(given("VM_appliance", args, ()), ("name_label", "name_description"))
    appliance = call.database.create("VM_appliance", fields)
    call.toolstack.update_allowed(appliance, "VM_appliance")
    return appliance


async def destroy(call: Call, appliance: str) -> Value:
    """VM_appliance.destroy: its VMs stay."""
    for vm in texts_of(call.database.record("VM_appliance", appliance), "VMs"):
        call.set("VM", vm, "appliance", NULL_REF)
    call.database.delete("VM_appliance", appliance)
    return ""


async def start(call: Call, appliance: str, paused: bool) -> Value:
    """VM_appliance.start. Fault OPERATION_PARTIALLY_FAILED [operation, VMs that do not run]."""
    state = "Paused" if paused else "Running"
    return await _send(call, appliance, _Wave("start", lifecycle.start, (paused, False), state))


async def clean_shutdown(call: Call, appliance: str) -> Value:
    """VM_appliance.clean_shutdown: those that start last go first."""
    return await _send(call, appliance, _Wave("clean_shutdown", lifecycle.clean_shutdown))


async def hard_shutdown(call: Call, appliance: str) -> Value:
    """VM_appliance.hard_shutdown: those that start last go first."""
    return await _send(call, appliance, _Wave("hard_shutdown", lifecycle.hard_shutdown))


async def shutdown(call: Call, appliance: str) -> Value:
    """VM_appliance.shutdown: each VM cleanly if it can, else forcibly."""
    return await _send(call, appliance, _Wave("shutdown", lifecycle.shutdown))


async def _send(call: Call, appliance: str, wave: _Wave) -> Value:
    """Do something to all VMs that are not in the state it leads to.

    Raises Fault OPERATION_PARTIALLY_FAILED [operation, VMs that are still not in it].
    """
    async with call.operation_on(appliance, wave.operation, "VM_appliance"):
        vms = texts_of(call.database.record("VM_appliance", appliance), "VMs")
        targets = [vm for vm in vms if call.vm(vm)["power_state"] != wave.state]

        def order(vm: str) -> int:
            number = int_of(call.vm(vm), "order")
            return number if wave.operation == "start" else -number

        for _order, together in groupby(sorted(targets, key=order), order):
            await _do_together(call, wave, list(together))
    failed = [vm for vm in targets if call.vm(vm)["power_state"] != wave.state]
    if failed:
        raise Fault("OPERATION_PARTIALLY_FAILED", f"VM_appliance.{wave.operation}", *failed)
    return ""


async def _do_together(call: Call, wave: _Wave, vms: list[str]) -> None:
    """Do it to each VM in a task of its own; the nursery ends when the last one has ended."""

    async def do(vm: str) -> None:
        with suppress(Fault):
            name = f"VM.{wave.operation}"
            await start_inside(call, name, wave.handler, vm, *wave.args)

    async with trio.open_nursery() as nursery:
        for vm in vms:
            nursery.start_soon(do, vm)


HANDLERS: Mapping[str, Handler] = {
    "VM_appliance.create": create,
    "VM_appliance.destroy": destroy,
    "VM_appliance.start": start,
    "VM_appliance.clean_shutdown": clean_shutdown,
    "VM_appliance.hard_shutdown": hard_shutdown,
    "VM_appliance.shutdown": shutdown,
}
