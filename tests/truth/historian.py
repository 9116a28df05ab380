"""Whether the history of a simulated pool is right at an instant: promise P3, asked of the answers.

Where it calls a state known, that is what the pool was like: every object, every field. Where it
cannot know, it says so; where nothing kept it from knowing, it knows. `timeline` says what can be
known at an instant; `campaign` asks at all of them.
"""

import bisect
from collections.abc import Mapping

import msgspec

from query.history.database import History
from query.load.known import Origin
from query.questions.certainty import Certainty
from query.questions.objects import Found
from query.questions.states import State, States, state_of, states_of_class
from recorder.instant import Instant, us_of
from recorder.model import BaselineRecord, Event
from recorder.xapi.subscription import TRANSIT_MAX_NS
from tests.truth.certain import Certain
from tests.truth.matching import Matcher
from tests.truth.oracle import AFTERMATH_S
from tests.truth.reader import FLOAT_NS
from tests.truth.simulate import Outcome
from tests.truth.timeline import Timeline, received_us
from tests.truth.verdict import claim
from tests.truth.world import BEGAN_NS

Records = Mapping[str, dict[str, object]]
"""What the objects of a class were like, by reference."""


HOLDS_UP = frozenset(
    {"slow", "stall", "drip", "cable", "silence", "slow-disk", "full-disk", "wrong-length"}
)
"""Troubles that delay what the recorder is told. What comes in the end was not missed, and the
history has it from when it came."""


class Versions:
    """What each class of a pool was like after any number of changes."""

    def __init__(self, matcher: Matcher) -> None:
        self._counts: dict[str, list[int]] = {}
        self._states: dict[str, list[dict[str, bytes]]] = {}
        self._decoded: dict[bytes, dict[str, object]] = {}
        for index, change in enumerate(matcher.changes):
            states = self._states.setdefault(change.cls, [{}])
            counts = self._counts.setdefault(change.cls, [0])
            state = dict(states[-1])
            if change.operation == "del":
                state.pop(change.ref, None)
            else:
                state[change.ref] = matcher.as_told(change)
            counts.append(index + 1)
            states.append(state)

    def of_class(self, cls: str, count: int) -> Records:
        """Return the objects that there were after `count` changes, without their secrets."""
        place = bisect.bisect_right(self._counts[cls], count) - 1
        return {ref: self._record(raw) for ref, raw in self._states[cls][place].items()}

    def counts_of(self, cls: str, newest: int) -> list[int]:
        """Return after which counts of changes, up to the newest, the class was another."""
        counts = self._counts.get(cls, [0])
        return counts[: bisect.bisect_right(counts, newest)]

    def _record(self, raw: bytes) -> dict[str, object]:
        if raw not in self._decoded:
            self._decoded[raw] = msgspec.json.decode(raw, type=dict[str, object])
        return self._decoded[raw]


class Historian:
    """Asks the history of one pool, which was followed by every write. Raises Broken."""

    def __init__(self, history: History, outcome: Outcome, pool: str, timeline: Timeline) -> None:
        self._history = history
        self._outcome = outcome
        self._pool = pool
        self._line = timeline
        self._certain = Certain(timeline)
        self._matcher = timeline.matcher
        self._versions = Versions(self._matcher)
        self._happened_ns = [self._matcher.at_ns(i) for i in range(len(self._matcher.changes))]

    def class_at_entry(self, cls: str, seq: int) -> None:
        """What is told of a class at a sequence number is the state after what came up to it."""
        answer = self._ask(cls, Instant(seq=seq))
        self._certain.at_entry(answer.verdicts[0], seq, f"{cls} @{seq}")
        self._is_right(answer, cls, self._line.entry_at(seq), f"{cls} @{seq}")

    def class_at_time(self, cls: str, at_us: int) -> None:
        """What is told of a class at a time is the same, and nothing was missed up to then."""
        when = f"{cls} at {_s(at_us * 1000):.6f} s"
        answer = self._ask(cls, Instant(at_us=at_us))
        number = self._line.entry_by(at_us)
        self._certain.at_time(answer.verdicts[0], at_us, when)
        if answer.verdicts[0].certainty is Certainty.KNOWN:
            self._is_only_late(number, at_us, when)
        self._is_right(answer, cls, number, when)

    def object_at_time(self, cls: str, ref: str, at_us: int) -> None:
        """What is told of one object is what the class says of it; also that it is not there."""
        when = f"{cls} {ref} at {_s(at_us * 1000):.6f} s"
        found = Found(self._pool, cls, ref, None, None, gone=False)
        state = state_of(self._history, found, Instant(at_us=at_us))
        number = self._line.entry_by(at_us)
        self._proves(state, self._line.entries[number].seq if number >= 0 else 0, when)
        self._finds_after(state, when)
        count = self._line.counts[number] if number >= 0 else None
        if state.certainty is not Certainty.KNOWN or count is None:
            return
        self._is_only_late(number, at_us, when)
        real = self._versions.of_class(cls, count).get(ref)
        told = state.fields if state.exists else None
        claim(told == real, f"P3: {when} is called known as {told} and was {real}")

    def _ask(self, cls: str, instant: Instant) -> States:
        return states_of_class(self._history, cls, instant, pool=self._pool)

    def _is_right(self, answer: States, cls: str, number: int, when: str) -> None:
        verdict = answer.verdicts[0]
        known = {one.ref: one for one in answer.states if one.certainty is Certainty.KNOWN}
        last_seq = self._line.entries[number].seq if number >= 0 else 0
        for state in answer.states:
            self._proves(state, last_seq, when)
        count = self._line.counts[number] if number >= 0 else None
        if count is None:
            return
        real = self._versions.of_class(cls, count)
        for ref, state in known.items():
            told, was = state.fields, real.get(ref)
            claim(told == was, f"P3: {when}, {ref} is called known as {told} and was {was}")
        if verdict.certainty is Certainty.KNOWN:
            whole = last_seq >= self._line.complete_seq and cls in self._line.readings
            claim(verdict.complete is whole, f"P3: {when}, all being told is {verdict.complete}")
        if verdict.certainty is Certainty.KNOWN and verdict.complete:
            missing = sorted(real.keys() - known.keys())
            claim(not missing, f"P3: {when} these were there and are not told: {missing}")

    def _proves(self, state: State, last_seq: int, when: str) -> None:
        """A state names the entry that told it, and says whether that was seen happen."""
        if state.seq is None:
            return
        entry = self._line.entries[self._line.entry_at(state.seq)]
        claim(state.seq <= last_seq, f"P3: {when}, {state.ref} is told by @{state.seq}, later")
        same = (entry.seq, received_us(entry)) == (state.seq, _us(state))
        claim(same, f"P3: {when}, {state.ref} is told by @{state.seq}, which is {entry}")
        match entry.body:
            case Event(_, _, _, _, ref):
                right = ref == state.ref and state.origin is Origin.LIVE
            case BaselineRecord(cls, ref):
                first = entry.seq - self._line.readings[cls] <= self._chunk_count(cls)
                allowed = {Origin.BASELINE, Origin.INFERRED} if first else {Origin.INFERRED}
                right = ref == state.ref and state.origin in allowed
            case _:
                right = not state.exists and state.origin is Origin.INFERRED
        claim(right, f"P3: {when}, {state.ref} is called {state.origin}, as {entry} tells it")

    def _chunk_count(self, cls: str) -> int:
        chunk = self._line.entries[self._line.entry_at(self._line.readings[cls])].body
        return getattr(chunk, "count", 0)

    def _is_only_late(self, number: int, at_us: int, when: str) -> None:
        """What happened before and had not come is on its way, and does come."""
        count = self._line.counts[number] if number >= 0 else None
        if count is None:
            return
        happened = bisect.bisect_right(self._happened_ns, at_us * 1000 - FLOAT_NS)
        for index in range(count, happened):
            entry = self._line.received.get(index)
            change = self._matcher.changes[index]
            claim(entry is not None, f"P3: {when} is called known, and {change} was missed")
            late_ns = at_us * 1000 - self._happened_ns[index]
            explained = late_ns <= TRANSIT_MAX_NS or is_held_up(
                self._outcome, at_us * 1000 - late_ns, at_us * 1000
            )
            claim(explained, f"P3: {when} is called known, {late_ns / 1e9} s after {change}")

    def _finds_after(self, state: State, when: str) -> None:
        """An object that is said to have come out of a gap as it went in has done so."""
        found = state.found_after
        if found is None or found.operation is not None or state.gap is None:
            return
        span = next(one for one in self._line.blind if one.opened_seq == state.gap)
        count = self._line.counts[self._line.entry_at(span.closed_seq)]
        if count is None:
            return
        real = self._versions.of_class(state.cls, count).get(state.ref)
        told = state.fields if state.exists else None
        claim(told == real, f"P3: {when} came out of the gap as {real}, not unchanged as {told}")


def is_held_up(outcome: Outcome, since_ns: int, at_ns: int) -> bool:
    """Say whether something holds answers up, which nobody can see before they come."""
    return any(
        trouble.kind in HOLDS_UP
        and trouble.began_s <= _s(at_ns)
        and (trouble.over_s is None or _s(since_ns) <= trouble.over_s + AFTERMATH_S)
        for trouble in outcome.chronicle.troubles
    )


def _s(at_ns: int) -> float:
    return (at_ns - BEGAN_NS) / 1e9


def _us(state: State) -> int:
    return 0 if state.told_at is None else us_of(state.told_at)
