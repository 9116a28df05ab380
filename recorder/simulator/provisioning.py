"""How a VM comes to be without a source: made from a record, or provisioned from a template."""

from collections.abc import Mapping
from xml.etree import ElementTree

import msgspec

from .catalogue import Handler
from .constructors import given
from .sizing import overhead_bytes
from .toolstack import Call
from .values import NULL_REF, Fault, Value, int_of, map_of, text_of

PROVISION_S = 2.0
_REQUIRED = (
    *("name_label", "name_description", "user_version", "is_a_template", "affinity"),
    *("memory_static_max", "memory_dynamic_max", "memory_dynamic_min", "memory_static_min"),
    *("VCPUs_params", "VCPUs_max", "VCPUs_at_startup", "actions_after_shutdown"),
    *("actions_after_reboot", "actions_after_crash", "PV_bootloader", "PV_kernel", "PV_ramdisk"),
    *("PV_args", "PV_bootloader_args", "PV_legacy_args", "HVM_boot_policy", "HVM_boot_params"),
    *("platform", "PCI_bus", "other_config", "recommendations"),
)
_LIMITS = ("memory_static_min", "memory_dynamic_min", "memory_dynamic_max", "memory_static_max")
_NEW: Mapping[str, Value] = {
    "power_state": "Halted",
    "domid": -1,
    "resident_on": NULL_REF,
    "scheduled_to_be_resident_on": NULL_REF,
    "guest_metrics": NULL_REF,
    "snapshot_of": NULL_REF,
    "parent": NULL_REF,
    "is_a_snapshot": False,
    "is_control_domain": False,
}
_MIRRORED = (
    *("consoles", "VIFs", "VBDs", "VUSBs", "crash_dumps", "VTPMs", "VGPUs", "snapshots"),
    *("children", "attached_PCIs", "groups", "current_operations", "blobs"),
)


async def create(call: Call, args: Value) -> Value:
    """VM.create: a halted VM or template without disks; returns its reference.

    Faults FIELD_TYPE_ERROR [field], MEMORY_CONSTRAINT_VIOLATION, INVALID_VALUE (CPUs).
    """
    fields = given("VM", args, _REQUIRED)
    limits = [int_of(fields, name) for name in _LIMITS]
    if limits != sorted(limits):
        rule = "Memory limits must satisfy: static_min <= dynamic_min <= dynamic_max <= static_max"
        raise Fault("MEMORY_CONSTRAINT_VIOLATION", rule)
    if not 0 < int_of(fields, "VCPUs_at_startup") <= int_of(fields, "VCPUs_max"):
        raise Fault("INVALID_VALUE", "VCPUs_at_startup", str(fields["VCPUs_at_startup"]))
    for name in _MIRRORED:
        del fields[name]
    hvm = bool(fields["HVM_boot_policy"])
    kind = "hvm" if hvm else "pv"
    metrics = call.database.create("VM_metrics", {"hvm": hvm, "current_domain_type": kind})
    own: dict[str, Value] = {"metrics": metrics, "domain_type": kind}
    own["memory_overhead"] = overhead_bytes(fields)
    vm = call.database.create("VM", {**fields, **_NEW, **own})
    call.toolstack.update_allowed(vm)
    return vm


async def provision(call: Call, vm: str) -> Value:
    """VM.provision: makes the disks that a template asks for, and a VM of it.

    Faults PROVISION_ONLY_ALLOWED_ON_TEMPLATE, PROVISION_FAILED_OUT_OF_SPACE, UUID_INVALID (SR).
    """
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, "provision"):
        wanted = [(disk, _sr(call, disk)) for disk in _disks(call, vm)]
        await call.work(PROVISION_S)
        for disk, sr in wanted:
            _add_disk(call, vm, disk, sr)
        other = map_of(call.vm(vm), "other_config")
        other.pop("disks", None)
        call.set("VM", vm, "other_config", other)
        call.set("VM", vm, "is_a_template", False)
    return ""


class _Disk(msgspec.Struct, frozen=True):
    """A disk as a template asks for it; the SR by uuid, empty for the pool's default."""

    device: str
    size_bytes: int
    sr_uuid: str
    bootable: bool


def _disks(call: Call, vm: str) -> list[_Disk]:
    """Read what `other_config:disks` asks for. Fault INTERNAL_ERROR if that is no such text."""
    text = str(map_of(call.vm(vm), "other_config").get("disks", ""))
    if not text:
        return []
    try:
        # The text has at most 64 KiB here, and expat expands no entity that was not declared.
        if len(text) > 65_536 or "<!" in text:
            raise ValueError(text[:40])
        return [
            _Disk(
                device=disk.attrib["device"],
                size_bytes=_size_bytes(disk.attrib["size"]),
                sr_uuid=disk.get("sr", ""),
                bootable=disk.get("bootable") == "true",
            )
            for disk in ElementTree.fromstring(text).iter("disk")  # noqa: S314 - see above
        ]
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise Fault("INTERNAL_ERROR", f"Xml.Error({error})") from error


def _size_bytes(text: str) -> int:
    """Read a size. ValueError if it is none that fits into 62 bits."""
    size = int(text)
    if not 0 <= size < 2**62:
        raise ValueError(f"{text[:40]} is out of range")
    return size


def _sr(call: Call, disk: _Disk) -> str:
    if disk.sr_uuid == "":
        pool = call.database.record("pool", call.toolstack.pool_ref)
        return text_of(pool, "default_SR")
    found = call.database.find("SR", "uuid", disk.sr_uuid)
    if not found:
        raise Fault("UUID_INVALID", "SR", disk.sr_uuid)
    return found[0]


def _add_disk(call: Call, vm: str, disk: _Disk, sr: str) -> None:
    vdi = call.database.create(
        "VDI",
        {
            "name_label": f"{call.vm(vm)['name_label']} {disk.device}",
            "name_description": "Created by template provisioner",
            "allowed_operations": ["snapshot", "clone", "copy", "destroy"],
            "SR": sr,
            "virtual_size": disk.size_bytes,
            "physical_utilisation": disk.size_bytes // 128,
            "location": call.database.new_uuid(),
            "managed": True,
        },
    )
    call.database.create(
        "VBD",
        {
            "allowed_operations": ["attach"],
            "VM": vm,
            "VDI": vdi,
            "device": "",
            "userdevice": disk.device,
            "bootable": disk.bootable,
            "other_config": {"owner": ""},
        },
    )


async def copy_bios_strings(call: Call, vm: str, host: str) -> Value:
    """VM.copy_bios_strings: Fault VM_BIOS_STRINGS_ALREADY_SET [vm]."""
    strings = map_of(call.database.record("host", host), "bios_strings")
    if call.vm(vm)["bios_strings"]:
        raise Fault("VM_BIOS_STRINGS_ALREADY_SET")
    call.set("VM", vm, "bios_strings", strings)
    return ""


HANDLERS: Mapping[str, Handler] = {
    "VM.create": create,
    "VM.provision": provision,
    "VM.copy_bios_strings": copy_bios_strings,
}
