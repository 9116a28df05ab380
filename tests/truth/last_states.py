"""Whether the history of a stream of last states is right: what it says was so, and was the last.

An answer of `event.from` holds the last states of all that changed since the one before. There are
no ids that would tell which change a state is, so each class is looked for among its versions: it
must be one that had happened by then, none older than the one before, and the newest but for what
may have been on its way. Nothing of it is called certain, for states in between were never told.
"""

import bisect

from query.history.database import History
from query.questions.certainty import Certainty
from query.questions.states import States, states_of_class
from recorder.instant import Instant
from recorder.model import Event, Mark, MarkName, Stream
from recorder.xapi.subscription import TRANSIT_MAX_NS
from tests.truth.certain import Certain
from tests.truth.historian import Versions, is_held_up
from tests.truth.reader import FLOAT_NS
from tests.truth.simulate import Outcome
from tests.truth.timeline import Timeline
from tests.truth.verdict import claim


class LastStates:
    """Asks the history of one pool, which was followed by last states. Raises Broken."""

    def __init__(self, history: History, outcome: Outcome, pool: str, line: Timeline) -> None:
        self._history = history
        self._outcome = outcome
        self._pool = pool
        self._line = line
        self._certain = Certain(line)
        self._versions = Versions(line.matcher)
        self._happened_ns = [line.matcher.at_ns(i) for i in range(len(line.matcher.changes))]
        self._reached: dict[str, tuple[int, int]] = {}

    def class_at_entry(self, cls: str, seq: int) -> None:
        """What is told at a sequence number; within an answer only how certain it is."""
        answer = self._ask(cls, Instant(seq=seq))
        when = f"{cls} @{seq}"
        self._certain.at_entry(answer.verdicts[0], seq, when)
        self._is_right(answer, cls, self._line.entry_at(seq), when)

    def class_at_time(self, cls: str, at_us: int) -> None:
        """What is told at a time."""
        answer = self._ask(cls, Instant(at_us=at_us))
        when = f"{cls} at {at_us} us"
        self._certain.at_time(answer.verdicts[0], at_us, when)
        self._is_right(answer, cls, self._line.entry_by(at_us), when)

    def _ask(self, cls: str, instant: Instant) -> States:
        return states_of_class(self._history, cls, instant, pool=self._pool)

    def _is_right(self, answer: States, cls: str, number: int, when: str) -> None:
        verdict = answer.verdicts[0]
        if verdict.certainty is not Certainty.KNOWN:
            return
        called = verdict.is_certain or any(state.is_certain for state in answer.states)
        claim(verdict.stream == Stream.FROM and not called, f"P3: {when} is called certain")
        if not verdict.complete or self._is_within_an_answer(number):
            return
        told = {state.ref: state.fields for state in answer.states}
        received_ns = self._line.entries[number].received_at_ns
        newest = bisect.bisect_right(self._happened_ns, received_ns + FLOAT_NS)
        counts = self._versions.counts_of(cls, newest)
        found = [count for count in counts if self._versions.of_class(cls, count) == told]
        claim(bool(found), f"P3: {when} never was {told}")
        self._goes_on(cls, number, found, when)
        following = bisect.bisect_right(counts, found[-1])
        if following < len(counts):
            since_ns = self._happened_ns[counts[following] - 1]
            late = self._answered_ns(number) - since_ns > TRANSIT_MAX_NS
            held_up = is_held_up(self._outcome, since_ns, received_ns)
            claim(not late or held_up, f"P3: {when} is older than anything on its way: {told}")

    def _goes_on(self, cls: str, number: int, found: list[int], when: str) -> None:
        """A class never goes back to what it was at an earlier entry."""
        before_number, before = self._reached.get(cls, (-1, 0))
        if number >= before_number:
            claim(found[-1] >= before, f"P3: {when} went back to {found[-1]} from {before}")
            reached = next(count for count in found if count >= before)
            self._reached[cls] = number, reached

    def _answered_ns(self, number: int) -> int:
        """Return when the server was asked last for what an entry stands for, or a bit later.

        A baseline is as old as its begin until the first answer of its epoch.
        """
        for entry in self._line.entries[number::-1]:
            if isinstance(entry.body, Event):
                return self._line.entries[number].received_at_ns
            if isinstance(entry.body, Mark) and entry.body.name is MarkName.REGISTERED:
                return entry.received_at_ns
        return 0

    def _is_within_an_answer(self, number: int) -> bool:
        """Answers are taken in whole: half of one was never so."""
        entry, *following = self._line.entries[number : number + 2]
        return any(
            isinstance(one.body, Event) and one.received_at_ns == entry.received_at_ns
            for one in following
        )
