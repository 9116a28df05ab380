"""The whole recorder against simulated pools, in virtual time, through whatever may go wrong.

Each seed is another world: see `troubles` for what goes wrong and `oracle` for what must hold.
"""

import os
import subprocess
import sys

import pytest

from recorder.journal.names import segment_path
from recorder.model import GapCause, GapOpened, Stream
from tests.truth.campaign import failures
from tests.truth.machine import DATA
from tests.truth.matching import Matcher
from tests.truth.oracle import causes, check
from tests.truth.plan import plan_of
from tests.truth.simulate import digest_of, simulate
from tests.truth.troubles import KINDS
from tests.truth.verdict import Broken

pytestmark = pytest.mark.seeds

SEEDS, SEEDS_LONG = 500, 20_000
BATCH, BATCH_LONG = 25, 100


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_every_promise_is_kept(first: int) -> None:
    """Whatever a seed lets go wrong, all is recorded or declared missing, and nothing is lost."""
    failed = failures(range(first, first + BATCH))
    assert not failed, failed


@pytest.mark.soak
@pytest.mark.parametrize("first", range(SEEDS, SEEDS_LONG, BATCH_LONG))
def test_every_promise_is_kept_for_long(first: int) -> None:
    """The same for many more seeds."""
    failed = failures(range(first, first + BATCH_LONG))
    assert not failed, failed


LAST_STATES = [
    *range(0, 20, 10),
    *(pytest.param(first, marks=pytest.mark.soak) for first in range(20, 2000, 10)),
]


@pytest.mark.parametrize("first", LAST_STATES)
def test_every_promise_is_kept_with_last_states(first: int) -> None:
    """A stream that skips versions comes to the same end, and tells of its gaps as well."""
    failed = failures(range(first, first + 10), Stream.FROM)
    assert not failed, failed


def test_object_that_only_a_baseline_saw_explains_a_count_that_does_not_fit() -> None:
    """Born after the token and gone before the next answer: only the server's count tells of it."""
    outcome = simulate(plan_of(51179, stream=Stream.FROM))
    check(outcome)
    own = [entry for entry in outcome.entries() if entry.pool == "pool-1"]
    causes_told = {entry.body.cause for entry in own if isinstance(entry.body, GapOpened)}
    assert GapCause.CENSUS_MISMATCH in causes_told
    for truth in outcome.truths.values():
        truth.changes = [change for change in truth.changes if change.operation != "del"]
    with pytest.raises(Broken, match="a gap without a cause"):
        causes(outcome.chronicle, own, Matcher("pool-1", outcome))


def test_every_kind_of_trouble_happens() -> None:
    """No kind is so seldom that the seeds of the short form leave it out."""
    happening = [stroke.kind for seed in range(SEEDS) for stroke in plan_of(seed).strokes]
    assert min(map(happening.count, KINDS)) >= 5


def test_same_seed_is_the_same_journal_in_another_process() -> None:
    """What a seed has found can be found again, whatever order the hashes of texts give to sets."""
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-m", "tests.truth.simulate", "4"]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert digest_of(simulate(plan_of(4))) in told.stdout
    assert "all promises held" in told.stdout


def test_rotten_byte_is_found() -> None:
    """A byte that the disk has changed afterwards is not taken for what was recorded."""
    outcome = simulate(plan_of(1, kinds=["server-clock"], strokes_max=1))
    check(outcome)
    path = segment_path(DATA / "journal", 1)
    outcome.disk.elsewhere().rot(path, len(outcome.disk.content(path)) // 2)
    with pytest.raises(Broken, match="P2: verify finds"):
        check(outcome)
