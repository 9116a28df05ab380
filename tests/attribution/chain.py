"""From a day to a journal: events and lines as a recorder would have written them, without one.

Events come at once, lines when the next poll comes; a recorder in between would be the dear part.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random

from recorder.journal.store import Journal
from recorder.model import (
    AuditLine,
    BaselineChunk,
    BaselineRecord,
    Body,
    Draft,
    Entry,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Mark,
    MarkName,
    Operation,
    Stream,
)
from recorder.simulator.truth import Change
from tests.attribution.day import Day
from tests.attribution.told import told

POOL = "lab"
LATENCY_S = 0.02
POLL_S = 2.0


@dataclass(slots=True)
class Written:
    """A journal to be; `changes` says by seq which change of the truth, by index, an event is."""

    drafts: list[Draft] = field(default_factory=list)
    changes: dict[int, int] = field(default_factory=dict)

    def add(self, at_s: float, body: Body) -> int:
        """Add an entry and return its seq."""
        self.drafts.append(Draft(int(at_s * 1e9), POOL, body))
        return len(self.drafts)


def written(day: Day, *, poll_s: float = POLL_S) -> Written:
    """Return the entries of a day: baselines, events and lines in the order of their receipt."""
    journal = Written()
    starts = {start: number for number, start in enumerate(day.epochs)}
    for at_s, item in heapq.merge(_heard(day), _polled(day, poll_s), key=lambda pair: pair[0]):
        if isinstance(item, AuditLine):
            journal.add(at_s, item)
            continue
        if item in starts:
            _begin_epoch(journal, day, item, at_s, is_first=starts[item] == 0)
        change = day.truth.changes[item]
        if change.event_id is not None:
            journal.changes[journal.add(at_s, _event(change))] = item
    return journal


def drafts_of(day: Day, *, poll_s: float = POLL_S) -> list[Draft]:
    """Return the entries of a day alone."""
    return written(day, poll_s=poll_s).drafts


def write_journal(day: Day, folder: Path) -> None:
    """Write the journal of a day at once."""
    list(write_parts(written(day), folder, parts=1))


def write_parts(journal: Written, folder: Path, *, parts: int) -> Iterator[int]:
    """Write a journal part by part; yield after each how many entries there are."""
    drafts, begin = journal.drafts, 0
    for number in range(1, parts + 1):
        end = len(drafts) * number // parts
        with Journal.open(folder, now_ns=lambda: drafts[-1].received_at_ns) as store:
            store.append(drafts[begin:end])
        yield end
        begin = end


def in_pieces(entries: Sequence[Entry], rng: Random, pieces: int) -> Iterator[Sequence[Entry]]:
    """Yield entries in so many pieces; what is read as one, a chunk of a baseline, stays in one."""
    begins = [
        index
        for index in range(1, len(entries))
        if not isinstance(entries[index].body, BaselineRecord)
    ]
    cuts = [0, *sorted(rng.sample(begins, pieces - 1)), len(entries)]
    for begin, end in pairwise(cuts):
        yield entries[begin:end]


def _event(change: Change) -> Event:
    assert change.event_id is not None
    return Event(
        change.event_id,
        float(int(change.at_s)),
        change.cls,
        Operation(change.operation),
        change.ref,
        change.snapshot,
    )


def _begin_epoch(journal: Written, day: Day, index: int, at_s: float, *, is_first: bool) -> None:
    """Register and read everything; a later epoch begins in a gap, in which nobody listened."""
    at_ns = int(at_s * 1e9)
    opened = 0
    if not is_first:
        cause = GapCause.CONNECTION_LOST
        opened = journal.add(at_s, GapOpened(cause, "xapi restarted", None, at_ns))
    state = day.truth.state_at(index)
    classes = sorted({cls for cls, _ref in state})
    (pool,) = (ref for cls, ref in state if cls == "pool")
    journal.add(at_s, Mark(MarkName.CONNECTED, {"address": "lab", "pool_uuid": pool}))
    registered: Mapping[str, str | int] = {"stream": Stream.REGISTER.value, "next_event_id": 0}
    journal.add(at_s, Mark(MarkName.REGISTERED, registered))
    for cls in classes:
        records = {ref: text for (of, ref), text in state.items() if of == cls}
        journal.add(at_s, BaselineChunk(cls, 0, 0, len(records)))
        for ref, text in records.items():
            journal.add(at_s, BaselineRecord(cls, ref, text))
    journal.add(at_s, Mark(MarkName.BASELINE_DONE, {"classes": len(classes)}))
    if not is_first:
        journal.add(at_s, GapClosed(opened, at_ns))


def _heard(day: Day) -> Iterator[tuple[float, int | AuditLine]]:
    """Yield all changes since somebody listens, by their indexes."""
    first = day.epochs[0]
    for index, change in enumerate(day.truth.changes[first:], first):
        yield change.at_s + LATENCY_S, index


def _polled(day: Day, poll_s: float) -> Sequence[tuple[float, int | AuditLine]]:
    """Return the lines of all hosts, in the order of each file, at the poll that finds them."""
    found: list[tuple[float, int | AuditLine]] = []
    for address, lines in day.lines.items():
        latest_s = 0.0
        for line in lines:
            latest_s = max(latest_s, told(line).at_s)
            polled_s = (latest_s // poll_s + 1) * poll_s + LATENCY_S
            found.append((polled_s, AuditLine(address, line.encode(), imported=False)))
    return sorted(found, key=lambda pair: pair[0])
