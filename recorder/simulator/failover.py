"""What HA does when hosts fail: a new master if it must be, and protected VMs start elsewhere."""

from functools import partial

import trio

from . import haplan, lifecycle
from .hostlife import (
    STARTUP_S,
    announce,
    go_down,
    guests_of,
    ha_enabled,
    mark_dead,
    master_of,
    miss_later,
    reset_vm,
    take_over,
)
from .placement import is_live
from .toolstack import Call, Toolstack
from .values import NULL_REF, Fault, text_of

NOTICE_S = 60.0
"""A host without a heartbeat for so long is fenced: the default `timeout` of HA."""
ELECTION_S = 20.0
"""How long a new master takes to start once the old one is fenced."""
_MARGIN_S = 0.5


def lose(toolstack: Toolstack, host: str) -> None:
    """Let a host stop without a word. With HA others take its place, without it nobody does."""
    fall = go_down(toolstack, host)
    if ha_enabled(toolstack):
        toolstack.spawn(partial(_notice, toolstack, host, fall))
    else:
        miss_later(toolstack, host, fall)


async def _notice(toolstack: Toolstack, host: str, fall: int) -> None:
    """Deal with the fall of a host, unless it is back before HA notices, or HA is switched off."""
    await trio.sleep(NOTICE_S * toolstack.speed)
    machines = toolstack.machines
    async with machines.failing_over:
        if not machines.lies_since(host, fall) or not ha_enabled(toolstack):
            return
        if master_of(toolstack) in machines.down and not await _elect(toolstack):
            return
        await _recover(toolstack)


async def _elect(toolstack: Toolstack) -> bool:
    """Make the first host that is left the master; False if there is none."""
    hosts = [
        host for host in toolstack.database.refs("host") if host not in toolstack.machines.down
    ]
    if not hosts:
        return False
    await trio.sleep(ELECTION_S * toolstack.speed)
    take_over(toolstack, hosts[0])
    # Hosts take VMs only some seconds after their toolstacks have started.
    await trio.sleep(STARTUP_S * toolstack.speed + _MARGIN_S)
    return True


async def recover(toolstack: Toolstack) -> None:
    """Do what HA does once there is a new master, after what it is doing already."""
    async with toolstack.machines.failing_over:
        await _recover(toolstack)


async def _recover(toolstack: Toolstack) -> None:
    """Give lost hosts up, start what was protected in its order, then what is best effort."""
    database = toolstack.database
    lost: list[str] = []
    for host in database.refs("host"):
        if host in toolstack.machines.down:
            lost += guests_of(toolstack, host)
            _give_up(toolstack, host)
    for vm in lost:
        if database.field("VM", vm, "power_state") in ("Running", "Paused"):
            reset_vm(toolstack, vm)
    if lost:
        haplan.update_status(toolstack)
    if database.now_s() < toolstack.machines.no_restarts_until_s:
        return
    await _restart(toolstack, haplan.protected_vms(database))
    for vm in lost:
        if _is_halted(toolstack, vm) and _priority(toolstack, vm) == "best-effort":
            await _start(toolstack, vm, None)


def _give_up(toolstack: Toolstack, host: str) -> None:
    if not is_live(toolstack.database, host):
        return
    if host not in toolstack.machines.leaving:
        name = text_of(toolstack.database.record("host", host), "name_label")
        body = f"Server '{name}' has failed"
        announce(toolstack, "HA_HOST_FAILED", host, priority=3, body=body)
        toolstack.machines.fenced.add(host)
    mark_dead(toolstack, host)


async def _restart(toolstack: Toolstack, protected: list[str]) -> None:
    """Start protected VMs on the hosts that the plan has for them; without a plan, anywhere."""
    database = toolstack.database
    vms = [vm for vm in protected if _is_halted(toolstack, vm)]
    needed = haplan.needed_bytes(database, vms)
    hosts = haplan.live_hosts(database)
    plan = haplan.pack(needed, {host: toolstack.free_memory_bytes(host) for host in hosts})
    complete = len(plan) == len(vms)
    failed = [vm for vm in vms if not await _start(toolstack, vm, plan[vm] if complete else None)]
    for vm in failed:
        if not await _start(toolstack, vm, None):
            announce(toolstack, "HA_PROTECTED_VM_RESTART_FAILED", vm, priority=2, cls="VM")


async def _start(toolstack: Toolstack, vm: str, host: str | None) -> bool:
    """Start a VM as HA does, with a task of its own; returns whether it runs now."""
    tasks = toolstack.tasks
    name = "VM.start" if host is None else "VM.start_on"
    task = tasks.begin(name)
    call = Call(toolstack, NULL_REF, task)
    given: dict[str, str | bool] = {"vm": vm}
    if host is not None:
        given["host"] = host
    given |= {"start_paused": False, "force": True}
    try:
        if host is None:
            await lifecycle.start(call, vm, False, True)
        else:
            await lifecycle.start_on(call, vm, host, False, True)
    except Fault as fault:
        toolstack.tell(task, name, given, fault)
        tasks.fail(task, fault)
        return False
    else:
        toolstack.tell(task, name, given, None)
        tasks.succeed(task, "")
        return True
    finally:
        tasks.remove(task)


def _is_halted(toolstack: Toolstack, vm: str) -> bool:
    database = toolstack.database
    return database.exists("VM", vm) and database.field("VM", vm, "power_state") == "Halted"


def _priority(toolstack: Toolstack, vm: str) -> str:
    return text_of(toolstack.database.record("VM", vm), "ha_restart_priority")
