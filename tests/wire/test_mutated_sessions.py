"""Damaged answers, the whole way: through HTTP, a session and a subscription."""

import json
import random
from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio

from recorder.client.session import Session, open_session
from recorder.client.transport import Address, TlsPolicy
from recorder.config import Limits
from recorder.errors import ProtocolError, TransportError, XapiFault, XentrailError
from recorder.journal.codec import Packer
from recorder.model import Draft, PoolTail, Stream
from recorder.redaction.policy import Policy
from recorder.redaction.redact import PoolRedactor, Redactor
from recorder.threads import inline
from recorder.xapi.baseline import classes_with_records, uuid_of_pool
from recorder.xapi.members import Members
from recorder.xapi.subscription import Chunk, Subscription
from tests.fakes import SESSION, xml_failure, xml_reply
from tests.wire.mutations import mutated
from tests.wire.pools import ROOT

HOST = Address.parse("https://xen1")
LIMITS = Limits(reply_mib_max=1)
REDACTOR = PoolRedactor(Redactor(Policy.of(fields={}), bytes(32)))
NOW_NS = 1_790_000_000 * 10**9
RECORD = {"uuid": "11111111-0000-4000-8000-000000000001", "address": "10.0.0.2", "n": 3}
"""Of a host or a pool, and of anything else."""


def event(number: int, cls: str) -> dict[str, object]:
    head = {"id": str(number), "timestamp": "1795452673.", "class": cls, "operation": "mod"}
    return head | {"ref": f"OpaqueRef:{number}", "snapshot": RECORD | {"master": "OpaqueRef:1"}}


EVENTS = [event(number, cls) for number, cls in enumerate(["vm", "host", "pool", "task"], 5)]


LOST = ["EVENTS_LOST", "OpaqueRef:1"]


class Scripted(trio.abc.Stream):
    """A connection whose host gives these answers one after the other, and then hangs up."""

    def __init__(self, replies: Sequence[bytes]) -> None:
        self._replies = list(replies)
        self._pending = b""

    async def send_all(self, _data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self._pending = self._replies.pop(0) if self._replies else b""

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, _max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        data, self._pending = self._pending, b""
        return data

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def http(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: keep-alive\r\n\r\n"
    return head.encode() + body


def chunked(body: bytes) -> bytes:
    parts = [body[start : start + 100] for start in range(0, len(body), 100)]
    coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + coded + b"0\r\n\r\n"


def as_json(result: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "result": result, "id": 1}).encode()


def as_failure() -> bytes:
    error = {"code": 1, "message": LOST[0], "data": LOST[1:]}
    return json.dumps({"jsonrpc": "2.0", "error": error, "id": 1}).encode()


def live() -> Subscription:
    """Return a subscription that is registered and reads its baseline."""
    subscription = Subscription("lab", PoolTail())
    subscription.connected({}, at_ns=NOW_NS)
    subscription.registered(
        Stream.REGISTER, id_before=5, id_after=5, asked_at_ns=NOW_NS, at_ns=NOW_NS
    )
    return subscription


async def next_events(session: Session) -> Sequence[Draft]:
    events = REDACTOR.events(await session.next_events(60.0))
    members = Members(None)
    members.read("host", {})
    members.read("pool", {})
    for one in events:
        members.take(one)
    members.news()
    drafts, _ = live().batch(events, asked_at_ns=NOW_NS, answered_at_ns=NOW_NS, at_ns=NOW_NS)
    return drafts


async def events_from(session: Session) -> Sequence[Draft]:
    reply = await session.events_from(["*"], "", 30.0)
    events = REDACTOR.events(reply.events)
    drafts, _ = live().batch(events, asked_at_ns=NOW_NS, answered_at_ns=NOW_NS, at_ns=NOW_NS)
    return drafts


async def records(session: Session) -> Sequence[Draft]:
    told = await session.get_all_records("pool")
    uuid_of_pool(told)
    clean = dict(REDACTOR.record("pool", ref, record) for ref, record in told.items())
    return live().chunk(Chunk("pool", 5, 5, clean), at_ns=NOW_NS)


async def current_id(session: Session) -> Sequence[Draft]:
    subscription, number = Subscription("lab", PoolTail()), await session.current_id()
    return subscription.registered(
        Stream.REGISTER, id_before=number, id_after=number, asked_at_ns=NOW_NS, at_ns=NOW_NS
    )


async def methods(session: Session) -> Sequence[Draft]:
    classes = classes_with_records(await session.list_methods())
    subscription = live()
    return [
        draft for cls in classes for draft in subscription.class_skipped(cls, "X", at_ns=NOW_NS)
    ]


Take = Callable[[Session], Awaitable[Sequence[Draft]]]

COUNTS = {"vm": 3, "host": 1}
ANSWERS: list[tuple[Take, object]] = [
    (next_events, EVENTS),
    (
        events_from,
        {"events": EVENTS, "valid_ref_counts": COUNTS, "token": "00000000000000000082,0"},
    ),
    (records, {"OpaqueRef:1": RECORD}),
    (current_id, 41),
    (methods, ["VM.get_all_records", "host.get_all_records", "VM.start"]),
]
DOCUMENTED = (TransportError, ProtocolError, XapiFault)


def script(rng: random.Random, result: object) -> list[list[bytes]]:
    """Return what a host says, connection by connection: a login, then what is damaged.

    One answer in five is a fault before it is damaged, and of one in four the HTTP is damaged.
    """
    knows_json, failure = rng.random() < 0.6, rng.random() < 0.2
    if knows_json:
        login, told = as_json(SESSION), as_failure() if failure else as_json(result)
    else:
        login, told = xml_reply(SESSION), xml_reply(result, bare=isinstance(result, list))
        told = xml_failure(LOST) if failure else told
    frame = rng.choice([http, chunked])
    damaged = mutated(rng, frame(told)) if rng.random() < 0.25 else frame(mutated(rng, told))
    answers = [http(login), damaged]
    return [answers] if knows_json else [[http(b"<html/>")], answers]


async def journaled(rng: random.Random) -> int:
    """Take one damaged answer from the host to the bytes of the journal; return the entries."""
    take, result = rng.choice(ANSWERS)
    connections = script(rng, result)
    packer, entries = Packer(), 0

    async def dial(_address: Address) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if not connections:
            raise ConnectionRefusedError(111, "Connection refused")
        return Scripted(connections.pop(0))

    async with open_session(
        [HOST], TlsPolicy(), ROOT, dial=dial, limits=LIMITS, run_sync=inline
    ) as session:
        for draft in await take(session):
            packer.entry(1, draft)
            entries += 1
    return entries


@pytest.mark.parametrize("count", [300, pytest.param(30_000, marks=pytest.mark.soak)])
async def test_damaged_answer_to_a_session_is_recorded_or_refused(count: int) -> None:
    """Nothing but the documented errors comes out, and some answers are recorded."""
    recorded = 0
    seen: dict[type[XentrailError], int] = dict.fromkeys(DOCUMENTED, 0)
    for seed in range(count):
        try:
            recorded += bool(await journaled(random.Random(seed)))
        except DOCUMENTED as error:
            kind = next(one for one in DOCUMENTED if isinstance(error, one))
            seen[kind] += 1
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    assert min(recorded, *seen.values()) > count // 50, (recorded, seen)
