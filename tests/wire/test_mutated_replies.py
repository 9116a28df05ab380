"""Recorded answers, damaged by seed: what can be read can be journaled, the rest is refused."""

import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from recorder.errors import ProtocolError, XapiFault
from recorder.journal.codec import Packer
from recorder.model import BaselineChunk, BaselineRecord, Body, Draft, Event
from recorder.redaction.policy import Policy
from recorder.redaction.redact import Redactor
from recorder.xapi import jsonrpc, xmlrpc
from recorder.xapi.baseline import classes_with_records, uuid_of_pool
from recorder.xapi.members import Members
from tests.wire.golden import CLIENT
from tests.wire.mutations import mutated

KINDS = ["event.next", "event.from", "event.get_current_id", "log", "records", "session", "pool"]
"""Answers of all sorts are damaged equally often, however many were recorded."""

RECORDED = sorted([*CLIENT.glob("calls/*.resp"), *CLIENT.glob("records/v2*/*.resp")])
REPLIES = {kind: [file for file in RECORDED if kind in file.as_posix()] for kind in KINDS}
REDACTOR = Redactor(Policy.of(fields={}), bytes(32))


def bodies_of_events(body: bytes, _cls: str) -> Iterable[Body]:
    return jsonrpc.decode_events(body)


def bodies_of_from(body: bytes, _cls: str) -> Iterable[Body]:
    reply = jsonrpc.decode_from(body)
    for cls, count in reply.valid_ref_counts.items():
        yield BaselineChunk(cls, 0, 0, count)
    yield from reply.events


def bodies_of_records(body: bytes, cls: str) -> Iterable[Body]:
    records = jsonrpc.decode_records(body)
    members = Members(None)
    for name in ("host", "pool"):
        members.read(name, records)
    for ref, raw in records.items():
        yield BaselineRecord(cls, ref, raw)
    uuid_of_pool(records)


def bodies_of_id(body: bytes, cls: str) -> Iterable[Body]:
    number = jsonrpc.decode_id(body)
    yield BaselineChunk(cls, number, number, 0)


def bodies_of_names(body: bytes, _cls: str) -> Iterable[Body]:
    for cls in classes_with_records(jsonrpc.decode_names(body)):
        yield BaselineChunk(cls, 0, 0, 0)


def bodies_of_name(body: bytes, cls: str) -> Iterable[Body]:
    yield BaselineRecord(cls, jsonrpc.decode_name(body), b"{}")


READERS: dict[str, Callable[[bytes, str], Iterable[Body]]] = {
    "event.next": bodies_of_events,
    "event.from": bodies_of_from,
    "get_all_records": bodies_of_records,
    "event.get_current_id": bodies_of_id,
    "system.listMethods": bodies_of_names,
    "event.inject": bodies_of_name,
}


def reader_of(file: Path) -> tuple[str, str]:
    """Return the method that a recorded answer is of, and the class."""
    if file.parent.parent.name == "records":
        cls = file.name.partition(".")[0]
        return "get_all_records", cls
    for method in READERS:
        if method in file.name:
            return method, "event"
    return "event.inject", "session"


def journaled(body: bytes, file: Path, rng: random.Random) -> int:
    """Take an answer the whole way from the wire to the bytes of the journal."""
    method, cls = reader_of(file)
    if rng.random() < 0.1:
        method = rng.choice(list(READERS))
    if "xml" in file.name:
        body = xmlrpc.to_json(body, method if "." in method else f"{cls}.{method}")
    packer = Packer()
    entries = 0
    for told in READERS[method](body, cls):
        clean: Body = told
        if isinstance(told, BaselineRecord):
            clean = BaselineRecord(cls, told.ref, REDACTOR.record(cls.lower(), told.snapshot))
        elif isinstance(told, Event) and told.snapshot is not None:
            snapshot = REDACTOR.record(told.cls, told.snapshot)
            clean = Event(told.id, told.server_at_s, told.cls, told.operation, told.ref, snapshot)
        packer.entry(1, Draft(1, "lab", clean))
        entries += 1
    return entries


@pytest.mark.parametrize("count", [1_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_damaged_answer_is_journaled_or_refused(count: int) -> None:
    """Nothing but ProtocolError and XapiFault comes out, and some of each, and some entries."""
    read = refused = faults = longest = 0
    for seed in range(count):
        rng = random.Random(seed)
        file = rng.choice(REPLIES[rng.choice(KINDS)])
        body = mutated(rng, file.read_bytes().partition(b"\r\n\r\n")[2])
        try:
            read += bool(journaled(body, file, rng))
        except ProtocolError as error:
            longest = max(longest, len(str(error)))
            refused += 1
        except XapiFault:
            faults += 1
        except Exception as error:
            error.add_note(f"seed {seed}, {file.relative_to(CLIENT)}")
            raise
    assert longest < 500, "a message without end"
    assert min(read, refused, faults) > count // 50, (read, refused, faults)
