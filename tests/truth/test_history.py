"""Promise P3: the history says for every instant what was true, or that it does not know."""

import bisect
import json
import random
from pathlib import Path

import msgspec
import pytest

from query import loader
from query.certainty import Certainty
from query.database import History
from query.states import states_of_class
from recorder.instant import Instant
from recorder.model import Event, Stream
from recorder.policy import Policy
from recorder.redact import Redactor
from recorder.simulator.truth import Truth
from tests.truth.oracle import check
from tests.truth.plan import plan_of
from tests.truth.scene import Shape
from tests.truth.simulate import Outcome, simulate
from tests.truth.troubles import KINDS
from tests.truth.world import BEGAN_NS

SEEDS = [*range(3), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 60))]

STEADY = [kind for kind in KINDS if kind not in ("recorder-clock", "server-clock", "hidden")]
"""Troubles that leave all clocks right: an instant is the same in the pool and in the history."""

CLASSES = ("vm", "vm_metrics", "vm_guest_metrics", "host", "task", "vbd", "message", "pool")
INSTANTS = 25


class LiveRow(msgspec.Struct, rename={"cls": "class"}):
    """One event as the history has it."""

    event_id: int
    cls: str
    operation: str
    ref: str
    snapshot: str | None


def objects_at(outcome: Outcome, truth: Truth, at_us: int, cls: str) -> dict[str, object]:
    """What the pool really held at an instant, but for its secrets."""
    redactor = Redactor(Policy.of(fields={}), outcome.redaction_key)
    times = [change.at_s for change in truth.changes]
    state = truth.state_at(bisect.bisect_right(times, at_us / 1e6))
    return {
        ref: json.loads(redactor.record(of, raw)) for (of, ref), raw in state.items() if of == cls
    }


def check_instant(history: History, outcome: Outcome, at_us: int) -> int:
    """Where the history is certain it must be right; return how often it was certain."""
    certain = 0
    truth = outcome.truths["pool-1"]
    for cls in CLASSES:
        answer = states_of_class(history, cls, Instant(at_us=at_us))
        real = objects_at(outcome, truth, at_us, cls)
        known = {s.ref: s.fields for s in answer.states if s.certainty is Certainty.KNOWN}
        for ref, fields in known.items():
            assert fields == real[ref], (cls, ref, at_us)
        if [verdict.certainty for verdict in answer.verdicts] == [Certainty.KNOWN]:
            if answer.verdicts[0].complete:
                assert known.keys() == real.keys(), (cls, at_us)
            certain += 1
    return certain


def recorded(seed: int, data: Path, *, stream: Stream = Stream.REGISTER) -> Outcome:
    """Return the outcome of a seed in one busy pool, whose journal is in `data`."""
    shape = Shape(per_minute=15.0, stream=stream)
    outcome = simulate(plan_of(seed, kinds=STEADY, shape=shape))
    outcome.write_to(data)
    return outcome


@pytest.mark.parametrize("seed", SEEDS)
def test_history_is_right_wherever_it_is_certain(seed: int, tmp_path: Path) -> None:
    """At instants drawn at random, a state that is called known is the state that was."""
    outcome = recorded(seed, tmp_path)
    check(outcome)
    rng = random.Random(seed)
    first_us = BEGAN_NS // 1000
    last_us = int(outcome.truths["pool-1"].changes[-1].at_s * 1e6)
    certain = 0
    with loader.refresh(tmp_path).open() as history:
        for _ in range(INSTANTS):
            certain += check_instant(history, outcome, rng.randrange(first_us, last_us))
    assert certain > INSTANTS * len(CLASSES) / 8


def test_history_has_the_same_versions_in_the_same_order(tmp_path: Path) -> None:
    """Every recorded event is one row, with the text that the server sent, in journal order."""
    outcome = recorded(11, tmp_path)
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


def test_history_of_last_states_ends_where_the_pool_was(tmp_path: Path) -> None:
    """A stream of last states skips versions, but not the last one."""
    outcome = recorded(5, tmp_path, stream=Stream.FROM)
    events = [entry for entry in outcome.entries() if isinstance(entry.body, Event)]
    at_us = events[-1].received_at_ns // 1000 + 1
    with loader.refresh(tmp_path).open() as history:
        answer = states_of_class(history, "vm", Instant(at_us=at_us))
    real = objects_at(outcome, outcome.truths["pool-1"], at_us, "vm")
    assert len(real) > 3
    assert {state.ref: state.fields for state in answer.states} == real
