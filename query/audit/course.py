"""Rules about which calls were made, and in which order: those of the plan. Pure."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from recorder.workloads.inventory import NULL_REF
from recorder.workloads.kinds import evacuate, permute
from recorder.workloads.methods import PARAMS
from recorder.workloads.outcomes import Outcome
from recorder.workloads.plan import Lane, Part, Plan
from recorder.workloads.scripts import Kind, OnFailure, Order

from ..records import Json
from .claims import Claims, StepClaim
from .finding import Finding, Rule, contradicted
from .recorded import Recorded

RESTORE = "restore"
_LIVE: Json = {"live": "true"}
_RESTORING: dict[str, tuple[str, ...]] = {
    "Running": ("VM.start", "VM.start_on", "VM.resume", "VM.resume_on", "VM.unpause"),
    "Halted": ("VM.clean_shutdown",),
    "Suspended": ("VM.suspend",),
    "Paused": ("VM.pause",),
}


def calls_are_planned(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """Every call is in the plan: its kind, its object, its place among the calls of that."""
    plan = claims.plan
    if plan is None:
        return
    for part in plan.parts:
        steps = claims.of_part(part.index)
        lanes = {lane.ref: lane for lane in part.lanes}
        clones = _clones(steps, lanes)
        by_object: dict[str, list[StepClaim]] = {}
        for step in steps:
            by_object.setdefault(step.intended.ref, []).append(step)
        for ref, own in by_object.items():
            yield from _misnamed(own, part, plan)
            if ref in lanes:
                yield from _of_lane(own, part, lanes[ref], claims, recorded)
            elif part.step.kind is Kind.CUSTOM and ref in claims.made:
                continue  # A function may go on with what it has made.
            elif ref in clones:
                yield from _of_clone(own)
            else:
                yield from (_unplanned(step, "its object is not in the plan") for step in own)
    for step in claims.steps:
        if step.intended.part == len(plan.parts):
            yield from _of_restoring(step, claims, plan)
        elif not 0 <= step.intended.part < len(plan.parts):
            yield _unplanned(step, f"the plan has no step {step.intended.part + 1}")


def _unplanned(step: StepClaim, why: str) -> Finding:
    return contradicted(
        Rule.UNPLANNED, f"{step.intended.method} is not planned: {why}", step.seqs[:1], step.number
    )


def _misnamed(steps: Sequence[StepClaim], part: Part, plan: Plan) -> Iterator[Finding]:
    for step in steps:
        told = step.intended
        found = plan.found.get(told.ref) or plan.hosts.get(told.ref)
        if told.kind != part.step.kind.value:
            yield _unplanned(step, f"that step is a {part.step.kind.value}, not a {told.kind}")
        if found is not None and (told.uuid, told.name) != (found.uuid, found.name):
            yield _unplanned(step, f"its object is called {found.name}, not {told.name}")


def _clones(steps: Sequence[StepClaim], lanes: dict[str, Lane]) -> set[str]:
    """Return the clones that a part has to start."""
    return {
        step.created_ref
        for step in steps
        if step.created_ref is not None
        and step.intended.method == "VM.clone"
        and step.intended.ref in lanes
        and lanes[step.intended.ref].closing
    }


def _of_clone(own: Sequence[StepClaim]) -> Iterator[Finding]:
    for place, step in enumerate(own):
        if place or step.intended.method != "VM.start":
            yield _unplanned(step, "a clone is started, once")


def _expected(part: Part, lane: Lane) -> list[tuple[str, int]]:
    """Return the calls of a lane and their rounds, but for those about clones."""
    # A VM is started once, outside of any round.
    rounds = [0] if part.step.kind is Kind.START_ASYNC else [*range(1, lane.rounds + 1)]
    closing = lane.closing[:1] if part.step.kind is Kind.CLONE else lane.closing
    return [
        *((method, 0) for method in lane.opening),
        *((method, number) for number in rounds for method in lane.each),
        *((method, 0) for method in closing),
    ]


def _of_lane(
    own: Sequence[StepClaim], part: Part, lane: Lane, claims: Claims, recorded: Recorded
) -> Iterator[Finding]:
    if part.step.kind is Kind.CUSTOM:
        return
    expected = _expected(part, lane)
    place = 0
    for step in own:
        told = (step.intended.method, step.intended.round)
        if part.step.kind is Kind.EVACUATE:
            place = _past_evacuation(expected, place, told)
        if place >= len(expected) or told != expected[place]:
            want = "nothing more" if place >= len(expected) else _words(*expected[place])
            yield _unplanned(step, f"{want} is, where it is called in round {told[1]}")
            return
        place += 1
        params = _params(step, part, lane, claims, recorded)
        if params is not None and step.params not in params:
            yield _unplanned(step, f"its parameters are {step.intended.params}")
        if part.step.kind is Kind.EVACUATE and step.outcome == Outcome.SKIPPED:
            place = 3 * step.intended.round


def _past_evacuation(expected: Sequence[tuple[str, int]], place: int, told: tuple[str, int]) -> int:
    """A host that must not be emptied is skipped; one that was disabled is enabled at any rate."""
    ahead = [*expected[place : place + 2]]
    passed = {(evacuate.DISABLE, told[1]), (evacuate.EVACUATE, told[1])}
    return place + 1 if told in ahead[1:] and ahead[0] in passed else place


def _words(method: str, round_: int) -> str:
    return f"{method} of round {round_}" if round_ else method


def _params(
    step: StepClaim, part: Part, lane: Lane, claims: Claims, recorded: Recorded
) -> list[list[Json]] | None:
    """Return the parameters that a call may have, None if nobody knows them before."""
    method, plan = step.intended.method, claims.plan
    assert plan is not None, "a lane is of a plan"
    if method == "VM.clone":
        return [[f"clone of {plan.name_of(lane.ref)}"]]
    if method == permute.MIGRATE:
        way = lane.hosts or _way(part, lane, claims, recorded)
        if way is None:
            return None
        target = way[step.intended.round - 1]
        return [[target]] if step.outcome == Outcome.SKIPPED else [[target, _LIVE]]
    usual: list[Json] = msgspec.json.decode(msgspec.json.encode(PARAMS.get(method, ())))
    return [usual]


def _way(part: Part, lane: Lane, claims: Claims, recorded: Recorded) -> Sequence[str] | None:
    """Return where a VM goes, round by round, if that was only known when the step began.

    None if a gap hides where the VMs were then.
    """
    begin = claims.of_part(part.index)[0].intended.seq
    if recorded.gaps_in(claims.started.seq, begin):
        return None
    refs = [one.ref for one in part.lanes]
    here = [recorded.before(ref, begin) for ref in refs]
    hosts = [
        NULL_REF if row is None or row.resident_on is None else row.resident_on for row in here
    ]
    seed = claims.started.seed
    ways = permute.targets(hosts, part.step.iterations, part.step.order or Order.ROTATE, seed)
    return ways[refs.index(lane.ref)]


def _of_restoring(step: StepClaim, claims: Claims, plan: Plan) -> Iterator[Finding]:
    """What restores is called only then, and leads back to what was found."""
    told = step.intended
    found = plan.found.get(told.ref)
    rolls_back = any(
        one.outcome not in {Outcome.SUCCESS, Outcome.SKIPPED}
        and (part := claims.part_of(one)) is not None
        and part.step.on_failure is OnFailure.ROLL_BACK
        for one in claims.steps
    )
    if not (plan.restore or rolls_back or claims.resumed):
        yield _unplanned(step, "nothing was to be restored")
    elif found is None or told.kind != RESTORE:
        yield _unplanned(step, "it restores nothing that was found")
    elif told.method == permute.MIGRATE:
        if step.params != [found.host, _LIVE]:
            yield _unplanned(step, f"{found.name} was found on another host")
    elif told.method not in (*_RESTORING["Running"], *_RESTORING.get(found.power_state, ())):
        yield _unplanned(step, f"{found.name} was found {found.power_state}")


# -- what is missing -------------------------------------------------------------------------------


def planned_calls_were_made(claims: Claims) -> Iterator[Finding]:
    """No planned call is missing, unless one that did not succeed ended its lane, or the run."""
    plan = claims.plan
    if plan is None:
        return
    begun = {step.intended.part for step in claims.steps if step.intended.part < len(plan.parts)}
    is_complete = claims.ended is not None and claims.ended.status == "completed"
    whole = len(plan.parts) if is_complete else max(begun, default=0)
    for part in plan.parts[:whole]:
        if part.step.kind is not Kind.CUSTOM:
            for lane in part.lanes:
                yield from _missing(part, lane, claims, plan)


def _missing(part: Part, lane: Lane, claims: Claims, plan: Plan) -> Iterator[Finding]:
    own = [
        step
        for step in claims.by_object.get(lane.ref, ())
        if step.intended.part == part.index and not claims.is_anew(step)
    ]
    made = {(step.intended.method, step.intended.round) for step in own}
    seqs = [own[-1].seqs[-1]] if own else [claims.started.seq]
    if own and _ended_lane(own[-1]):
        return
    skipped = {step.intended.round for step in own if step.outcome == Outcome.SKIPPED}
    for method, round_ in _expected(part, lane):
        if (method, round_) in made:
            continue
        if part.step.kind is Kind.EVACUATE and round_ in skipped:
            continue
        text = f"{_words(method, round_)} of {plan.name_of(lane.ref)} is planned and missing"
        yield contradicted(Rule.MISSING, text, seqs)
    if part.step.kind is Kind.CLONE and lane.closing:
        yield from _clones_missing(own, claims.of_part(part.index))


def _clones_missing(own: Sequence[StepClaim], steps: Sequence[StepClaim]) -> Iterator[Finding]:
    if any(step.intended.method == "VM.start" and not step.is_done for step in own):
        return
    refs = [step.intended.ref for step in steps]
    failed = {step.intended.ref for step in steps if _ended_lane(step)}
    clones = [step.created_ref for step in own if step.created_ref is not None]
    for clone, step in zip(clones, (s for s in own if s.created_ref is not None), strict=True):
        if clone not in refs:
            text = f"the clone that call {step.number} made was never started"
            yield contradicted(Rule.MISSING, text, step.seqs)
        elif clone in failed:
            return


def _ended_lane(step: StepClaim) -> bool:
    """Tell whether nothing more is done to an object after a call."""
    if step.ended is None or step.ended.has_failed:
        return True
    if step.outcome == Outcome.SKIPPED:
        return not _is_skipped_by_kind(step)
    return step.intended.method == "VM.clone" and step.created_ref is None


def _is_skipped_by_kind(step: StepClaim) -> bool:
    """A VM that is there already, or a host that must not be emptied, is left for this round."""
    return step.intended.kind in {Kind.PERMUTE, Kind.EVACUATE}


# -- order -----------------------------------------------------------------------------------------


def calls_follow_each_other(claims: Claims) -> Iterator[Finding]:
    """What is done to an object is done in order, and nothing after a call that did not succeed."""
    by_lane: dict[tuple[int, str], list[StepClaim]] = {}
    for step in claims.steps:
        by_lane.setdefault((step.intended.part, step.intended.ref), []).append(step)
    for own in by_lane.values():
        for one, other in pairwise(own):
            end = None if one.ended is None else one.ended.seq
            if _went_on_between(one, other, claims):
                continue  # What was stopped goes on, and its outcome may be found later.
            if end is None or other.intended.seq < end:
                text = f"{other.intended.method} began before {one.intended.method} had ended"
                yield _disorder(text, one, other)
            elif _ended_lane(one) and other.intended.method != evacuate.ENABLE:
                text = f"it was called although {one.intended.method} before it did not succeed"
                yield _disorder(text, one, other)


def _went_on_between(one: StepClaim, other: StepClaim, claims: Claims) -> bool:
    """Tell whether the run was resumed since a call, up to its outcome or the next one."""
    last = other.intended.seq
    if one.ended is None or one.ended.seq > last:
        last = claims.seqs[-1] if one.ended is None else one.ended.seq
    return any(one.intended.seq < seq < last for seq in claims.resumed)


def _disorder(text: str, one: StepClaim, other: StepClaim) -> Finding:
    return contradicted(Rule.ORDER, text, [*one.seqs, *other.seqs], other.number)


def steps_follow_each_other(claims: Claims) -> Iterator[Finding]:
    """A step of the script begins when the one before has ended; so do rounds of a permute."""
    groups: dict[tuple[int, int], list[StepClaim]] = {}
    for step in claims.steps:
        part = claims.part_of(step)
        in_rounds = part is not None and part.step.kind is Kind.PERMUTE
        groups.setdefault((step.intended.part, step.intended.round if in_rounds else 0), []).append(
            step
        )
    for (_, one), (_, other) in pairwise(sorted(groups.items())):
        last = max(one, key=lambda step: step.seqs[-1])
        first = min(other, key=lambda step: step.intended.seq)
        if _went_on_between(last, first, claims):
            continue
        if last.ended is None or first.intended.seq < last.ended.seq:
            text = "it was called before all that comes before it in the script had ended"
            yield _disorder(text, last, first)


def only_so_many_at_a_time(claims: Claims) -> Iterator[Finding]:
    """No more calls of a step are under way than its script allows."""
    for part in () if claims.plan is None or claims.resumed else claims.plan.parts:
        if part.step.kind is Kind.CUSTOM:
            continue
        most = 1 if part.step.kind is Kind.EVACUATE else part.step.concurrency
        under_way: list[StepClaim] = []
        for step in claims.of_part(part.index):
            begin = step.intended.seq
            under_way = [one for one in under_way if one.ended is None or one.ended.seq > begin]
            under_way.append(step)
            if len(under_way) > most:
                text = f"{len(under_way)} calls are under way, where {most} may be"
                yield contradicted(
                    Rule.ORDER, text, [one.intended.seq for one in under_way], step.number
                )
                break


def run_ends_after_a_failure(claims: Claims) -> Iterator[Finding]:
    """If the script says so, each lane makes at most one more call after one that failed."""
    for failed in () if claims.resumed else claims.steps:
        part, end = claims.part_of(failed), failed.ended
        if part is None or end is None or not end.has_failed:
            continue
        if part.step.on_failure is OnFailure.CONTINUE:
            continue
        later: set[str] = set()
        for step in claims.steps:
            told = step.intended
            if told.seq <= end.seq or told.kind == RESTORE or told.method == evacuate.ENABLE:
                continue
            if told.ref in later or told.part != part.index:
                text = f"it was called although call {failed.number} failed, which ends the run"
                yield _disorder(text, failed, step)
                return
            later.add(told.ref)
        return


def calls_are_numbered(claims: Claims) -> Iterator[Finding]:
    """The numbers of the calls are 1, 2, 3 and so on: none was taken away."""
    numbers = sorted(step.number for step in claims.steps)
    missing = sorted(set(range(1, len(numbers) + 1)) - set(numbers))
    if missing:
        text = f"the calls have no number {missing[0]}, which one must have"
        yield contradicted(Rule.MARKS, text, [claims.started.seq])
