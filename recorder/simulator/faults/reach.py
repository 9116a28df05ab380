"""What a `match` can cover at all: a rule that covers nothing would wait for ever, unnoticed."""

import difflib
from collections.abc import Sequence
from functools import cache

from ..catalogue import signatures
from ..datamodel import classes
from .rule import CONNECT, class_of, covers

_OPERATIONS = ("add", "mod", "del")
_SYSTEM = ("system.listMethods", "system.isAlive:")
"""What no class has. Anything may follow the colon, which a glob of the first word covers."""


def complaint(match: str, *, is_event: bool) -> str:
    """Say why a pattern covers no method (or no event), and what is near; "" if it covers one."""
    names = _events() if is_event else _methods()
    if any(covers(match, name) for name in names):
        return ""
    if "." in match:
        near, kind = names, "event such as VM.mod" if is_event else "method"
    else:
        near, kind = tuple(dict.fromkeys(map(class_of, names))), "class"
    return f"match: {match!r} covers no {kind}{_hint(match, near)}"


@cache
def _methods() -> tuple[str, ...]:
    known = signatures().values()
    background = [method.name for method in known if method.has_async]
    return (
        *(method.name for method in known),
        *(f"{prefix}{name}" for prefix in ("Async.", "InternalAsync.") for name in background),
        *_SYSTEM,
        CONNECT,
    )


@cache
def _events() -> tuple[str, ...]:
    return tuple(f"{cls}.{operation}" for cls in classes() for operation in _OPERATIONS)


def _hint(match: str, names: Sequence[str]) -> str:
    folded = {name.lower(): name for name in names}
    near = difflib.get_close_matches(match.lower(), folded, n=1)
    return f"; did you mean {folded[near[0]]}?" if near else ""
