"""JSON-RPC: recorded answers in, exact values out; nothing else kills the recorder."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import ProtocolError, XapiFault
from recorder.model import Event, Operation
from recorder.xapi import jsonrpc
from tests.wire.golden import body_of

SNAPSHOT = b'{"name_label":"a \\u00e9 {}","big":9007199254740993,"half":1.0}'


def reply(result: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","result":' + result + b',"id":7}'


def event(**changed: object) -> bytes:
    fields = {"id": "7", "timestamp": "1795452673.", "class": "vm", "operation": "mod"}
    return json.dumps([fields | {"ref": "OpaqueRef:1", "snapshot": {}} | changed]).encode()


def test_encode_writes_a_json_rpc_2_call() -> None:
    """A call is JSON-RPC 2.0 with an id, which xapi insists on."""
    body = jsonrpc.encode("event.from", ["ref", ["*"], "", 30.0], call_id=3)
    assert body == (
        b'{"jsonrpc":"2.0","method":"event.from","params":["ref",["*"],"",30.0],"id":3}'
    )


@pytest.mark.parametrize("name", ["json2-login-ok", "json1-login-ok"])
def test_decode_returns_the_result_of_both_versions(name: str) -> None:
    """Answers of JSON-RPC 1.0 and 2.0 are read alike."""
    assert jsonrpc.decode(body_of(name), str).startswith("OpaqueRef:")


@pytest.mark.parametrize("name", ["json2-login-failed", "json1-login-failed"])
def test_decode_raises_the_fault_of_both_versions(name: str) -> None:
    """An error that is an object and one that is a list give the same fault."""
    with pytest.raises(XapiFault) as caught:
        jsonrpc.decode(body_of(name), str)
    assert caught.value.code == "SESSION_AUTHENTICATION_FAILED"
    assert caught.value.params == ("root", "Authentication failure")


def test_decode_takes_the_error_list_of_a_host_in_emergency_mode() -> None:
    """A host in emergency mode answers with a list under version 2.0 and id 0."""
    with pytest.raises(XapiFault) as caught:
        jsonrpc.decode(b'{"jsonrpc":"2.0","error":["HOST_STILL_BOOTING"],"id":0}', str)
    assert (caught.value.code, caught.value.params) == ("HOST_STILL_BOOTING", ())


@pytest.mark.parametrize("name", ["json2-session-invalid", "json1-session-invalid"])
def test_decode_drops_the_session_ref_of_a_fault(name: str) -> None:
    """SESSION_INVALID quotes the bearer token; nothing of it is kept."""
    with pytest.raises(XapiFault) as caught:
        jsonrpc.decode(body_of(name), str)
    assert repr(caught.value) == "XapiFault('SESSION_INVALID')"
    assert caught.value.params == ()


def test_decode_events_keeps_the_snapshot_as_the_server_sent_it() -> None:
    """A snapshot is evidence: byte for byte what came."""
    body = body_of("json2-event.next-del")
    (deleted,) = jsonrpc.decode_events(body)
    start = body.index(b'"snapshot":') + len(b'"snapshot":')
    assert deleted.snapshot == body[start : body.rindex(b"}],")]
    assert deleted == Event(
        5,
        1795452673.0,
        "vm",
        Operation.DEL,
        "OpaqueRef:f4d2bef3-19eb-083d-0215-dc7999ddf1f2",
        deleted.snapshot,
    )


def test_decode_from_reads_a_deletion_without_a_snapshot() -> None:
    """`event.from` tells a deletion without snapshot and time, with counts and a token."""
    answer = jsonrpc.decode_from(body_of("json2-event.from-del"))
    assert answer.events == [
        Event(82, 0.0, "vm", Operation.DEL, "OpaqueRef:61171045-2f43-b218-99ce-9c7a5f06449a", None)
    ]
    assert answer.valid_ref_counts["vm"] == 5
    assert len(answer.valid_ref_counts) == 71
    assert answer.token == "00000000000000000082,00000000000000000000"


def test_decode_records_keeps_each_record_as_the_server_sent_it() -> None:
    """A record is the JSON text that came, odd escapes and large numbers included."""
    records = jsonrpc.decode_records(reply(b'{"OpaqueRef:1":' + SNAPSHOT + b"}"))
    assert records == {"OpaqueRef:1": SNAPSHOT}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"operation": "frobnicate"}, Operation.MOD),
        ({"class": "Never_Heard_Of", "operation": "add"}, Operation.ADD),
    ],
)
def test_decode_events_takes_unknown_words(changed: dict[str, str], expected: Operation) -> None:
    """A class or an operation of a later xapi does not end the recording."""
    (told,) = jsonrpc.decode_events(reply(event(**changed)))
    assert told.operation is expected
    assert told.cls == changed.get("class", "vm").lower()


@pytest.mark.parametrize("text", ["soon", "", "nan", "1e999"])
def test_decode_events_takes_an_unreadable_time_as_none(text: str) -> None:
    """The server's time is a label; a bad one is 0.0, and the event is kept."""
    (told,) = jsonrpc.decode_events(reply(event(timestamp=text)))
    assert told.server_at_s == 0.0


@pytest.mark.parametrize("bad", ["", "x7", "-1", "9" * 19, "9" * 5000, -1, 2**63])
def test_decode_events_refuses_an_id_that_is_no_number(bad: object) -> None:
    """The order of events rests on their ids: a bad one is an error that quotes it."""
    with pytest.raises(ProtocolError, match=r"^an event has the id .*, which is not a number$"):
        jsonrpc.decode_events(reply(event(id=bad)))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the answer is not JSON-RPC: Input data was truncated"),
        (b"<html>", "the answer is not JSON-RPC: JSON is malformed"),
        (b'{"result":"\xff"}', "the answer is not UTF-8 text (byte 11)"),
        (b"{}", "the answer is not what XAPI documents: Object missing required field `result`"),
        (b'{"result":5}', "the answer is not what XAPI documents: Expected `str`, got `int`"),
        (b'{"error":5}', "the answer holds an error of unknown form"),
        (b'{"error":[]}', "the answer holds an error without a code"),
        (b'{"result":' + b"[" * 100_000, "the answer is not JSON-RPC: maximum recursion depth"),
    ],
)
def test_decode_refuses_what_is_no_answer(body: bytes, message: str) -> None:
    """What is not an answer of XAPI is a ProtocolError that says why."""
    with pytest.raises(ProtocolError) as caught:
        jsonrpc.decode(body, str)
    assert str(caught.value).startswith(message)


def test_decode_shows_nothing_of_a_body_that_is_no_answer() -> None:
    """The answer of a login is a bearer token: no error holds it, its cause neither."""
    with pytest.raises(ProtocolError) as caught:
        jsonrpc.decode(b'{"result":"OpaqueRef:secret\xff"}', str)
    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.from_regex(r'\{"(result|error)":.*\}').map(str.encode)
)
def test_decode_raises_only_its_own_errors(body: bytes) -> None:
    """Whatever bytes come, what is raised is a ProtocolError or an XapiFault."""
    for decode in (jsonrpc.decode_events, jsonrpc.decode_from, jsonrpc.decode_records):
        try:
            decode(body)
        except (ProtocolError, XapiFault):
            continue


@given(st.data())
def test_decode_events_survives_any_damage_to_a_recorded_answer(data: st.DataObject) -> None:
    """A recorded answer with a byte changed decodes, or is refused as a ProtocolError."""
    body = bytearray(body_of("json2-event.next-add"))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        events = jsonrpc.decode_events(bytes(body))
    except (ProtocolError, XapiFault):
        return
    for told in events:
        if told.snapshot is not None:
            msgspec.json.decode(told.snapshot)
