"""Asks a history at every instant: between any two things that happened, and at every seam.

Nothing changes between two things that happen, so one instant stands for all between them. Asked is
at the sequence number of each change, for its whole class; at a random time while its object was
so, for the object; where a change was missed, at its own time; and at each mark, gap and chunk, by
number and by time, just before and just after.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from query.history.database import History, Params, open_for_reading
from query.history.turns import to_load
from query.load import loading
from query.load.known import Memory
from query.load.store import position, recall_pools
from query.questions.objects import find
from query.questions.states import state_of, states_of_class
from recorder.instant import Instant
from recorder.model import (
    BaselineRecord,
    Entry,
    Event,
    GapClosed,
    GapOpened,
    Heartbeat,
    Mark,
    Stream,
)
from tests.truth.historian import Historian
from tests.truth.last_states import LastStates
from tests.truth.matching import Matcher
from tests.truth.simulate import Outcome
from tests.truth.timeline import Timeline, received_us

if TYPE_CHECKING:
    import pyarrow as pa

Question = Callable[[], None]
"""Asks once, and raises Broken for a wrong answer."""

ENTRIES_COMPARED = 6

SEAM_CLASSES = 2
"""So many classes are asked for at each seam, drawn anew each time."""


class Remembering(History):
    """A history that works out the same question only once: nobody adds to it meanwhile."""

    def __init__(self, path: Path) -> None:
        super().__init__(open_for_reading(path).connection)
        self._answers: dict[object, pa.Table] = {}

    def table(self, sql: str, params: Params | None = None) -> "pa.Table":
        key = sql, tuple(sorted((params or {}).items()))
        if key not in self._answers:
            self._answers[key] = super().table(sql, params)
        return self._answers[key]


def load_in_pieces(entries: Sequence[Entry], path: Path, *, cuts: Sequence[int] = ()) -> None:
    """Load a journal as one that grew: each time up to one of `cuts`, in a loader of its own."""
    for end in [*sorted(cuts), len(entries)]:
        memory, last_seq = Memory(), 0
        if path.exists():
            with to_load(path) as history:
                where = position(history)
                recall_pools(history, memory)
            last_seq = memory.last_seq = where.last_seq if where else 0
        piece = [entry for entry in entries[:end] if entry.seq > last_seq]
        loading.load(path, piece, memory, loaded_at_us=0)


def grown(outcome: Outcome, folder: Path, rng: random.Random) -> Path:
    """Load the journal of a simulation as one that grew; return the file of the history."""
    entries = outcome.entries()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "history.duckdb"
    load_in_pieces(entries, path, cuts=[rng.randrange(len(entries)) for _ in range(2)])
    return path


def questions(
    history: History, outcome: Outcome, pool: str, rng: random.Random
) -> Sequence[Question]:
    """Return all that is asked of the history of one pool, in no order."""
    entries = [entry for entry in outcome.entries() if entry.pool == pool]
    line = Timeline.of(entries, Matcher(pool, outcome))
    if outcome.plan.shape.stream is Stream.FROM:
        last_states = LastStates(history, outcome, pool, line)
        asked = [*_of_answers(last_states, line, rng), *_of_seams(last_states, line, rng)]
    else:
        line.place()
        historian = Historian(history, outcome, pool, line)
        asked = [*_of_changes(historian, line, rng), *_of_seams(historian, line, rng)]
    rng.shuffle(asked)
    return asked


def _of_changes(historian: Historian, line: Timeline, rng: random.Random) -> Iterator[Question]:
    ends = _ends(line)
    for index, change in enumerate(line.matcher.changes):
        if change.cls not in line.classes:
            continue
        entry = line.received.get(index)
        if entry is None:
            at_us = line.matcher.at_ns(index) // 1000 + 1
            yield partial(historian.class_at_time, change.cls, at_us)
            continue
        begin_us = received_us(entry)
        at_us = rng.randint(begin_us, max(ends[index] - 1, begin_us))
        yield partial(historian.class_at_entry, change.cls, entry.seq)
        yield partial(historian.object_at_time, change.cls, change.ref, at_us)


def _ends(line: Timeline) -> dict[int, int]:
    """Return until when the object of each recorded change was told to be so."""
    ends: dict[int, int] = {}
    following: dict[tuple[str, str], int] = {}
    last_us = received_us(line.entries[-1])
    for index in sorted(line.received, reverse=True):
        change = line.matcher.changes[index]
        ends[index] = following.get((change.cls, change.ref), last_us)
        following[change.cls, change.ref] = received_us(line.received[index])
    return ends


def _of_seams(
    historian: Historian | LastStates, line: Timeline, rng: random.Random
) -> Iterator[Question]:
    """Return what is asked at marks, gaps and chunks, before and after."""
    classes = sorted(line.classes)
    seams = [
        entry
        for entry in line.entries
        if not isinstance(entry.body, Event | BaselineRecord | Heartbeat)
    ]
    times = {received_us(entry) for entry in seams} | {one.since_ns // 1000 for one in line.blind}
    for entry in seams:
        for cls in rng.sample(classes, SEAM_CLASSES):
            yield partial(historian.class_at_entry, cls, entry.seq)
    for at_us in sorted(times):
        for cls in rng.sample(classes, SEAM_CLASSES):
            yield partial(historian.class_at_time, cls, at_us - 1)
            yield partial(historian.class_at_time, cls, at_us)


def _of_answers(historian: LastStates, line: Timeline, rng: random.Random) -> Iterator[Question]:
    """Return what is asked after each answer of a stream of last states, for a class in it."""
    for entry, following in zip(line.entries, [*line.entries[1:], None], strict=True):
        if not isinstance(entry.body, Event):
            continue
        ends = following is None or received_us(following) > received_us(entry)
        until_us = received_us(entry if following is None else following) - 1
        if ends:
            at_us = rng.randint(received_us(entry), max(until_us, received_us(entry)))
            yield partial(historian.class_at_entry, entry.body.cls, entry.seq)
            yield partial(historian.class_at_time, rng.choice(sorted(line.classes)), at_us)


def differences(
    whole: History, outcome: Outcome, folder: Path, rng: random.Random
) -> Iterator[str]:
    """Yield which answers as known at an entry are not those of a history that ends with it."""
    entries = outcome.entries()
    for known_seq in _ends_in(entries, rng):
        path = folder / f"{outcome.plan.seed}-up-to-{known_seq}.duckdb"
        load_in_pieces(entries[:known_seq], path)
        with Remembering(path) as part:
            yield from _compare(whole, part, entries[:known_seq], rng)


def _ends_in(entries: Sequence[Entry], rng: random.Random) -> list[int]:
    """Return after which entries a journal might have ended, but for the middle of a chunk."""
    seams = [entry.seq for entry in entries if isinstance(entry.body, Mark | GapOpened | GapClosed)]
    events = [entry.seq for entry in entries if isinstance(entry.body, Event)]
    return [*rng.sample(seams, 4), *rng.sample(events, 2)]


def _compare(
    whole: History, part: History, entries: Sequence[Entry], rng: random.Random
) -> Iterator[str]:
    """Ask both for what was known when the part ended."""
    known = Instant(seq=entries[-1].seq)
    told = [entry for entry in entries if isinstance(entry.body, Event | BaselineRecord)]
    for entry in rng.sample(told, min(len(told), ENTRIES_COMPARED)):
        assert isinstance(entry.body, Event | BaselineRecord)
        cls, pool = entry.body.cls, entry.pool
        found = find(part, entry.body.ref, pool=pool, cls=cls)
        at_us = received_us(entry) + rng.choice([-1, 0, rng.randrange(60_000_000)])
        for instant in (Instant(seq=entry.seq), Instant(at_us=at_us)):
            of_class = states_of_class(whole, cls, instant, pool=pool, known=known)
            if of_class != states_of_class(part, cls, instant, pool=pool):
                yield f"{cls} at {instant} as known at {known}: {of_class}"
            of_object = state_of(whole, found, instant, known=known)
            if of_object != state_of(part, found, instant):
                yield f"{found} at {instant} as known at {known}: {of_object}"
