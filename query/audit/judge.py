"""The verdict on a run: what all rules find, call by call and in all. Pure."""

from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from . import course, effects, ends, foreign, scripted, tasks
from .claims import Claims, StepClaim
from .finding import Finding, Level, Rule
from .radius import Change, changes_beside
from .recorded import Recorded

REASONS_MAX = 3


class Verdict(StrEnum):
    """What an audit comes to."""

    PROVEN = "proven"  # the record shows what is claimed
    CONTRADICTED = "contradicted"  # the record shows something else
    NOT_PROVABLE = "not provable"  # the record cannot show it


class StepVerdict(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """What an audit comes to for one call; `rules` are those that are broken.

    `outcome` is what is claimed, None if nothing is; `seqs` are the entries that it rests on.
    """

    step: int
    part: int
    round: int
    cls: str
    ref: str
    name: str
    method: str
    outcome: str | None
    verdict: Verdict
    rules: list[Rule]
    seqs: list[int]


class Audit(msgspec.Struct, frozen=True):
    """The audit of a run; `changes` is what changed and was not in its plan."""

    pool: str
    run: str
    script: str
    verdict: Verdict
    why: str
    steps: list[StepVerdict]
    findings: list[Finding]
    changes: list[Change]

    @property
    def is_proven(self) -> bool:
        """Whether the record shows all that the run claims."""
        return self.verdict is Verdict.PROVEN


OF_THE_CLAIMS: tuple[Callable[[Claims], Iterator[Finding]], ...] = (
    scripted.script_agrees,
    course.calls_are_numbered,
    course.planned_calls_were_made,
    course.calls_follow_each_other,
    course.steps_follow_each_other,
    course.only_so_many_at_a_time,
    course.run_ends_after_a_failure,
    ends.expectations_hold_as_claimed,
    ends.status_is_true,
)
"""Rules that hold between the claims themselves."""
OF_THE_RECORD: tuple[Callable[[Claims, Recorded], Iterator[Finding]], ...] = (
    scripted.plan_agrees,
    scripted.found_agrees,
    scripted.replay_repeats,
    course.calls_are_planned,
    tasks.task_is_of_the_call,
    tasks.task_is_within_the_call,
    tasks.task_ended_as_claimed,
    tasks.task_says_what_is_claimed,
    tasks.entry_tells_the_end,
    tasks.call_took_as_long,
    effects.power_state_was_reached,
    effects.vm_was_where_claimed,
    effects.host_was_enabled_as_claimed,
    effects.clone_exists,
    effects.others_did_something,
    foreign.nobody_else_changed_them,
    ends.ends_are_recorded,
    ends.gaps_hide_nothing,
)
"""Rules that hold between the claims and what was recorded."""


def judge(claims: Claims, recorded: Recorded) -> Audit:
    """Hold what a run claims against what was recorded."""
    found = [
        *claims.flaws,
        *(one for rule in OF_THE_CLAIMS for one in rule(claims)),
        *(one for rule in OF_THE_RECORD for one in rule(claims, recorded)),
    ]
    found.sort(
        key=lambda one: (
            one.level is not Level.CONTRADICTED,
            one.step is None,
            one.step or 0,
            one.seqs,
        )
    )
    by_step: dict[int | None, list[Finding]] = {}
    for one in found:
        by_step.setdefault(one.step, []).append(one)
    in_order = sorted(claims.steps, key=lambda step: step.number)
    return Audit(
        claims.pool,
        claims.run,
        claims.started.script,
        _verdict(found),
        _why(found, claims),
        [_step(step, by_step.get(step.number, []), recorded) for step in in_order],
        found,
        changes_beside(claims, recorded),
    )


def _verdict(found: list[Finding]) -> Verdict:
    if any(one.level is Level.CONTRADICTED for one in found):
        return Verdict.CONTRADICTED
    return Verdict.NOT_PROVABLE if found else Verdict.PROVEN


def _why(found: list[Finding], claims: Claims) -> str:
    """Say what the verdict rests on: the worst findings."""
    if not found:
        number = len(claims.steps)
        return f"the record shows all that is claimed of {number} call{'' if number == 1 else 's'}"
    worst = [one for one in found if one.level is found[0].level]
    calls: dict[str, list[int]] = {}
    for one in worst:
        numbers = calls.setdefault(f"{one.text} ({one.rule})", [])
        numbers += [] if one.step is None else [one.step]
    texts = [f"{_calls(numbers)}{text}" for text, numbers in calls.items()]
    more = len(texts) - REASONS_MAX
    return "; ".join(texts[:REASONS_MAX]) + (f"; and {more} more" if more > 0 else "")


def _calls(numbers: list[int]) -> str:
    match numbers:
        case []:
            return ""
        case [number]:
            return f"call {number}: "
    more = len(numbers) - REASONS_MAX
    told = ", ".join(map(str, numbers[:REASONS_MAX])) + (f" and {more} more" if more > 0 else "")
    return f"calls {told}: "


def _step(step: StepClaim, own: list[Finding], recorded: Recorded) -> StepVerdict:
    told = step.intended
    end = recorded.end_of(step.task)
    return StepVerdict(
        told.step,
        told.part,
        told.round,
        told.cls.lower(),
        told.ref,
        told.name,
        told.method,
        step.outcome,
        _verdict(own),
        list(dict.fromkeys(one.rule for one in own)),
        sorted({*step.seqs, *([end.seq] if end else [])}),
    )
