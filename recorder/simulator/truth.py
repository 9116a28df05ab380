"""What really happened in a pool: every change, whether or not anybody heard of it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `event_id` is None if no registered session was interested.

    `cls` is lower case; `snapshot` is the JSON text of the record after the change (for `del`:
    before it). A `mod` may repeat the state before it: heartbeats and `event.inject` do.
    """

    at_s: float
    event_id: int | None
    cls: str
    operation: str
    ref: str
    snapshot: bytes


State = Mapping[tuple[str, str], bytes]
"""Snapshots of all living objects by (lower-case class, reference)."""


class Truth:
    """All changes of one pool, oldest first; `changes` only ever grows."""

    def __init__(self, *, kept: bool = True) -> None:
        """Keep the changes, or none at all if `kept` is false (for pools that run for weeks)."""
        self.changes: list[Change] = []
        self.kept = kept

    def append(self, change: Change) -> None:
        """Write one change down."""
        if self.kept:
            self.changes.append(change)

    def state_at(self, index: int) -> State:
        """Return the state of the pool after the first `index` changes."""
        state: dict[tuple[str, str], bytes] = {}
        for change in self.changes[:index]:
            if change.operation == "del":
                state.pop((change.cls, change.ref), None)
            else:
                state[change.cls, change.ref] = change.snapshot
        return state

    def index_after(self, event_id: int) -> int:
        """Return how many changes had happened when this event had; ValueError if none has it.

        After a restart of xapi ids are used again: the latest one counts.
        """
        for index in range(len(self.changes), 0, -1):
            if self.changes[index - 1].event_id == event_id:
                return index
        raise ValueError(f"no change has the event id {event_id}")
