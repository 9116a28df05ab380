"""Runs whose driver was killed and that went on: what they claim is never found to be a lie."""

import pytest

from query.audit.finding import Rule
from query.audit.judge import Verdict
from recorder.model import MarkName
from tests.audit.plays import Liar, Tale, audited
from tests.workloads.schedules import play, schedule_of

pytestmark = pytest.mark.seeds


@pytest.mark.parametrize(
    "seed",
    [
        *(0, 19, 96, 312, 443),
        *(pytest.param(n, marks=pytest.mark.soak) for n in range(1, 300) if n not in {19, 96}),
    ],
)
def test_resumed_run_is_never_contradicted(seed: int) -> None:
    """Whenever it was killed, whatever else went wrong; a success that is called a failure is."""
    tale = Tale(play(schedule_of(seed)).entries)
    if not tale.marks(MarkName.RUN_STARTED):
        return  # It was killed before anything of it was written.
    told = audited(Liar(tale))
    assert told.verdict is not Verdict.CONTRADICTED, f"seed {seed}: {told.why}"
    ends = [(seq, one) for seq, one in tale.marks(MarkName.STEP_ENDED) if one["task"] is not None]
    known = [(seq, one) for seq, one in ends if one["outcome"] == "success" and one["entry"]]
    if known:
        seq, end = known[-1]
        liar = Liar(tale)
        liar.mark(seq, outcome="failure", error='["X"]')
        lie = audited(liar)
        assert lie.verdict is Verdict.CONTRADICTED
        assert Rule.STATUS in {one.rule for one in lie.findings if one.step == end["step"]}
