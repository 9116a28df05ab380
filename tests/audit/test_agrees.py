"""Whatever goes wrong, an audit says nothing that the pool's own record denies."""

import random

import pytest

from query.audit.judge import Audit, Verdict
from recorder.model import MarkName
from tests.audit.plays import Liar, Tale, audit_in, history_of, played
from tests.workloads.theatre import script, step

pytestmark = pytest.mark.seeds

FAULTS = (
    {"match": "*VM.*", "effect": "task_failure", "probability": 0.08, "lasts_s": 2},
    {"match": "Async.*", "effect": "task_vanish", "probability": 0.03},
    {"match": "Async.*", "effect": "half_reply", "probability": 0.05},
    {"match": "Async.*", "effect": "reset", "probability": 0.05},
    {"match": "event.next", "effect": "reset", "probability": 0.01},
    {"match": "task.*", "effect": "expire_session", "probability": 0.05},
    {"match": "connect", "effect": "reset", "probability": 0.1},
)
STEPS = (
    step("powercycle", on_failure="continue"),
    step("start_async", on_failure="continue"),
    step("permute", iterations=2, on_failure="continue"),
    step("clone", on_failure="continue"),
)
ENDS = {"success", "failure", "cancelled"}


def true_end(tale: Tale, task: object) -> str | None:
    """Return how a task ended, as the pool knows; None if it never did."""
    return next((one for one in tale.statuses.get(str(task), ()) if one in ENDS), None)


def check_agrees(told: Audit, tale: Tale) -> None:
    """What is proven is as the pool knows it."""
    tasks = {detail["step"]: detail["task"] for _, detail in tale.marks(MarkName.STEP_ENDED)}
    for row in told.steps:
        task = tasks[row.step]
        if row.verdict is Verdict.PROVEN and row.outcome in ENDS and task is not None:
            assert true_end(tale, task) == row.outcome, row


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 60))]
)
def test_audit_agrees_with_the_pool(seed: int) -> None:
    """An honest run is never contradicted; of outcomes changed at random none passes."""
    tale = played(script(*STEPS, restore=True), *FAULTS, vms=3, seed=seed + 1)
    dice, liar, lies = random.Random(seed), Liar(tale), set()
    for seq, detail in tale.marks(MarkName.STEP_ENDED):
        if detail["task"] is not None and dice.random() < 0.5:
            others = ENDS - {str(detail["outcome"]), true_end(tale, detail["task"])}
            liar.mark(seq, outcome=dice.choice(sorted(others)))
            lies.add(detail["step"])
    with history_of({"honest": Liar(tale), "liar": liar}) as history:
        truth, lie = audit_in(history, "honest"), audit_in(history, "liar")
    assert truth.verdict is not Verdict.CONTRADICTED, f"seed {seed}: {truth.why}"
    assert {row.verdict for row in truth.steps} >= {Verdict.PROVEN}
    check_agrees(truth, tale)
    check_agrees(lie, tale)
    assert lie.verdict is Verdict.CONTRADICTED
    assert lies
    assert {row.step for row in lie.steps if row.verdict is Verdict.PROVEN}.isdisjoint(lies)
