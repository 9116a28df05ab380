"""VMs of a new pool: control domains, templates, and guests that run or are halted."""

import random
from collections.abc import Mapping, Sequence

import msgspec

from .copiedvm import generation_id
from .copies import new_mac
from .database import Database
from .presets import Counts
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


_DISKS_BYTES = (10 * GIB, 20 * GIB, 40 * GIB)
DISK_BYTES_MAX = max(_DISKS_BYTES)


class VmPlan(msgspec.Struct, frozen=True):
    """A guest to be made: `host` is the index of the host where it runs if it is `running`."""

    name: str
    number: int
    memory_bytes: int
    vcpus: int
    disks_bytes: tuple[int, ...]
    interfaces: int
    snapshots: int
    host: int
    running: bool


class Room(msgspec.Struct, frozen=True):
    """Where a guest may live: a host, the pool's networks, and the storage that the host sees."""

    host: str
    address: str
    networks: Sequence[str]
    storage: Sequence[str]


def plan_vms(counts: Counts, rng: random.Random) -> list[VmPlan]:
    """Return plans for vm-001 and so on; every third one is halted.

    Those that run and those that do not go round the hosts each for themselves, or a third of the
    hosts would be without any that runs.
    """
    return [
        VmPlan(
            name=f"vm-{number:03}",
            number=number,
            memory_bytes=rng.choice((1, 2, 2, 4, 8)) * GIB,
            vcpus=rng.choice((1, 2, 4)),
            disks_bytes=tuple(rng.choice(_DISKS_BYTES) for _ in range(counts.disks)),
            interfaces=counts.interfaces,
            snapshots=counts.snapshots,
            host=(number - number // 3 - 1 if number % 3 else number // 3 - 1) % counts.hosts,
            running=number % 3 != 0,
        )
        for number in range(1, counts.vms + 1)
    ]


def add_vm(database: Database, plan: VmPlan, room: Room, *, domid: int) -> str:
    """Add a guest with disks, network interfaces and what runs of it; returns its reference.

    `domid` is the domain it runs in, if it does.
    """
    metrics = database.create("VM_metrics", _METRICS)
    vm = database.create("VM", {**_guest_fields(database, plan), "metrics": metrics})
    sr = room.storage[plan.number % len(room.storage)]
    devices = [
        ("VBD", _add_disk(database, vm, plan, index, sr)) for index in range(len(plan.disks_bytes))
    ]
    for index in range(plan.interfaces):
        network = room.networks[(plan.number + index) % len(room.networks)]
        devices.append(("VIF", _add_interface(database, vm, index, network)))
    if plan.running:
        _run(database, vm, metrics, devices, plan=plan, room=room, domid=domid)
    for number in range(1, plan.snapshots + 1):
        _add_snapshot(database, vm, number)
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


def _run(
    database: Database,
    vm: str,
    metrics: str,
    devices: Sequence[tuple[str, str]],
    *,
    plan: VmPlan,
    room: Room,
    domid: int,
) -> None:
    now = datetime_of(database.now_s())
    shown: Mapping[str, Value] = {
        "memory_actual": plan.memory_bytes,
        "VCPUs_number": plan.vcpus,
        "start_time": now,
    }
    for field, value in shown.items():
        database.write("VM_metrics", metrics, field, value)
    running: Mapping[str, Value] = {
        "resident_on": room.host,
        "power_state": "Running",
        "domid": domid,
        "last_boot_CPU_flags": {"vendor": "GenuineIntel", "features": ""},
        "guest_metrics": database.create("VM_guest_metrics", {"last_updated": now, "live": True}),
    }
    for field, value in running.items():
        database.write("VM", vm, field, value)
    for cls, ref in devices:
        database.write(cls, ref, "currently_attached", True)
        database.write(cls, ref, "allowed_operations", ["unplug"])
    add_console(database, vm, room.address)


def _add_snapshot(database: Database, vm: str, number: int) -> None:
    """Add a snapshot that was taken before the pool came to be: a record without disks."""
    record = database.record("VM", vm)
    for field in ("uuid", "metrics", "guest_metrics", "resident_on", "domid", "power_state"):
        del record[field]
    own: Mapping[str, Value] = {
        "name_label": f"{record['name_label']} snapshot {number}",
        "metrics": database.create("VM_metrics", _METRICS),
        "domid": -1,
        "is_a_template": True,
        "is_a_snapshot": True,
        "snapshot_of": vm,
        "snapshot_time": datetime_of(database.now_s() - 86_400.0 * number),
        "snapshot_info": {"power-state-at-snapshot": "Running", "disk-snapshot-type": "quiesced"},
    }
    database.create("VM", {**record, **own})


def _guest_fields(database: Database, plan: VmPlan) -> dict[str, Value]:
    generation = generation_id(database.new_uuid())
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
        "generation_id": generation,
        "domain_type": "hvm",
        "hardware_platform_version": 2,
        "bios_strings": {"bios-vendor": "Xen", "system-manufacturer": "Xen"},
    }


def _memory(bytes_: int) -> dict[str, Value]:
    fixed = ("static_max", "dynamic_max", "dynamic_min")
    fields: dict[str, Value] = {f"memory_{name}": bytes_ for name in fixed}
    return {**fields, "memory_static_min": bytes_ // 2, "memory_overhead": 11 * 1024**2}


def _add_disk(database: Database, vm: str, plan: VmPlan, index: int, sr: str) -> str:
    disk = database.create(
        "VDI",
        {
            "name_label": f"{plan.name} disk {index}",
            "name_description": "Created by template provisioner",
            "allowed_operations": ["snapshot", "clone", "copy", "destroy"],
            "SR": sr,
            "virtual_size": plan.disks_bytes[index],
            "physical_utilisation": plan.disks_bytes[index] // 3,
            "location": database.new_uuid(),
            "managed": True,
        },
    )
    return database.create(
        "VBD",
        {
            "allowed_operations": ["attach"],
            "VM": vm,
            "VDI": disk,
            "device": f"xvd{'abcdefghijklmnop'[index]}",
            "userdevice": str(index),
            "bootable": index == 0,
            "other_config": {"owner": ""},
        },
    )


def _add_interface(database: Database, vm: str, index: int, network: str) -> str:
    return database.create(
        "VIF",
        {
            "allowed_operations": ["attach"],
            "device": str(index),
            "network": network,
            "VM": vm,
            "MAC": new_mac(database.new_uuid()),
            "metrics": database.create("VIF_metrics", {}),
            "MAC_autogenerated": True,
        },
    )
