"""How much memory the VMs of each host take, without looking at all VMs for every question.

It catches up with the rows by their generation: a question costs as much as has changed since.
"""

from .database import Database
from .values import NULL_REF, Record, int_of, text_of

_NOTHING: dict[str, int] = {}


class Occupancy:
    """Which VMs are on a host, or about to come to it, and what they take of its memory.

    `forget` it whenever rows are replaced other than by writes.
    """

    def __init__(self) -> None:
        self._seen = -1
        self._places: dict[str, tuple[str, ...]] = {}
        self._taken: dict[str, dict[str, int]] = {}

    def taken_bytes(self, database: Database, host: str) -> int:
        """Return the bytes that VMs take of a host, those included that are about to come."""
        self._catch_up(database)
        return sum(self._taken.get(host, _NOTHING).values())

    def vms(self, database: Database, host: str) -> list[str]:
        """Return the VMs that are on a host or about to come."""
        self._catch_up(database)
        return list(self._taken.get(host, _NOTHING))

    def forget(self) -> None:
        """Read everything anew at the next question."""
        self._seen = -1
        self._places.clear()
        self._taken.clear()

    def _catch_up(self, database: Database) -> None:
        rows = database.hub.rows
        if rows.generation <= self._seen:
            self.forget()
        for vm, row in rows.changed_since("VM", self._seen):
            self._place(vm, row.record)
        for gone in rows.deleted_since("VM", self._seen):
            self._remove(gone.ref)
        self._seen = rows.generation - 1

    def _place(self, vm: str, record: Record) -> None:
        self._remove(vm)
        hosts = {text_of(record, "resident_on"), text_of(record, "scheduled_to_be_resident_on")}
        if places := tuple(sorted(hosts - {NULL_REF, ""})):
            self._places[vm] = places
            for host in places:
                self._taken.setdefault(host, {})[vm] = needed_memory_bytes(record)

    def _remove(self, vm: str) -> None:
        for host in self._places.pop(vm, ()):
            del self._taken[host][vm]


def needed_memory_bytes(vm: Record) -> int:
    """Return what a VM takes from its host."""
    return int_of(vm, "memory_static_max") + int_of(vm, "memory_overhead")
