"""What a new pool consists of: hosts, storage, networks and VMs by counts and a seed."""

import random
from collections.abc import Sequence

import msgspec

from .audit import XAPI_25_32, AuditHabits
from .database import Database
from .image import PoolImage, readdress, restore
from .inventory_hosts import Hardware, add_host, add_network, add_vlans
from .inventory_storage import add_storage
from .inventory_vms import (
    DISK_BYTES_MAX,
    Room,
    VmPlan,
    add_control_domain,
    add_template,
    add_vm,
    plan_vms,
)
from .presets import Counts
from .users import UserSpec
from .values import Value

GIB = 1024**3
TEMPLATES = ("Debian Bookworm 12", "Rocky Linux 9", "Windows Server 2022", "Other install media")


class PoolSpec(msgspec.Struct, frozen=True):
    """What to build. The same spec always gives the same pool, byte for byte.

    The counts are those of `presets.Counts`. `speed` scales how long operations take: 1.0 is about
    as long as in a real pool, 0.0 is at once. `addresses` are those of the hosts, the master's
    first; missing ones are made up.
    `keeps_truth` keeps every change in memory; a pool that is to run for weeks does without.
    `image` is a pool to serve as it is: then `hosts` and `vms` do not count, and the addresses are
    only where the hosts answer, unless `rewrites_addresses` puts them into its records.
    `users` may log in besides `user`, who may do anything. `audit` is the way of the audit trail.
    """

    name: str = "pool-1"
    hosts: int = 3
    vms: int = 10
    storage: int = 1
    networks: int = 1
    disks: int = 1
    interfaces: int = 1
    snapshots: int = 0
    seed: int = 1
    user: str = "root"
    password: str = "xentrail"  # noqa: S105 - the password of a simulated pool on loopback
    speed: float = 1.0
    addresses: Sequence[str] = ()
    queue_bytes_max: int = 10_000_000
    keeps_truth: bool = True
    image: PoolImage | None = None
    rewrites_addresses: bool = False
    users: Sequence[UserSpec] = ()
    audit: AuditHabits = XAPI_25_32

    @property
    def counts(self) -> Counts:
        """How much the new pool has of everything."""
        return Counts(
            hosts=self.hosts,
            vms=self.vms,
            storage=self.storage,
            networks=self.networks,
            disks=self.disks,
            interfaces=self.interfaces,
            snapshots=self.snapshots,
        )

    @property
    def host_count(self) -> int:
        """The number of hosts: those of the image if there is one."""
        return self.hosts if self.image is None else len(self.image.hosts)


class SimulatedHost(msgspec.Struct, frozen=True):
    """A host of the pool and the address under which clients find it."""

    ref: str
    address: str


class Furnished(msgspec.Struct, frozen=True):
    """The way into a new pool."""

    pool_ref: str
    hosts: tuple[SimulatedHost, ...]


def furnish(database: Database, spec: PoolSpec, rng: random.Random) -> Furnished:
    """Fill an empty database: pool, hosts with storage and networks, templates, VMs."""
    if spec.image is not None:
        return _restored(database, spec, spec.image)
    counts = spec.counts
    plans = plan_vms(counts, rng)
    pool = database.create("pool", {"name_label": spec.name, "other_config": _POOL_CONFIG})
    network = add_network(database, "Pool-wide network associated with eth0", bridge="xenbr0")
    hardware = Hardware(network, _host_memory_bytes(plans))
    hosts = [
        SimulatedHost(add_host(database, f"host-{number}", address, hardware), address)
        for number, address in enumerate(_addresses(spec), start=1)
    ]
    refs = [host.ref for host in hosts]
    database.write("pool", pool, "master", refs[0])
    networks = [network, *add_vlans(database, refs, counts.networks - 1)]
    storage = add_storage(
        database, pool, refs, shared=counts.storage, bytes_each=_storage_bytes(counts)
    )
    for host in hosts:
        add_control_domain(database, host.ref, host.address)
    for name in TEMPLATES:
        add_template(database, name)
    rooms = [
        Room(host.ref, host.address, networks, srs)
        for host, srs in zip(hosts, storage, strict=True)
    ]
    domids = [0] * len(hosts)
    for plan in plans:
        domids[plan.host] += plan.running
        add_vm(database, plan, rooms[plan.host], domid=domids[plan.host])
    return Furnished(pool, tuple(hosts))


_POOL_CONFIG: dict[str, Value] = {"memory-ratio-hvm": "0.25", "memory-ratio-pv": "0.25"}


def _restored(database: Database, spec: PoolSpec, image: PoolImage) -> Furnished:
    restore(database, image)
    addresses = dict(zip(image.hosts, _addresses(spec), strict=True))
    if spec.rewrites_addresses:
        readdress(database, addresses)
    hosts = tuple(SimulatedHost(host, address) for host, address in addresses.items())
    return Furnished(image.pool_ref, hosts)


def _addresses(spec: PoolSpec) -> list[str]:
    made_up = [f"192.0.2.{number}" for number in range(11, 11 + spec.host_count)]
    return [*spec.addresses[: spec.host_count], *made_up[len(spec.addresses) :]]


def _host_memory_bytes(plans: Sequence[VmPlan]) -> int:
    # Each host could take all VMs of another one, and starts of the halted ones, and is a real
    # size: a multiple of 64 GiB.
    total = sum(plan.memory_bytes for plan in plans)
    return max(1, -(-total // (64 * GIB))) * 64 * GIB


def _storage_bytes(counts: Counts) -> int:
    # Half full at most, however many disks there are, and a real size: a multiple of 4 TiB.
    per_sr = counts.vms * counts.disks * DISK_BYTES_MAX // max(1, counts.storage)
    return max(1, -(-2 * per_sr // (4096 * GIB))) * 4096 * GIB
