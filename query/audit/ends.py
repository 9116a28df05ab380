"""Rules about how a run is said to have gone in all. Pure."""

from collections import Counter
from collections.abc import Iterator

import msgspec

from recorder.control.running import PartReport
from recorder.workloads.outcomes import Outcome
from recorder.workloads.plan import Part
from recorder.workloads.scripts import Expect, OnFailure

from .claims import Claims
from .course import RESTORE
from .finding import Finding, Rule, contradicted, unproven
from .recorded import Recorded
from .tasks import evidence_of


def ends_are_recorded(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """Every call has an outcome, and the run an end; without one, the record may tell it."""
    for step in claims.steps:
        if step.ended is not None:
            continue
        end = recorded.end_of(step.task)
        seqs = [*step.seqs, *([end.seq] if end else [])]
        text = "its outcome was not recorded"
        if end is not None and end.record is not None:
            text += f"; its task ended with {end.record.status} (@{end.seq})"
        elif step.called is None:
            text += ", nor whether it was made"
        if claims.ended is None:
            yield unproven(Rule.END, text, seqs, step.number)
        else:
            yield contradicted(Rule.END, f"{text}, although the run ended", seqs, step.number)
    if claims.ended is None:
        text = "the end of the run was not recorded: it is under way, or its recorder died"
        yield unproven(Rule.END, text, [claims.started.seq])


def gaps_hide_nothing(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """While a call was under way nothing can have been missed."""
    for step in claims.steps:
        gaps = recorded.gaps_in(step.intended.seq, evidence_of(step, recorded))
        if gaps:
            named = ", ".join(f"@{seq}" for seq in gaps)
            text = f"the gap {named} touches it: not all that happened is recorded"
            yield unproven(Rule.GAP, text, [*step.seqs, *gaps], step.number)


def expectations_hold_as_claimed(claims: Claims) -> Iterator[Finding]:
    """The reports on the steps, made anew of the outcomes, are those that are claimed."""
    ended, plan = claims.ended, claims.plan
    if ended is None or plan is None:
        return
    reports = [_report(claims, part) for part in plan.parts]
    back = _report(claims, None)
    if back.outcomes:
        reports.append(back)
    try:
        told = msgspec.json.decode(ended.parts, type=list[PartReport])
    except msgspec.DecodeError as error:
        text = f"the reports on its steps cannot be read: {error}"
        yield contradicted(Rule.HELD, text, [ended.seq])
        told = []
    for number, report in enumerate(reports, 1):
        claimed = told[number - 1] if number <= len(told) else None
        if claimed is None or not report.agrees(claimed):
            text = f"the report on step {number} is not what its outcomes give"
            yield contradicted(Rule.HELD, text, [ended.seq])
    held = ended.status == "completed" and not any(report.is_broken for report in reports)
    if held != ended.held and ended.status != "restored":
        words = {True: "all that was expected held", False: "not all that was expected held"}
        text = f"{words[held]}, but the run says that {words[ended.held]}"
        yield contradicted(Rule.HELD, text, [ended.seq])
    yield from _counts(claims)


class _Report(msgspec.Struct, frozen=True):
    """What the outcomes of a step of the script come to."""

    planned: int
    outcomes: dict[str, int]
    slowest_s: float
    is_broken: bool

    def agrees(self, told: PartReport) -> bool:
        """Tell whether a report says the same; its sentences are for people."""
        outcomes = {outcome: number for outcome, number in told.outcomes.items() if number}
        return (
            (told.planned, told.made, outcomes)
            == (self.planned, sum(self.outcomes.values()), self.outcomes)
            and abs(told.slowest_s - self.slowest_s) < _ROUNDED_S
            and bool(told.broken) == self.is_broken
        )


_ROUNDED_S = 0.001


def _report(claims: Claims, part: Part | None) -> _Report:
    """Evaluate what is expected of a step anew; None is what restores: nothing may fail then."""
    assert claims.plan is not None, "that was asked"
    index = len(claims.plan.parts) if part is None else part.index
    ends = [one.ended for one in claims.steps if one.intended.part == index and one.ended]
    expect = Expect() if part is None else part.step.expect
    failures = sum(end.has_failed and not end.stopped for end in ends)
    slowest_s = max((end.duration_s for end in ends), default=0.0)
    is_slow = expect.seconds_max is not None and slowest_s > expect.seconds_max
    return _Report(
        0 if part is None else part.calls,
        dict(Counter(end.outcome for end in ends)),
        slowest_s,
        failures > expect.failures_max or is_slow,
    )


def _counts(claims: Claims) -> Iterator[Finding]:
    """The end of the run counts the calls by outcome."""
    ended = claims.ended
    assert ended is not None
    for outcome in Outcome:
        number = sum(step.outcome == outcome for step in claims.steps)
        told = ended.counts.get(outcome.value, 0)
        if told != number:
            text = f"the end of the run counts {told} calls as {outcome}, where {number} are"
            yield contradicted(Rule.HELD, text, [ended.seq])


def status_is_true(claims: Claims) -> Iterator[Finding]:
    """A run is stopped by a failure that ends it, and only completed without one."""
    ended = claims.ended
    if ended is None:
        return
    fatal = [
        step
        for step in claims.steps
        if step.ended is not None
        and step.ended.has_failed
        and not step.ended.stopped
        and step.intended.kind != RESTORE
        and (part := claims.part_of(step)) is not None
        and part.step.on_failure is not OnFailure.CONTINUE
    ]
    if ended.status == "completed" and fatal:
        text = f"it is said to be completed, but call {fatal[0].number} ends it"
        yield contradicted(Rule.HELD, text, [*fatal[0].seqs, ended.seq])
    if ended.status == "stopped" and not fatal:
        text = "it is said to be stopped, but no call ends it"
        yield contradicted(Rule.HELD, text, [ended.seq])
