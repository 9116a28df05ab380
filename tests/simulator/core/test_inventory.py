"""New pools: counts, names, and references that lead somewhere."""

import random
from collections import Counter

import pytest
import trio
from msgspec.structs import asdict

from recorder.simulator.datamodel import fields
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.inventory_vms import plan_vms
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.presets import PRESETS, Counts
from recorder.simulator.values import NULL_REF, texts_of
from tests.simulator.core.support import a_pool


def _pool(spec: PoolSpec) -> SimulatedPool:
    return SimulatedPool.build(spec, now_s=lambda: 1_700_000_000.0)


def test_pool_has_what_the_spec_says() -> None:
    """Hosts, VMs, storage and addresses are those of the spec."""
    pool = _pool(PoolSpec(name="north", hosts=2, vms=6, addresses=["127.0.0.1:81", "127.0.0.1:82"]))
    database = pool.database
    assert database.record("pool", pool.pool_ref)["name_label"] == "north"
    assert [host.address for host in pool.hosts] == ["127.0.0.1:81", "127.0.0.1:82"]
    names = [database.record("host", host.ref)["name_label"] for host in pool.hosts]
    assert names == ["host-1", "host-2"]
    assert pool.master == pool.hosts[0].ref
    guests = [f"vm-{number:03}" for number in range(1, 7)]
    found = [str(database.record("VM", vm)["name_label"]) for vm in database.refs("VM")]
    assert [name for name in found if name.startswith("vm-")] == guests
    assert len(database.find("VM", "is_control_domain", True)) == 2
    kinds = sorted(str(database.field("SR", sr, "type")) for sr in database.refs("SR"))
    assert kinds == ["ext", "ext", "iso", "nfs"]
    assert len(database.refs("PBD")) == 6


def test_counts_of_everything_hold() -> None:
    """Storage, networks, disks, interfaces and snapshots are as many as the spec says."""
    counts = Counts(hosts=2, vms=4, storage=3, networks=4, disks=2, interfaces=3, snapshots=1)
    database = _pool(PoolSpec(**asdict(counts))).database
    found = {cls: len(database.refs(cls)) for cls in ("network", "VLAN", "PIF", "VDI", "VIF")}
    assert found == {"network": 4, "VLAN": 6, "PIF": 8, "VDI": 8, "VIF": 12}
    assert len(database.find("SR", "type", "nfs")) == 3
    snapshots = database.find("VM", "is_a_snapshot", True)
    sources = {str(database.field("VM", snapshot, "snapshot_of")) for snapshot in snapshots}
    assert len(snapshots) == len(sources) == 4
    assert all(len(texts_of(database.record("VM", vm), "VIFs")) == 3 for vm in sources)


@pytest.mark.parametrize("name", ["default", "edge", "office"])
def test_presets_can_be_built(name: str) -> None:
    """A preset is a pool whose VMs have all their storage in sight of their host."""
    database = _pool(PoolSpec(**asdict(PRESETS[name]))).database
    for vm in database.find("VM", "power_state", "Running"):
        record = database.record("VM", vm)
        for vbd in texts_of(record, "VBDs"):
            sr = database.field("VDI", str(database.field("VBD", vbd, "VDI")), "SR")
            pbds = texts_of(database.record("SR", str(sr)), "PBDs")
            assert record["resident_on"] in [database.field("PBD", pbd, "host") for pbd in pbds]


def test_two_thirds_of_the_vms_run_and_have_guests() -> None:
    """Every third VM is halted; the others have a host, a console and a guest that reported."""
    database = _pool(PoolSpec(vms=9)).database
    running = [
        database.record("VM", vm)
        for vm in database.find("VM", "power_state", "Running")
        if database.record("VM", vm)["is_control_domain"] is False
    ]
    assert len(running) == 6
    for record in running:
        assert record["consoles"] != []
        assert "suspend" in record["allowed_operations"]  # type: ignore[operator] # a set
        guest = database.record("VM_guest_metrics", str(record["guest_metrics"]))
        assert guest["PV_drivers_detected"] is True


@pytest.mark.parametrize(("hosts", "vms"), [(2, 3), (3, 10), (3, 5), (16, 600), (64, 5000)])
def test_every_host_has_its_share_of_running_vms(hosts: int, vms: int) -> None:
    """Also where hosts and halted VMs come in threes."""
    plans = plan_vms(Counts(hosts=hosts, vms=vms), random.Random(1))
    running = Counter(plan.host for plan in plans if plan.running)
    assert len(running) == hosts
    assert max(running.values()) - min(running.values()) <= 1


def test_references_lead_to_objects() -> None:
    """Every reference of every record is NULL or an object of its class, sets included."""
    database = _pool(PoolSpec()).database
    for cls in database.hub.rows.tables:
        for ref in database.refs(cls):
            for name, value in database.record(cls, ref).items():
                kind = fields(cls)[name].type.removeprefix("set:")
                targets = value if isinstance(value, list) else [value]
                for target in targets if kind.startswith("@") else []:
                    assert target == NULL_REF or database.exists(kind[1:], str(target)), name


def test_hosts_have_room_for_their_vms() -> None:
    """A large pool is built with hosts that hold all its VMs, and free memory is consistent."""
    pool = _pool(PoolSpec(hosts=3, vms=300))
    for host in pool.hosts:
        free = pool.toolstack.free_memory_bytes(host.ref)
        metrics = str(pool.database.record("host", host.ref)["metrics"])
        assert free > 0
        assert pool.database.record("host_metrics", metrics)["memory_free"] == free


def test_truth_begins_with_the_objects_of_the_new_pool() -> None:
    """The first changes are one add for every object, with the state that clients see."""
    pool = _pool(PoolSpec())
    state = pool.truth.state_at(len(pool.truth.changes))
    assert {change.operation for change in pool.truth.changes} == {"add"}
    assert len(state) == len(pool.truth.changes) == sum(pool.database.row_counts().values())
    assert state["pool", pool.pool_ref] == pool.database.json("pool", pool.pool_ref)


async def test_move_of_the_master_is_a_restart(autojump_clock: trio.testing.MockClock) -> None:
    """Another host is the master, and everybody has to register again."""
    pool = a_pool()
    pool.hub.register("OpaqueRef:s", ["*"])
    pool.move_master(pool.hosts[1].ref)
    assert pool.master == pool.hosts[1].ref
    assert pool.hub.current_id() == 0


async def test_a_day_passes_quickly(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A virtual day brings 2880 heartbeats, one every 30 seconds."""
    pool = a_pool()
    await nursery.start(pool.run)
    pool.hub.register("OpaqueRef:s", ["pool"])
    for _hour in range(24):
        await trio.sleep(3600.1)
    assert pool.hub.current_id() == 2880
