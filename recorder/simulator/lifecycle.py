"""The power operations of a VM. Each writes field by field in the order in which xapi does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .domains import (
    appear,
    attach_devices,
    detach_devices,
    forget_host,
    move_in,
    pause_or_go_on,
    prepare,
    reappear,
    vanish,
    write_bios,
)
from .guests import is_listening, schedule_agent
from .images import drop_suspend_image, make_suspend_image
from .marks import devices_marked, refresh_devices
from .placement import check_host, choose_host, settle
from .toolstack import Call
from .values import NULL_REF, Fault, Value, int_of, map_of, text_of
from .xenops import DomainTask, perform

AGENT_ANSWER_S = 60.0
"""How long xapi waits for a guest that does not react before it gives up."""

_FIRST_START = DomainTask(3.0, 5, progress=(0.6000000000000001, 1.0))
_START = DomainTask(3.0, 5, progress=(0.4, 0.8))
_UNPAUSE_AFTER = DomainTask(0.0, 1)
_PAUSE = DomainTask(0.2, 1)
_HARD_SHUTDOWN = DomainTask(1.0, 6, cancellable=False)
_CLEAN_SHUTDOWN = DomainTask(9.0, 7, progress=(0.5, 0.9))
_HARD_REBOOT = DomainTask(4.0, 9, cancellable=False)
_CLEAN_REBOOT = DomainTask(12.0, 10, progress=(0.3, 0.8))
_SUSPEND = DomainTask(10.0, 11, progress=(0.3, 0.6000000000000001, 1.0), listed=False)
_RESUME = DomainTask(6.0, 5, progress=(0.5, 1.0), listed=False)
_MIGRATE = DomainTask(12.0, 9, progress=(0.25, 0.5, 0.9))
_STOPPED_BY_SHUTDOWN = frozenset(
    {"clean_shutdown", "clean_reboot", "hard_reboot", "pool_migrate", "call_plugin", "suspend"}
)
_STOPPED_BY_REBOOT = _STOPPED_BY_SHUTDOWN - {"hard_reboot"}


async def start(call: Call, vm: str, start_paused: bool, _force: bool) -> Value:
    """VM.start: on the best host."""
    return await _start(call, vm, None, "start", paused=start_paused)


async def start_on(call: Call, vm: str, host: str, start_paused: bool, _force: bool) -> Value:
    """VM.start_on: on this host."""
    call.database.record("host", host)
    return await _start(call, vm, host, "start_on", paused=start_paused)


async def pause(call: Call, vm: str) -> Value:
    """VM.pause."""
    async with call.operation_on(vm, "pause"):
        await perform(call, _PAUSE)
        pause_or_go_on(call, vm, "Paused")
    call.toolstack.announce("VM_PAUSED", vm, "paused")
    refresh_devices(call, vm)
    return ""


async def unpause(call: Call, vm: str) -> Value:
    """VM.unpause."""
    async with call.operation_on(vm, "unpause"):
        await perform(call, _PAUSE)
        pause_or_go_on(call, vm, "Running")
        schedule_agent(call.toolstack, vm, int_of(call.vm(vm), "domid"))
    call.toolstack.announce("VM_UNPAUSED", vm, "unpaused")
    refresh_devices(call, vm)
    return ""


async def hard_shutdown(call: Call, vm: str) -> Value:
    """VM.hard_shutdown: stops what else is done to the VM, and drops a suspend image."""
    call.vm(vm)
    async with call.operation_on(vm, "hard_shutdown"):
        await _stop_others(call, vm, _STOPPED_BY_SHUTDOWN)
        await _shut_down_by_force(call, vm)
    call.toolstack.announce("VM_SHUTDOWN", vm, "shutdown forcibly")
    refresh_devices(call, vm)
    return ""


async def clean_shutdown(call: Call, vm: str) -> Value:
    """VM.clean_shutdown: Fault VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT if the guest has no agent."""
    async with call.operation_on(vm, "clean_shutdown"):
        await _shut_down_cleanly(call, vm)
    call.toolstack.announce("VM_SHUTDOWN", vm, "shutdown cleanly")
    refresh_devices(call, vm)
    return ""


async def shutdown(call: Call, vm: str) -> Value:
    """VM.shutdown: cleanly, and forcibly if that fails or the VM does not run."""
    async with call.operation_on(vm, "shutdown"):
        try:
            if call.vm(vm)["power_state"] != "Running":
                raise Fault("VM_BAD_POWER_STATE", vm, "running", "not running")
            await _shut_down_cleanly(call, vm)
        except Fault:
            await _shut_down_by_force(call, vm)
    refresh_devices(call, vm)
    call.toolstack.announce("VM_SHUTDOWN", vm, "shutdown")
    return ""


async def clean_reboot(call: Call, vm: str) -> Value:
    """VM.clean_reboot: Fault VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT if the guest has no agent."""
    async with (
        call.operation_on(vm, "clean_reboot"),
        devices_marked(call, vm, "VBD"),
        devices_marked(call, vm, "VIF"),
    ):
        await _answer_of_agent(call, vm, "clean_reboot", "VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT")
        await _reboot(call, vm, _CLEAN_REBOOT)
    call.toolstack.announce("VM_REBOOTED", vm, "rebooted cleanly")
    refresh_devices(call, vm)
    return ""


async def hard_reboot(call: Call, vm: str) -> Value:
    """VM.hard_reboot: stops what else is done to the VM. If that halted it, it starts again."""
    host = text_of(call.vm(vm), "resident_on")
    async with call.operation_on(vm, "hard_reboot"):
        await _stop_others(call, vm, _STOPPED_BY_REBOOT)
        async with devices_marked(call, vm, "VBD"), devices_marked(call, vm, "VIF"):
            match call.vm(vm)["power_state"]:
                case "Suspended":
                    raise Fault("VM_BAD_POWER_STATE", vm, "running", "suspended")
                case "Halted":
                    await _build(call, vm, host, paused=False)
                case _:
                    await _reboot(call, vm, _HARD_REBOOT)
    call.toolstack.announce("VM_REBOOTED", vm, "rebooted forcibly")
    refresh_devices(call, vm)
    return ""


async def suspend(call: Call, vm: str) -> Value:
    """VM.suspend: Faults VM_FAILED_SUSPEND_ACKNOWLEDGMENT, VM_NO_SUSPEND_SR, of VDI.create."""
    async with call.operation_on(vm, "suspend"):
        call.set("VM", vm, "ha_always_run", False)
        await make_suspend_image(call, vm)
        try:
            await _answer_of_agent(call, vm, "suspend", "VM_FAILED_SUSPEND_ACKNOWLEDGMENT")
            await perform(call, _SUSPEND)
        except Fault:
            await drop_suspend_image(call, vm, forget_first=False)
            raise
        vanish(call, vm, "Suspended")
    call.toolstack.announce("VM_SUSPENDED", vm, "suspended")
    refresh_devices(call, vm)
    return ""


async def resume(call: Call, vm: str, start_paused: bool, _force: bool) -> Value:
    """VM.resume: on the best host."""
    return await _resume(call, vm, None, "resume", paused=start_paused)


async def resume_on(call: Call, vm: str, host: str, start_paused: bool, _force: bool) -> Value:
    """VM.resume_on: on this host."""
    call.database.record("host", host)
    return await _resume(call, vm, host, "resume_on", paused=start_paused)


async def pool_migrate(call: Call, vm: str, host: str, _options: Value) -> Value:
    """VM.pool_migrate: a running VM moves to this host, which may be its own."""
    toolstack = call.toolstack
    call.vm(vm)
    call.database.record("host", host)
    async with call.operation_on(vm, "pool_migrate"):
        source = text_of(call.vm(vm), "resident_on")
        if host != source:
            check_host(toolstack, vm, host)
        async with _reserved(call, vm, host, "vm_migrate"):
            await perform(call, _MIGRATE)
            with call.subtask("VM.pool_migrate_complete", child=True, vm=vm, host=host) as inner:
                move_in(inner, vm, host)
    refresh_devices(call, vm)
    way = f"from {toolstack.host_text(source)} to {toolstack.host_text(host)}"
    toolstack.announce("VM_MIGRATED", vm, f"migrated {way}")
    return ""


async def _start(call: Call, vm: str, host: str | None, operation: str, *, paused: bool) -> Value:
    toolstack = call.toolstack
    call.vm(vm)
    async with (
        call.operation_on(vm, operation),
        devices_marked(call, vm, "VBD"),
        devices_marked(call, vm, "VIF"),
    ):
        is_first = not call.vm(vm)["bios_strings"]
        write_bios(call, vm)
        host = _placed(call, vm, host)
        async with _reserved(call, vm, host, "vm_start"):
            await _build(call, vm, host, paused=paused, is_first=is_first)
    refresh_devices(call, vm)
    toolstack.announce("VM_STARTED", vm, f"started on host: {toolstack.host_text(host)}")
    return ""


async def _resume(call: Call, vm: str, host: str | None, operation: str, *, paused: bool) -> Value:
    toolstack = call.toolstack
    async with call.operation_on(vm, operation), devices_marked(call, vm, "VBD"):
        host = _placed(call, vm, host)
        async with _reserved(call, vm, host, "vm_resume"):
            await perform(call, _RESUME)
            if call.vm(vm)["power_state"] != "Suspended":
                raise Fault("VM_HAS_NO_SUSPEND_VDI", "VM", vm)
            appear(call, vm, host, "Paused" if paused else "Running", resumed=True)
            await drop_suspend_image(call, vm, forget_first=True)
    refresh_devices(call, vm)
    toolstack.announce("VM_RESUMED", vm, f"resumed on host: {toolstack.host_text(host)}")
    return ""


async def _build(call: Call, vm: str, host: str, *, paused: bool, is_first: bool = False) -> None:
    """Build a domain for a halted VM. If it fails xapi sees a VM on the host, which is halted."""
    prepare(call, vm)
    attach_devices(call, vm)
    try:
        await perform(call, _FIRST_START if is_first else _START)
        if not paused:
            await perform(call, _UNPAUSE_AFTER)
    except Fault:
        settle(call, vm, host)
        vanish(call, vm, "Halted")
        raise
    appear(call, vm, host, "Paused" if paused else "Running")


async def _reboot(call: Call, vm: str, job: DomainTask) -> None:
    await perform(call, job)
    detach_devices(call, vm)
    reappear(call, vm)


async def _shut_down_cleanly(call: Call, vm: str) -> None:
    call.set("VM", vm, "ha_always_run", False)
    await _answer_of_agent(call, vm, "clean_shutdown", "VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT")
    await perform(call, _CLEAN_SHUTDOWN)
    detach_devices(call, vm)
    vanish(call, vm, "Halted")


async def _shut_down_by_force(call: Call, vm: str) -> None:
    call.set("VM", vm, "ha_always_run", False)
    match call.vm(vm)["power_state"]:
        case "Suspended":
            await drop_suspend_image(call, vm, forget_first=False)
            call.set("VM", vm, "current_operations", {})
            forget_host(call, vm, "Halted")
        case "Running" | "Paused":
            await perform(call, _HARD_SHUTDOWN)
            detach_devices(call, vm)
            vanish(call, vm, "Halted")


async def _stop_others(call: Call, vm: str, operations: frozenset[str]) -> None:
    """Cancel the tasks that do one of these operations to a VM, and wait for their end."""
    tasks = call.toolstack.tasks
    current = map_of(call.vm(vm), "current_operations")
    others = [task for task, name in current.items() if name in operations and task != call.task]
    for task in others:
        if call.database.exists("task", task):
            tasks.cancel(task)
    for task in others:
        await tasks.ended(task).wait()


async def _answer_of_agent(call: Call, vm: str, operation: str, code: str) -> None:
    if not is_listening(call.toolstack, vm, operation):
        await perform(call, DomainTask(AGENT_ANSWER_S, 1))
        raise Fault(code, vm)


def _placed(call: Call, vm: str, host: str | None) -> str:
    """Return where a VM goes: to the host asked for if it can, else to the best."""
    if host is None:
        return choose_host(call.toolstack, vm)
    check_host(call.toolstack, vm, host)
    return host


@asynccontextmanager
async def _reserved(call: Call, vm: str, host: str, operation: str) -> AsyncIterator[None]:
    """Keep room for a VM on a host, shown in both rows."""
    try:
        async with call.operation_on(host, operation, "host"):
            call.set("VM", vm, "scheduled_to_be_resident_on", host)
            yield
    finally:
        if call.database.exists("VM", vm):
            call.set("VM", vm, "scheduled_to_be_resident_on", NULL_REF)
