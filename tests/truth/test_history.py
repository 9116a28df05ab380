"""Promise P3: the history says for every instant what was true, or that it does not know."""

import random
from pathlib import Path

import msgspec
import pytest

from query.load import loader
from recorder.model import Event, Stream
from tests.truth.inquiry import Remembering, differences, grown, questions
from tests.truth.oracle import check
from tests.truth.plan import NO_IDS, plan_of
from tests.truth.scene import Shape
from tests.truth.simulate import simulate
from tests.truth.troubles import KINDS

pytestmark = pytest.mark.seeds

CLOCKS = ("recorder-clock", "server-clock", "hidden")
STEADY = [kind for kind in KINDS if kind not in CLOCKS]
"""Troubles that leave all clocks right, and none of a server that lies about what it has."""

SHAPES = [
    Shape(per_minute=2.0),
    Shape(per_minute=3.0, latency_s=0.8),
    Shape(per_minute=4.0, pools=2),
    Shape(per_minute=30.0, hosts=3, latency_s=0.002),
]
SEEDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 200))]
LAST_STATES = [4, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(5, 100))]


@pytest.mark.parametrize("seed", SEEDS)
def test_history_is_right_at_every_instant(seed: int, tmp_path: Path) -> None:
    """Outside of gaps every object is as it was, and was there if it is; in gaps it says so."""
    outcome = simulate(plan_of(seed, kinds=STEADY, shape=SHAPES[seed % len(SHAPES)]))
    check(outcome)
    rng = random.Random(seed)
    with Remembering(grown(outcome, tmp_path, rng)) as history:
        for pool in outcome.truths:
            asked = questions(history, outcome, pool, rng)
            assert len(asked) > 200
            for ask in asked:
                ask()


@pytest.mark.parametrize("seed", LAST_STATES)
def test_history_of_last_states_is_right_at_every_instant(seed: int, tmp_path: Path) -> None:
    """What it says was so, is never older than the one before, and is not called certain."""
    kinds = [kind for kind in NO_IDS if kind in STEADY]
    latency_s = 0.8 if seed % 3 == 1 else 0.0
    shape = Shape(per_minute=6.0, latency_s=latency_s, stream=Stream.FROM)
    outcome = simulate(plan_of(seed, kinds=kinds, shape=shape))
    check(outcome)
    rng = random.Random(seed)
    with Remembering(grown(outcome, tmp_path, rng)) as history:
        for ask in questions(history, outcome, "pool-1", rng):
            ask()


AS_KNOWN = [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 40))]


@pytest.mark.parametrize("seed", AS_KNOWN)
def test_answer_as_known_is_that_of_a_history_which_ends_there(seed: int, tmp_path: Path) -> None:
    """What was recorded later has no part in it: neither states nor what a gap turned out to be."""
    outcome = simulate(plan_of(seed, kinds=STEADY, shape=Shape(per_minute=6.0)))
    rng = random.Random(seed)
    with Remembering(grown(outcome, tmp_path, rng)) as history:
        assert list(differences(history, outcome, tmp_path, rng)) == []


class LiveRow(msgspec.Struct, rename={"cls": "class"}):
    """One event as the history has it."""

    event_id: int
    cls: str
    operation: str
    ref: str
    snapshot: str | None


def test_history_has_the_same_versions_in_the_same_order(tmp_path: Path) -> None:
    """Every recorded event is one row, with the text that the server sent, in journal order."""
    outcome = simulate(plan_of(11, kinds=STEADY, shape=Shape(per_minute=15.0)))
    outcome.write_to(tmp_path)
    events = [
        (body.id, body.cls, str(body.operation), body.ref, body.snapshot)
        for body in (entry.body for entry in outcome.entries())
        if isinstance(body, Event)
    ]
    with loader.refresh(tmp_path).open() as history:
        sql = (
            "SELECT event_id, class, operation, ref, snapshot FROM events"
            " WHERE origin = 'live' ORDER BY seq"
        )
        rows = history.all(LiveRow, sql)
    assert len(events) > 100
    assert events == [
        (row.event_id, row.cls, row.operation, row.ref, (row.snapshot or "").encode())
        for row in rows
    ]
