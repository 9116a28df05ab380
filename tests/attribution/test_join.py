"""Who is said to have done something did it: the join, judged by the truth of the simulator."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from query.history.database import History
from query.load.loader import refresh
from tests.attribution.chain import write_parts, written
from tests.attribution.day import Day, Plan, spend
from tests.attribution.judge import Claim, Judge
from tests.attribution.people import DEBUG

pytestmark = pytest.mark.seeds

CALLS = 2500
SEEDS = (0, 1, 3, 8)
"""Ten thousand calls: with and without people who lie, HA, restarts, late lines, both versions."""
MORE = [pytest.param(seed, marks=pytest.mark.soak) for seed in range(60) if seed not in SEEDS]

OF_TASKS = """
SELECT d.ref, l.trackid, l.call, d.confidence, CASE WHEN d.internal THEN d.root ELSE '' END
FROM task_doers d JOIN audit_lines l ON l.seq = d.line_seq
"""
OF_EVENTS = """
SELECT d.seq, l.trackid, l.call, d.confidence, CASE WHEN d.internal THEN d.task ELSE '' END
FROM event_doers d JOIN audit_lines l ON l.seq = d.line_seq JOIN events e ON e.seq = d.seq
WHERE e.origin = 'live'
"""


def claims_of(history: History, changes: Mapping[int, int]) -> list[Claim]:
    """Return all that is said of who did what; `changes` says by seq which change an event is."""
    told = [*history.plain(OF_TASKS, {}), *history.plain(OF_EVENTS, {})]
    return [
        Claim(
            changes[about] if isinstance(about, int) else str(about),
            str(trackid),
            str(call),
            str(confidence),
            str(own_task),
        )
        for about, trackid, call, confidence, own_task in told
    ]


def claims_about(day: Day, data: Path, *, parts: int) -> list[Claim]:
    """Return what is said of a day that was loaded in so many pieces."""
    journal = written(day)
    for _end in write_parts(journal, data / "journal", parts=parts):
        refresh(data)
    with refresh(data).open() as history:
        return claims_of(history, journal.changes)


@pytest.mark.parametrize("seed", [*SEEDS, *MORE])
def test_what_is_exact_is_right_and_what_is_likely_nearly_always(seed: int, tmp_path: Path) -> None:
    """However people lie in their headers; loaded in pieces, as a trail that is polled comes."""
    day = spend(Plan.of(seed, CALLS))
    claims, judge = claims_about(day, tmp_path, parts=1 + seed % 3), Judge(day)
    by_confidence = Counter(claim.confidence for claim in claims)
    exact = [claim for claim in claims if claim.confidence == "exact"]
    likely = [claim for claim in claims if claim.confidence == "likely"]
    by_hosts = [claim for claim in claims if claim.own_task]
    assert judge.wrong(exact) == []
    assert judge.share_right(likely, "likely") >= 0.99, judge.wrong(likely)[:20]
    assert judge.wrong(by_hosts) == []
    assert any(claim.confidence == "exact" for claim in by_hosts)
    assert len(exact) > CALLS / 4
    assert len(likely) > CALLS
    assert ("suspicious" in by_confidence) <= day.plan.forgers
    assert day.plan.forgers or judge.share_told(exact) == 1.0
    # Neither who hid behind another mark is sure to have made his task, nor whose mark it was.
    forged = {doing.task for doing in day.truth.doings if DEBUG in doing.headers}
    assert not forged & {claim.about for claim in exact}
    assert bool(forged) == day.plan.forgers
