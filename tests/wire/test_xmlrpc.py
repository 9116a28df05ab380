"""XML-RPC: a recorded answer gives the values that JSON-RPC gave for the same call."""

import json
import math
import xmlrpc.client
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import ProtocolError, XapiFault
from recorder.xapi import jsonrpc
from recorder.xapi import xmlrpc as codec
from tests.fakes import xml_failure, xml_reply
from tests.wire.golden import CLIENT, body_of

PAIRS = sorted(file.relative_to(CLIENT) for file in CLIENT.glob("records/*/*.xml.resp"))

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
VALUES = st.recursive(
    TEXTS | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_to_json_gives_what_json_rpc_gives(pair: Path) -> None:
    """Both codecs give the same records and faults, down to the types of the numbers."""
    cls = pair.name.removesuffix(".xml.resp")
    ours = json.loads(codec.to_json(body_of(str(pair)), f"{cls}.get_all_records"))
    theirs = json.loads(body_of(str(pair).replace(".xml.", ".json.")))
    if "error" in theirs:
        expected = {"error": [theirs["error"]["message"], *theirs["error"]["data"]]}
    else:
        expected = {"result": theirs["result"]}
    assert ours == expected
    assert repr(ours) == repr(expected)  # 1 and 1.0 are equal, and not the same.


def test_golden_pairs_are_there() -> None:
    """The comparison above compares something."""
    assert len(PAIRS) == 31


def test_to_json_types_the_snapshots_of_events() -> None:
    """A snapshot inside an event gets its numbers by the class that the event names."""
    xml = jsonrpc.decode_events(codec.to_json(body_of("xml-event.next-del"), "event.next"))
    (told,) = jsonrpc.decode_events(body_of("json2-event.next-del"))
    assert xml[0].snapshot is not None
    assert told.snapshot is not None
    assert json.loads(xml[0].snapshot) == json.loads(told.snapshot)
    assert (xml[0].id, xml[0].ref, xml[0].operation) == (told.id, told.ref, told.operation)


def test_to_json_gives_the_same_answer_of_event_from() -> None:
    """Counts are numbers; a deletion has no snapshot; the token is the same text."""
    xml = jsonrpc.decode_from(codec.to_json(body_of("xml-event.from-del"), "event.from"))
    told = jsonrpc.decode_from(body_of("json2-event.from-del"))
    assert (xml.events[0].cls, xml.events[0].snapshot) == ("vm", None)
    assert xml.valid_ref_counts.keys() == told.valid_ref_counts.keys()
    assert xml.valid_ref_counts["vm"] == 5
    assert xml.token == told.token


def test_to_json_gives_a_number_for_the_current_id() -> None:
    """The only bare number among the results that the recorder needs is one."""
    body = codec.to_json(body_of("xml-event.get_current_id"), "event.get_current_id")
    assert body == b'{"result":11}'


@pytest.mark.parametrize(
    ("method", "result", "expected"),
    [
        ("VM.get_memory_target", "500", 500),
        ("VM.get_name_label", "500", "500"),
        ("VM.get_record", {"memory_target": "-1", "uuid": "7"}, {"memory_target": -1, "uuid": "7"}),
        ("VM.get_record", {"memory_target": "9" * 19}, {"memory_target": "9" * 19}),
        ("VM.get_record", {"memory_target": "much"}, {"memory_target": "much"}),
        ("SM.get_features", {"VDI_CREATE": "1"}, {"VDI_CREATE": 1}),
        ("VM_metrics.get_record", {"VCPUs_CPU": {"0": "3"}}, {"VCPUs_CPU": {"0": 3}}),
        ("VIF.get_record", {"trunks": ["1", "22"]}, {"trunks": [1, 22]}),
        ("NoSuchClass.get_record", {"size": "1"}, {"size": "1"}),
    ],
)
def test_to_json_tells_numbers_from_texts(method: str, result: object, expected: object) -> None:
    """Numbers are told from texts by class and field; what cannot be a number stays text."""
    assert json.loads(codec.to_json(xml_reply(result), method)) == {"result": expected}


def test_to_json_reads_list_methods_which_has_no_status() -> None:
    """`system.listMethods` is the one answer that is a bare array."""
    body = xml_reply(["VM.start", "event.next"], bare=True)
    assert codec.to_json(body, "system.listMethods") == b'{"result":["VM.start","event.next"]}'


def test_to_json_gives_the_faults_of_json_rpc() -> None:
    """A failure becomes the error list, and from there on one path."""
    with pytest.raises(XapiFault) as caught:
        jsonrpc.decode(
            codec.to_json(body_of("xml-login-failed"), "session.login_with_password"), str
        )
    assert caught.value.params == ("root", "Authentication failure")
    with pytest.raises(XapiFault) as caught:
        jsonrpc.decode(codec.to_json(body_of("xml-session-invalid"), "event.next"), str)
    assert repr(caught.value) == "XapiFault('SESSION_INVALID')"


def test_to_json_reads_the_fault_of_a_plain_xml_rpc_server() -> None:
    """A `<fault>` is no answer of xapi, and still says what went wrong."""
    dumped = xmlrpc.client.dumps(xmlrpc.client.Fault(4, "Too many parameters."))
    with pytest.raises(XapiFault, match=r"^4 Too many parameters\.$"):
        jsonrpc.decode(codec.to_json(dumped.encode(), "event.next"), str)


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    b"<methodResponse><params><param><value>&b;</value></param></params></methodResponse>"
)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (BOMB, "the answer declares an XML document type, which XAPI never does"),
        (b"", "the answer is not XML: no element found"),
        (b'{"result":1}', "the answer is not XML: not well-formed"),
        (b"<html><body/></html>", "the answer is not XML-RPC: it has an element <html>"),
        (b"<params/>", "the answer is not XML-RPC: it holds no value"),
        (b"<struct/>", "the answer is not XML-RPC: "),
        (b"<value/>", "the answer is XML-RPC, but not that of XAPI: it has no Status"),
        (b"<value><value/></value>", "the answer is not XML-RPC: a value holds a value"),
        (b"<value><i4>1x</i4></value>", "the answer is not XML-RPC: '1x' is not a whole number"),
        (b"<value><double>1x</double></value>", "the answer is not XML-RPC: could not convert"),
        (
            b"<value><array><data>" * 40,
            "the answer is not XML-RPC: its elements are more than 64 deep",
        ),
    ],
)
def test_to_json_refuses_what_is_no_answer(body: bytes, message: str) -> None:
    """What is no answer of XAPI, or could be an attack, is a ProtocolError that says why."""
    with pytest.raises(ProtocolError) as caught:
        codec.to_json(body, "event.next")
    assert str(caught.value).startswith(message)


@given(VALUES)
def test_to_json_gives_back_any_value(value: object) -> None:
    """Whatever XAPI may send arrives as JSON-RPC would have sent it."""
    answer = json.loads(codec.to_json(xml_reply({"r": value}), "VM.get_other_config"))
    assert answer == {"result": {"r": value}}


@given(st.lists(TEXTS, min_size=1))
def test_to_json_gives_back_any_failure(description: list[str]) -> None:
    """A failure arrives with all its parameters."""
    answer = json.loads(codec.to_json(xml_failure(description), "VM.start"))
    assert answer == {"error": description}


@given(st.lists(VALUES))
def test_encode_is_read_by_another_implementation(params: list[jsonrpc.Param]) -> None:
    """What we write, the standard library reads back."""
    read, method = xmlrpc.client.loads(codec.encode("VM.start", params))
    assert (list(read), method) == (params, "VM.start")


def test_encode_writes_whole_numbers_as_text_and_floats_as_doubles() -> None:
    """XAPI documents whole numbers as text; an old xapi refuses a time-out that is no double."""
    body = codec.encode("event.from", [5, 30.0])
    assert b"<value><string>5</string></value>" in body
    assert b"<value><double>30.0</double></value>" in body


@given(st.binary() | st.text().map(str.encode))
def test_to_json_raises_only_its_own_error(body: bytes) -> None:
    """Whatever bytes come, what is raised is a ProtocolError."""
    with pytest.raises(ProtocolError):
        codec.to_json(body, "event.next")


@given(st.data())
def test_to_json_survives_any_damage_to_a_recorded_answer(data: st.DataObject) -> None:
    """A recorded answer with a byte changed is read, or refused as a ProtocolError."""
    body = bytearray(body_of("xml-event.next-add"))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        json.loads(codec.to_json(bytes(body), "event.next"))
    except ProtocolError:
        return


def test_to_json_never_writes_what_json_does_not_know() -> None:
    """A double that is no number becomes null: JSON has no word for it."""
    body = xml_reply({"r": math.nan})
    assert codec.to_json(body, "x.y") == b'{"result":{"r":null}}'
