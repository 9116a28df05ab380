"""Reads the journal of a pool beside the simulator's own record, one step of each at a time.

One thing is forgiven: that an answer is not known to be late. A recorder that died left only the
time at which it received its last answer, and the first answer of an epoch can be compared with no
other one. If a network held that back for longer than TRANSIT_MAX_NS, the gap begins too late.
"""

from dataclasses import dataclass

from query.load.fold import Fold
from query.load.known import Memory
from recorder.model import Entry, Event, GapCause, GapClosed, GapOpened, Mark, MarkName
from recorder.simulator.truth import Change
from recorder.xapi.subscription import TRANSIT_MAX_NS
from tests.truth.matching import Matcher
from tests.truth.simulate import Outcome
from tests.truth.verdict import claim
from tests.truth.world import BEGAN_NS

FLOAT_NS = 1000
"""The simulator's clock is a float of seconds since 1970, which is some 200 ns coarse."""

FOREVER = 1 << 63


@dataclass(slots=True)
class Blind:
    """A time of which the journal says that changes may be missing, by clock and by place."""

    since_ns: int
    until_ns: int
    opened_seq: int
    closed_seq: int
    cause: GapCause | None = None

    def covers(self, at_ns: int) -> bool:
        """Say whether something that happened then may have been missed."""
        return self.since_ns - FLOAT_NS <= at_ns <= self.until_ns + FLOAT_NS

    def lies_between(self, first_seq: int, last_seq: int) -> bool:
        """Say whether it is open anywhere between two entries."""
        return self.opened_seq < last_seq and first_seq < self.closed_seq


class Reader:
    """Compares one pool's entries with what happened there. Raises Broken."""

    def __init__(self, pool: str, outcome: Outcome) -> None:
        self._pool = pool
        self._matcher = Matcher(pool, outcome)
        self._changes = self._matcher.changes
        self._count = outcome.recorded[pool]
        self._clock_is_right = not outcome.chronicle.clock_steps
        self._state: dict[tuple[str, str], Change] = {}
        self._reached = 0
        self._held_back = self._is_first = False
        self._memory = Memory()
        self._fold = Fold(self._memory)

    def read(self, entries: list[Entry]) -> None:
        """Compare all entries of the pool, from the first one to a clean end."""
        blind = blindness(entries)
        last, last_seq, in_epoch, first_ns = -1, 0, False, 0
        for entry in entries:
            self._memory.last_seq = entry.seq - 1  # Those between are of other pools.
            self._fold.take(entry)
            match entry.body:
                case Event():
                    index = self._matcher.index_of(entry, after=last)
                    self._missed(range(last + 1, index), last_seq, entry.seq, blind)
                    last, last_seq, in_epoch = index, entry.seq, True
                    on_its_way_ns = entry.received_at_ns - self._matcher.at_ns(index)
                    self._held_back = on_its_way_ns > TRANSIT_MAX_NS
                    first_ns = first_ns or entry.received_at_ns
                    self._is_first = first_ns == entry.received_at_ns
                case Mark(MarkName.REGISTERED):
                    in_epoch, first_ns = False, 0
                case GapClosed() if in_epoch:
                    self._compare(last + 1, f"when entry {entry.seq} closes a gap")
        self._missed(range(last + 1, len(self._changes)), last_seq, FOREVER, blind)
        self._ends(entries, last, blind)

    def read_last_states(self, entries: list[Entry]) -> None:
        """Compare what entries of a stream of last states come to: versions may be left out."""
        for entry in entries:
            self._memory.last_seq = entry.seq - 1
            self._fold.take(entry)
        self._all_closed(blindness(entries))
        self._compare(self._count, "at the end")

    def _all_closed(self, blind: list[Blind]) -> None:
        unclosed = [span for span in blind[:-1] if span.closed_seq == FOREVER]
        claim(not unclosed, f"P4: gaps were over and are not closed: {unclosed}")

    def _missed(self, indices: range, first_seq: int, last_seq: int, blind: list[Blind]) -> None:
        """P4: what was not recorded lies in a declared gap."""
        for index in indices:
            change, at_ns = self._changes[index], self._matcher.at_ns(index)
            there = [span for span in blind if span.lies_between(first_seq, last_seq)]
            if self._clock_is_right:
                died = any(span.cause is GapCause.RECORDER_DIED for span in there)
                forgiven = bool(there) and self._held_back and (died or self._is_first)
                covered = forgiven or any(span.covers(at_ns) for span in blind)
            else:
                covered = bool(there)
            claim(covered, f"P4: no gap tells of {change} at {(at_ns - BEGAN_NS) / 1e9:.6f} s")

    def _compare(self, count: int, when: str) -> None:
        """P3: what is known now is the state after so many changes."""
        for change in self._changes[self._reached : count]:
            if change.operation == "del":
                self._state.pop((change.cls, change.ref), None)
            else:
                self._state[change.cls, change.ref] = change
        self._reached = count
        classes = self._memory.pools[self._pool].classes
        real = {
            (cls, ref): self._matcher.as_told(change)
            for (cls, ref), change in self._state.items()
            if cls in classes
        }
        known = {
            (one.cls, one.ref): one.snapshot
            for one in self._memory.of_pool(self._pool)
            if not one.gone and one.cls in classes
        }
        ghosts, misses = sorted(known.keys() - real.keys()), sorted(real.keys() - known.keys())
        claim(not ghosts, f"P3: {when}, these are known and not there: {ghosts}")
        claim(not misses, f"P3: {when}, these are there and not known: {misses}")
        wrong = [(key, known[key], real[key]) for key in real if known[key] != real[key]]
        claim(not wrong, f"P3: {when}, these are known wrongly: {wrong}")

    def _ends(self, entries: list[Entry], last: int, blind: list[Blind]) -> None:
        """The journal ends with a clean stop, after everything was known again."""
        opened = entries[-1].body if entries else None
        claim(isinstance(opened, GapOpened), f"P4: the stop is not told; the last is {opened}")
        self._all_closed(blind)
        missing = self._changes[last + 1 : self._count]
        claim(not missing, f"P3: not recorded to the end: {missing} are missing")
        self._compare(last + 1, "at the end")


def blindness(entries: list[Entry]) -> list[Blind]:
    """Return the declared gaps of one pool, and the time before the first registration."""
    opened: dict[int, Blind] = {}
    spans: list[Blind] = []
    for entry in entries:
        match entry.body:
            case GapOpened(cause, _, _, since_ns) if cause is not GapCause.AUDIT_TRAIL:
                assert since_ns is not None
                opened[entry.seq] = Blind(since_ns, FOREVER, entry.seq, FOREVER, cause)
                spans.append(opened[entry.seq])
            case GapClosed(opened_seq, until_ns):
                claim(opened_seq in opened, f"P4: entry {entry.seq} closes a gap that is not open")
                gap = opened.pop(opened_seq)
                gap.until_ns, gap.closed_seq = until_ns, entry.seq
            case Mark(MarkName.REGISTERED) if not spans:
                spans.append(Blind(0, entry.received_at_ns, 0, entry.seq))
    return spans
