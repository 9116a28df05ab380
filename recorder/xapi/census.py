"""The census: do we know as many objects of each class as the server has?

Pure. It keeps the references of all objects that are there by the record of an epoch, and compares
their numbers with the `valid_ref_counts` of `event.from`, which the server counts in its database
(XAPI's xapi_event.ml). An object that we hold and the server does not is a ghost, one that it holds
and we do not is a miss; neither happens while the stream is what it promises to be.

Counts and events come by different ways. So the numbers that we had are kept from before a count is
asked for until all events up to it were received: if the server's is among them, it agrees.
"""

from collections.abc import Iterable, Mapping

import msgspec

from ..model import Event, Operation

NO_TABLES = frozenset({"message"})
"""Classes that are listed but are no tables of the database: they count as 0."""
DOUBTS_MAX = 2
"""A class whose reading finds nothing wrong so often is one that the server does not count."""


class Mismatch(msgspec.Struct, frozen=True):
    """A class of which the server has another number of objects than the record."""

    cls: str
    recorded: int
    counted: int

    def __str__(self) -> str:
        """Say it to people."""
        return f"{self.cls}: {self.recorded} recorded, {self.counted} counted by the server"


class Census:
    """The live objects of one epoch. Classes are in lower case."""

    def __init__(self) -> None:
        self._live: dict[str, set[str]] = {}
        self._early: dict[str, list[Event]] | None = {}
        """Births and deaths since the reading of a class was asked for, by class."""
        self._seen: dict[str, tuple[int, int]] = {}
        """The least and the greatest number since `begin`."""
        self._doubts: dict[str, int] = {}
        self._uncounted: set[str] = set()

    def take(self, events: Iterable[Event]) -> None:
        """Take events in their order."""
        for event in events:
            if event.operation is not Operation.MOD:
                self._take(event)

    def reading(self, cls: str) -> None:
        """A class is about to be read again: events from now on may be newer than that."""
        if self._early is None:
            self._early = {}
        self._early[cls] = []

    def read(self, cls: str, low: int, refs: Iterable[str]) -> None:
        """A class was read; events with an id from `low` on are as new or newer."""
        if cls not in NO_TABLES:
            self._live[cls] = self._up_to_date(cls, low, refs)
            self._note(cls)
        if self._early is not None:
            self._early.pop(cls, None)

    def all_read(self) -> None:
        """No class is being read any more."""
        self._early = None

    def differs(self, cls: str, low: int, refs: Iterable[str]) -> bool:
        """Tell whether a reading of a class holds other objects than the record says are there.

        Every event up to the reading must have been taken. The reading is not kept.
        """
        return self._up_to_date(cls, low, refs) != self._live[cls]

    def begin(self) -> None:
        """A count is about to be asked for."""
        self._seen = {cls: (len(live), len(live)) for cls, live in self._live.items()}

    def mismatches(self, counts: Mapping[str, int]) -> list[Mismatch]:
        """Return the classes of which we had at no time since `begin` as many as were counted.

        Every event up to the count must have been taken.
        """
        found = []
        for cls, (least, greatest) in self._seen.items():
            counted = counts.get(cls)
            if counted is None or cls in self._uncounted:
                continue
            if least <= counted <= greatest:
                self._doubts.pop(cls, None)
            else:
                found.append(Mismatch(cls, len(self._live[cls]), counted))
        return found

    def unfounded(self, cls: str) -> bool:
        """A mismatch was looked into and nothing was wrong; True if the class is given up."""
        self._doubts[cls] = self._doubts.get(cls, 0) + 1
        if self._doubts[cls] < DOUBTS_MAX:
            return False
        self._uncounted.add(cls)
        return True

    def _up_to_date(self, cls: str, low: int, refs: Iterable[str]) -> set[str]:
        """Return the objects of a reading, with what happened to them since."""
        live = set(refs)
        for event in (self._early or {}).get(cls, ()):
            if event.id >= low:
                _apply(live, event)
        return live

    def _take(self, event: Event) -> None:
        live = self._live.get(event.cls)
        if live is not None:
            _apply(live, event)
            self._note(event.cls)
        if self._early is not None and (live is None or event.cls in self._early):
            self._early.setdefault(event.cls, []).append(event)

    def _note(self, cls: str) -> None:
        number = len(self._live[cls])
        least, greatest = self._seen.get(cls, (number, number))
        self._seen[cls] = (min(least, number), max(greatest, number))


def _apply(live: set[str], event: Event) -> None:
    if event.operation is Operation.ADD:
        live.add(event.ref)
    elif event.operation is Operation.DEL:
        live.discard(event.ref)
