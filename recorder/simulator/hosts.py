"""The life of hosts as their API has it: enabling, going down for a while, being given up."""

from collections.abc import Mapping

from . import haplan
from .catalogue import Handler
from .failover import lose
from .hostlife import (
    come_back,
    guests_of,
    ha_enabled,
    mark_dead,
    master_of,
    remove_host,
    reset_vm,
    restart_agent,
)
from .placement import is_live, reach
from .toolstack import Call, Toolstack
from .values import Fault, Value, texts_of

SHUTDOWN_S = 10.0
"""Between the answer to a reboot or shutdown and the moment at which it happens."""
BOOT_S = 120.0
"""From the end of a host's power to its toolstack."""
AGENT_RESTART_S = 1.0


async def enable(call: Call, host: str) -> Value:
    """host.enable: VMs may be started on it again.

    Faults: HOST_OFFLINE [host], CANNOT_CONTACT_HOST [host], HOST_DISABLED_UNTIL_REBOOT [] if it
    is about to go down.
    """
    reach(call.toolstack, host)
    if call.database.field("host", host, "enabled") is not True:
        if host in call.toolstack.machines.leaving:
            raise Fault("HOST_DISABLED_UNTIL_REBOOT")
        call.toolstack.machines.kept_disabled.discard(host)
        call.set("host", host, "enabled", True)
        if ha_enabled(call.toolstack):
            haplan.update_status(call.toolstack)
    call.toolstack.update_allowed(host, "host")
    return ""


async def disable(call: Call, host: str, auto_enable: bool) -> Value:
    """host.disable: no VM is started on it or moved to it any more.

    Without `auto_enable` it stays so when its toolstack or itself starts anew. Faults:
    HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN [], HOST_OFFLINE [host], CANNOT_CONTACT_HOST [host].
    """
    call.database.record("host", host)
    haplan.check_plan_survives(call.toolstack, without=[host])
    reach(call.toolstack, host)
    call.set("host", host, "enabled", False)
    kept = call.toolstack.machines.kept_disabled
    (kept.discard if auto_enable else kept.add)(host)
    call.toolstack.update_allowed(host, "host")
    return ""


async def shutdown(call: Call, host: str) -> Value:
    """host.shutdown: in 10 s; VMs that still run on it stop with it.

    Faults: HOST_NOT_DISABLED [], OTHER_OPERATION_IN_PROGRESS [host], HOST_OFFLINE [host].
    """
    return await _leave(call, host, "shutdown", "Host is shutting down")


async def reboot(call: Call, host: str) -> Value:
    """host.reboot: in 10 s. The faults are those of host.shutdown."""
    return await _leave(call, host, "reboot", "Host is rebooting")


async def power_on(call: Call, host: str) -> Value:
    """host.power_on: by the way that its `power_on_mode` names; waits until it lives.

    Faults: HOST_IS_LIVE [host], HOST_POWER_ON_MODE_DISABLED [].
    """
    async with call.operation_on(host, "power_on", cls="host"):
        await call.work(BOOT_S)
        come_back(call.toolstack, host)
    return ""


async def agent_restart(call: Call, host: str) -> Value:
    """host.restart_agent: at once; that of the master ends all sessions. Fault HOST_OFFLINE."""
    reach(call.toolstack, host)
    toolstack = call.toolstack

    def restart() -> None:
        if toolstack.database.exists("host", host) and host not in toolstack.machines.down:
            restart_agent(toolstack, host)

    toolstack.once_answered(AGENT_RESTART_S, restart)
    return ""


async def destroy(call: Call, host: str) -> Value:
    """host.destroy: of a dead one only.

    Faults: HOST_IS_LIVE [host], HA_IS_ENABLED [], HOST_HAS_RESIDENT_VMS [host].
    """
    _check_dead(call.toolstack, host)
    if ha_enabled(call.toolstack):
        raise Fault("HA_IS_ENABLED")
    if guests_of(call.toolstack, host):
        raise Fault("HOST_HAS_RESIDENT_VMS", host)
    remove_host(call.toolstack, host)
    return ""


async def declare_dead(call: Call, host: str) -> Value:
    """host.declare_dead: its VMs are Halted from now on. Fault HOST_IS_LIVE [host]."""
    _check_dead(call.toolstack, host)
    for vm in guests_of(call.toolstack, host):
        with call.subtask("VM.power_state_reset", child=True):
            reset_vm(call.toolstack, vm)
    call.set("host", host, "enabled", False)
    call.toolstack.update_allowed(host, "host")
    return ""


async def set_power_on_mode(call: Call, host: str, mode: str, config: Value) -> Value:
    """host.set_power_on_mode: nothing is checked; an empty mode forbids host.power_on."""
    call.set("host", host, "power_on_mode", mode)
    call.set("host", host, "power_on_config", config)
    call.toolstack.update_allowed(host, "host")
    return ""


async def compute_free_memory(call: Call, host: str) -> Value:
    """host.compute_free_memory: bytes left for VMs."""
    call.database.record("host", host)
    return call.toolstack.free_memory_bytes(host)


async def compute_memory_overhead(call: Call, host: str) -> Value:
    """host.compute_memory_overhead: bytes that the hypervisor takes for itself and for VMs."""
    database = call.database
    vms = texts_of(database.record("host", host), "resident_VMs")
    parts = [database.field("VM", vm, "memory_overhead") for vm in vms]
    own = database.field("host", host, "memory_overhead")
    return sum(part for part in [own, *parts] if isinstance(part, int))


async def get_uncooperative_resident_vms(call: Call, host: str) -> Value:
    """host.get_uncooperative_resident_VMs: xapi no longer looks for any."""
    call.database.record("host", host)
    return []


async def _leave(call: Call, host: str, operation: str, name: str) -> Value:
    toolstack = call.toolstack
    async with call.operation_on(host, operation, cls="host"):
        reach(toolstack, host)
        toolstack.machines.leaving.add(host)
        # The task of its own ends at once, but the host shows it until it has started again.
        task = toolstack.tasks.begin(name, description=name, parent=call.task)
        Call(toolstack, call.session, task).enter(host, operation, "host")
        toolstack.tasks.succeed(task, "")
        toolstack.tasks.remove(task)
        boots = operation == "reboot"
        toolstack.once_answered(SHUTDOWN_S, lambda: _stop(toolstack, host, boots=boots))
    return ""


def _stop(toolstack: Toolstack, host: str, *, boots: bool) -> None:
    if host in toolstack.machines.down or not toolstack.database.exists("host", host):
        return
    lose(toolstack, host)
    if host != master_of(toolstack):
        # It says itself that it is going: nobody has to wait for heartbeats.
        mark_dead(toolstack, host)
    if boots:
        toolstack.later(BOOT_S, lambda: come_back(toolstack, host))


def _check_dead(toolstack: Toolstack, host: str) -> None:
    toolstack.database.record("host", host)
    lives = is_live(toolstack.database, host) and host not in toolstack.machines.down
    if lives or host == master_of(toolstack):
        raise Fault("HOST_IS_LIVE", host)


HANDLERS: Mapping[str, Handler] = {
    "host.enable": enable,
    "host.disable": disable,
    "host.shutdown": shutdown,
    "host.reboot": reboot,
    "host.power_on": power_on,
    "host.restart_agent": agent_restart,
    "host.destroy": destroy,
    "host.declare_dead": declare_dead,
    "host.set_power_on_mode": set_power_on_mode,
    "host.compute_free_memory": compute_free_memory,
    "host.compute_memory_overhead": compute_memory_overhead,
    "host.get_uncooperative_resident_VMs": get_uncooperative_resident_vms,
}
