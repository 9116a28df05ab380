"""The power operations of a VM. Each writes field by field in the order in which xapi does."""

from .domains import appear, drop_guest, next_domid, prepare, vanish, write_bios
from .guests import is_listening, schedule_agent
from .images import drop_suspend_image, make_suspend_image
from .placement import check_host, choose_host, settle
from .toolstack import Call
from .values import NULL_REF, Fault, Value, int_of, text_of

START_S = 3.0
RESUME_S = 6.0
SUSPEND_S = 10.0
GUEST_SHUTDOWN_S = 8.0
DESTROY_DOMAIN_S = 1.0
PAUSE_S = 0.2
MIGRATE_S = 12.0
AGENT_ANSWER_S = 60.0
"""How long xapi waits for a guest that does not react before it gives up."""


async def start(call: Call, vm: str, start_paused: bool, _force: bool) -> Value:
    """VM.start: on the best host."""
    return await _start(call, vm, None, "start", paused=start_paused)


async def start_on(call: Call, vm: str, host: str, start_paused: bool, _force: bool) -> Value:
    """VM.start_on: on this host."""
    call.database.record("host", host)
    return await _start(call, vm, host, "start_on", paused=start_paused)


async def pause(call: Call, vm: str) -> Value:
    """VM.pause."""
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, "pause"):
        await call.work(PAUSE_S, cancellable=False)
        call.allow_cancel(allowed=False)
        call.set("VM", vm, "power_state", "Paused")
    call.toolstack.announce("VM_PAUSED", vm, "paused")
    return ""


async def unpause(call: Call, vm: str) -> Value:
    """VM.unpause."""
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, "unpause"):
        await call.work(PAUSE_S, cancellable=False)
        call.allow_cancel(allowed=False)
        call.set("VM", vm, "power_state", "Running")
        schedule_agent(call.toolstack, vm, int_of(call.vm(vm), "domid"))
    call.toolstack.announce("VM_UNPAUSED", vm, "unpaused")
    return ""


async def hard_shutdown(call: Call, vm: str) -> Value:
    """VM.hard_shutdown: cancels what else is done to the VM, and drops a suspend image."""
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, "hard_shutdown"):
        await _destroy_domain(call, vm)
        vanish(call, vm, "Halted")
        drop_suspend_image(call, vm)
    call.toolstack.announce("VM_SHUTDOWN", vm, "shutdown forcibly")
    return ""


async def clean_shutdown(call: Call, vm: str) -> Value:
    """VM.clean_shutdown: Fault VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT if the guest has no agent."""
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, "clean_shutdown"):
        await _ask_guest(call, vm, "clean_shutdown", "VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT")
        await _destroy_domain(call, vm)
        vanish(call, vm, "Halted")
    call.toolstack.announce("VM_SHUTDOWN", vm, "shutdown cleanly")
    return ""


async def shutdown(call: Call, vm: str) -> Value:
    """VM.shutdown: cleanly if the guest listens, forcibly otherwise."""
    record = call.vm(vm)
    listens = record["power_state"] == "Running" and is_listening(
        call.toolstack, vm, "clean_shutdown"
    )
    return await (clean_shutdown if listens else hard_shutdown)(call, vm)


async def clean_reboot(call: Call, vm: str) -> Value:
    """VM.clean_reboot: Fault VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT if the guest has no agent."""
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, "clean_reboot"):
        await _ask_guest(call, vm, "clean_reboot", "VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT")
        await _reboot(call, vm)
    call.toolstack.announce("VM_REBOOTED", vm, "rebooted cleanly")
    return ""


async def hard_reboot(call: Call, vm: str) -> Value:
    """VM.hard_reboot: cancels what else is done to the VM."""
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, "hard_reboot"):
        await _reboot(call, vm)
    call.toolstack.announce("VM_REBOOTED", vm, "rebooted forcibly")
    return ""


async def suspend(call: Call, vm: str) -> Value:
    """VM.suspend: Fault VM_FAILED_SUSPEND_ACKNOWLEDGMENT if the guest has no agent."""
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, "suspend"):
        await _answer_of_agent(call, vm, "suspend", "VM_FAILED_SUSPEND_ACKNOWLEDGMENT")
        call.set("VM", vm, "ha_always_run", False)
        make_suspend_image(call, vm)
        try:
            await call.work(SUSPEND_S * 0.6)
            call.toolstack.tasks.write(call.task, "progress", 0.6000000000000001)
            await call.work(SUSPEND_S * 0.4)
        except Fault:
            drop_suspend_image(call, vm)
            raise
        _commit(call, cancel_points=11)
        vanish(call, vm, "Suspended")
    call.toolstack.announce("VM_SUSPENDED", vm, "suspended")
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
    call.database.record("host", host)
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, "pool_migrate"):
        source = text_of(call.vm(vm), "resident_on")
        if host != source:
            check_host(toolstack, vm, host)
        with call.operation_on_host(host, "vm_migrate"):
            call.set("VM", vm, "scheduled_to_be_resident_on", host)
            try:
                await _transfer(call)
            except Fault:
                call.set("VM", vm, "scheduled_to_be_resident_on", NULL_REF)
                raise
            _commit(call, cancel_points=9)
            settle(call, vm, host)
            call.set("VM", vm, "domid", next_domid(toolstack, host))
            with call.subtask("VM.update_allowed_operations"):
                toolstack.update_allowed(vm)
    way = f"from {toolstack.host_text(source)} to {toolstack.host_text(host)}"
    toolstack.announce("VM_MIGRATED", vm, f"migrated {way}")
    return ""


async def _start(call: Call, vm: str, host: str | None, operation: str, *, paused: bool) -> Value:
    toolstack = call.toolstack
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, operation):
        write_bios(call, vm)
        if host is None:
            host = choose_host(toolstack, vm)
        else:
            check_host(toolstack, vm, host)
        with call.operation_on_host(host, "vm_start"):
            await _bring_up(call, vm, host, START_S, prepared=True)
            appear(call, vm, host, "Paused" if paused else "Running")
    toolstack.announce("VM_STARTED", vm, f"started on host: {toolstack.host_text(host)}")
    return ""


async def _resume(call: Call, vm: str, host: str | None, operation: str, *, paused: bool) -> Value:
    toolstack = call.toolstack
    call.allow_cancel(allowed=True)
    async with call.operation_on(vm, operation):
        if host is None:
            host = choose_host(toolstack, vm)
        else:
            check_host(toolstack, vm, host)
        with call.operation_on_host(host, "vm_resume"):
            await _bring_up(call, vm, host, RESUME_S, prepared=False)
            drop_guest(call, vm)
            appear(call, vm, host, "Paused" if paused else "Running")
            drop_suspend_image(call, vm)
    toolstack.announce("VM_RESUMED", vm, f"resumed on host: {toolstack.host_text(host)}")
    return ""


async def _bring_up(call: Call, vm: str, host: str, duration_s: float, *, prepared: bool) -> None:
    call.set("VM", vm, "scheduled_to_be_resident_on", host)
    if prepared:
        prepare(call, vm)
    try:
        await call.work(duration_s * 0.6)
        call.toolstack.tasks.write(call.task, "progress", 0.6000000000000001)
        await call.work(duration_s * 0.4)
    except Fault:
        call.set("VM", vm, "scheduled_to_be_resident_on", NULL_REF)
        raise
    _commit(call, cancel_points=5)
    call.allow_cancel(allowed=True)
    call.allow_cancel(allowed=False)


async def _reboot(call: Call, vm: str) -> None:
    await _destroy_domain(call, vm)
    host = text_of(call.vm(vm), "resident_on")
    drop_guest(call, vm)
    await call.work(START_S, cancellable=False)
    appear(call, vm, host, "Running")


async def _destroy_domain(call: Call, vm: str) -> None:
    if call.vm(vm)["power_state"] != "Suspended":
        await call.work(DESTROY_DOMAIN_S, cancellable=False)
    _commit(call, cancel_points=6)


async def _ask_guest(call: Call, vm: str, operation: str, code: str) -> None:
    await _answer_of_agent(call, vm, operation, code)
    await call.work(GUEST_SHUTDOWN_S * 0.5)
    call.toolstack.tasks.write(call.task, "progress", 0.5)
    await call.work(GUEST_SHUTDOWN_S * 0.5)


async def _answer_of_agent(call: Call, vm: str, operation: str, code: str) -> None:
    if not is_listening(call.toolstack, vm, operation):
        await call.work(AGENT_ANSWER_S)
        raise Fault(code, vm)


async def _transfer(call: Call) -> None:
    for progress in (0.25, 0.5, 0.9):
        await call.work(MIGRATE_S / 3)
        call.toolstack.tasks.write(call.task, "progress", progress)


def _commit(call: Call, *, cancel_points: int) -> None:
    """Write what shows that there is no way back from here."""
    call.allow_cancel(allowed=False)
    points: dict[str, Value] = {"debug_info:cancel_points_seen": str(cancel_points)}
    call.toolstack.tasks.write(call.task, "other_config", points)
