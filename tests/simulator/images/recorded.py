"""Replies of a real server beside ours: the same, but for the fields in the list of differences."""

import json
import xmlrpc.client
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

DUMPS = Path(__file__).parents[2] / "golden" / "simulator" / "dumps"
NOW_S = 1_795_452_672.0

Shown = list[tuple[str, object]]
"""The fields of a record in their order: what differs in order differs."""


def differences() -> frozenset[tuple[str, str]]:
    """Return the allowed differences as pairs of class (or `*`) and field."""
    lines = (DUMPS / "differences.txt").read_text(encoding="utf-8").splitlines()
    names = (line.split(" ")[0] for line in lines if line and not line.startswith("#"))
    return frozenset((name.split(".")[0], name.split(".")[1]) for name in names)


def record(cls: str, fields: Mapping[str, object]) -> Shown:
    """Return a record without the values that may differ; the fields themselves stay."""
    allowed = {field for of_cls, field in differences() if of_cls.lower() in ("*", cls.lower())}
    return [(name, "..." if name in allowed else value) for name, value in fields.items()]


def records(cls: str, result: Mapping[str, Mapping[str, object]]) -> list[tuple[str, Shown]]:
    """Return the result of get_all_records for comparing, in its order."""
    return [(ref, record(cls, fields)) for ref, fields in result.items()]


def events(result: Mapping[str, object]) -> list[object]:
    """Return the result of event.from for comparing: events in their order, counts and token."""
    shown: list[object] = [result["token"], list(_mapping(result["valid_ref_counts"]).items())]
    listed = result["events"]
    assert isinstance(listed, list)
    for event in listed:
        members = dict(_mapping(event))
        snapshot = _mapping(members.pop("snapshot"))
        shown.append((list(members.items()), record(str(members["class"]), snapshot)))
    return shown


def result_of(reply: bytes) -> Mapping[str, object] | None:
    """Return the result in a whole HTTP reply, JSON or XML; None if it is a failure."""
    body = reply.partition(b"\r\n\r\n")[2]
    if body.startswith(b"{"):
        return cast("Mapping[str, object] | None", json.loads(body).get("result"))
    ((answer,), _) = xmlrpc.client.loads(body)
    return cast("Mapping[str, object] | None", _mapping(answer).get("Value"))


def headers_of(reply: bytes) -> list[bytes]:
    """Return status line and headers of a reply but for the length."""
    lines = reply.partition(b"\r\n\r\n")[0].split(b"\r\n")
    return [line for line in lines if not line.startswith(b"content-length:")]


def comparable(method: str, reply: bytes) -> Sequence[object]:
    """Return what must be equal in two replies to a method."""
    result = result_of(reply)
    if result is None:
        return [reply]
    if method == "event.from":
        return [*headers_of(reply), *events(result)]
    cls = method.partition(".")[0]
    if not any(of_cls in ("*", cls) and _has(result, field) for of_cls, field in differences()):
        return [reply]  # nothing may differ: every byte is compared
    by_ref = cast("Mapping[str, Mapping[str, object]]", result)
    return [*headers_of(reply), *records(cls, by_ref)]


def _has(result: Mapping[str, object], field: str) -> bool:
    return any(field in _mapping(fields) for fields in result.values())


def _mapping(value: object) -> Mapping[str, object]:
    assert isinstance(value, dict)
    return cast("Mapping[str, object]", value)
