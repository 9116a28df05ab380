"""Which change of a pool each recorded event is.

Event ids start again with every restart of a toolstack. So an entry is matched with the first
change after the last match that is the same in every respect; what lies between two matches was
missed, and must lie in a gap.
"""

import bisect
from collections import defaultdict

from recorder.model import Entry, Event
from recorder.redaction.policy import Policy
from recorder.redaction.redact import Redactor
from recorder.simulator.truth import Change
from tests.truth.simulate import Outcome
from tests.truth.verdict import claim


class Matcher:
    """Knows all changes of one pool, and what a journal is to hold of each."""

    def __init__(self, pool: str, outcome: Outcome) -> None:
        self.changes = outcome.truths[pool].changes
        self._steps = outcome.chronicle.server_steps.get(pool, [])
        self._redactor = Redactor(Policy.of(fields={}), outcome.redaction_key)
        self._told: dict[tuple[str, bytes], bytes] = {}
        self._by_id: dict[int | None, list[int]] = defaultdict(list)
        for index, change in enumerate(self.changes):
            self._by_id[change.event_id].append(index)

    def index_of(self, entry: Entry, *, after: int) -> int:
        """Return which change an event is: an index beyond `after`. Raises Broken."""
        event = entry.body
        assert isinstance(event, Event)
        known = self._by_id[event.id]
        for index in known[bisect.bisect_right(known, after) :]:
            if self._is(event, self.changes[index]):
                return index
        told = [self.changes[index] for index in known]
        claim(False, f"P3: entry {entry.seq} never happened: {event}; with this id did {told}")
        raise AssertionError

    def _is(self, event: Event, change: Change) -> bool:
        return (
            event.cls == change.cls
            and event.ref == change.ref
            and event.operation == change.operation
            and event.server_at_s == int(change.at_s)
            and event.snapshot == self.as_told(change)
        )

    def as_told(self, change: Change) -> bytes:
        """Return what a journal is to hold of a record: all but its secrets."""
        key = change.cls, change.snapshot
        if key not in self._told:
            self._told[key] = self._redactor.record(*key)
        return self._told[key]

    def at_ns(self, index: int) -> int:
        """Return when a change really happened, whatever the clock of the pool said."""
        wrong_s = sum(by_s for count, by_s in self._steps if count <= index)
        return int((self.changes[index].at_s - wrong_s) * 1e9)
