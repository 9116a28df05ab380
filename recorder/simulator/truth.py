"""What really happened in a pool: every change, whether or not anybody heard of it, and by whom."""

import json
from collections.abc import Iterator, Mapping

import msgspec

from .doings import Doing


class Change(msgspec.Struct, frozen=True):
    """One change. `event_id` is None if no registered session was interested.

    `cls` is lower case; `snapshot` is the JSON text of the record after the change (for `del`:
    before it). A `mod` may repeat the state before it: heartbeats and `event.inject` do. `by`
    is the call that it is due to, None for what the pool does by itself.
    """

    at_s: float
    event_id: int | None
    cls: str
    operation: str
    ref: str
    snapshot: bytes
    by: Doing | None = None


class Write(msgspec.Struct, frozen=True):
    """One change with the fields that differ by it: all of them where the object came or went."""

    change: Change
    fields: frozenset[str]


State = Mapping[tuple[str, str], bytes]
"""Snapshots of all living objects by (lower-case class, reference)."""


class Truth:
    """All changes of one pool and all calls, oldest first; both lists only ever grow."""

    def __init__(self, *, kept: bool = True) -> None:
        """Keep the changes, or none at all if `kept` is false (for pools that run for weeks)."""
        self.changes: list[Change] = []
        self.doings: list[Doing] = []
        self.kept = kept

    def append(self, change: Change) -> None:
        """Write one change down."""
        if self.kept:
            self.changes.append(change)

    def writes(self) -> Iterator[Write]:
        """Yield all changes with their fields, but for those that change nothing."""
        known: dict[tuple[str, str], dict[str, object]] = {}
        for change in self.changes:
            after = json.loads(change.snapshot)
            before = {} if change.operation == "add" else known.get((change.cls, change.ref), {})
            known[change.cls, change.ref] = {} if change.operation == "del" else after
            if change.operation == "del":
                yield Write(change, frozenset(after))
            elif fields := {name for name, value in after.items() if before.get(name) != value}:
                yield Write(change, frozenset(fields))

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
