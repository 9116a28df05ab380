"""Evacuation: every VM of a host moves to another one while it runs, a batch at a time."""

from collections.abc import Iterator, Mapping

import msgspec
import trio

from . import haplan, lifecycle
from .catalogue import Handler
from .hostlife import guests_of, ha_enabled
from .placement import refusal_of_any
from .rules import rules_of
from .toolstack import Call, Toolstack
from .values import NULL_REF, Fault, Value

BATCH = 10
"""How many VMs move at a time if the caller does not say: xapi's `evacuation_batch_size`."""
CALL_S = 0.1
"""Between two calls of one batch: they are made one after the other."""


async def evacuate(call: Call, host: str, network: str, batch_size: Value) -> Value:
    """host.evacuate: all or none is begun; a move that fails ends it after its batch.

    Faults: what keeps the first VM that can't move, HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN [],
    OTHER_OPERATION_IN_PROGRESS [host], those of VM.pool_migrate.
    """
    call.database.record("host", host)
    if network != NULL_REF:
        call.database.record("network", network)
    haplan.check_plan_survives(call.toolstack, without=[host])
    async with call.operation_on(host, "evacuate", cls="host"):
        plan = _plan(call.toolstack, host)
        for fault in plan.faults.values():
            raise fault
        options: dict[str, Value] = {} if network == NULL_REF else {"network": network}
        size = batch_size if isinstance(batch_size, int) and batch_size > 0 else BATCH
        moved = 0
        for batch in _batches(plan.targets, size):
            await _move(call, batch, options | {"live": "true"})
            moved += len(batch)
            call.toolstack.tasks.write(call.task, "progress", moved / len(plan.targets))
        if left := guests_of(call.toolstack, host):
            raise Fault("INTERNAL_ERROR", f"evacuate: {len(left)} VMs are still resident on {host}")
    return ""


async def assert_can_evacuate(call: Call, host: str) -> Value:
    """host.assert_can_evacuate. Fault CANNOT_EVACUATE_HOST [`CODE,param,..|CODE,param,..`]."""
    call.database.record("host", host)
    faults = _plan(call.toolstack, host).faults.values()
    if faults:
        errors = (",".join([fault.code, *fault.params]) for fault in faults)
        raise Fault("CANNOT_EVACUATE_HOST", "|".join(errors))
    return ""


async def get_vms_which_prevent_evacuation(call: Call, host: str) -> Value:
    """host.get_vms_which_prevent_evacuation: the code and parameters of the fault by VM."""
    call.database.record("host", host)
    faults = _plan(call.toolstack, host).faults
    return {vm: [fault.code, *fault.params] for vm, fault in faults.items()}


async def retrieve_wlb_evacuate_recommendations(call: Call, host: str) -> Value:
    """host.retrieve_wlb_evacuate_recommendations. Fault WLB_NOT_INITIALIZED []: there is none."""
    call.database.record("host", host)
    raise Fault("WLB_NOT_INITIALIZED")


class _Plan(msgspec.Struct, frozen=True):
    """Where each VM goes, and why others can't."""

    targets: Mapping[str, str]
    faults: Mapping[str, Fault]


def _plan(toolstack: Toolstack, host: str) -> _Plan:
    """Plan by memory alone, after storage and networks were found to be there on all targets.

    With HA, VMs that are not protected have to be suspended by somebody first.
    """
    database = toolstack.database
    vms = guests_of(toolstack, host)
    targets = [other for other in database.find("host", "enabled", True) if other != host]
    if not targets:
        return _Plan({}, {vm: Fault("NO_HOSTS_AVAILABLE", vm) for vm in vms})
    faults = {vm: fault for vm in vms if (fault := _obstacle(toolstack, vm, targets))}
    movable = [vm for vm in vms if vm not in faults]
    needed = haplan.needed_bytes(database, movable)
    free = {target: toolstack.free_memory_bytes(target) for target in targets}
    plan = haplan.pack(needed, free)
    short = {vm: Fault("HOST_NOT_ENOUGH_FREE_MEMORY", vm) for vm in movable if vm not in plan}
    return _Plan({vm: plan[vm] for vm in movable if vm in plan}, faults | short)


def _obstacle(toolstack: Toolstack, vm: str, targets: list[str]) -> Fault | None:
    database = toolstack.database
    if fault := rules_of("VM").refusal(database, vm, "pool_migrate"):
        return fault
    if ha_enabled(toolstack) and not haplan.is_protected(database.record("VM", vm)):
        return Fault("HOST_NOT_ENOUGH_FREE_MEMORY", vm)
    return refusal_of_any(toolstack, vm, targets)


def _batches(targets: Mapping[str, str], size: int) -> Iterator[list[tuple[str, str]]]:
    moves = list(targets.items())
    for begin in range(0, len(moves), size):
        yield moves[begin : begin + size]


async def _move(call: Call, batch: list[tuple[str, str]], options: dict[str, Value]) -> None:
    """Move VMs side by side, each in a task of its own; all end before the first Fault rises."""
    tasks = call.toolstack.tasks
    faults: list[Fault] = []

    async def move(task: str, vm: str, target: str) -> None:
        try:
            await lifecycle.pool_migrate(
                Call(call.toolstack, call.session, task), vm, target, options
            )
        except Fault as fault:
            tasks.fail(task, fault)
            faults.append(fault)
        else:
            tasks.succeed(task, "")

    begun = []
    async with trio.open_nursery() as nursery:
        for vm, target in batch:
            begun.append(tasks.begin("Async.VM.pool_migrate", parent=call.task))
            nursery.start_soon(move, begun[-1], vm, target)
            await call.work(CALL_S, cancellable=False)
    for task in begun:
        tasks.remove(task)
    if faults:
        raise faults[0]


HANDLERS: Mapping[str, Handler] = {
    "host.evacuate": evacuate,
    "host.assert_can_evacuate": assert_can_evacuate,
    "host.get_vms_which_prevent_evacuation": get_vms_which_prevent_evacuation,
    "host.retrieve_wlb_evacuate_recommendations": retrieve_wlb_evacuate_recommendations,
}
