"""High availability as its API has it: on and off, what it protects, and what it promises."""

from collections.abc import Mapping

from . import haplan
from .catalogue import Handler
from .hostlife import ha_enabled
from .placement import is_live
from .pooling import REDO_LOG_BYTES, find_or_create_disk
from .storage import assert_can_host_ha_statefile
from .toolstack import Call
from .values import Fault, Value, map_of, text_of

STATEFILE_BYTES = 4 * 2**20
"""A page for the pool and one for each of 64 hosts would do, but this is what storage rounds to."""
STEP_S = 1.0
"""How long each host takes for each step of switching HA on or off."""


async def enable_ha(call: Call, heartbeat_srs: Value, configuration: Value) -> Value:
    """pool.enable_ha: a state file goes to the first SR given, or to any that can have it.

    Faults: HA_IS_ENABLED [], HA_ENABLE_IN_PROGRESS [], LICENSE_RESTRICTION [feature],
    REQUIRED_PIF_IS_UNPLUGGED [PIFs], HOST_OFFLINE [host], CANNOT_CREATE_STATE_FILE [],
    SR_HAS_NO_PBDS [sr], SR_OPERATION_NOT_SUPPORTED [sr].
    """
    pool = call.toolstack.pool_ref
    srs = [str(sr) for sr in heartbeat_srs] if isinstance(heartbeat_srs, list) else []
    async with call.operation_on(pool, "ha_enable", cls="pool"):
        _check_can_protect(call)
        call.set("pool", pool, "ha_cluster_stack", "xhad")
        possible = srs or await _fitting_srs(call)
        if not possible:
            raise Fault("CANNOT_CREATE_STATE_FILE")
        await assert_can_host_ha_statefile(call, possible[0])
        statefile = await find_or_create_disk(
            call,
            possible[0],
            "ha_statefile",
            "Statefile for HA",
            size_bytes=STATEFILE_BYTES,
            sm_config={"type": "raw"},
        )
        await find_or_create_disk(
            call, possible[0], "metadata", "Metadata for HA", size_bytes=REDO_LOG_BYTES
        )
        call.set("pool", pool, "ha_statefiles", [statefile])
        call.set("pool", pool, "ha_configuration", configuration)
        call.set("pool", pool, "ha_plan_exists_for", 0)
        haplan.update_status(call.toolstack)
        await _arm(call, statefile)
    return ""


async def disable_ha(call: Call) -> Value:
    """pool.disable_ha: the disks stay. Faults HA_NOT_ENABLED [], HA_DISABLE_IN_PROGRESS []."""
    pool = call.toolstack.pool_ref
    async with call.operation_on(pool, "ha_disable", cls="pool"):
        call.set("pool", pool, "ha_enabled", False)
        for host in call.database.refs("host"):
            await call.work(STEP_S, cancellable=False)
            _disarm(call, host)
        call.set("pool", pool, "ha_statefiles", [])
    return ""


async def emergency_ha_disable(call: Call, _soft: bool) -> Value:
    """host.emergency_ha_disable: on the master, which answers. Fault HA_NOT_ENABLED []."""
    pool = call.toolstack.pool_ref
    if not ha_enabled(call.toolstack):
        raise Fault("HA_NOT_ENABLED")
    call.set("pool", pool, "ha_enabled", False)
    for host in call.database.refs("host"):
        _disarm(call, host)
    call.toolstack.update_allowed(pool, "pool")
    return ""


async def prevent_restarts_for(call: Call, seconds: Value) -> Value:
    """pool.ha_prevent_restarts_for: HA starts no VM for so long. Fault HA_NOT_ENABLED []."""
    if not ha_enabled(call.toolstack):
        raise Fault("HA_NOT_ENABLED")
    assert isinstance(seconds, int)
    call.toolstack.machines.no_restarts_until_s = call.database.now_s() + seconds
    return ""


async def failover_plan_exists(call: Call, failures: Value) -> Value:
    """pool.ha_failover_plan_exists: for any so many hosts that fail."""
    assert isinstance(failures, int)
    return haplan.plan_exists(call.toolstack, failures)


async def compute_max_failures(call: Call) -> Value:
    """pool.ha_compute_max_host_failures_to_tolerate: it is written down, too, while HA is on."""
    if ha_enabled(call.toolstack):
        haplan.update_status(call.toolstack)
    return haplan.failures_max(call.toolstack)


async def compute_hypothetical_max_failures(call: Call, configuration: Value) -> Value:
    """pool.ha_compute_hypothetical_max_host_failures_to_tolerate, with priorities by VM.

    Faults INVALID_VALUE ["ha_restart_priority", value], HANDLE_INVALID.
    """
    assert isinstance(configuration, dict)
    for priority in configuration.values():
        _check_priority(str(priority))
    vms = [vm for vm, priority in configuration.items() if priority == "restart"]
    return haplan.failures_max(call.toolstack, vms)


async def compute_vm_failover_plan(call: Call, failed_hosts: Value, failed_vms: Value) -> Value:
    """pool.ha_compute_vm_failover_plan: by VM its `host`, or the `error_code` that keeps it."""
    assert isinstance(failed_hosts, list)
    assert isinstance(failed_vms, list)
    database = call.database
    hosts = [
        host
        for host in database.refs("host")
        if is_live(database, host) and host not in failed_hosts
    ]
    vms = [str(vm) for vm in failed_vms]
    plan = haplan.pack(
        haplan.needed_bytes(database, vms),
        {host: call.toolstack.free_memory_bytes(host) for host in hosts},
    )
    errors = {vm: haplan.agility_fault(database, vm) for vm in vms if vm not in plan}
    codes: dict[str, Value] = {
        vm: {"error_code": fault.code if fault else "HOST_NOT_ENOUGH_FREE_MEMORY"}
        for vm, fault in errors.items()
    }
    return codes | {vm: {"host": host} for vm, host in plan.items()}


async def set_failures_to_tolerate(call: Call, pool: str, value: Value) -> Value:
    """pool.set_ha_host_failures_to_tolerate.

    Faults: INVALID_VALUE ["ha_host_failures_to_tolerate", value] below 0,
    HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN [].
    """
    record = call.database.record("pool", pool)
    assert isinstance(value, int)
    if value < 0:
        raise Fault("INVALID_VALUE", "ha_host_failures_to_tolerate", str(value))
    planned = record["ha_plan_exists_for"]
    if isinstance(planned, int) and planned > 0:
        haplan.check_plan_survives(call.toolstack, failures=value)
    call.set("pool", pool, "ha_host_failures_to_tolerate", value)
    haplan.update_status(call.toolstack)
    return ""


async def schedule_plan_recomputation(call: Call) -> Value:
    """pool.ha_schedule_plan_recomputation."""
    if ha_enabled(call.toolstack):
        haplan.update_status(call.toolstack)
    return ""


async def set_restart_priority(call: Call, vm: str, value: str) -> Value:
    """VM.set_ha_restart_priority: a VM that runs is protected from now on, or no longer.

    Faults: INVALID_VALUE ["ha_restart_priority", value], HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN.
    """
    _check_priority(value)
    record = call.vm(vm)
    before = text_of(record, "ha_restart_priority")
    starts = value == "restart" != before and record["power_state"] != "Halted"
    if starts:
        _check_can_be_protected(call, vm)
    if before != value:
        call.set("VM", vm, "ha_restart_priority", value)
    if starts or (before == "restart" != value):
        call.set("VM", vm, "ha_always_run", starts)
        if ha_enabled(call.toolstack):
            haplan.update_status(call.toolstack)
    return ""


async def set_always_run(call: Call, vm: str, value: bool) -> Value:
    """VM.set_ha_always_run. Fault HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN []."""
    record = call.vm(vm)
    if value and record["ha_restart_priority"] == "restart":
        _check_can_be_protected(call, vm)
    call.set("VM", vm, "ha_always_run", value)
    return ""


async def assert_agile(call: Call, vm: str) -> Value:
    """VM.assert_agile: that it could run on any host.

    Faults: HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED [sr], .._NETWORK_NOT_SHARED [network].
    """
    if fault := haplan.agility_fault(call.database, vm):
        raise fault
    return ""


def _check_can_protect(call: Call) -> None:
    database = call.database
    restrictions = map_of(database.record("pool", call.toolstack.pool_ref), "restrictions")
    if restrictions.get("enable_xha") == "false":
        raise Fault("LICENSE_RESTRICTION", "HA")
    unplugged = [
        pif
        for pif in database.find("PIF", "disallow_unplug", True)
        if database.field("PIF", pif, "currently_attached") is not True
    ]
    if unplugged:
        raise Fault("REQUIRED_PIF_IS_UNPLUGGED", *unplugged)
    for host in database.refs("host"):
        if not is_live(database, host) or host in call.toolstack.machines.down:
            raise Fault("HOST_OFFLINE", host)


async def _fitting_srs(call: Call) -> list[str]:
    fitting = []
    for sr in call.database.refs("SR"):
        try:
            await assert_can_host_ha_statefile(call, sr)
        except Fault:
            continue  # It is one of the many SRs that can't.
        fitting.append(sr)
    return fitting


async def _arm(call: Call, statefile: str) -> None:
    """Let the hosts attach the state file, join, and take a copy of the database: three rounds."""
    database, pool = call.database, call.toolstack.pool_ref
    hosts = database.refs("host")
    uuids: list[Value] = [database.field("host", host, "uuid") for host in hosts]
    done = 0
    for step in ("preconfigure_ha", "ha_join_liveset", "request_backup"):
        if step == "request_backup":
            call.set("pool", pool, "ha_enabled", True)
        for host in hosts:
            with call.subtask(f"host.{step}", child=True):
                await call.work(STEP_S, cancellable=False)
            if step == "ha_join_liveset":
                call.set("host", host, "ha_statefiles", [statefile])
                call.set("host", host, "ha_network_peers", uuids)
            done += 1
            call.toolstack.tasks.write(call.task, "progress", done / (3 * len(hosts)))


def _disarm(call: Call, host: str) -> None:
    call.set("host", host, "ha_statefiles", [])
    call.set("host", host, "ha_network_peers", [])


def _check_priority(value: str) -> None:
    if value not in haplan.PRIORITIES:
        raise Fault("INVALID_VALUE", "ha_restart_priority", value)


def _check_can_be_protected(call: Call, vm: str) -> None:
    if ha_enabled(call.toolstack):
        protected = haplan.protected_vms(call.database)
        haplan.check_plan_survives(call.toolstack, vms=list({**dict.fromkeys(protected), vm: None}))


HANDLERS: Mapping[str, Handler] = {
    "pool.enable_ha": enable_ha,
    "pool.disable_ha": disable_ha,
    "host.emergency_ha_disable": emergency_ha_disable,
    "pool.ha_prevent_restarts_for": prevent_restarts_for,
    "pool.ha_failover_plan_exists": failover_plan_exists,
    "pool.ha_compute_max_host_failures_to_tolerate": compute_max_failures,
    "pool.ha_compute_hypothetical_max_host_failures_to_tolerate": compute_hypothetical_max_failures,
    "pool.ha_compute_vm_failover_plan": compute_vm_failover_plan,
    "pool.set_ha_host_failures_to_tolerate": set_failures_to_tolerate,
    "pool.ha_schedule_plan_recomputation": schedule_plan_recomputation,
    "VM.set_ha_restart_priority": set_restart_priority,
    "VM.set_ha_always_run": set_always_run,
    "VM.assert_agile": assert_agile,
}
