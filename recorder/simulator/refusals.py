"""Why operations on one object are refused now: for each operation, the first objection counts."""

from collections.abc import Iterable

from .database import Database
from .values import Fault, map_of


class Refusals:
    """A verdict on each operation of an object; what nobody forbids is offered."""

    def __init__(self, operations: Iterable[str]) -> None:
        """`operations` are those of the class, in the order of `allowed_operations`."""
        self._faults: dict[str, Fault | None] = dict.fromkeys(operations)

    def forbid(self, fault: Fault, operations: Iterable[str]) -> None:
        """Object to some operations; what was said against them before stays."""
        for operation in operations:
            if self._faults[operation] is None:
                self._faults[operation] = fault

    def against(self, operation: str) -> Fault | None:
        """Return why an operation is not possible now, None if it is."""
        return self._faults.get(operation)

    def offered(self) -> list[str]:
        """Return what `allowed_operations` must show."""
        return [operation for operation, fault in self._faults.items() if fault is None]


def in_progress(cls: str, ref: str, operation: str, task: str) -> Fault:
    """Return OTHER_OPERATION_IN_PROGRESS [class, object, operation under way, its task]."""
    return Fault("OTHER_OPERATION_IN_PROGRESS", cls, ref, operation, task)


def current_operations(database: Database, cls: str, ref: str) -> list[tuple[str, str]]:
    """Return what is done to an object now, as (operation, task)."""
    current = map_of(database.record(cls, ref), "current_operations")
    return [(str(operation), task) for task, operation in current.items()]
