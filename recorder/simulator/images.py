"""Suspend images: the disks that hold the memory of suspended VMs."""

from .toolstack import Call, needed_memory_bytes
from .values import NULL_REF, text_of


def make_suspend_image(call: Call, vm: str) -> None:
    """Add the disk for a VM's memory in the pool's SR for suspend images."""
    record = call.vm(vm)
    pool = call.database.record("pool", call.toolstack.pool_ref)
    image = call.database.create(
        "VDI",
        {
            "name_label": "Suspend image",
            "name_description": f"Suspend image of {text_of(record, 'name_label')}",
            "allowed_operations": ["forget", "destroy", "clone", "copy", "snapshot"],
            "SR": pool["suspend_image_SR"],
            "virtual_size": needed_memory_bytes(record),
            "physical_utilisation": needed_memory_bytes(record),
            "type": "suspend",
            "location": call.database.new_uuid(),
        },
    )
    call.set("VM", vm, "suspend_VDI", image)


def drop_suspend_image(call: Call, vm: str) -> None:
    """Remove the disk with the memory of a VM, if it has one."""
    image = text_of(call.vm(vm), "suspend_VDI")
    if image != NULL_REF:
        call.set("VM", vm, "suspend_VDI", NULL_REF)
        call.database.delete("VDI", image)
