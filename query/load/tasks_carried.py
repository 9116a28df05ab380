"""Which tasks an object carries: those that its current_operations name.

The server writes a task's reference there when the task has got its lock on the object, and takes
it away when the work on the object is done. That is the one exact bond between the two.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from ..records import FieldChange, Json, fields_of
from .known import Known

FIELD = "current_operations"
_FIELD_BYTES = b'"current_operations"'
_REF = "OpaqueRef:"


class Part(StrEnum):
    """Which part of the time that an object carries a task an entry told of."""

    BEGINS = "begins"
    DURING = "during"
    ENDS = "ends"


class Bond(NamedTuple):
    """An entry told of an object that carries a task; `operation` is what the task does to it."""

    task: str
    operation: str
    part: Part


def bonds_of(
    known: Known, changes: Sequence[FieldChange] | None, snapshot: bytes | None
) -> list[Bond]:
    """Return the tasks that an object carried before or after an entry; keep in mind those after.

    `known` is the object as the entry left it. `changes` is None where nothing was known to compare
    `snapshot` with. A task's own current_operations name who cancels it, and are no work on it.
    """
    if known.cls == "task" or (changes == () and not known.gone):
        return []
    before: Mapping[str, str]
    after: Mapping[str, str]
    changed = [change for change in changes or () if change.field == FIELD]
    if changed:
        before, after = _carried(changed[0].old), _carried(changed[0].new)
    elif known.gone or changes is not None:
        before = after = _carried_in(known.snapshot) if known.carries is None else known.carries
    else:
        before, after = {}, _carried_in(snapshot)
    known.carries = after = {} if known.gone else after
    if not before and not after:
        return []
    return [_bond(task, before, after) for task in {**before, **after}]


def _bond(task: str, before: Mapping[str, str], after: Mapping[str, str]) -> Bond:
    if task not in before:
        return Bond(task, after[task], Part.BEGINS)
    return Bond(task, before[task], Part.DURING if task in after else Part.ENDS)


def _carried_in(snapshot: bytes | None) -> dict[str, str]:
    if snapshot is None or _FIELD_BYTES not in snapshot:
        return {}
    raw = fields_of(snapshot).get(FIELD)
    return {} if raw is None else _carried(bytes(raw))


def _carried(text: str | bytes | None) -> dict[str, str]:
    """Return tasks and what they do; what is no map, or names no task, is left out."""
    value: Json = None if text is None else msgspec.json.decode(text)
    if not isinstance(value, dict):
        return {}
    return {task: str(operation) for task, operation in value.items() if task.startswith(_REF)}
