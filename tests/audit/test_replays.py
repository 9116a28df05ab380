"""Replays: their plan is that of the run that they repeat, whatever the pool is like by then."""

import json

from query.audit.finding import Level, Rule
from query.audit.judge import Verdict
from recorder.model import MarkName
from tests.audit.plays import Liar, Tale, audited, played, repeat
from tests.workloads.theatre import script, step

REBOOT = script(step("powercycle", vms={"names": ["*"], "count": 1}), restore=True)


def started(tale: Tale) -> tuple[int, dict[str, object]]:
    """Return the beginning of the replay."""
    _, begun = tale.marks(MarkName.RUN_STARTED)
    return begun


def test_honest_replay_is_proven_and_another_plan_is_not() -> None:
    """Neither a plan that differs, nor a script: the run that is repeated had others."""
    tale = played(REBOOT, then=repeat)
    seq, detail = started(tale)
    honest = audited(Liar(tale))
    assert (honest.verdict, honest.findings) == (Verdict.PROVEN, [])
    plan = json.loads(str(detail["plan"]))
    for found in plan["found"].values():
        found["name"] = "another"
    for lie in ({"plan": json.dumps(plan)}, {"text": str(detail["text"]) + "\n"}):
        liar = Liar(tale)
        liar.mark(seq, **lie)
        told = audited(liar)
        assert (Rule.PLAN, Level.CONTRADICTED) in {(one.rule, one.level) for one in told.findings}


def test_replay_of_a_run_that_is_not_there_is_unproven() -> None:
    """Nobody can compare its plan with anything."""
    tale = played(REBOOT, then=repeat)
    liar = Liar(tale)
    liar.mark(started(tale)[0], replay_of="20200101-000000-0000")
    told = audited(liar)
    assert told.verdict is Verdict.NOT_PROVABLE
    assert [(one.rule, one.level) for one in told.findings] == [(Rule.PLAN, Level.UNPROVEN)]
