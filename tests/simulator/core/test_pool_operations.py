"""The pool as a whole: a new master, leaving and joining, licences, redo log, settings."""

import pytest
import trio

from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Value, texts_of

from .hosting import SESSION, Listener, a_settled_pool, do, fault_of, messages
from .support import a_pool


@pytest.fixture
async def pool(nursery: trio.Nursery) -> SimulatedPool:
    """A pool at rest."""
    return await a_settled_pool(nursery)


async def test_new_master_takes_over_ten_seconds_after_the_answer(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Sessions, tasks and event ids are gone; the pool and its references are the same."""
    listener = pool.presence = Listener()
    old, new = pool.master, pool.hosts[1].ref
    before = pool.database.refs("VM")
    kept = pool.tasks.begin("somebody's own")
    await do(pool, "pool.designate_new_master", new)
    assert pool.master == old
    assert listener.heard == []
    await trio.sleep(11)
    assert pool.master == new
    assert listener.heard == ["restarted", "moved"]
    assert not pool.database.exists("task", kept)
    assert pool.database.refs("VM") == before
    (message,) = pool.database.refs("message")
    record = pool.database.record("message", message)
    assert (record["name"], record["priority"], record["cls"], record["body"]) == (
        "POOL_MASTER_TRANSITION",
        4,
        "Host",
        "",
    )
    assert record["obj_uuid"] == pool.database.field("host", new, "uuid")
    assert pool.database.find("host", "enabled", True) == []
    await trio.sleep(10)
    assert len(pool.database.find("host", "enabled", True)) == 3


async def test_designation_shows_in_the_pool_and_excludes_others(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The pool shows the operation and offers nothing meanwhile; a second one is refused."""
    new = pool.hosts[1].ref
    assert {"ha_enable", "designate_new_master"} <= set(
        texts_of(pool.database.record("pool", pool.pool_ref), "allowed_operations")
    )
    task = pool.start_operation(SESSION, "pool.designate_new_master", [new])
    await trio.sleep(0.5)
    record = pool.database.record("pool", pool.pool_ref)
    assert record["current_operations"] == {task: "designate_new_master"}
    assert record["allowed_operations"] == []
    others: list[tuple[str, list[Value]]] = [
        ("designate_new_master", [new]),
        ("enable_ha", [[], {}]),
    ]
    for method, args in others:
        assert await fault_of(pool, f"pool.{method}", args) == ["DESIGNATE_NEW_MASTER_IN_PROGRESS"]
    await trio.sleep(5)
    assert pool.database.field("pool", pool.pool_ref, "current_operations") == {}


async def test_master_is_not_designated_while_a_host_is_away(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """HA, dead hosts and unreachable others are in the way; the master itself is no change."""
    master, new, third = (host.ref for host in pool.hosts)
    await do(pool, "pool.designate_new_master", master)
    await trio.sleep(20)
    assert messages(pool) == []
    pool.database.write("pool", pool.pool_ref, "ha_enabled", True)
    assert await fault_of(pool, "pool.designate_new_master", [new]) == ["HA_IS_ENABLED"]
    pool.database.write("pool", pool.pool_ref, "ha_enabled", False)
    pool.kill_host(third)
    assert await fault_of(pool, "pool.designate_new_master", [third]) == [
        "CANNOT_CONTACT_HOST",
        third,
    ]
    fault = await fault_of(pool, "pool.designate_new_master", [new])
    assert fault[0] == "HA_ABORT_NEW_MASTER"
    await trio.sleep(700)
    assert await fault_of(pool, "pool.designate_new_master", [third]) == ["HOST_OFFLINE", third]
    assert pool.master == master


async def test_member_becomes_master_in_an_emergency_only(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """It is the host of the session that takes over, once the master is dead."""
    old, member = pool.master, pool.hosts[2].ref
    assert await fault_of(pool, "pool.emergency_transition_to_master", []) == [
        "NOT_IN_EMERGENCY_MODE"
    ]
    assert await fault_of(pool, "pool.emergency_reset_master", ["192.0.2.12"]) == [
        "NOT_IN_EMERGENCY_MODE"
    ]
    assert await do(pool, "pool.recover_slaves") == []
    local = "OpaqueRef:local"
    pool.toolstack.machines.host_of_session = {SESSION: "", local: member}.__getitem__
    pool.kill_host(old)
    await pool.call_operation(local, "pool.emergency_transition_to_master", [])
    await trio.sleep(11)
    assert pool.master == member
    assert await do(pool, "pool.is_slave", old) is True
    assert messages(pool) == ["POOL_MASTER_TRANSITION"]
    pool.revive_host(old)
    await trio.sleep(10)
    assert pool.master == member
    assert pool.database.field("host", old, "enabled") is True


async def test_ejected_host_takes_its_own_along(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """An idle member leaves with its domain 0, interfaces and local storage; others may not."""
    database, host = pool.database, pool.hosts[1].ref
    assert (await fault_of(pool, "pool.eject", [pool.master]))[0] == "INTERNAL_ERROR"
    fault = await fault_of(pool, "pool.eject", [host])
    assert fault == ["OPERATION_NOT_ALLOWED", "VM resident on host"]
    record = database.record("host", host)
    domain, metrics = str(record["control_domain"]), str(record["metrics"])
    pbds = texts_of(record, "PBDs")
    local = [
        sr
        for sr in (str(database.field("PBD", pbd, "SR")) for pbd in pbds)
        if database.field("SR", sr, "shared") is False
    ]
    await do(pool, "host.disable", host)
    await do(pool, "host.evacuate", host, NULL_REF, 0)
    database.write("pool", pool.pool_ref, "ha_enabled", True)
    assert await fault_of(pool, "pool.eject", [host]) == ["HA_IS_ENABLED"]
    database.write("pool", pool.pool_ref, "ha_enabled", False)
    listener = pool.presence = Listener()
    await do(pool, "pool.eject", host)
    assert listener.heard == [f"down {host}"]
    gone = [("host", host), ("VM", domain), ("host_metrics", metrics)]
    gone += [("PBD", pbd) for pbd in pbds] + [("SR", sr) for sr in local]
    assert [each for each in gone if database.exists(*each)] == []
    for cls in ("PIF", "PBD", "Certificate"):
        assert database.find(cls, "host", host) == []


async def test_join_says_what_is_in_the_way(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Of several hosts, of running VMs, of shared storage; else the other pool is not there."""
    big, small = a_pool(PoolSpec(hosts=2)), a_pool(PoolSpec(hosts=1, vms=2))
    for each in (big, small):
        await nursery.start(each.run)
    args = ["192.0.2.99", "root", "secret"]
    assert await fault_of(big, "pool.join", args) == [
        "JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS"
    ]
    assert await fault_of(small, "pool.join", args) == ["JOINING_HOST_CANNOT_HAVE_RUNNING_VMS"]
    for vm in small.database.find("VM", "power_state", "Running"):
        if small.database.field("VM", vm, "is_control_domain") is False:
            await do(small, "VM.hard_shutdown", vm)
    assert await fault_of(small, "pool.join_force", args) == [
        "JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS"
    ]
    for sr in small.database.find("SR", "shared", True):
        small.database.write("SR", sr, "shared", False)
    assert await fault_of(small, "pool.join", args) == ["POOL_JOINING_HOST_CONNECTION_FAILED"]
    small.database.write("pool", small.pool_ref, "ha_enabled", True)
    assert await fault_of(small, "pool.join", args) == ["HA_IS_ENABLED"]


async def test_licence_of_the_pool_is_the_least_of_its_hosts(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """apply_edition goes to all hosts or, when one refuses, to none."""
    for host in pool.hosts:
        pool.database.write("host", host.ref, "edition", "premium")
    pool.database.write("host", pool.hosts[1].ref, "edition", "free")
    state = await do(pool, "pool.get_license_state", pool.pool_ref)
    assert state == {"edition": "free", "expiry": "never"}
    await do(pool, "pool.apply_edition", pool.pool_ref, "premium-per-socket")
    pool.database.write("host", pool.hosts[2].ref, "editions", ["free"])
    fault = await fault_of(pool, "pool.apply_edition", [pool.pool_ref, "standard-per-socket"])
    assert fault == ["INVALID_EDITION", "standard-per-socket"]
    editions = [pool.database.field("host", host.ref, "edition") for host in pool.hosts]
    assert editions == ["premium-per-socket"] * 3


async def test_redo_log_has_a_disk_that_stays(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Made once, found again; an SR without links can't have it."""
    database = pool.database
    (shared,) = database.find("SR", "name_label", "NFS virtual disk storage")
    await do(pool, "pool.enable_redo_log", shared)
    record = database.record("pool", pool.pool_ref)
    disk = str(record["redo_log_vdi"])
    assert record["redo_log_enabled"] is True
    assert database.field("VDI", disk, "type") == "redo_log"
    await do(pool, "pool.disable_redo_log")
    assert database.field("pool", pool.pool_ref, "redo_log_enabled") is False
    await do(pool, "pool.enable_redo_log", shared)
    assert database.field("pool", pool.pool_ref, "redo_log_vdi") == disk
    bare = database.create("SR", {"name_label": "bare", "type": "nfs"})
    fault = await fault_of(pool, "pool.enable_redo_log", [bare])
    assert fault[0] == "CANNOT_ENABLE_REDO_LOG"


async def test_settings_of_the_pool_reach_its_hosts(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """https_only and ssh are fields of every host; others are checked fields of the pool."""
    ref, database = pool.pool_ref, pool.database
    await do(pool, "pool.set_https_only", ref, False)
    assert database.find("host", "https_only", False) == [host.ref for host in pool.hosts]
    await do(pool, "pool.disable_ssh", ref)
    assert database.find("host", "ssh_enabled", True) == []
    await do(pool, "pool.enable_ssh", ref)
    assert len(database.find("host", "ssh_enabled", True)) == 3
    assert await fault_of(pool, "pool.set_vswitch_controller", ["nowhere"]) == [
        "INVALID_IP_ADDRESS_SPECIFIED",
        "address",
    ]
    await do(pool, "pool.set_vswitch_controller", "192.0.2.77")
    assert database.field("pool", ref, "vswitch_controller") == "192.0.2.77"
    fault = await fault_of(pool, "pool.configure_update_sync", [ref, "daily", 3])
    assert fault == ["INVALID_UPDATE_SYNC_DAY", "3"]
    await do(pool, "pool.configure_update_sync", ref, "weekly", 3)
    assert database.field("pool", ref, "update_sync_day") == 3
    assert await do(pool, "pool.has_extension", ref, "x") is False
    assert await do(pool, "pool.sync_database") == ""


async def test_management_moves_to_a_network_that_all_hosts_have(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """PIF_NOT_PRESENT names the first host without an interface there."""
    database = pool.database
    network = database.create("network", {"name_label": "second", "bridge": "xenbr9"})
    fault = await fault_of(pool, "pool.management_reconfigure", [network])
    assert fault == ["PIF_NOT_PRESENT", pool.master, network]
    for number, host in enumerate(pool.hosts, start=1):
        fields: dict[str, Value] = {"host": host.ref, "network": network, "device": "eth9"}
        address = f"198.51.100.{number}"
        database.create("PIF", {**fields, "ip_configuration_mode": "Static", "IP": address})
    await do(pool, "pool.management_reconfigure", network)
    assert database.field("host", pool.hosts[2].ref, "address") == "198.51.100.3"
    database.write("pool", pool.pool_ref, "ha_enabled", True)
    fault = await fault_of(pool, "pool.management_reconfigure", [network])
    assert fault == ["HA_IS_ENABLED"]
