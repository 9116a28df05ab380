"""Both encodings of the same values, held against replies recorded with a real xapi."""

import json
from collections.abc import Callable
from typing import cast

import pytest

from recorder.simulator import jsonwire, xmlwire
from recorder.simulator.calls import Batch, Call, MalformedError, Result
from recorder.simulator.datamodel import class_named, fields
from recorder.simulator.events import EventRow, FromReply
from recorder.simulator.jsonwire import Request, Version
from recorder.simulator.values import DateTime, Fault, Record, Value
from tests.simulator.network.support import GOLDEN

REPLIES = GOLDEN / "replies"


def _body(name: str) -> bytes:
    return (REPLIES / name).read_bytes().partition(b"\r\n\r\n")[2]


def _typed(cls: str, record: Record) -> Record:
    """Give the dates of a JSON record their type back."""
    kinds = {name: field.type for name, field in fields(cls).items()}
    return {
        name: DateTime(value) if kinds.get(name) == "datetime" else value
        for name, value in record.items()
    }


def _row(event: dict[str, Value], text: bytes) -> EventRow:
    cls = class_named(str(event["class"]))
    record = event.get("snapshot")
    assert cls is not None
    return EventRow(
        id=int(str(event["id"])),
        timestamp=str(event["timestamp"]),
        cls=cls.lower(),
        operation=str(event["operation"]),
        ref=str(event["ref"]),
        record=_typed(cls, record) if isinstance(record, dict) else None,
        json=text,
    )


def _events(events: list[dict[str, Value]]) -> list[EventRow]:
    texts = [json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in events]
    return [_row(event, text.encode()) for event, text in zip(events, texts, strict=True)]


def _records(cls: str) -> Callable[[Value], Result]:
    def result(value: Value) -> Result:
        assert isinstance(value, dict)
        return {ref: _typed(cls, cast("Record", record)) for ref, record in value.items()}

    return result


def _batch(value: Value) -> Result:
    return Batch(_events(cast("list[dict[str, Value]]", value)))


def _from_reply(value: Value) -> Result:
    reply = cast("dict[str, Value]", value)
    rows = _events(cast("list[dict[str, Value]]", reply["events"]))
    counts = cast("dict[str, int]", reply["valid_ref_counts"])
    return FromReply(rows, counts, str(reply["token"]))


PAIRS = [
    ("get_all_records-pool", _records("pool")),
    ("get_all_records-VM", _records("VM")),
    ("get_all_records-VM_metrics", _records("VM_metrics")),
    ("message.get_all_records", _records("message")),
    ("event.next-mod", _batch),
    ("event.from-del", _from_reply),
]


@pytest.mark.parametrize(("name", "result"), PAIRS, ids=[name for name, _ in PAIRS])
def test_a_result_is_written_as_recorded(name: str, result: Callable[[Value], Result]) -> None:
    """The same result gives the recorded bytes in XML-RPC and in JSON-RPC."""
    recorded = json.loads(_body(f"json2-{name}.resp"))
    value = result(recorded["result"])
    request = Request(Call("any", []), Version.TWO, recorded["id"])
    assert jsonwire.encode_success(request, value) == _body(f"json2-{name}.resp")
    assert xmlwire.encode_success(value) == _body(f"xml-{name}.resp")


def test_xml_numbers_are_written_as_ocaml_does() -> None:
    """Whole numbers are bare text, floats take 16 digits, control characters vanish."""
    values: list[Value] = [2**53 + 1, True, 0.1, 1.0, 1e22, 1 / 3, 'a<b>&"\x07\n', DateTime("d")]
    text = "".join(xmlwire.encode_value(value) for value in values)
    assert text == (
        "<value>9007199254740993</value><value><boolean>1</boolean></value>"
        "<value><double>0.1</double></value><value><double>1</double></value>"
        "<value><double>1e+22</double></value><value><double>0.3333333333333333</double></value>"
        "<value>a&lt;b&gt;&amp;&quot;\n</value>"
        "<value><dateTime.iso8601>d</dateTime.iso8601></value>"
    )


def _xml(value: str) -> bytes:
    head = "<methodCall><methodName>m</methodName><params><param>"
    return f"{head}<value>{value}</value></param></params></methodCall>".encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("bare", "bare"),
        ("<string/>", ""),
        ("<string> a&amp;b<![CDATA[<c>]]></string>", " a&b<c>"),
        ("<int>-5</int>", -5),
        ("<i4>7</i4>", 7),
        ("<i8>9223372036854775807</i8>", 2**63 - 1),
        ("<boolean>1</boolean>", True),
        ("<boolean>true</boolean>", False),
        ("<double>1.5</double>", 1.5),
        ("<dateTime.iso8601>20250131T10:11:12Z</dateTime.iso8601>", DateTime("20250131T10:11:12Z")),
        ("<base64>aGk=</base64>", "hi"),
        ("<nil/>", None),
        ("<array><data/></array>", []),
        ("\n <array>\n<data> <value>a</value>\n</data></array>\n", ["a"]),
        (
            "<struct><member><name>k</name><value><int>1</int></value></member></struct>",
            {"k": 1},
        ),
    ],
)
def test_xml_types_are_read(text: str, value: object) -> None:
    """Every type that xapi takes is read, typed or bare."""
    (param,) = xmlwire.decode_call(_xml(text)).params
    assert param == value
    assert type(param) is type(value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff\xfe",
        b"<methodCall>",
        b"<methodCall/>",
        b"<other><methodName>m</methodName><params/></other>",
        _xml("<int>1.5</int>"),
        _xml("<int>9223372036854775808</int>"),
        _xml("<double>one</double>"),
        _xml("<base64>a</base64>"),
        _xml("<float>1</float>"),
        _xml("<struct><member><name>k</name></member></struct>"),
        _xml("<array><data>" * 500 + "</data></array>" * 500),
        b'<?xml version="1.0" encoding="no-such"?><methodCall/>',
        b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + _xml("&e;"),
    ],
)
def test_malformed_xml_is_an_error_of_the_client(body: bytes) -> None:
    """What is not a call raises the one exception that becomes HTTP 500."""
    with pytest.raises(MalformedError):
        xmlwire.decode_call(body)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", 'Yojson__Common.Json_error("Blank input data")'),
        (b"[]", 'Jsonrpc.Malformed_method_request("Invalid request body")'),
        (b"{}", 'Jsonrpc.Malformed_method_request("Required field method is missing")'),
        (
            b'{"method":1}',
            "Jsonrpc.Malformed_method_request(\"Invalid field 'method' in request body\")",
        ),
        (
            b'{"method":"m","jsonrpc":"1.0"}',
            "Jsonrpc.Malformed_method_request(\"Invalid field 'jsonrpc' in request body\")",
        ),
        (
            b'{"method":"m","id":1}',
            'Jsonrpc.Malformed_method_request("Required field params is missing")',
        ),
        (
            b'{"method":"m","params":{},"id":1}',
            "Jsonrpc.Malformed_method_request(\"Invalid field 'params' in request body\")",
        ),
        (
            b'{"method":"m","params":[],"id":1.5}',
            "Jsonrpc.Malformed_method_request(\"Invalid field 'id' in request body\")",
        ),
        (b'{"method":"m","params":[9223372036854775808],"id":1}', 'Failure("Int64.of_string")'),
    ],
)
def test_malformed_json_is_named_as_xapi_names_it(body: bytes, text: str) -> None:
    """The text of the exception is part of the reply, so it is that of xapi."""
    with pytest.raises(MalformedError) as error:
        jsonwire.decode_request(body)
    assert str(error.value) == text


@pytest.mark.parametrize("body", [b'{"a":"\\ud800"}', b"\xff", b"[" * 100_000, b"9" * 5000])
def test_hostile_json_is_refused(body: bytes) -> None:
    """Half a surrogate pair, broken UTF-8 and bottomless nesting end in the same exception."""
    with pytest.raises(MalformedError):
        jsonwire.decode_request(body)


def test_an_error_before_the_dispatch_ignores_version_and_id() -> None:
    """Emergency mode answers in its own form: an array, id 0, and 2.0 even to 1.0."""
    reply = jsonwire.encode_raised(Fault("HOST_STILL_BOOTING"))
    assert reply == b'{"jsonrpc":"2.0","error":["HOST_STILL_BOOTING"],"id":0}'
