"""What changed while a run was on, besides what it planned: consequences and strangers. Pure."""

from collections.abc import Mapping

import msgspec

from .claims import Claims
from .recorded import Recorded, Touched

_ROUTINE: dict[str, frozenset[str]] = {
    "host": frozenset({"resident_VMs", "allowed_operations", "current_operations"}),
    "sr": frozenset(
        {
            "VDIs",
            "physical_utilisation",
            "virtual_allocation",
            "allowed_operations",
            "current_operations",
        }
    ),
    "pool": frozenset({"allowed_operations", "current_operations"}),
    "network": frozenset({"VIFs", "allowed_operations", "current_operations"}),
}
"""Fields of what all VMs share that follow from what is done to some of them."""
_FOLLOWS = {
    "host": "runs VMs of the run",
    "sr": "holds disks",
    "pool": "lists what is under way",
    "network": "connects VMs",
}
_SHARED = frozenset({"host", "vm", "sr", "network", "pool"})
_OWN_TASKS = {
    "VM.update_allowed_operations": "is of XAPI itself: what may be done",
    "xentrail reads the audit trail": "is of the recorder itself",
}
_HEARTBEATS = {"host_metrics": "measures itself", "pif_metrics": "measures itself"}


class Change(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """An object that changed, and from which entry to which.

    `chain` says how it follows from the run; it is None for a stranger. `fields` are those that
    changed, `inferred` tells that some of it may have happened in a gap.
    """

    cls: str
    ref: str
    name: str | None
    chain: str | None
    changes: int
    first_seq: int
    last_seq: int
    fields: list[str]
    inferred: bool


def changes_beside(claims: Claims, recorded: Recorded) -> list[Change]:
    """Return all that changed and was not in the plan, strangers first."""
    planned = set(claims.made)
    if claims.plan is not None:
        planned |= {*claims.plan.found, *(lane.ref for p in claims.plan.parts for lane in p.lanes)}
    chains = _Chains(claims, recorded, planned)
    found = [
        Change(
            one.cls,
            one.ref,
            one.name,
            chains.of(one),
            one.changes,
            one.first_seq,
            one.last_seq,
            one.fields,
            "inferred" in one.origins,
        )
        for one in recorded.touched
        if one.ref not in planned
    ]
    return sorted(found, key=lambda change: (change.chain is not None, change.first_seq))


class _Chains:
    """How objects hang together with a run."""

    def __init__(self, claims: Claims, recorded: Recorded, planned: set[str]) -> None:
        self._claims = claims
        self._recorded = recorded
        self._steps = {step.task: step.number for step in claims.steps if step.task is not None}
        self._carried: dict[str, str] = {}
        rows = (row for ref in planned for row in recorded.of(ref)[:1])
        known = [(row.ref, row.uuid, row.name) for row in rows if row.name]
        self._names = {**{ref: name for ref, _, name in known}, **_names(claims)}
        self._uuids = {uuid: name for _, uuid, name in known}
        self._planned = planned
        for (ref, _), tasks in recorded.carried.items():
            for task in sorted(tasks):
                number = self._steps.get(recorded.subtasks.get(task, task))
                if number is not None:
                    self._carried.setdefault(ref, f"carried the task of call {number}")

    def of(self, one: Touched) -> str | None:
        """Say how an object follows from the run, None if it does not."""
        match one.cls:
            case "task":
                return self._of_task(one.ref) or _OWN_TASKS.get(one.name or "")
            case "vm" if "add" in one.operations:
                return self._of_clone(one)
            case "message":
                name = self._uuids.get(self._recorded.messages.get(one.ref, ""))
                return None if name is None else f"is about {name}"
        return self._carried.get(one.ref) or self._of_device(one) or _routine(one)

    def _of_clone(self, one: Touched) -> str | None:
        """A clone may be there although nobody knows how the call ended."""
        for step in self._claims.steps:
            if step.intended.method == "VM.clone" and step.params[:1] == [one.name]:
                return f"may be of call {step.number}, which is {step.outcome or 'without an end'}"
        return None

    def _of_device(self, one: Touched) -> str | None:
        owner = self._recorded.named.get(one.ref)
        if owner is None or one.cls in _SHARED:
            return None
        return f"belongs to {self._names.get(owner, owner)}"

    def _of_task(self, ref: str) -> str | None:
        number = self._steps.get(ref)
        if number is not None:
            return f"is the task of call {number}"
        number = self._steps.get(self._recorded.subtasks.get(ref, ""))
        return None if number is None else f"is part of the task of call {number}"


def _routine(one: Touched) -> str | None:
    """Say what follows by itself from what is done to any VM."""
    routine = _ROUTINE.get(one.cls)
    if routine is not None and set(one.operations) == {"mod"} and set(one.fields) <= routine:
        return _FOLLOWS[one.cls]
    return _HEARTBEATS.get(one.cls)


def _names(claims: Claims) -> Mapping[str, str]:
    plan = claims.plan
    found = {} if plan is None else {ref: one.name for ref, one in plan.found.items()}
    return found | {step.intended.ref: step.intended.name for step in claims.steps}
