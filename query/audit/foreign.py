"""Whether somebody else changed what a run works on. Pure.

A change is the run's own if the object carried one of its tasks then, or if a call to the object
was under way, and it is none that only people make. XAPI itself changes AUTOMATIC fields.
"""

from collections.abc import Iterator

from recorder.workloads.kinds.evacuate import EVACUATE
from recorder.workloads.scripts import Kind

from .claims import Claims, StepClaim
from .finding import Finding, Rule, unproven
from .recorded import SETTLE_US, ObjectSeen, Recorded

AUTOMATIC = frozenset(
    {
        "allowed_operations",
        "current_operations",
        "guest_metrics",
        "is_default_template",
        "recommended_guidances",
        "pending_guidances",
        "requires_reboot",
        "xenstore_data",
        "resident_VMs",
        "metrics",
        "memory_target",
    }
)
"""What changes by itself: what may be done, what a guest tells, who is there."""
BY_PEOPLE = frozenset(
    {
        "name_label",
        "name_description",
        "tags",
        "user_version",
        "is_a_template",
        "affinity",
        "VCPUs_max",
        "VCPUs_at_startup",
        "VCPUs_params",
        "memory_static_max",
        "memory_static_min",
        "memory_dynamic_max",
        "memory_dynamic_min",
        "HVM_boot_params",
        "HVM_boot_policy",
        "blocked_operations",
        "actions_after_shutdown",
        "actions_after_reboot",
        "actions_after_crash",
        "ha_restart_priority",
        "start_delay",
        "shutdown_delay",
        "order",
    }
)
"""What no call of a workload changes."""


def nobody_else_changed_them(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """No VM of the run was changed by others, unless an outcome says so of it."""
    told = {step.intended.ref for step in claims.steps if step.outcome == "changed-by-others"}
    for ref, rows in recorded.objects.items():
        is_ours = ref in claims.made or (claims.plan is not None and ref in claims.plan.found)
        if not is_ours or ref in told:
            continue
        foreign = [row for row in rows if is_foreign_in(row, claims, recorded)]
        if foreign:
            name = foreign[0].name or ref
            what = sorted({word for row in foreign for word in _words(row)})
            text = f"somebody else changed {name} while the run was on ({', '.join(what)})"
            yield unproven(Rule.FOREIGN, text, [row.seq for row in foreign])


def _words(row: ObjectSeen) -> list[str]:
    if row.is_gone:
        return ["it was destroyed"]
    return ["it was created"] if row.changed is None else sorted({*row.changed} - AUTOMATIC)


def is_foreign_in(row: ObjectSeen, claims: Claims, recorded: Recorded) -> bool:
    """Tell whether an entry told of a change to a VM of the run that was not the run's."""
    if row.seq not in claims.seqs or row.origin == "baseline":
        return False
    if row.operation == "mod" and row.changed is not None:
        changed = {*row.changed} - AUTOMATIC
        by_people = bool(changed & BY_PEOPLE) and not _is_custom(row, claims)
        return bool(changed) and (by_people or not _is_own(row, claims, recorded))
    return row.is_gone or row.ref not in claims.made


def _is_own(row: ObjectSeen, claims: Claims, recorded: Recorded) -> bool:
    """Tell whether it carried a task of the run; or none, and a call to it was under way."""
    carried = recorded.carried.get((row.ref, row.seq), frozenset())
    if any(recorded.subtasks.get(task, task) in claims.by_task for task in carried):
        return True
    evacuations = _evacuations(claims)
    if carried:
        return any(_is_during(row, step) for step in evacuations)
    own = [*claims.by_object.get(row.ref, ()), *evacuations]
    making = claims.made.get(row.ref)
    return any(_is_during(row, step) for step in (*own, *([making] if making else [])))


def _is_custom(row: ObjectSeen, claims: Claims) -> bool:
    """Tell whether a function of somebody else's was at it, which may change anything."""
    calls = claims.by_object.get(row.ref, ())
    return any(one.intended.kind == Kind.CUSTOM and _is_during(row, one) for one in calls)


def _evacuations(claims: Claims) -> list[StepClaim]:
    """Return the calls that move VMs by tasks of their own."""
    parts = () if claims.plan is None else claims.plan.parts
    hosts = [lane.ref for part in parts if part.step.kind is Kind.EVACUATE for lane in part.lanes]
    return [
        step
        for host in dict.fromkeys(hosts)
        for step in claims.by_object.get(host, ())
        if step.intended.method == EVACUATE
    ]


def _is_during(row: ObjectSeen, step: StepClaim) -> bool:
    if step.task is None or row.seq < step.intended.seq:
        return False
    return step.ended is None or row.at_us <= step.ended.at_us + SETTLE_US
