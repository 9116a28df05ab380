"""What a new pool consists of: hosts, storage, networks and VMs by counts and a seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .database import Database
from .inventory_hosts import Hardware, add_host, add_network
from .inventory_vms import VmPlan, add_control_domain, add_template, add_vm, plan_vms
from .values import Value

GIB = 1024**3
TEMPLATES = ("Debian Bookworm 12", "Rocky Linux 9", "Windows Server 2022", "Other install media")


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """What to build. The same spec always gives the same pool, byte for byte.

    `speed` scales how long operations take: 1.0 is about as long as in a real pool, 0.0 is at
    once. `addresses` are those of the hosts, the master's first; missing ones are made up.
    `keeps_truth` keeps every change in memory; a pool that is to run for weeks does without.
    """

    name: str = "pool-1"
    hosts: int = 3
    vms: int = 10
    seed: int = 1
    user: str = "root"
    password: str = "xentrail"  # noqa: S105 - the password of a simulated pool on loopback
    speed: float = 1.0
    addresses: Sequence[str] = ()
    queue_bytes_max: int = 10_000_000
    keeps_truth: bool = True


@dataclass(frozen=True, slots=True)
class SimulatedHost:
    """A host of the pool and the address under which clients find it."""

    ref: str
    address: str


@dataclass(frozen=True, slots=True)
class Furnished:
    """The way into a new pool."""

    pool_ref: str
    hosts: tuple[SimulatedHost, ...]


def furnish(database: Database, spec: PoolSpec, rng: random.Random) -> Furnished:
    """Fill an empty database: pool, hosts with storage and networks, templates, VMs."""
    plans = plan_vms(spec.vms, spec.hosts, rng)
    pool = database.create("pool", {"name_label": spec.name, "other_config": _POOL_CONFIG})
    network = add_network(database, "Pool-wide network associated with eth0", bridge="xenbr0")
    hardware = Hardware(network, _host_memory_bytes(plans))
    hosts = [
        SimulatedHost(add_host(database, f"host-{number}", address, hardware), address)
        for number, address in enumerate(_addresses(spec), start=1)
    ]
    database.write("pool", pool, "master", hosts[0].ref)
    shared = _add_storage(database, pool, hosts)
    for host in hosts:
        add_control_domain(database, host.ref, host.address)
    for name in TEMPLATES:
        add_template(database, name)
    for plan in plans:
        host = hosts[plan.host]
        add_vm(database, plan, network=network, sr=shared, host=host.ref, address=host.address)
    return Furnished(pool, tuple(hosts))


_POOL_CONFIG: dict[str, Value] = {"memory-ratio-hvm": "0.25", "memory-ratio-pv": "0.25"}


def _addresses(spec: PoolSpec) -> list[str]:
    made_up = [f"192.0.2.{number}" for number in range(11, 11 + spec.hosts)]
    return [*spec.addresses[: spec.hosts], *made_up[len(spec.addresses) :]]


def _host_memory_bytes(plans: Sequence[VmPlan]) -> int:
    # Each host could take all VMs of another one, and starts of the halted ones, and is a real
    # size: a multiple of 64 GiB.
    total = sum(plan.memory_bytes for plan in plans)
    return max(1, -(-total // (64 * GIB))) * 64 * GIB


def _add_storage(database: Database, pool: str, hosts: Sequence[SimulatedHost]) -> str:
    """Add a local SR per host and one SR for all; returns the shared one, now the default."""
    for host in hosts:
        local = _add_sr(database, "Local storage", "ext", shared=False, bytes_total=400 * GIB)
        _plug(database, host.ref, local, {"device": "/dev/disk/by-id/scsi-part3"})
    shared = _add_sr(
        database, "NFS virtual disk storage", "nfs", shared=True, bytes_total=4096 * GIB
    )
    for host in hosts:
        _plug(database, host.ref, shared, {"server": "192.0.2.5", "serverpath": "/export/vms"})
        for field in ("suspend_image_sr", "crash_dump_sr"):
            database.write("host", host.ref, field, shared)
    for field in ("default_SR", "suspend_image_SR", "crash_dump_SR"):
        database.write("pool", pool, field, shared)
    return shared


def _add_sr(database: Database, name: str, kind: str, *, shared: bool, bytes_total: int) -> str:
    return database.create(
        "SR",
        {
            "name_label": name,
            "allowed_operations": ["vdi_create", "vdi_destroy", "scan", "plug", "unplug"],
            "physical_size": bytes_total,
            "physical_utilisation": bytes_total // 4,
            "virtual_allocation": bytes_total // 2,
            "type": kind,
            "content_type": "user",
            "shared": shared,
        },
    )


def _plug(database: Database, host: str, sr: str, config: dict[str, Value]) -> None:
    fields: dict[str, Value] = {"host": host, "SR": sr, "device_config": config}
    database.create("PBD", {**fields, "currently_attached": True})
