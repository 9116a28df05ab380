"""VMs of a new pool: control domains, templates, and guests that run or are halted."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from .copies import new_mac
from .database import Database
from .values import Value, datetime_of

GIB = 1024**3

_PLATFORM: dict[str, Value] = {
    "nx": "true",
    "acpi": "1",
    "apic": "true",
    "pae": "true",
    "viridian": "false",
    "device-model": "qemu-upstream-compat",
}
_METRICS: dict[str, Value] = {"hvm": True, "current_domain_type": "hvm"}


@dataclass(frozen=True, slots=True)
class VmPlan:
    """A guest to be made: `host` is the index of the host where it runs if it is `running`."""

    name: str
    memory_bytes: int
    vcpus: int
    disk_bytes: int
    host: int
    running: bool


def plan_vms(count: int, hosts: int, rng: random.Random) -> list[VmPlan]:
    """Return plans for vm-001 and so on; every third one is halted."""
    return [
        VmPlan(
            name=f"vm-{number:03}",
            memory_bytes=rng.choice((1, 2, 2, 4, 8)) * GIB,
            vcpus=rng.choice((1, 2, 4)),
            disk_bytes=rng.choice((10, 20, 40)) * GIB,
            host=(number - 1) % hosts,
            running=number % 3 != 0,
        )
        for number in range(1, count + 1)
    ]


def add_vm(
    database: Database, plan: VmPlan, *, network: str, sr: str, host: str, address: str
) -> str:
    """Add a guest with a disk, a network interface and what runs of it; returns its reference."""
    metrics = database.create("VM_metrics", _METRICS)
    vm = database.create("VM", {**_guest_fields(database, plan), "metrics": metrics})
    _add_disk(database, vm, plan, sr)
    vif = _add_interface(database, vm, network)
    if plan.running:
        _run(database, vm, vif, plan, host=host, address=address)
    return vm


def add_template(database: Database, name: str) -> str:
    """Add a built-in template; returns its reference."""
    return database.create(
        "VM",
        {
            **_memory(2 * GIB),
            "name_label": name,
            "name_description": f"Template that allows VM installation of {name}",
            "is_a_template": True,
            "is_default_template": True,
            "VCPUs_max": 1,
            "VCPUs_at_startup": 1,
            "platform": _PLATFORM,
            "HVM_boot_policy": "BIOS order",
            "domid": -1,
            "other_config": {"default_template": "true"},
            "metrics": database.create("VM_metrics", {}),
        },
    )


def add_control_domain(database: Database, host: str, address: str) -> str:
    """Add domain 0 of a host; returns its reference."""
    now, name = datetime_of(database.now_s()), database.record("host", host)["name_label"]
    bytes_ = 4 * GIB
    metrics = database.create(
        "VM_metrics", {"memory_actual": bytes_, "VCPUs_number": 8, "start_time": now}
    )
    vm = database.create(
        "VM",
        {
            **_memory(bytes_),
            "name_label": f"Control domain on host: {name}",
            "name_description": "The domain which manages physical devices and other domains",
            "power_state": "Running",
            "is_control_domain": True,
            "resident_on": host,
            "affinity": host,
            "VCPUs_max": 8,
            "VCPUs_at_startup": 8,
            "domid": 0,
            "metrics": metrics,
        },
    )
    database.write("host", host, "control_domain", vm)
    add_console(database, vm, address)
    return vm


def add_console(database: Database, vm: str, address: str) -> str:
    """Add the console of a running VM; returns its reference."""
    ref = f"OpaqueRef:{database.new_uuid()}"
    location = f"https://{address}/console?ref={ref}"
    return database.create("console", {"protocol": "rfb", "location": location, "VM": vm}, ref)


def _run(database: Database, vm: str, vif: str, plan: VmPlan, *, host: str, address: str) -> None:
    now = datetime_of(database.now_s())
    metrics = str(database.record("VM", vm)["metrics"])
    shown: Mapping[str, Value] = {
        "memory_actual": plan.memory_bytes,
        "VCPUs_number": plan.vcpus,
        "start_time": now,
    }
    for field, value in shown.items():
        database.write("VM_metrics", metrics, field, value)
    living = len(database.find("VM", "resident_on", host))
    running: Mapping[str, Value] = {
        "resident_on": host,
        "power_state": "Running",
        "domid": living,
        "last_boot_CPU_flags": {"vendor": "GenuineIntel", "features": ""},
        "guest_metrics": database.create("VM_guest_metrics", {"last_updated": now, "live": True}),
    }
    for field, value in running.items():
        database.write("VM", vm, field, value)
    for cls, ref in (("VBD", str(database.find("VBD", "VM", vm)[0])), ("VIF", vif)):
        database.write(cls, ref, "currently_attached", True)
        database.write(cls, ref, "allowed_operations", ["unplug"])
    add_console(database, vm, address)


def _guest_fields(database: Database, plan: VmPlan) -> dict[str, Value]:
    digits = database.new_uuid().replace("-", "")
    return {
        **_memory(plan.memory_bytes),
        "name_label": plan.name,
        "name_description": "Debian GNU/Linux 12",
        "memory_target": plan.memory_bytes if plan.running else 0,
        "VCPUs_max": plan.vcpus,
        "VCPUs_at_startup": plan.vcpus,
        "platform": _PLATFORM,
        "HVM_boot_policy": "BIOS order",
        "HVM_boot_params": {"order": "cdn"},
        "other_config": {"mac_seed": database.new_uuid(), "base_template_name": "Debian"},
        "domid": -1,
        "generation_id": f"{int(digits[:15], 16)}:{int(digits[17:], 16)}",
        "domain_type": "hvm",
        "hardware_platform_version": 2,
        "bios_strings": {"bios-vendor": "Xen", "system-manufacturer": "Xen"},
    }


def _memory(bytes_: int) -> dict[str, Value]:
    fixed = ("static_max", "dynamic_max", "dynamic_min")
    fields: dict[str, Value] = {f"memory_{name}": bytes_ for name in fixed}
    return {**fields, "memory_static_min": bytes_ // 2, "memory_overhead": 11 * 1024**2}


def _add_disk(database: Database, vm: str, plan: VmPlan, sr: str) -> None:
    disk = database.create(
        "VDI",
        {
            "name_label": f"{plan.name} disk 0",
            "name_description": "Created by template provisioner",
            "allowed_operations": ["snapshot", "clone", "copy", "destroy"],
            "SR": sr,
            "virtual_size": plan.disk_bytes,
            "physical_utilisation": plan.disk_bytes // 3,
            "location": database.new_uuid(),
        },
    )
    database.create(
        "VBD",
        {
            "allowed_operations": ["attach"],
            "VM": vm,
            "VDI": disk,
            "device": "xvda",
            "userdevice": "0",
            "bootable": True,
            "other_config": {"owner": ""},
        },
    )


def _add_interface(database: Database, vm: str, network: str) -> str:
    return database.create(
        "VIF",
        {
            "allowed_operations": ["attach"],
            "device": "0",
            "network": network,
            "VM": vm,
            "MAC": new_mac(database.new_uuid()),
            "metrics": database.create("VIF_metrics", {}),
            "MAC_autogenerated": True,
        },
    )
