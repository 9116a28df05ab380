"""Where each entry of a pool stands in what really happened there.

The clock of the history is receipt: what it tells of an entry is the state after the changes that
were received up to there. So an entry is placed by a count of changes, never by comparing clocks:
an event by the change that it is, a baseline by the ids of its bracket (all changes before `high`
are in the journal before the chunk, and what the chunk says is older than they or as old). What had
happened and was still on its way is all that a time says more than a count.
"""

import bisect
from dataclasses import dataclass, field

from recorder.model import (
    BaselineChunk,
    BaselineRecord,
    Entry,
    Event,
    GapCause,
    GapOpened,
    Mark,
    MarkName,
)
from tests.truth.matching import Matcher
from tests.truth.reader import FOREVER, Blind, blindness


@dataclass(slots=True)
class Timeline:
    """The entries of one pool, placed.

    `counts` has for each entry how many changes it stands after, None where no event of its epoch
    can tell. `received` has the entry of each change that was recorded, by the index of the change.
    `readings` are the first chunks by class. `certain_seqs` are the last entries, by the opening of
    a gap, at which nothing had been missed yet.
    """

    entries: list[Entry]
    matcher: Matcher
    counts: list[int | None] = field(default_factory=list)
    received: dict[int, Entry] = field(default_factory=dict)
    readings: dict[str, int] = field(default_factory=dict)
    blind: list[Blind] = field(default_factory=list)
    certain_seqs: dict[int, int] = field(default_factory=dict)
    classes: set[str] = field(default_factory=set)
    """Those of which an object was recorded."""
    registered_seq: int = 0
    complete_seq: int = FOREVER

    @classmethod
    def of(cls, entries: list[Entry], matcher: Matcher) -> "Timeline":
        """Read the entries of one pool, in order; `place` is for those of every write."""
        timeline = cls(entries, matcher)
        timeline.blind = [span for span in blindness(entries) if span.cause is not None]
        timeline._read()
        return timeline

    def entry_at(self, seq: int) -> int:
        """Return the number of the last entry of the pool up to `seq`; -1 if there is none."""
        return bisect.bisect_right(self.entries, seq, key=lambda entry: entry.seq) - 1

    def entry_by(self, at_us: int) -> int:
        """Return the number of the last entry that was received up to a time; -1 if none was."""
        return bisect.bisect_right(self.entries, at_us, key=received_us) - 1

    def received_us(self, seq: int) -> int:
        """Return when the last entry of the pool up to `seq` was received; 0 if there is none."""
        number = self.entry_at(seq)
        return received_us(self.entries[number]) if number >= 0 else 0

    def _read(self) -> None:
        certain = 0
        for entry in self.entries:
            if isinstance(entry.body, Event | BaselineRecord):
                self.classes.add(entry.body.cls)
            match entry.body:
                case Event():
                    certain = entry.seq
                case Mark(MarkName.REGISTERED):
                    certain = entry.seq
                    self.registered_seq = self.registered_seq or entry.seq
                case GapOpened(cause=cause) if cause is not GapCause.AUDIT_TRAIL:
                    self.certain_seqs[entry.seq] = certain
                case BaselineChunk(cls):
                    self.readings.setdefault(cls, entry.seq)
                case Mark(MarkName.BASELINE_DONE, detail) if "class" not in detail:
                    self.complete_seq = min(self.complete_seq, entry.seq)
                case _:
                    pass

    def place(self) -> None:
        """Find out which change each event is. Raises Broken for one that never happened."""
        last, in_epoch, high, waiting = -1, False, 0, dict[int, int]()
        for number, entry in enumerate(self.entries):
            match entry.body:
                case Event():
                    last = self.matcher.index_of(entry, after=last)
                    self.received[last] = entry
                    for placed, before_id in waiting.items():
                        self.counts[placed] = self._count_before(before_id, last)
                    in_epoch, waiting = True, {}
                case BaselineChunk():
                    high = max(high, entry.body.high)
                case Mark(MarkName.REGISTERED):
                    in_epoch, high, waiting = False, 0, {}
                case _:
                    pass
            self.counts.append(last + 1 if in_epoch else None)
            if not in_epoch and high:
                waiting[number] = high

    def _count_before(self, event_id: int, index: int) -> int:
        """Return how many changes there were before the one with an id, at `index` or earlier."""
        changes = self.matcher.changes
        while index:
            before, this = changes[index - 1].event_id, changes[index].event_id
            if before is None or this is None or not event_id <= before < this:
                break
            index -= 1
        return index


def received_us(entry: Entry) -> int:
    """Return when an entry was received, as the history tells it."""
    return entry.received_at_ns // 1000
