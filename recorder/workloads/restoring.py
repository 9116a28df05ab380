"""Gives VMs back the power state and the host that they had when a run began.

What the run has made stays, and so does a VM that is gone.
"""

from ..errors import ProtocolError, TransportError, XapiFault
from ..xapi.jsonrpc import Param
from .engine import Engine
from .inventory import VmRecord
from .plan import Found, Lane, Part, Plan, Subject
from .scripts import Kind, OnFailure, Select, Step
from .work import Course, LaneEnded, Work

METHODS = (
    *("VM.start", "VM.start_on", "VM.resume", "VM.resume_on", "VM.unpause"),
    *("VM.clean_shutdown", "VM.suspend", "VM.pause", "VM.pool_migrate"),
)
"""What may be called here."""
LIVE: dict[str, Param] = {"live": "true"}


def part_of(plan: Plan) -> Part:
    """Return what comes behind the parts of a plan: a lane for each VM that was found."""
    step = Step(Kind.CUSTOM, vms=Select(names=("*",)), on_failure=OnFailure.CONTINUE)
    lanes = tuple(Lane(ref, ()) for ref in plan.found)
    return Part(len(plan.parts), step, Subject.VM, lanes)


async def restore(course: Course) -> None:
    """Bring all VMs back, some at a time. A VM that cannot be brought back stays as it is."""
    course.failed = False
    part = part_of(course.plan)
    work = Work(course, part, kind="restore")

    async def bring_back(lane: Lane) -> None:
        found = course.plan.found[lane.ref]
        await work.catch_up(lane.ref)
        vm = await _now(course.engine, lane.ref)
        if vm is None or vm.forbidden is not None or _is_back(vm, found):
            return
        await _to_running(work, vm.power_state, found)
        await _to_host(work, course.engine, found)
        await _from_running(work, found)

    await work.abreast(bring_back)


async def left(course: Course) -> str:
    """Say which VMs are not as they were found; "" if all are."""
    names = []
    for found in course.plan.found.values():
        try:
            vm = await course.engine.vm_now(found.ref)
        except (TransportError, ProtocolError, XapiFault):
            vm = None  # Nobody can say that it is.
        if vm is None or (vm.forbidden is None and not _is_back(vm, found)):
            names.append(found.name)
    return f"not as they were found: {', '.join(names)}" if names else ""


async def _now(engine: Engine, ref: str) -> VmRecord | None:
    try:
        return await engine.vm_now(ref)
    except (TransportError, ProtocolError, XapiFault) as error:
        raise LaneEnded from error


def _is_back(vm: VmRecord, found: Found) -> bool:
    is_there = not found.host or vm.resident_on == found.host
    return vm.power_state == found.power_state and is_there


async def _to_running(work: Work, power_state: str, found: Found) -> None:
    """Bring a VM to Running, from where every other power state and host can be reached."""
    match power_state:
        case "Halted":
            await _appear(work, found, "VM.start")
        case "Suspended":
            await _appear(work, found, "VM.resume")
        case "Paused":
            await work.do(found.ref, "VM.unpause")


async def _from_running(work: Work, found: Found) -> None:
    match found.power_state:
        case "Halted":
            await work.do(found.ref, "VM.clean_shutdown")
        case "Suspended":
            await work.do(found.ref, "VM.suspend")
        case "Paused":
            await work.do(found.ref, "VM.pause")


async def _appear(work: Work, found: Found, method: str) -> None:
    """Start or resume a VM on the host where it was, if it was on one."""
    if found.host:
        await work.do(found.ref, f"{method}_on", found.host, False, True)
    else:
        await work.do(found.ref, method)


async def _to_host(work: Work, engine: Engine, found: Found) -> None:
    vm = await _now(engine, found.ref)
    if found.host and vm is not None and vm.resident_on != found.host:
        await work.do(found.ref, "VM.pool_migrate", found.host, LIVE)
