"""The replies that are replayed: the same events for everybody, in the form that each asks for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from http import HTTPStatus

import msgspec

from recorder.model import Event, Operation
from recorder.simulator.tls import self_signed
from recorder.simulator.values import Value
from recorder.simulator.xmlvalue import encode_value
from recorder.simulator.xmlwire import encode_bare, encode_success
from tests.bench.ingest.script import Script
from tests.bench.mix import FIRST_ID, WEIGHTS, mixed_drafts

POOL = "OpaqueRef:b3a1f0c4-0000-4000-8000-000000000001"
SESSION = "OpaqueRef:b1f5a1d2-7c3e-4b8a-9e1f-3d2c4b5a6978"
TOKEN = "00000000000000000007,00000000000000000000"
TABLES: dict[str, Value] = {
    "pool.get_all_records": {POOL: {"uuid": "a7c1e9d2", "name_label": "", "other_config": {}}},
    **{f"{cls}.get_all_records": {} for cls in WEIGHTS},
}


class Form(StrEnum):
    """How events are asked for, and in which encoding they come."""

    NEXT_JSON = "next-json"
    NEXT_XML = "next-xml"
    FROM_JSON = "from-json"

    @property
    def is_xml(self) -> bool:
        """Say whether replies are XML-RPC; then the host knows no JSON-RPC."""
        return self is Form.NEXT_XML


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it is sent; `tasks` is how many tasks its reader knows after it."""

    json: bytes
    xml: bytes
    tasks: int


def told(count: int) -> list[Told]:
    """Return so many events of the mix."""
    return list(_told(count))


def _told(count: int) -> Iterator[Told]:
    tasks: set[str] = set()
    for draft in mixed_drafts(count):
        event = draft.body
        assert isinstance(event, Event)
        assert event.snapshot is not None
        if event.cls == "task" and event.operation is Operation.DEL:
            tasks.discard(event.ref)
        elif event.cls == "task":
            tasks.add(event.ref)
        head: dict[str, Value] = {
            "id": str(event.id),
            "timestamp": f"{event.server_at_s:.0f}.",
            "class": event.cls,
            "operation": event.operation.value,
            "ref": event.ref,
        }
        json = msgspec.json.encode({**head, "snapshot": msgspec.Raw(event.snapshot)})
        xml = encode_value({**head, "snapshot": msgspec.json.decode(event.snapshot)}).encode()
        yield Told(json, xml, len(tasks))


def script(events: Sequence[Told], form: Form, batch: int) -> Script:
    """Return what a host replays that tells so many events a reply."""
    certificate = self_signed("replayed", seed=1, addresses=["127.0.0.1"])
    plain = partial(_plain, form)
    answers = {
        "session.login_with_password": plain(SESSION),
        "event.get_current_id": plain(str(FIRST_ID) if form.is_xml else FIRST_ID),
        "event.inject": plain(TOKEN),
        "system.listMethods": plain(list(TABLES), bare=True),
        **{method: plain(table) for method, table in TABLES.items()},
    }
    return Script(
        certificate=certificate.certificate_pem,
        key=certificate.key_pem,
        fingerprint=certificate.fingerprint,
        paths=["/", "/RPC2"] if form.is_xml else ["/jsonrpc"],
        answers=answers,
        other=plain(""),
        no_page=_http(b"<html>no such page</html>", "text/html", HTTPStatus.NOT_FOUND),
        event_method="event.from" if form is Form.FROM_JSON else "event.next",
        events=[_reply(form, events[at : at + batch]) for at in range(0, len(events), batch)],
    )


def _reply(form: Form, events: Sequence[Told]) -> bytes:
    if form.is_xml:
        items = b"".join(event.xml for event in events)
        body = encode_success([]).replace(b"<data></data>", b"<data>%b</data>" % items)
        return _http(body, "text/xml")
    listed = b"[%b]" % b",".join(event.json for event in events)
    if form is Form.FROM_JSON:
        counts = b'{"task":%d}' % events[-1].tasks
        rest = b'"valid_ref_counts":%b,"token":"%b"' % (counts, TOKEN.encode())
        listed = b'{"events":%b,%b}' % (listed, rest)
    return _json(listed)


def _plain(form: Form, result: Value, *, bare: bool = False) -> bytes:
    """Return the answer with a small result; `bare` is without Status in XML."""
    if not form.is_xml:
        return _json(msgspec.json.encode(result))
    return _http((encode_bare if bare else encode_success)(result), "text/xml")


def _json(result: bytes) -> bytes:
    return _http(b'{"jsonrpc":"2.0","result":%b,"id":0}' % result, "application/json")


def _http(body: bytes, content_type: str, status: HTTPStatus = HTTPStatus.OK) -> bytes:
    """Return an answer that keeps the connection alive."""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
