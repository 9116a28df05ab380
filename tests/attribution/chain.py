"""From a day to a journal: events and lines as a recorder would have written them, without one.

Events come at once, lines when the next poll comes; a recorder in between would be the dear part.
"""

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path

from recorder.journal.store import Journal
from recorder.model import (
    AuditLine,
    BaselineChunk,
    BaselineRecord,
    Body,
    Draft,
    Event,
    Mark,
    MarkName,
    Operation,
    Stream,
)
from tests.attribution.day import Day
from tests.attribution.told import told

POOL = "lab"
LATENCY_S = 0.02
POLL_S = 2.0


def drafts_of(day: Day, *, poll_s: float = POLL_S) -> list[Draft]:
    """Return the entries of a journal: a baseline, then events and lines as they were received."""
    first = day.truth.changes[day.begun]
    opened = [(first.at_s, body) for body in _baseline(day)]
    following = heapq.merge(_events(day), _lines(day, poll_s), key=lambda pair: pair[0])
    return [Draft(int(at_s * 1e9), POOL, body) for at_s, body in (*opened, *following)]


def write_journal(day: Day, folder: Path, *, parts: int = 1) -> Sequence[int]:
    """Write the journal of a day; return how many entries there were after each part of it."""
    drafts = drafts_of(day)
    ends = [len(drafts) * number // parts for number in range(1, parts + 1)]
    begin = 0
    for end in ends:
        with Journal.open(folder, now_ns=lambda: drafts[-1].received_at_ns) as journal:
            journal.append(drafts[begin:end])
        begin = end
    return ends


def _baseline(day: Day) -> Iterator[Body]:
    state = day.truth.state_at(day.begun)
    (pool,) = (ref for cls, ref in state if cls == "pool")
    yield Mark(MarkName.CONNECTED, {"address": day.master, "pool_uuid": pool})
    yield Mark(MarkName.REGISTERED, {"stream": Stream.REGISTER.value, "next_event_id": 0})
    for cls in sorted({cls for cls, _ref in state}):
        records = {ref: text for (of, ref), text in state.items() if of == cls}
        yield BaselineChunk(cls, 0, 0, len(records))
        for ref, text in records.items():
            yield BaselineRecord(cls, ref, text)
    yield Mark(MarkName.BASELINE_DONE, {"classes": len({cls for cls, _ref in state})})


def _events(day: Day) -> Iterator[tuple[float, Body]]:
    for change in day.truth.changes[day.begun :]:
        assert change.event_id is not None
        at_s, operation = float(int(change.at_s)), Operation(change.operation)
        event = Event(change.event_id, at_s, change.cls, operation, change.ref, change.snapshot)
        yield change.at_s + LATENCY_S, event


def _lines(day: Day, poll_s: float) -> Iterator[tuple[float, Body]]:
    """Yield the lines of all hosts, in the order of each file, at the poll that finds them."""
    found = [
        (polled_s, AuditLine(address, line.encode(), imported=False))
        for address, lines in day.lines.items()
        for polled_s, line in _polled(lines, poll_s)
    ]
    yield from sorted(found, key=lambda pair: pair[0])


def _polled(lines: Sequence[str], poll_s: float) -> Iterator[tuple[float, str]]:
    latest_s = 0.0
    for line in lines:
        latest_s = max(latest_s, told(line).at_s)
        yield (latest_s // poll_s + 1) * poll_s + LATENCY_S, line
