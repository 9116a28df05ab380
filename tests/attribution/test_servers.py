"""What the server writes by itself is nobody's for sure, whoever sets the same field meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from query.load.loader import refresh
from recorder.model import AuditLine, Body, Draft, Event, Mark, MarkName, Operation, Stream
from recorder.simulator.catalogue import signatures
from recorder.xapi import xmlrpc
from tests.attribution.test_hosts import AT, USER
from tests.daemon.recorded import VERSIONS, Recording, body_of
from tests.history.journals import text, write_journal

BY_CLIENTS = {
    *(("vm", field) for field in ("name_description", "other_config", "tags")),
    *(("network", "name_label"), ("pool", "other_config")),
}
"""What the clients of the recordings have set; all else that changed was written by xapi."""


class Told(msgspec.Struct):
    """An event of event.next."""

    cls: str = msgspec.field(name="class")
    operation: str
    ref: str
    snapshot: dict[str, object] = {}


class Reply(msgspec.Struct):
    """The answer to event.next."""

    result: list[Told] = []


def written_by_xapi(version: str) -> set[tuple[str, str]]:
    """Return the fields that changed in the recorded events, though no client had set them."""
    known: dict[tuple[str, str], dict[str, object]] = {}
    found = set()
    for reply in Recording(version).all("xml-event.next"):
        answer = xmlrpc.to_json(body_of(reply), "event.next")
        for event in msgspec.json.decode(answer, type=Reply).result:
            before = known.get((event.cls, event.ref), {})
            known[event.cls, event.ref] = event.snapshot
            if event.operation == "mod":
                changed = {name for name in before if before[name] != event.snapshot.get(name)}
                found |= {(event.cls, name) for name in changed}
    return found - BY_CLIENTS


def drafts(fields: list[tuple[str, str]]) -> Iterator[Draft]:
    """Yield of each field a change, and a call of a user who set it in the same second."""
    now_ns, at_s = int(AT.timestamp()) * 10**9, AT.timestamp()
    yield Draft(now_ns, "lab", Mark(MarkName.REGISTERED, {"stream": Stream.REGISTER.value}))
    for number, (cls, name) in enumerate(fields):
        ref = f"OpaqueRef:{number:08}-0000-0000-0000-000000000000"
        said = (
            f"[{AT:%Y%m%dT%H:%M:%S}.500Z|audit||8 {USER}|{cls}.set_{name} D:{number:012}|audit]"
            f" ('trackid=1' 'S' 'root' 'ALLOWED' 'OK' 'API' '{cls}.set_{name}'"
            f" (('self' '' '' '{ref}')))"
        )
        bodies: tuple[Body, ...] = (
            Event(2 * number, at_s, cls, Operation.ADD, ref, text({name: "a"})),
            Event(2 * number + 1, at_s, cls, Operation.MOD, ref, text({name: "b"})),
            AuditLine("10.0.0.1", said.encode(), imported=False),
        )
        yield from (Draft(now_ns, "lab", body) for body in bodies)


def confidences(data: Path, fields: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return how sure it is said to be that a user has set each field."""
    write_journal(data / "journal", list(drafts(fields)))
    with refresh(data).open() as history:
        found = history.plain(
            """
            SELECT split_part(l.call, '.', 1), l.field, d.confidence
            FROM event_doers d JOIN audit_lines l ON l.seq = d.line_seq
            """,
            {},
        )
    return {(str(cls), str(name)): str(confidence) for cls, name, confidence in found}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_xapi_was_seen_to_write_is_never_sure_to_be_of_a_user(
    version: str, tmp_path: Path
) -> None:
    """Of all its fields that have a setter, which others cannot be taken for."""
    setters = {tuple(call.lower().split(".set_")) for call in signatures()}
    fields = sorted(pair for pair in written_by_xapi(version) if pair in setters)
    assert {("vm", "bios_strings"), ("vm", "platform"), ("task", "progress")} <= set(fields)
    assert confidences(tmp_path, fields) == dict.fromkeys(fields, "several")


def test_what_xapi_writes_seldom_is_likely_of_who_sets_it(tmp_path: Path) -> None:
    """And what it never writes is sure to be."""
    fields = [("pool", "default_SR"), ("host", "hostname"), ("vm", "name_label"), ("vm", "tags")]
    expected = dict(zip(fields, ("likely", "likely", "exact", "exact"), strict=True))
    assert confidences(tmp_path, fields) == expected
