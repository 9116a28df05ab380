"""What the tests of the core share: pools in virtual time, and short forms of events."""

import random
from collections.abc import Iterable

import trio

from recorder.simulator.database import Database
from recorder.simulator.events import EventHub, EventRow
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool

START_S = 1_700_000_000.0


def now_s() -> float:
    """The virtual clock of trio as a time of day; it stands still outside of trio."""
    return START_S


def virtual_s() -> float:
    """Time that passes with trio's virtual clock."""
    return START_S + trio.current_time()


def a_database(*, queue_bytes_max: int = 10_000_000) -> Database:
    """An empty database whose clock stands still."""
    hub = EventHub(now_s=now_s, queue_bytes_max=queue_bytes_max)
    return Database(now_s=now_s, rng=random.Random(7), hub=hub)


def a_pool(spec: PoolSpec | None = None) -> SimulatedPool:
    """A pool in virtual time (0 at the beginning of the test)."""
    begun = trio.current_time()
    return SimulatedPool.build(
        spec or PoolSpec(), now_s=lambda: START_S + trio.current_time() - begun
    )


def vm_named(pool: SimulatedPool, name: str) -> str:
    """The reference of a VM."""
    (vm,) = pool.database.find("VM", "name_label", name)
    return vm


def power_state(pool: SimulatedPool, vm: str) -> str:
    """The power state of a VM."""
    return str(pool.database.record("VM", vm)["power_state"])


def triples(events: Iterable[EventRow]) -> list[tuple[int, str, str]]:
    """Events as (id, class, operation)."""
    return [(event.id, event.cls, event.operation) for event in events]


class Storyteller:
    """Says what events tell, in the words of the lists that were taken from a real pool."""

    def __init__(self, pool: SimulatedPool) -> None:
        self._last = {
            ref: row.record
            for table in pool.hub.rows.tables.values()
            for ref, row in table.rows.items()
        }
        self._names: dict[str, str] = {}

    def tell(self, events: Iterable[EventRow]) -> list[str]:
        """Return a line an event: `vm power_state`, `task add VM.start`, `vbd del`."""
        return [self._line(event) for event in events]

    def _line(self, event: EventRow) -> str:
        assert event.record is not None
        before = self._last.get(event.ref, {})
        self._last[event.ref] = event.record
        if event.operation == "add" and event.cls in ("task", "message"):
            return f"{event.cls} add {event.record.get('name_label', event.record.get('name'))}"
        if event.operation != "mod":
            return f"{event.cls} {event.operation}"
        changed = [name for name, value in event.record.items() if before.get(name) != value]
        return " ".join([event.cls, *changed])
