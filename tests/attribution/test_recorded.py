"""Who did what is told right of what a recorder has recorded, whatever went wrong meanwhile."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from query.history.database import open_for_reading
from query.load.known import Memory
from query.load.loading import load
from tests.attribution.chain import in_pieces
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
SOAK = [
    pytest.param(range(first, first + 10), marks=pytest.mark.soak) for first in range(0, 400, 10)
]


def claims_about(one: Recorded, path: Path, *, pieces: int, seed: int) -> list[Claim]:
    """Return what is said of a day that was recorded, and loaded in so many pieces."""
    memory = Memory()
    for piece in in_pieces(one.entries, random.Random(seed), pieces):
        load(path, piece, memory, loaded_at_us=0)
    with open_for_reading(path) as history:
        return claims_of(history, one.changes)


@pytest.mark.parametrize("seeds", [SEEDS, *SOAK])
def test_what_is_exact_is_right_of_what_was_recorded(seeds: Sequence[int], tmp_path: Path) -> None:
    """Through restarts and power cuts of the recorder, failovers, and files that turn over."""
    judge({seed: recorded(Plan.of(seed, CALLS)) for seed in seeds}, tmp_path)


@pytest.mark.parametrize("seeds", [SEEDS_OF_LOSSES, *SOAK])
def test_what_is_exact_is_right_where_lines_are_lost(seeds: Sequence[int], tmp_path: Path) -> None:
    """Who lies under such cover does not become sure to have done it, and nobody else does."""
    days = {seed: recorded(Plan.of(seed, CALLS), kinds=LOSSES, strokes_max=14) for seed in seeds}
    judge(days, tmp_path)


def judge(days: Mapping[int, Recorded], folder: Path) -> None:
    """Hold what is said of days, each loaded in a few pieces, against what really happened.

    What is likely is right nearly always, not on every day: who is at work under the task of
    another, as long as that has not ended, is taken for him.
    """
    wrong, told = list[str](), 0
    for seed, one in days.items():
        claims = claims_about(one, folder / f"{seed}.duckdb", pieces=1 + seed % 4, seed=seed)
        likely = [claim for claim in claims if claim.confidence == "likely"]
        told += len(likely)
        wrong += Judge(one.day).wrong(likely)
        kinds = [stroke.kind for stroke in one.strokes]
        assert wrong_beyond_doubt(one, claims) == [], (seed, kinds)
        assert one.lines > 50
        assert len(likely) > CALLS
    assert len(wrong) <= told / 100, wrong


def wrong_beyond_doubt(one: Recorded, claims: Sequence[Claim]) -> list[str]:
    """Return what must not be said of a day: exact and wrong, exact of a forged task, or of hosts
    what users did.
    """
    forged = {doing.task for doing in one.day.truth.doings if DEBUG in doing.headers}
    exact = [claim for claim in claims if claim.confidence == "exact"]
    of_hosts = [claim for claim in claims if claim.own_task and claim.confidence == "likely"]
    assert len(exact) > 5
    found = Judge(one.day).wrong([*exact, *of_hosts])
    return [*found, *(f"{claim.about} was forged" for claim in exact if claim.about in forged)]
