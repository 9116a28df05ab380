"""Lies, written by the real journal: each is found, and the rule that it breaks is named."""

from collections.abc import Callable, Iterator

import pytest

from query.audit.finding import Level, Rule
from query.audit.judge import Verdict
from query.history.database import History
from tests.audit import lies
from tests.audit.lies import Lie, clones, cycle, evacuation, failure, moves
from tests.audit.plays import Liar, Tale, audit_in, history_of

LIES: list[tuple[Callable[[], Tale], Lie, Rule]] = [
    (cycle, lies.failure_for_a_success, Rule.STATUS),
    (failure, lies.success_for_a_failure, Rule.STATUS),
    (cycle, lies.task_that_failed, Rule.STATUS),
    (failure, lies.another_error, Rule.ERROR),
    (cycle, lies.nobody_knows, Rule.STATUS),
    (cycle, lies.entry_of_another, Rule.ENTRY),
    (cycle, lies.task_of_another, Rule.TASK),
    (cycle, lies.task_before_the_intent, Rule.INTERVAL),
    (cycle, lies.faster_than_it_was, Rule.DURATION),
    (moves, lies.vm_elsewhere, Rule.PLACEMENT),
    (cycle, lies.power_state_never_reached, Rule.POWER_STATE),
    (clones, lies.clone_that_does_not_exist, Rule.CLONE),
    (clones, lies.another_result, Rule.RESULT),
    (cycle, lies.step_removed, Rule.MISSING),
    (cycle, lies.step_added, Rule.UNPLANNED),
    (cycle, lies.other_parameters, Rule.UNPLANNED),
    (moves, lies.round_missing, Rule.MISSING),
    (cycle, lies.order_changed, Rule.UNPLANNED),
    (cycle, lies.number_skipped, Rule.MARKS),
    (failure, lies.began_too_early, Rule.ORDER),
    (moves, lies.round_too_early, Rule.ORDER),
    (moves, lies.more_at_a_time_than_allowed, Rule.ORDER),
    (failure, lies.went_on_after_a_failure, Rule.ORDER),
    (evacuation, lies.host_never_disabled, Rule.ENABLED),
    (failure, lies.blamed_on_others, Rule.OTHERS),
    (cycle, lies.outcome_removed, Rule.END),
    (cycle, lies.stopped_by_nothing, Rule.HELD),
    (failure, lies.held_though_it_did_not, Rule.HELD),
    (failure, lies.nothing_was_broken, Rule.HELD),
    (cycle, lies.seed_changed, Rule.SCRIPT),
    (failure, lies.script_changed, Rule.SCRIPT),
    (moves, lies.plan_changed, Rule.PLAN),
    (cycle, lies.found_otherwise, Rule.FOUND),
]


UNPROVEN: list[tuple[Callable[[], Tale], Lie, Rule]] = [
    (cycle, lies.foreign_change, Rule.FOREIGN),
    (cycle, lies.gap_over_a_step, Rule.GAP),
]
TALES = (cycle, moves, clones, evacuation, failure)


@pytest.fixture(scope="module")
def history() -> Iterator[History]:
    """One journal of all lies, and of each tale without one, each of a pool that bears its name."""
    liars = {name_of(tale): Liar(tale()) for tale in TALES}
    for tale, lie, _ in (*LIES, *UNPROVEN):
        liars[name_of(lie)] = Liar(tale())
        lie(liars[name_of(lie)])
    with history_of(liars) as told:
        yield told


def name_of(function: Callable[..., object]) -> str:
    return function.__name__


@pytest.mark.parametrize(("lie", "rule"), [(name_of(lie), rule) for _, lie, rule in LIES])
def test_lie_is_found_and_contradicted(history: History, lie: str, rule: Rule) -> None:
    """By the rule that it breaks; every finding names entries that are there."""
    told = audit_in(history, lie)
    assert told.verdict is Verdict.CONTRADICTED, told.why
    assert rule in {one.rule for one in told.findings if one.level is Level.CONTRADICTED}
    assert all(one.seqs for one in told.findings)


@pytest.mark.parametrize(("lie", "rule"), [(name_of(lie), rule) for _, lie, rule in UNPROVEN])
def test_what_others_did_or_a_gap_hides_leaves_a_run_unproven(
    history: History, lie: str, rule: Rule
) -> None:
    """It is no lie of the run; but nobody can say any more that it was all there was."""
    told = audit_in(history, lie)
    assert told.verdict is Verdict.NOT_PROVABLE, told.why
    assert {one.rule for one in told.findings} == {rule}


@pytest.mark.parametrize("tale", [name_of(tale) for tale in TALES])
def test_the_same_journal_without_a_lie_is_proven(history: History, tale: str) -> None:
    """Written again by the same hand: what is found above comes from the lies alone."""
    told = audit_in(history, tale)
    assert (told.verdict, told.findings) == (Verdict.PROVEN, [])
