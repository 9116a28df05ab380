"""What a listener heard, as lines: `vm mod [power_state]`; and where two hearings differ."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from recorder.simulator.datamodel import class_named

from .trees import Difference, Tree, differ, differences

_NAME = re.compile(
    r"(?:OpaqueRef:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\d{15,19}:\d{15,19}|[0-9a-f]{2}(?::[0-9a-f]{2}){5}"
)
"""What is random: references and uuids, generation ids, MAC addresses."""
_CHILDREN = frozenset({"VM.update_allowed_operations", "VM.atomic_set_resident_on"})
"""Tasks that belong to the operation under way."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One event: the operation during which it came, what it says, and the event itself."""

    during: str
    text: str
    cls: str
    event: Tree


def listing(events: Iterable[Tree], known: Mapping[str, Tree]) -> Iterator[Heard]:
    """Yield events as they are heard.

    What changed is said by the fields that differ from the snapshot before; `known` has the first
    ones by reference. The task of an operation begins it.
    """
    last = {ref: _members(record) for ref, record in known.items()}
    during = "before"
    for event in events:
        cls, operation, _ref = said(event)
        fields = _changes(event, last)
        snapshot = _members(_members(event)["snapshot"])
        label = str(snapshot["name_label"][1]) if cls == "task" else ""  # type: ignore[index]  # a leaf
        if cls == "task" and operation == "add" and label not in _CHILDREN:
            during = label
        whose = f" {label}" if label not in ("", during) else ""
        text = f"{cls} {operation}{whose} {fields}".replace("'", "")
        yield Heard(during, text, class_named(cls) or cls, event)


def compare(theirs: list[Heard], ours: list[Heard], names: dict[str, str]) -> Iterator[Difference]:
    """Yield events that only one of them heard, and what differs in those that both did.

    `names` has what their references are called here; those of new objects are added.
    """
    pairs: list[tuple[Heard, Heard]] = []
    for kind, low, high, our_low, our_high in _aligned(theirs, ours):
        if kind == "equal":
            pairs += zip(theirs[low:high], ours[our_low:our_high], strict=True)
            continue
        for item in theirs[low:high]:
            yield differ(f"{item.during}: {item.text} missing", "", "")
        for item in ours[our_low:our_high]:
            yield differ(f"{item.during}: {item.text} extra", "", "")
    for one, other in pairs:
        _learn(one.event, other.event, names)
    for one, other in pairs:
        renamed = _members(renamed_by(names, one.event))
        here = _members(other.event)
        yield from differences(renamed["ref"], here["ref"], "event.ref")
        yield from differences(renamed["snapshot"], here["snapshot"], one.cls)


def said(event: Tree) -> tuple[str, str, str]:
    """Return class, operation and reference of an event."""
    members = _members(event)
    cls, operation, ref = (members[name][1] for name in ("class", "operation", "ref"))  # type: ignore[index]  # leaves
    return str(cls), str(operation), str(ref)


def renamed_by(names: dict[str, str], tree: Tree) -> Tree:
    """Return a tree with our names in the place of theirs."""
    if isinstance(tree, dict):
        return {names.get(key, key): renamed_by(names, item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [renamed_by(names, item) for item in tree]
    return (tree[0], _NAME.sub(lambda found: names.get(found[0], found[0]), tree[1]))


def _aligned(theirs: list[Heard], ours: list[Heard]) -> Sequence[tuple[str, int, int, int, int]]:
    lines = [[(item.during, item.text) for item in heard] for heard in (theirs, ours)]
    return SequenceMatcher(None, lines[0], lines[1], autojunk=False).get_opcodes()


def _learn(theirs: Tree, ours: Tree, names: dict[str, str]) -> None:
    """Pair what is a name in the same place of two events that say the same."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in theirs.keys() & ours.keys():
            _learn(theirs[key], ours[key], names)
    elif isinstance(theirs, tuple) and isinstance(ours, tuple):
        new = theirs[1] not in names and ours[1] not in names.values()
        if new and _NAME.fullmatch(theirs[1]) and _NAME.fullmatch(ours[1]):
            names[theirs[1]] = ours[1]


def _changes(event: Tree, last: dict[str, dict[str, Tree]]) -> list[str]:
    _cls, operation, ref = said(event)
    snapshot = _members(_members(event)["snapshot"])
    before = last.get(ref)
    last[ref] = snapshot
    if before is None or operation == "del":
        return []
    common = [name for name in snapshot if name in before]
    return [name for name in common if _plain(snapshot[name]) != _plain(before[name])]


def _plain(tree: Tree) -> object:
    """Return a value without the marks of its encoding: the first snapshots came as JSON."""
    if isinstance(tree, dict):
        return {key: _plain(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_plain(item) for item in tree]
    kind, text = tree
    if kind in ("bool", "boolean"):
        return text in ("True", "1")
    return float(text) if kind in ("float", "double") else text


def _members(tree: Tree) -> dict[str, Tree]:
    assert isinstance(tree, dict)
    return tree
