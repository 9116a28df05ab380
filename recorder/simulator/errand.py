"""One call under way: whose it is, what it asks for, and the task that stands for it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .audit import Stamp
from .calls import Sent

_REAL = "OpaqueRef:"


class Errand(msgspec.Struct, frozen=True):
    """A call that has been decoded and whose session is known.

    `call` is the dotted name without a prefix, as permissions and audit lines have it. `given` are
    the arguments by name, as they were sent; those of a constructor field by field. `task` refers
    to a row, or is a dummy that names itself; it is `forwarded` if the caller brought it and will
    end it. `stamp` is how lines of this call begin.
    """

    session: str
    call: str
    given: Mapping[str, Sent]
    task: str
    stamp: Stamp
    forwarded: bool = False


def dummy(uuid: str, label: str) -> str:
    """Return the reference of a task without a row."""
    return f"DummyRef:|{uuid}|{label}"


def is_real(task: str) -> bool:
    """Say whether a reference is not that of a dummy."""
    return task.startswith(_REAL)


def dummy_label(task: str) -> str:
    """Return the name that a dummy carries; nothing if it carries none."""
    return task.split("|", 2)[-1] if task.count("|") >= 2 else ""


def mark(task: str) -> str:
    """Return how logs name a task: `R:` or `D:` and 12 digits of its uuid."""
    kind = "R" if is_real(task) else "D"
    uuid = task.removeprefix(_REAL) if is_real(task) else task.removeprefix("DummyRef:|")
    return f"{kind}:{uuid[:8]}{uuid[9:13]}"


def stamped(label: str, task: str) -> str:
    """Return a task with its name, as the header of a line has it."""
    return f"{label} {mark(task)}" if label else mark(task)
