"""Who did what is told right of what a recorder has recorded, whatever went wrong meanwhile."""

import random
from pathlib import Path

import pytest

from query.database import open_for_reading
from query.known import Memory
from query.loading import load
from tests.attribution.day import Plan
from tests.attribution.judge import Claim, Judge
from tests.attribution.people import DEBUG
from tests.attribution.recorded import Recorded, recorded
from tests.attribution.test_join import claims_of

pytestmark = pytest.mark.seeds

CALLS = 200
SEEDS = range(8)
MORE = [pytest.param(seed, marks=pytest.mark.soak) for seed in range(8, 400)]


def claims_about(one: Recorded, path: Path, *, pieces: int, seed: int) -> list[Claim]:
    """Return what is said of a day that was recorded, and loaded in so many pieces."""
    cuts = sorted(random.Random(seed).sample(range(1, len(one.entries)), pieces - 1))
    memory = Memory()
    for begin, end in zip([0, *cuts], [*cuts, len(one.entries)], strict=True):
        load(path, one.entries[begin:end], memory, loaded_at_us=0)
    with open_for_reading(path) as history:
        return claims_of(history, one.changes)


@pytest.mark.parametrize("seed", [*SEEDS, *MORE])
def test_what_is_exact_is_right_of_what_was_recorded(seed: int, tmp_path: Path) -> None:
    """Through restarts and power cuts of the recorder, failovers, files that turn over, and lines
    that were never read: also who lies under such cover never becomes sure to have done it.
    """
    one = recorded(Plan.of(seed, CALLS))
    claims = claims_about(one, tmp_path / "history.duckdb", pieces=1 + seed % 4, seed=seed)
    judge = Judge(one.day)
    exact = [claim for claim in claims if claim.confidence == "exact"]
    likely = [claim for claim in claims if claim.confidence == "likely"]
    kinds = [stroke.kind for stroke in one.strokes]
    assert judge.wrong(exact) == [], kinds
    assert judge.share_right(likely, "likely") >= 0.99, (kinds, judge.wrong(likely))
    forged = {doing.task for doing in one.day.truth.doings if DEBUG in doing.headers}
    assert not forged & {claim.about for claim in exact}
    assert one.lines > 50
