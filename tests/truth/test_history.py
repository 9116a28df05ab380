"""Promise P3: the history says for every instant what was true, or that it does not know."""

import bisect
import json
import random
from pathlib import Path

import msgspec
import pytest

from query import loader
from query.database import History
from query.states import Certainty, states_of_class
from recorder.instant import Instant
from recorder.model import Event, Stream
from recorder.simulator.truth import Truth
from tests.truth.oracle import entries_of, told
from tests.truth.test_truth import SEEDS, simulate
from tests.truth.world import BEGAN_NS

CLASSES = ("vm", "vm_metrics", "vm_guest_metrics", "host", "task", "vbd", "message", "pool")
INSTANTS = 25


class LiveRow(msgspec.Struct, rename={"cls": "class"}):
    """One event as the history has it."""

    event_id: int
    cls: str
    operation: str
    ref: str
    snapshot: str | None


def objects_at(truth: Truth, at_us: int, cls: str) -> dict[str, object]:
    """What the pool really held at an instant."""
    times = [change.at_s for change in truth.changes]
    state = truth.state_at(bisect.bisect_right(times, at_us / 1e6))
    return {ref: json.loads(told(of, raw)) for (of, ref), raw in state.items() if of == cls}


def check_instant(history: History, truth: Truth, at_us: int) -> int:
    """Where the history is certain it must be right; return how often it was certain."""
    certain = 0
    for cls in CLASSES:
        answer = states_of_class(history, cls, Instant(at_us=at_us))
        real = objects_at(truth, at_us, cls)
        known = {s.ref: s.fields for s in answer.states if s.certainty is Certainty.KNOWN}
        for ref, fields in known.items():
            assert fields == real[ref], (cls, ref, at_us)
        if [verdict.certainty for verdict in answer.verdicts] == [Certainty.KNOWN]:
            if answer.verdicts[0].complete:
                assert known.keys() == real.keys(), (cls, at_us)
            certain += 1
    return certain


@pytest.mark.parametrize("seed", SEEDS)
def test_history_is_right_wherever_it_is_certain(seed: int, tmp_path: Path) -> None:
    """At instants drawn at random, a state that is called known is the state that was."""
    truth = simulate(seed, tmp_path, times=4)
    rng = random.Random(seed)
    first_us = BEGAN_NS // 1000
    last_us = int(truth.changes[-1].at_s * 1e6)
    certain = 0
    with loader.refresh(tmp_path).open() as history:
        for _ in range(INSTANTS):
            certain += check_instant(history, truth, rng.randrange(first_us, last_us))
    assert certain > INSTANTS * len(CLASSES) / 4


def test_history_has_the_same_versions_in_the_same_order(tmp_path: Path) -> None:
    """Every recorded event is one row, with the text that the server sent, in journal order."""
    simulate(11, tmp_path, times=4)
    recorded = [
        (body.id, body.cls, str(body.operation), body.ref, body.snapshot)
        for body in (entry.body for entry in entries_of(tmp_path, "lab"))
        if isinstance(body, Event)
    ]
    with loader.refresh(tmp_path).open() as history:
        sql = (
            "SELECT event_id, class, operation, ref, snapshot FROM events"
            " WHERE origin = 'live' ORDER BY seq"
        )
        rows = history.all(LiveRow, sql)
    assert recorded == [
        (row.event_id, row.cls, row.operation, row.ref, (row.snapshot or "").encode())
        for row in rows
    ]


def test_history_of_last_states_ends_where_the_pool_was(tmp_path: Path) -> None:
    """A stream of last states skips versions, but not the last one."""
    truth = simulate(5, tmp_path, times=3, stream=Stream.FROM)
    events = [entry for entry in entries_of(tmp_path, "lab") if isinstance(entry.body, Event)]
    at_us = events[-1].received_at_ns // 1000 + 1
    with loader.refresh(tmp_path).open() as history:
        answer = states_of_class(history, "vm", Instant(at_us=at_us))
    real = objects_at(truth, at_us, "vm")
    assert {state.ref: state.fields for state in answer.states} == real
