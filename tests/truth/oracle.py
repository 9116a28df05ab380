"""What a journal may and may not say, given the simulator's own record of what it did."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recorder.journal.scan import scan
from recorder.model import Entry, Event, GapClosed, GapOpened, Mark, MarkName
from recorder.policy import Policy
from recorder.redact import Redactor
from recorder.simulator.truth import Change, Truth
from tests.truth.world import REDACTION_KEY

FLOAT_NS = 1000
"""The simulator's clock is a float of seconds since 1970, which is some 200 ns coarse."""


@dataclass(frozen=True)
class Blind:
    """A declared time of blindness: something may have been missed in [since_ns, until_ns]."""

    since_ns: int
    until_ns: int

    def covers(self, at_ns: int) -> bool:
        """Say whether something that happened then may have been missed."""
        return self.since_ns - FLOAT_NS <= at_ns <= self.until_ns + FLOAT_NS


def entries_of(data: Path, pool: str) -> list[Entry]:
    return [entry for entry in scan(data / "journal") if entry.pool == pool]


def blindness(entries: list[Entry]) -> list[Blind]:
    """Return the declared gaps, and the time before the first registration."""
    opened = {entry.seq: entry for entry in entries if isinstance(entry.body, GapOpened)}
    spans = []
    for entry in entries:
        if isinstance(entry.body, GapClosed):
            gap = opened.pop(entry.body.opened_seq)
            spans.append(Blind(since(gap), entry.body.blind_until_ns))
    spans += [Blind(since(gap), 1 << 63) for gap in opened.values()]
    registered = [
        entry.received_at_ns
        for entry in entries
        if isinstance(entry.body, Mark) and entry.body.name is MarkName.REGISTERED
    ]
    return [Blind(0, registered[0]), *spans]


def since(gap: Entry) -> int:
    assert isinstance(gap.body, GapOpened)
    assert gap.body.complete_until_ns is not None
    return gap.body.complete_until_ns


REDACTOR = Redactor(Policy.of(fields={}), REDACTION_KEY)


def told(cls: str, snapshot: bytes) -> bytes:
    """Return what a journal is to hold of a record: all but its secrets."""
    return REDACTOR.record(cls, snapshot)


def recorded_events(entries: list[Entry]) -> list[Event]:
    return [entry.body for entry in entries if isinstance(entry.body, Event)]


def missed(truth: Truth, entries: list[Entry]) -> Iterator[Change]:
    """Yield the changes that the journal does not hold."""
    held = {event.id for event in recorded_events(entries)}
    return (change for change in truth.changes if change.event_id not in held)


def check_events(truth: Truth, entries: list[Entry]) -> int:
    """Every recorded event is a change that happened, its bytes but for secrets; none twice."""
    by_id = {change.event_id: change for change in truth.changes if change.event_id is not None}
    last = -1
    for event in recorded_events(entries):
        change = by_id[event.id]
        assert event.id > last
        assert (event.cls, str(event.operation), event.ref) == (
            change.cls,
            change.operation,
            change.ref,
        )
        assert event.snapshot == told(change.cls, change.snapshot)
        last = event.id
    return len(recorded_events(entries))


def check_gaps(truth: Truth, entries: list[Entry]) -> int:
    """Every change that is not recorded lies in a declared gap. Return how many there were."""
    blind = blindness(entries)
    count = 0
    for change in missed(truth, entries):
        at_ns = int(change.at_s * 1e9)
        assert any(span.covers(at_ns) for span in blind), change
        count += 1
    return count
