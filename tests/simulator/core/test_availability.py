"""High availability: switched on and off, what it promises, and what it does when hosts die."""

import pytest
import trio

from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Value, int_of, text_of, texts_of

from .hosting import SESSION, Listener, a_settled_pool, do, fault_of, messages
from .support import vm_named


@pytest.fixture
async def pool(nursery: trio.Nursery) -> SimulatedPool:
    """A pool at rest."""
    return await a_settled_pool(nursery)


async def protect(pool: SimulatedPool, *names: str, failures: int = 1) -> list[str]:
    """Switch HA on with these VMs protected; returns them."""
    vms = [vm_named(pool, name) for name in names]
    for vm in vms:
        await do(pool, "VM.set_ha_restart_priority", vm, "restart")
    await do(pool, "pool.enable_ha", [], {"timeout": "60"})
    await do(pool, "pool.set_ha_host_failures_to_tolerate", pool.pool_ref, failures)
    return vms


def of_pool(pool: SimulatedPool, field: str) -> Value:
    """A field of the pool."""
    return pool.database.field("pool", pool.pool_ref, field)


def home(pool: SimulatedPool, vm: str) -> str:
    """The host that a VM is on."""
    return text_of(pool.database.record("VM", vm), "resident_on")


async def test_ha_is_on_once_all_hosts_have_joined(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """State file and metadata disk are made once; hosts see both and each other."""
    database = pool.database
    await do(pool, "pool.enable_ha", [], {"timeout": "60"})
    record = database.record("pool", pool.pool_ref)
    (statefile,) = texts_of(record, "ha_statefiles")
    assert database.field("VDI", statefile, "type") == "ha_statefile"
    assert len(database.find("VDI", "type", "metadata")) == 1
    assert (record["ha_enabled"], record["ha_cluster_stack"]) == (True, "xhad")
    assert record["ha_configuration"] == {"timeout": "60"}
    assert "ha_disable" in texts_of(record, "allowed_operations")
    assert "ha_enable" not in texts_of(record, "allowed_operations")
    uuids = [database.field("host", host.ref, "uuid") for host in pool.hosts]
    for host in pool.hosts:
        assert database.field("host", host.ref, "ha_network_peers") == uuids
        assert database.field("host", host.ref, "ha_statefiles") == [statefile]
    assert await fault_of(pool, "pool.enable_ha", [[], {}]) == ["HA_IS_ENABLED"]
    await do(pool, "pool.disable_ha")
    assert of_pool(pool, "ha_enabled") is False
    assert database.field("host", pool.master, "ha_network_peers") == []
    assert await fault_of(pool, "pool.disable_ha", []) == ["HA_NOT_ENABLED"]
    await do(pool, "pool.enable_ha", [], {})
    assert texts_of(database.record("pool", pool.pool_ref), "ha_statefiles") == [statefile]


async def test_ha_is_refused_where_it_would_not_work(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Offline hosts, unplugged interfaces, storage that is not everywhere, a lacking licence."""
    database, host = pool.database, pool.hosts[1].ref
    (shared,) = database.find("SR", "name_label", "NFS virtual disk storage")
    local = database.find("SR", "name_label", "Local storage")[0]
    assert await fault_of(pool, "pool.enable_ha", [[local], {}]) == ["SR_HAS_NO_PBDS", local]
    pif = database.find("PIF", "host", host)[0]
    database.write("PIF", pif, "disallow_unplug", True)
    database.write("PIF", pif, "currently_attached", False)
    assert await fault_of(pool, "pool.enable_ha", [[], {}]) == ["REQUIRED_PIF_IS_UNPLUGGED", pif]
    database.write("PIF", pif, "currently_attached", True)
    for pbd in texts_of(database.record("SR", shared), "PBDs")[:1]:
        database.write("PBD", pbd, "currently_attached", False)
    assert await fault_of(pool, "pool.enable_ha", [[], {}]) == ["CANNOT_CREATE_STATE_FILE"]
    pool.kill_host(host)
    assert await fault_of(pool, "pool.enable_ha", [[], {}]) == ["HOST_OFFLINE", host]
    database.write("pool", pool.pool_ref, "restrictions", {"enable_xha": "false"})
    assert await fault_of(pool, "pool.enable_ha", [[], {}]) == ["LICENSE_RESTRICTION", "HA"]
    assert of_pool(pool, "ha_enabled") is False


async def test_enabling_shows_in_the_pool(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Nothing else may be done to the pool meanwhile, and the other way round."""
    task = pool.start_operation(SESSION, "pool.enable_ha", [[], {}])
    await trio.sleep(4)
    assert of_pool(pool, "current_operations") == {task: "ha_enable"}
    others: list[tuple[str, list[Value]]] = [("enable_ha", [[], {}]), ("disable_ha", [])]
    for method, args in others:
        assert await fault_of(pool, f"pool.{method}", args) == ["HA_ENABLE_IN_PROGRESS"]
    await trio.sleep(30)
    assert pool.database.field("task", task, "status") == "success"
    task = pool.start_operation(SESSION, "pool.disable_ha", [])
    await trio.sleep(1)
    assert await fault_of(pool, "pool.enable_ha", [[], {}]) == ["HA_DISABLE_IN_PROGRESS"]


async def test_dead_member_has_its_protected_vms_started_elsewhere(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """After a minute it is given up; protected VMs start in their order, then best effort."""
    database = pool.database
    first, second = await protect(pool, "vm-002", "vm-007")
    third, bystander = vm_named(pool, "vm-008"), vm_named(pool, "vm-001")
    host = home(pool, first)
    await do(pool, "VM.pool_migrate", third, host, {"live": "true"})
    assert [home(pool, vm) for vm in (second, third)] == [host, host]
    await do(pool, "VM.set_ha_restart_priority", third, "best-effort")
    database.write("VM", second, "order", 1)
    database.write("VM", first, "order", 2)
    pool.hub.register(SESSION, ["*"])
    pool.kill_host(host)
    await trio.sleep(59)
    assert messages(pool) == ["VM_MIGRATED"]
    await trio.sleep(60)
    metrics = text_of(database.record("host", host), "metrics")
    assert database.field("host_metrics", metrics, "live") is False
    for vm in (first, second, third):
        assert database.field("VM", vm, "power_state") == "Running"
        assert home(pool, vm) not in (host, NULL_REF)
    started = [
        event.record["obj_uuid"]
        for event in await pool.hub.next(SESSION)
        if event.cls == "message" and event.record and event.record["name"] == "VM_STARTED"
    ]
    assert started == [database.field("VM", vm, "uuid") for vm in (second, first, third)]
    assert messages(pool)[1] == "HA_HOST_FAILED"
    assert database.field("VM", bystander, "power_state") == "Running"
    pool.revive_host(host)
    await trio.sleep(10)
    assert messages(pool)[-1] == "HA_HOST_WAS_FENCED"
    assert database.field("host_metrics", metrics, "live") is True
    assert database.field("host", host, "enabled") is True


async def test_unprotected_vms_of_a_dead_host_stay_down(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """They are Halted, for HA knows that they do not run, and nobody starts them."""
    await protect(pool, "vm-001")
    vm = vm_named(pool, "vm-002")
    pool.kill_host(home(pool, vm))
    await trio.sleep(120)
    record = pool.database.record("VM", vm)
    assert (record["power_state"], record["resident_on"], record["domid"]) == (
        "Halted",
        NULL_REF,
        -1,
    )
    assert "start" in texts_of(record, "allowed_operations")


async def test_dead_master_is_followed_by_another(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The toolstack starts anew there: sessions and tasks are gone, then VMs are started."""
    database = pool.database
    (vm,) = await protect(pool, "vm-001")
    listener = pool.presence = Listener()
    old = pool.master
    assert home(pool, vm) == old
    kept = pool.tasks.begin("somebody's own")
    pool.kill_host(old)
    assert listener.heard == [f"down {old}"]
    await trio.sleep(60)
    assert pool.master == old
    await trio.sleep(90)
    assert pool.master == pool.hosts[1].ref
    assert listener.heard == [f"down {old}", "restarted", "moved"]
    assert not database.exists("task", kept)
    assert messages(pool)[:2] == ["POOL_MASTER_TRANSITION", "HA_HOST_FAILED"]
    assert database.field("VM", vm, "power_state") == "Running"
    assert home(pool, vm) != old
    pool.revive_host(old)
    await trio.sleep(20)
    assert pool.master == pool.hosts[1].ref
    assert listener.heard[-1] == f"up {old}"
    assert messages(pool)[-1] == "HA_HOST_WAS_FENCED"


async def test_two_hosts_may_die_at_once(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """What is left takes everything that is protected, the master's office included."""
    vms = await protect(pool, "vm-001", "vm-002", failures=2)
    pool.kill_host(pool.hosts[0].ref)
    pool.kill_host(pool.hosts[1].ref)
    await trio.sleep(200)
    assert pool.master == pool.hosts[2].ref
    assert [home(pool, vm) for vm in vms] == [pool.hosts[2].ref] * 2
    assert messages(pool).count("HA_HOST_FAILED") == 2


async def test_host_that_is_back_before_ha_notices_lost_nothing_but_its_vms(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """No message, no transition."""
    await protect(pool, "vm-001")
    host = pool.hosts[1].ref
    pool.kill_host(host)
    await trio.sleep(30)
    pool.revive_host(host)
    await trio.sleep(120)
    assert messages(pool) == []


async def test_vm_that_finds_no_room_is_reported(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """HA_PROTECTED_VM_RESTART_FAILED is about the VM; others start all the same."""
    database = pool.database
    large, small = await protect(pool, "vm-002", "vm-005")
    host = home(pool, large)
    database.write("VM", large, "memory_static_max", 2**50)
    pool.kill_host(host)
    await trio.sleep(300)
    assert database.field("VM", small, "power_state") == "Running"
    assert database.field("VM", large, "power_state") == "Halted"
    (failed,) = database.find("message", "name", "HA_PROTECTED_VM_RESTART_FAILED")
    assert database.field("message", failed, "obj_uuid") == database.field("VM", large, "uuid")
    assert "HA_POOL_OVERCOMMITTED" in messages(pool)
    assert of_pool(pool, "ha_overcommitted") is True


async def test_restarts_are_prevented_for_a_while(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """ha_prevent_restarts_for needs HA; VMs then stay Halted."""
    assert await fault_of(pool, "pool.ha_prevent_restarts_for", [600]) == ["HA_NOT_ENABLED"]
    (vm,) = await protect(pool, "vm-002")
    await do(pool, "pool.ha_prevent_restarts_for", 600)
    pool.kill_host(home(pool, vm))
    await trio.sleep(120)
    assert pool.database.field("VM", vm, "power_state") == "Halted"


async def test_plans_count_hosts_that_may_fail(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A plan for n failures is one for fewer; what is planned for stands in the pool."""
    (vm,) = await protect(pool, "vm-002")
    most = await do(pool, "pool.ha_compute_max_host_failures_to_tolerate")
    assert most == 2
    for failures, exists in ((0, True), (2, True), (3, False)):
        assert await do(pool, "pool.ha_failover_plan_exists", failures) is exists
    assert (of_pool(pool, "ha_plan_exists_for"), of_pool(pool, "ha_overcommitted")) == (1, False)
    config: dict[str, Value] = {vm: "restart"}
    method = "pool.ha_compute_hypothetical_max_host_failures_to_tolerate"
    assert await do(pool, method, config) == 2
    fault = await fault_of(pool, method, [{vm: "best"}])
    assert fault == ["INVALID_VALUE", "ha_restart_priority", "best"]
    host = home(pool, vm)
    plan = await do(pool, "pool.ha_compute_vm_failover_plan", [host], [vm])
    assert isinstance(plan, dict)
    assert isinstance(found := plan[vm], dict)
    assert found["host"] not in (host, "")
    pool.database.write("VM", vm, "memory_static_max", 2**50)
    plan = await do(pool, "pool.ha_compute_vm_failover_plan", [host], [vm])
    assert plan == {vm: {"error_code": "HOST_NOT_ENOUGH_FREE_MEMORY"}}


async def test_promises_are_checked(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A change that breaks an existing plan is refused, unless overcommitment is allowed."""
    (vm,) = await protect(pool, "vm-002", failures=2)
    broken = ["HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN"]
    host = pool.hosts[2].ref
    assert await fault_of(pool, "host.disable", [host, True]) == broken
    assert await fault_of(pool, "host.evacuate", [host, NULL_REF, 0]) == broken
    set_failures = "pool.set_ha_host_failures_to_tolerate"
    assert await fault_of(pool, set_failures, [pool.pool_ref, 3]) == broken
    fault = await fault_of(pool, set_failures, [pool.pool_ref, -1])
    assert fault == ["INVALID_VALUE", "ha_host_failures_to_tolerate", "-1"]
    bound, large = vm_named(pool, "vm-004"), vm_named(pool, "vm-003")
    inside = pool.database.create("network", {"name_label": "internal", "bridge": "xapi9"})
    vif = texts_of(pool.database.record("VM", bound), "VIFs")[0]
    pool.database.write("VIF", vif, "network", inside)
    assert await fault_of(pool, "VM.set_ha_restart_priority", [bound, "restart"]) == broken
    pool.database.write("VM", large, "memory_static_max", 2**45)
    await do(pool, "VM.set_ha_restart_priority", large, "restart")
    assert await fault_of(pool, "VM.set_ha_always_run", [large, True]) == broken
    pool.database.write("pool", pool.pool_ref, "ha_allow_overcommit", True)
    await do(pool, "host.disable", host)
    assert pool.database.field("VM", vm, "ha_always_run") is True


async def test_priority_makes_a_running_vm_protected(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """`restart` sets ha_always_run on what runs; taking it away takes that away; others fail."""
    vm, halted = vm_named(pool, "vm-002"), vm_named(pool, "vm-003")
    for each, protected in ((vm, True), (halted, False)):
        await do(pool, "VM.set_ha_restart_priority", each, "restart")
        assert pool.database.field("VM", each, "ha_always_run") is protected
    await do(pool, "VM.set_ha_restart_priority", vm, "")
    assert pool.database.field("VM", vm, "ha_always_run") is False
    fault = await fault_of(pool, "VM.set_ha_restart_priority", [vm, "always"])
    assert fault == ["INVALID_VALUE", "ha_restart_priority", "always"]


async def test_vm_with_local_parts_is_not_agile(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Its SR or network is named; with it, there is no plan at all."""
    database, vm = pool.database, vm_named(pool, "vm-002")
    assert await do(pool, "VM.assert_agile", vm) == ""
    vif = texts_of(database.record("VM", vm), "VIFs")[0]
    network = database.create("network", {"name_label": "internal", "bridge": "xapi9"})
    shared = text_of(database.record("VIF", vif), "network")
    database.write("VIF", vif, "network", network)
    assert await fault_of(pool, "VM.assert_agile", [vm]) == [
        "HA_CONSTRAINT_VIOLATION_NETWORK_NOT_SHARED",
        network,
    ]
    database.write("VIF", vif, "network", shared)
    disk = next(
        text_of(record, "VDI")
        for record in (
            database.record("VBD", vbd) for vbd in texts_of(database.record("VM", vm), "VBDs")
        )
        if record["VDI"] != NULL_REF
    )
    sr = text_of(database.record("VDI", disk), "SR")
    database.write("SR", sr, "shared", False)
    assert await fault_of(pool, "VM.assert_agile", [vm]) == [
        "HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED",
        sr,
    ]
    await do(pool, "VM.set_ha_restart_priority", vm, "restart")
    assert await do(pool, "pool.ha_failover_plan_exists", 0) is False


async def test_emergency_switches_ha_off(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """host.emergency_ha_disable; after that hosts that die are nobody's business."""
    assert await fault_of(pool, "host.emergency_ha_disable", [False]) == ["HA_NOT_ENABLED"]
    (vm,) = await protect(pool, "vm-002")
    pool.kill_host(home(pool, vm))
    await do(pool, "host.emergency_ha_disable", False)
    await trio.sleep(300)
    assert pool.database.field("VM", vm, "power_state") == "Running"
    assert messages(pool) == []
    assert int_of(pool.database.record("VM", vm), "domid") > 0
