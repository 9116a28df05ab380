"""Rules about the plan: it is that of the script's text, and of the pool as it was. Pure."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from recorder.errors import WorkloadError
from recorder.workloads.forecast import Forecast
from recorder.workloads.inventory import NULL_REF, Inventory
from recorder.workloads.kinds import KINDS
from recorder.workloads.plan import Found, Lane, Part, Plan
from recorder.workloads.scripts import Kind, Script, Step
from recorder.workloads.selection import choose_hosts, choose_vms

from .claims import Claims
from .finding import Finding, Rule, contradicted, unproven
from .recorded import SETTLE_US, Recorded

READ_US = 130_000_000
"""The pool is read before the first mark, at most so long before: a run waits for its pool."""


def script_agrees(claims: Claims) -> Iterator[Finding]:
    """The seed, the steps and the number of calls of the plan are those that are said."""
    plan, script, started = claims.plan, claims.script, claims.started
    if plan is None or script is None:
        return
    told = {
        "the name of the script": (started.script, script.name, plan.script),
        "the seed": (started.seed, plan.seed),
        "the pool": (claims.pool, plan.pool),
        "the number of calls": (started.calls, plan.calls),
        "whether VMs are restored": (script.restore, plan.restore),
        "the number of steps": (len(script.steps), len(plan.parts)),
    }
    for what, values in told.items():
        if any(one != other for one, other in pairwise(values)):
            words = " and ".join(dict.fromkeys(map(str, values)))
            text = f"{what} is told in different ways: {words}"
            yield contradicted(Rule.SCRIPT, text, [started.seq])
    for index, (step, part) in enumerate(zip(script.steps, plan.parts, strict=False)):
        if step != part.step or part.index != index:
            text = f"step {index + 1} of the plan is not that of the script's text"
            yield contradicted(Rule.SCRIPT, text, [started.seq])


def plan_agrees(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """Planned anew, for the pool as it was recorded, the script gives the same calls."""
    plan, script, started = claims.plan, claims.script, claims.started
    if plan is None or script is None or started.replay_of is not None:
        return  # A replay repeats a plan of old, whatever the pool is like now.
    if recorded.at_start is None:
        text = "nobody knows what the pool consisted of when the run began"
        yield unproven(Rule.PLAN, text, [started.seq])
        return
    try:
        anew = _planned(script, _as_found(recorded.at_start, plan), plan.seed)
    except WorkloadError as error:
        anew = []
        why = f": {error.texts[0]}"
    else:
        why = ""
    for index, part in enumerate(plan.parts):
        if part.lanes == (anew[index] if index < len(anew) else None):
            continue
        text = f"step {index + 1}, planned anew, has other calls{why}"
        if recorded.unsettled:
            text += "; VMs changed just when it was planned"
            yield unproven(Rule.PLAN, text, [started.seq, *recorded.unsettled])
        else:
            yield contradicted(Rule.PLAN, text, [started.seq])


def replay_repeats(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """The plan of a replay is that of the run that it repeats."""
    plan, started = claims.plan, claims.started
    if plan is None or started.replay_of is None:
        return
    if recorded.repeated is None:
        text = f"run {started.replay_of}, which it repeats, is not in this history"
        yield unproven(Rule.PLAN, text, [started.seq])
        return
    before = plan_in(recorded.repeated.plan)
    same = before is not None and msgspec.structs.replace(before, pool=plan.pool) == plan
    if not same or recorded.repeated.text != started.text:
        text = f"its plan is not that of run {started.replay_of}, which it repeats"
        yield contradicted(Rule.PLAN, text, [recorded.repeated.seq, started.seq])


def plan_in(text: str) -> Plan | None:
    """Read a plan; None for one that cannot be read."""
    try:
        return msgspec.json.decode(text, type=Plan)
    except msgspec.DecodeError:
        return None


def found_agrees(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """The VMs had the names, power states and hosts that the plan found, just before the run."""
    plan, started = claims.plan, claims.started
    if plan is None or started.replay_of is not None:
        return
    for ref, found in plan.found.items():
        rows = [row for row in recorded.of(ref) if row.at_us <= started.at_us + SETTLE_US]
        late = [row for row in rows if row.at_us >= started.at_us - READ_US]
        states = [*rows[: len(rows) - len(late)][-1:], *late]
        told = _told(found)
        if any((row.name or "", row.power_state, row.resident_on) == told for row in states):
            continue
        if states:
            text = f"{found.name} is said to be found {found.power_state}, which it was not"
            yield contradicted(Rule.FOUND, text, [started.seq, states[-1].seq])
        else:
            text = f"nothing was recorded of {found.name} before the run"
            yield unproven(Rule.FOUND, text, [started.seq])


def _told(found: Found) -> tuple[str, str, str]:
    return found.name, found.power_state, found.host or NULL_REF


def _as_found(inventory: Inventory, plan: Plan) -> Inventory:
    """Return what a pool consists of, its VMs as the plan found them: others look after that."""
    vms = dict(inventory.vms)
    for ref, found in plan.found.items():
        if ref in vms:
            vms[ref] = msgspec.structs.replace(
                vms[ref], power_state=found.power_state, resident_on=found.host or NULL_REF
            )
    return Inventory(inventory.pool, vms, inventory.hosts)


def _planned(script: Script, inventory: Inventory, seed: int) -> list[tuple[Lane, ...]]:
    """Return the lanes of each step. Raises WorkloadError.

    As the planner does it, but no function of somebody else's is imported.
    """
    state, parts = Forecast(inventory), []
    for step in script.steps:
        refs = _chosen(step, state.inventory, seed)
        if step.kind is Kind.CUSTOM:
            lanes, state = [Lane(ref, (step.call or "",)) for ref in refs], state.after(refs)
        else:
            lanes, state = KINDS[step.kind].plan(step, refs, state, seed)
        parts.append(tuple(lanes))
    return parts


def _chosen(step: Step, inventory: Inventory, seed: int) -> Sequence[str]:
    if step.hosts is not None:
        return choose_hosts(step.hosts, inventory, at="hosts")
    assert step.vms is not None, "a script was checked"
    return choose_vms(step.vms, inventory, seed=seed, at="vms")


def lane_of(part: Part, ref: str) -> Lane | None:
    """Return what is planned for an object in a part."""
    return next((lane for lane in part.lanes if lane.ref == ref), None)
