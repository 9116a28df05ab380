"""PBDs: how hosts are connected to SRs, and when an SR can be worked with."""

from collections.abc import Mapping
from contextlib import suppress

from .catalogue import Handler
from .constructors import given
from .innercalls import start_inside
from .refusals import current_operations, in_progress
from .room import master, measure
from .srstate import plugged_pbds
from .toolstack import Call
from .values import Fault, Record, Value, map_of, text_of, texts_of

PLUG_S = 1.0
UNPLUG_S = 1.0


async def create(call: Call, args: Value) -> Value:
    """PBD.create: not plugged yet; returns its reference.

    Faults: FIELD_TYPE_ERROR, PBD_EXISTS [sr, host, pbd], VALUE_NOT_SUPPORTED (SRmaster).
    """
    fields = given("PBD", args, ("host", "SR", "device_config"))
    host, sr = text_of(fields, "host"), text_of(fields, "SR")
    call.database.record("host", host)
    async with call.operation_on(sr, "pbd_create", "SR"):
        return add_pbd(call, host, sr, map_of(fields, "device_config"))


async def destroy(call: Call, pbd: str) -> Value:
    """PBD.destroy. Fault OPERATION_NOT_ALLOWED while it is plugged."""
    sr = text_of(call.database.record("PBD", pbd), "SR")
    async with call.operation_on(sr, "pbd_destroy", "SR"):
        if call.database.record("PBD", pbd)["currently_attached"] is True:
            raise Fault("OPERATION_NOT_ALLOWED", "PBD is currently attached")
        call.database.delete("PBD", pbd)
    return ""


async def plug(call: Call, pbd: str) -> Value:
    """PBD.plug: nothing happens if it is plugged. Fault SR_NOT_SHARABLE [sr, other host].

    The plug of the master makes the SR measure itself.
    """
    sr = text_of(call.database.record("PBD", pbd), "SR")
    async with call.operation_on(sr, "plug", "SR"):
        record = call.database.record("PBD", pbd)
        if record["currently_attached"] is not True:
            _check_sharable(call, sr, text_of(record, "host"))
            await call.work(PLUG_S)
            call.set("PBD", pbd, "currently_attached", True)
            call.toolstack.update_allowed(sr, "SR")
    if call.database.record("PBD", pbd)["host"] == master(call):
        measure(call, sr)
    _update_disks(call, sr)
    return ""


async def unplug(call: Call, pbd: str) -> Value:
    """PBD.unplug: nothing happens if it is not plugged.

    Faults: VDI_IN_USE [disks] that VMs of the host have, OTHER_OPERATION_IN_PROGRESS.
    """
    sr = text_of(call.database.record("PBD", pbd), "SR")
    _check_disks_idle(call, sr)
    async with call.operation_on(sr, "unplug", "SR"):
        record = call.database.record("PBD", pbd)
        if record["currently_attached"] is not True:
            return ""
        if used := _used_disks(call, sr, text_of(record, "host")):
            raise Fault("VDI_IN_USE", *used)
        await call.work(UNPLUG_S)
        call.set("PBD", pbd, "currently_attached", False)
        call.toolstack.update_allowed(sr, "SR")
    _update_disks(call, sr)
    return ""


async def set_device_config(call: Call, pbd: str, _value: Value) -> Value:
    """PBD.set_device_config: only the plugin of an SR may. Fault PERMISSION_DENIED [""]."""
    call.database.record("PBD", pbd)
    raise Fault("PERMISSION_DENIED", "")


def add_pbd(call: Call, host: str, sr: str, config: Mapping[str, Value]) -> str:
    """Add a PBD that is not plugged; returns its reference.

    Faults: PBD_EXISTS [sr, host, pbd], VALUE_NOT_SUPPORTED [SRmaster, value, reason].
    """
    for pbd in texts_of(call.database.record("SR", sr), "PBDs"):
        if call.database.field("PBD", pbd, "host") == host:
            raise Fault("PBD_EXISTS", sr, host, pbd)
    if "SRmaster" in config:
        reason = "This key is for internal use only"
        raise Fault("VALUE_NOT_SUPPORTED", "SRmaster", str(config["SRmaster"]), reason)
    fields: Record = {"host": host, "SR": sr, "device_config": dict(config)}
    return call.database.create("PBD", fields)


async def plug_inside(call: Call, pbd: str) -> None:
    """Plug a PBD in a task of its own, as SR.create does; whether that works is not asked."""
    with suppress(Fault):
        await start_inside(call, "PBD.plug", plug, pbd)


def _check_sharable(call: Call, sr: str, host: str) -> None:
    if call.database.field("SR", sr, "shared") is True:
        return
    for other in plugged_pbds(call.database, sr):
        if (elsewhere := call.database.field("PBD", other, "host")) != host:
            raise Fault("SR_NOT_SHARABLE", sr, str(elsewhere))


def _check_disks_idle(call: Call, sr: str) -> None:
    for vdi in texts_of(call.database.record("SR", sr), "VDIs"):
        for current in current_operations(call.database, "VDI", vdi):
            raise in_progress("VDI", vdi, *current)


def _used_disks(call: Call, sr: str, host: str) -> list[str]:
    """Return the disks of an SR that VMs on a host have attached."""
    database = call.database
    vbds = [
        database.record("VBD", vbd)
        for vm in texts_of(database.record("host", host), "resident_VMs")
        for vbd in texts_of(database.record("VM", vm), "VBDs")
    ]
    disks = [
        text_of(vbd, "VDI")
        for vbd in vbds
        if vbd["currently_attached"] is True and vbd["empty"] is not True
    ]
    records = [(vdi, database.record("VDI", vdi)) for vdi in disks if database.exists("VDI", vdi)]
    return [vdi for vdi, disk in records if disk["SR"] == sr and disk["type"] != "metadata"]


def _update_disks(call: Call, sr: str) -> None:
    """Offer for the disks what is possible now that the SR is attached, or no longer is."""
    for vdi in texts_of(call.database.record("SR", sr), "VDIs"):
        call.toolstack.update_allowed(vdi, "VDI")


HANDLERS: Mapping[str, Handler] = {
    "PBD.create": create,
    "PBD.destroy": destroy,
    "PBD.plug": plug,
    "PBD.unplug": unplug,
    "PBD.set_device_config": set_device_config,
}
