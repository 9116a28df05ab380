"""Who is said to have done something did it: the join, judged by the truth of the simulator."""

from collections import Counter
from pathlib import Path

import pytest

from query.database import History
from query.loader import refresh
from tests.attribution.chain import write_journal
from tests.attribution.day import day_of
from tests.attribution.judge import Claim, Judge
from tests.attribution.people import DEBUG

SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(4, 60))]
"""Of 200 calls each; the long form has 12,000."""

OF_TASKS = """
SELECT d.ref, l.trackid, l.call, d.confidence
FROM task_doers d JOIN audit_lines l ON l.seq = d.line_seq
"""
OF_EVENTS = """
SELECT e.event_id, l.trackid, l.call, d.confidence
FROM event_doers d JOIN audit_lines l ON l.seq = d.line_seq JOIN events e ON e.seq = d.seq
WHERE e.event_id IS NOT NULL
"""


def claims_of(history: History) -> list[Claim]:
    """Return all that is said of who did what."""
    told = [*history.plain(OF_TASKS, {}), *history.plain(OF_EVENTS, {})]
    return [
        Claim(about, str(trackid), str(call), str(confidence))
        for about, trackid, call, confidence in told
        if isinstance(about, str | int)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_exact_is_right_and_what_is_likely_nearly_always(seed: int, tmp_path: Path) -> None:
    """However people lie in their headers; loaded in pieces, as a trail that is polled comes."""
    day = day_of(seed)
    parts = 1 + seed % 3
    for end in write_journal(day, tmp_path / "journal", parts=parts):
        assert end
    with refresh(tmp_path).open() as history:
        claims = claims_of(history)
    judge = Judge(day)
    by_confidence = Counter(claim.confidence for claim in claims)
    exact = [claim for claim in claims if claim.confidence == "exact"]
    likely = [claim for claim in claims if claim.confidence == "likely"]
    assert judge.wrong(exact) == []
    assert len(judge.wrong(likely)) <= len(likely) / 100, judge.wrong(likely)
    assert by_confidence["exact"] > 100
    assert by_confidence["likely"] > 500
    assert ("suspicious" in by_confidence) <= day.plan.forgers


@pytest.mark.parametrize("seed", [0, 2])
def test_a_task_whose_line_was_forged_is_not_exact(seed: int, tmp_path: Path) -> None:
    """Neither for him who hid behind another mark, nor for him whose mark it was."""
    day = day_of(seed)
    write_journal(day, tmp_path / "journal")
    with refresh(tmp_path).open() as history:
        exact = {claim.about for claim in claims_of(history) if claim.confidence == "exact"}
    forged = {doing.task for doing in day.truth.doings if DEBUG in doing.headers}
    assert forged
    assert not forged & exact
