"""What guests do to themselves: crash, reboot and shut down from inside.

Nobody called for it, so no task stands for it and no operation shows in the VM; what follows is
what `actions_after_crash`, `_reboot` and `_shutdown` say. Coroutines: they take the time of the
domain manager, and wait for their turn if an operation is at work on the VM.
"""

from .domains import detach_devices, reappear, vanish
from .rules import one_at_a_time
from .toolstack import Call, Toolstack
from .values import NULL_REF, Fault, text_of

BUILD_S = 3.0
"""From the end of the old domain to the new one."""
LOOK_AGAIN_S = 1.0

_RESTARTING = frozenset({"restart", "coredump_and_restart", "rename_restart"})
_CRASHED_PRIORITY = 2


async def crash(toolstack: Toolstack, vm: str) -> str:
    """Let the guest of a running VM crash; returns the power state that follows.

    `preserve` keeps the dead domain: the VM stays Running. Faults HANDLE_INVALID [VM, vm],
    VM_BAD_POWER_STATE [vm, running, actual], OTHER_OPERATION_IN_PROGRESS (after two hours).
    """
    await _until_alone(toolstack, vm)
    toolstack.announce("VM_CRASHED", vm, "has crashed", priority=_CRASHED_PRIORITY)
    action = text_of(toolstack.database.record("VM", vm), "actions_after_crash")
    if action == "preserve":
        return "Running"
    return await _end(toolstack, vm, restarts=action in _RESTARTING)


async def reboot(toolstack: Toolstack, vm: str) -> str:
    """Let the guest of a running VM reboot; returns the power state that follows.

    Faults HANDLE_INVALID [VM, vm], VM_BAD_POWER_STATE [vm, running, actual].
    """
    await _until_alone(toolstack, vm)
    action = toolstack.database.field("VM", vm, "actions_after_reboot")
    return await _end(toolstack, vm, restarts=action in _RESTARTING)


async def shutdown(toolstack: Toolstack, vm: str) -> str:
    """Let the guest of a running VM shut down; returns the power state that follows.

    Faults HANDLE_INVALID [VM, vm], VM_BAD_POWER_STATE [vm, running, actual].
    """
    await _until_alone(toolstack, vm)
    action = toolstack.database.field("VM", vm, "actions_after_shutdown")
    return await _end(toolstack, vm, restarts=action in _RESTARTING)


async def _until_alone(toolstack: Toolstack, vm: str) -> None:
    """Wait until no operation is at work on the VM; then it must run."""
    database = toolstack.database
    call = Call(toolstack, NULL_REF, NULL_REF)
    await call.until_free(lambda: one_at_a_time(database, "VM", vm), pause_s=LOOK_AGAIN_S)
    state = text_of(toolstack.database.record("VM", vm), "power_state")
    if state != "Running":
        raise Fault("VM_BAD_POWER_STATE", vm, "running", state.lower())


async def _end(toolstack: Toolstack, vm: str, *, restarts: bool) -> str:
    call = Call(toolstack, NULL_REF, NULL_REF)
    detach_devices(call, vm)
    if not restarts:
        vanish(call, vm, "Halted")
        return "Halted"
    await call.work(BUILD_S, cancellable=False)
    if toolstack.database.exists("VM", vm) and call.vm(vm)["power_state"] == "Running":
        reappear(call, vm)
    return str(toolstack.database.field("VM", vm, "power_state"))
