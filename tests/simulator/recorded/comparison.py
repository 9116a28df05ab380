"""What differs between a recorded reply and ours, said in the words of XAPI: `VM.domid`."""

from collections.abc import Iterator, Mapping
from itertools import groupby

from recorder.simulator.datamodel import class_named

from .replay import Played
from .trees import Difference, Tree, differ, differences, of_members, tree_of


def compare(played: Played, theirs_of: Mapping[str, str]) -> list[Difference]:
    """Return what differs, nothing if every byte is the same.

    `theirs_of` has what our references are called there: event.from lists objects by reference.
    """
    if played.theirs == played.ours:
        return []
    if not played.ours or not played.theirs:
        return [differ("reply", played.theirs, played.ours)]
    their_head, their_body = _parted(played.theirs)
    our_head, our_body = _parted(played.ours)
    theirs, ours = tree_of(their_body), tree_of(our_body)
    found = [*_of_heads(their_head, our_head), *_of_envelopes(theirs, ours)]
    found += _of_results(played.exchange.method, _result(theirs), _result(ours), theirs_of)
    by_name = sorted(found, key=lambda item: item.path)
    # Bytes that differ in a way that no tree shows are a difference all the same.
    alike = played.exchange.method == "event.from" or their_body == our_body
    return by_name or ([] if alike else [differ("bytes", their_body, our_body)])


def of_events(theirs: list[Tree], ours: list[Tree]) -> Iterator[Difference]:
    """Yield where events differ; their records are called after the class."""
    if len(theirs) != len(ours):
        yield differ("event count", len(theirs), len(ours))
        return
    for one, other in zip(theirs, ours, strict=True):
        assert isinstance(one, dict)
        assert isinstance(other, dict)
        rest = {name: item for name, item in one.items() if name != "snapshot"}
        mine = {name: item for name, item in other.items() if name != "snapshot"}
        yield from of_members(rest, mine, "event")
        if ("snapshot" in one) != ("snapshot" in other) or [*one][: len(rest)] != [*rest]:
            yield differ("event members", [*one], [*other])
        elif "snapshot" in one and one["class"] == other["class"]:
            yield from differences(one["snapshot"], other["snapshot"], _class(one))


def of_records(cls: str, theirs: dict[str, Tree], ours: dict[str, Tree]) -> Iterator[Difference]:
    """Yield where two tables of a class differ, by reference."""
    for ref in theirs.keys() - ours.keys():
        yield differ(f"{cls} missing", ref, theirs[ref])
    for ref in ours.keys() - theirs.keys():
        yield differ(f"{cls} extra", ref, ours[ref])
    common = [ref for ref in theirs if ref in ours]
    if common != [ref for ref in ours if ref in theirs]:
        yield differ(f"{cls} order", [*theirs], [*ours])
    for ref in common:
        yield from differences(theirs[ref], ours[ref], cls)


def events_of(reply: bytes) -> list[Tree]:
    """Return the events in a reply to event.next or event.from, none if it is a failure."""
    result = _result(tree_of(_parted(reply)[1]))
    if isinstance(result, dict):
        result = result["events"]
    return result if isinstance(result, list) else []


def _parted(reply: bytes) -> tuple[bytes, bytes]:
    head, _, body = reply.partition(b"\r\n\r\n")
    return head, body


def _of_heads(theirs: bytes, ours: bytes) -> Iterator[Difference]:
    """Compare status line and headers; the length is as different as the bodies are."""
    lines = [
        [line for line in head.split(b"\r\n") if not line.startswith(b"content-length:")]
        for head in (theirs, ours)
    ]
    places = [_place(head) for head in (theirs, ours)]
    if lines[0] != lines[1] or places[0] != places[1]:
        yield differ("headers", theirs, ours)


def _place(head: bytes) -> list[int]:
    lines = head.split(b"\r\n")
    return [number for number, line in enumerate(lines) if line.startswith(b"content-length:")]


def _of_envelopes(theirs: Tree, ours: Tree) -> Iterator[Difference]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        bare = [
            {name: ("", "") if name in ("Value", "result") else item for name, item in tree.items()}
            for tree in (theirs, ours)
        ]
        yield from differences(bare[0], bare[1], "envelope")


def _result(tree: Tree) -> Tree:
    if isinstance(tree, dict):
        return tree.get("Value", tree.get("result", ("", "")))
    return tree


def _of_results(
    method: str, theirs: Tree, ours: Tree, theirs_of: Mapping[str, str]
) -> Iterator[Difference]:
    cls, _, verb = method.partition(".")
    if isinstance(theirs, list) and isinstance(ours, list):
        if method == "event.next":
            yield from of_events(theirs, ours)
        else:
            yield from _of_sets(method, theirs, ours)
    elif not isinstance(theirs, dict) or not isinstance(ours, dict):
        yield from differences(theirs, ours, method or "reply")
    elif method == "event.from":
        yield from _of_from(theirs, ours, theirs_of)
    elif verb == "get_all_records":
        yield from of_records(cls, theirs, ours)
    else:
        yield from differences(theirs, ours, cls if verb == "get_record" else method)


def _of_sets(path: str, theirs: list[Tree], ours: list[Tree]) -> Iterator[Difference]:
    for item in theirs:
        if item not in ours:
            yield differ(f"{path} missing", item, "")
    for item in ours:
        if item not in theirs:
            yield differ(f"{path} extra", "", item)
    common = [item for item in theirs if item in ours]
    if common != [item for item in ours if item in theirs]:
        yield differ(f"{path} order", theirs, ours)


def _of_from(
    theirs: dict[str, Tree], ours: dict[str, Tree], theirs_of: Mapping[str, str]
) -> Iterator[Difference]:
    rest = {name: item if name != "events" else ("", "") for name, item in theirs.items()}
    mine = {name: item if name != "events" else ("", "") for name, item in ours.items()}
    yield from of_members(rest, mine, "event.from")
    one, other = theirs["events"], ours["events"]
    assert isinstance(one, list)
    assert isinstance(other, list)
    yield from of_events(one, list(_resorted(other, theirs_of)))


def _resorted(events: list[Tree], theirs_of: Mapping[str, str]) -> Iterator[Tree]:
    """Yield events that are sorted by our references as they are if sorted by theirs.

    The order of messages has nothing to do with references.
    """
    for kind, items in groupby(events, _kind):
        found = list(items)
        if kind[0] != "message":
            assert found == sorted(found, key=_ref), "event.from lists by reference"
            found.sort(key=lambda event: theirs_of.get(_ref(event), _ref(event)))
        yield from found


def _kind(event: Tree) -> tuple[str, str]:
    assert isinstance(event, dict)
    return str(event["class"][1]), str(event["operation"][1])  # type: ignore[index]  # leaves


def _ref(event: Tree) -> str:
    assert isinstance(event, dict)
    return str(event["ref"][1])  # type: ignore[index]  # a leaf


def _class(event: dict[str, Tree]) -> str:
    name = _kind(event)[0]
    return class_named(name) or name
