"""Suspend images: the disks that hold the memory of suspended VMs."""

from . import disks
from .occupancy import needed_memory_bytes
from .toolstack import Call
from .values import NULL_REF, Fault, Record, text_of


async def make_suspend_image(call: Call, vm: str) -> None:
    """Add the disk for a VM's memory. Faults VM_NO_SUSPEND_SR [vm], and those of VDI.create."""
    record = call.vm(vm)
    wanted: Record = {
        "name_label": "Suspend image",
        "name_description": "Suspend image",
        "SR": _sr(call, vm, record),
        "virtual_size": needed_memory_bytes(record),
        "type": "suspend",
        "sharable": False,
        "read_only": False,
        "other_config": {},
        "sm_config": {"vmhint": record["uuid"]},
    }
    image = await call.inner("VDI.create", lambda inner: disks.create(inner, wanted))
    call.set("VM", vm, "suspend_VDI", image)


async def drop_suspend_image(call: Call, vm: str, *, forget_first: bool) -> None:
    """Remove the disk with the memory of a VM, if it has one.

    After a resume the VM forgets the disk first, and what VDI.destroy refuses is raised. When a VM
    is given up the disk goes first; if that cannot be, the VM forgets it all the same.
    """
    image = text_of(call.vm(vm), "suspend_VDI")
    if image == NULL_REF:
        return
    if forget_first:
        call.set("VM", vm, "suspend_VDI", NULL_REF)
    try:
        await call.inner("VDI.destroy", lambda inner: disks.destroy(inner, image))
    except Fault:
        if forget_first:
            raise
    call.set("VM", vm, "suspend_VDI", NULL_REF)


def _sr(call: Call, vm: str, record: Record) -> str:
    database = call.database
    candidates = [text_of(record, "suspend_SR")]
    candidates.append(str(database.field("pool", call.toolstack.pool_ref, "suspend_image_SR")))
    host = text_of(record, "resident_on")
    if database.exists("host", host):
        candidates.append(str(database.field("host", host, "suspend_image_sr")))
    found = next((sr for sr in candidates if database.exists("SR", sr)), None)
    if found is None:
        raise Fault("VM_NO_SUSPEND_SR", vm)
    return found
