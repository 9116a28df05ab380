"""Replies as trees that keep every type and order of the wire, and what differs between two."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

Leaf = tuple[str, str]
"""A type as it is marked on the wire, and its text."""
Tree = Leaf | dict[str, "Tree"] | list["Tree"]

_SHOWN_MAX = 300


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two replies differ: `VM.name_label`, `event.id`, `pool.ha_enabled extra`."""

    path: str
    theirs: str
    ours: str


def tree_of(body: bytes) -> Tree:
    """Return the body of a reply; one that is neither JSON nor XML-RPC is a leaf."""
    if body.startswith(b"{"):
        return _of_json(json.loads(body, object_pairs_hook=_Pairs, parse_float=_Float))
    if body.startswith(b"<?xml"):
        value = ElementTree.fromstring(body).find("./params/param/value")  # noqa: S314 - golden
        assert value is not None
        return _of_xml(value)
    return ("text", body.decode())


def differ(path: str, theirs: object, ours: object) -> Difference:
    """Return a difference with what is there and here, cut to what can be read."""
    return Difference(path, str(theirs)[:_SHOWN_MAX], str(ours)[:_SHOWN_MAX])


def differences(theirs: Tree, ours: Tree, path: str) -> Iterator[Difference]:
    """Yield where two trees differ, as close to the leaves as can be said."""
    if theirs == ours and not isinstance(theirs, dict):
        return
    if isinstance(theirs, dict) and isinstance(ours, dict):
        yield from of_members(theirs, ours, path)
    elif isinstance(theirs, list) and isinstance(ours, list):
        yield from _of_items(theirs, ours, path)
    else:
        yield differ(path, theirs, ours)


def of_members(theirs: dict[str, Tree], ours: dict[str, Tree], path: str) -> Iterator[Difference]:
    """Yield where two structs differ: members, their order, their values."""
    for name in theirs.keys() - ours.keys():
        yield differ(f"{path}.{name} missing", theirs[name], "")
    for name in ours.keys() - theirs.keys():
        yield differ(f"{path}.{name} extra", "", ours[name])
    common = [name for name in theirs if name in ours]
    common_here = [name for name in ours if name in theirs]
    if common != common_here:
        yield differ(f"{path} order", common, common_here)
    for name in common:
        yield from differences(theirs[name], ours[name], f"{path}.{name}")


class _Pairs(list[tuple[str, object]]):
    pass


class _Float(str):
    __slots__ = ()


def _of_json(value: object) -> Tree:
    if isinstance(value, _Pairs):
        return {name: _of_json(item) for name, item in value}
    if isinstance(value, list):
        return [_of_json(item) for item in value]
    return ("float" if isinstance(value, _Float) else type(value).__name__, str(value))


def _of_xml(value: ElementTree.Element) -> Tree:
    if len(value) == 0:
        return ("value", value.text or "")
    kind = value[0]
    if kind.tag == "struct":
        return dict(map(_member, kind))
    if kind.tag == "array":
        return [_of_xml(item) for item in kind.iterfind("./data/value")]
    return (kind.tag, kind.text or "")


def _member(member: ElementTree.Element) -> tuple[str, Tree]:
    value = member.find("value")
    assert value is not None
    return member.findtext("name", ""), _of_xml(value)


def _of_items(theirs: list[Tree], ours: list[Tree], path: str) -> Iterator[Difference]:
    if len(theirs) == len(ours) and any(isinstance(item, dict) for item in theirs):
        for one, other in zip(theirs, ours, strict=True):
            yield from differences(one, other, path)
        return
    order = " order" if sorted(map(str, theirs)) == sorted(map(str, ours)) else ""
    yield differ(path + order, theirs, ours)
