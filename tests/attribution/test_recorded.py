"""Who did what is told right of what a recorder has recorded, whatever went wrong meanwhile."""

import random
from collections.abc import Sequence
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
LOSSES = ("stop", "rotation", "rotation", "cut", "cut", "kill")
"""What loses lines, or ends of them."""
SEEDS = (3, 5, 22)
SEEDS_OF_LOSSES = (30, 42)
"""Days on which calls lent the tasks of others, and on which the line of a rival is missing."""
SOAK = 400


def claims_about(one: Recorded, path: Path, *, pieces: int, seed: int) -> list[Claim]:
    """Return what is said of a day that was recorded, and loaded in so many pieces."""
    cuts = sorted(random.Random(seed).sample(range(1, len(one.entries)), pieces - 1))
    memory = Memory()
    for begin, end in zip([0, *cuts], [*cuts, len(one.entries)], strict=True):
        load(path, one.entries[begin:end], memory, loaded_at_us=0)
    with open_for_reading(path) as history:
        return claims_of(history, one.changes)


def seeds(some: Sequence[int]) -> list[object]:
    """Return the seeds of the short form, and of the long one."""
    long = (seed for seed in range(SOAK) if seed not in some)
    return [*some, *(pytest.param(seed, marks=pytest.mark.soak) for seed in long)]


@pytest.mark.parametrize("seed", seeds(SEEDS))
def test_what_is_exact_is_right_of_what_was_recorded(seed: int, tmp_path: Path) -> None:
    """Through restarts and power cuts of the recorder, failovers, and files that turn over."""
    judge(recorded(Plan.of(seed, CALLS)), seed, tmp_path)


@pytest.mark.parametrize("seed", seeds(SEEDS_OF_LOSSES))
def test_what_is_exact_is_right_where_lines_are_lost(seed: int, tmp_path: Path) -> None:
    """Who lies under such cover does not become sure to have done it, and nobody else does."""
    judge(recorded(Plan.of(seed, CALLS), kinds=LOSSES, strokes_max=14), seed, tmp_path)


def judge(one: Recorded, seed: int, folder: Path) -> None:
    """Hold what is said of a day, loaded in a few pieces, against what really happened."""
    claims = claims_about(one, folder / "history.duckdb", pieces=1 + seed % 4, seed=seed)
    judge = Judge(one.day)
    exact = [claim for claim in claims if claim.confidence == "exact"]
    likely = [claim for claim in claims if claim.confidence == "likely"]
    kinds = [stroke.kind for stroke in one.strokes]
    assert judge.wrong(exact) == [], kinds
    assert judge.share_right(likely, "likely") >= 0.99, (kinds, judge.wrong(likely))
    assert judge.wrong(claim for claim in likely if claim.own_task) == [], kinds
    forged = {doing.task for doing in one.day.truth.doings if DEBUG in doing.headers}
    assert not forged & {claim.about for claim in exact}
    assert one.lines > 50
    assert len(exact) > 5
    assert len(likely) > CALLS
