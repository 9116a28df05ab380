"""What xapi's parsers of XML, JSON and numbers let in, and the words in which they refuse."""

import math

import pytest

from recorder.simulator import jsonwire, xmlwire, yojson
from recorder.simulator.calls import MalformedError, Sent
from recorder.simulator.ocaml import float64, int64, quoted

BEFORE = b"<methodCall><methodName>m</methodName><params><param><value>"
AFTER = b"</value></param></params></methodCall>"


def _xml(value: bytes) -> bytes:
    return BEFORE + value + AFTER


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (_xml(b"a") + b"junk < & after", "a"),
        (_xml(b"a &b &; & c"), "a &b &; & c"),
        (_xml(b"a<!-- no -->b<?no no?>c<![CDATA[<d>&amp;]]]>"), "abc<d>&amp;]"),
        (_xml(b"&#x41;&#66;&lt;&gt;&amp;&apos;&quot;"), "AB<>&'\""),
        (_xml(b"a\r\nb\rc"), "a\nb\nc"),
        (_xml(b"<int>0x10</int>"), 16),
        (_xml(b"<i4>-1_000</i4>"), -1000),
        (_xml(b"<double>nan</double>"), math.nan),
        (_xml(b"<string>a b</string>"), "a b"),
        (b"<?xml version='1.0' encoding='ISO-8859-1'?>" + _xml(b"\xe9"), "\xe9"),
        (b"\xef\xbb\xbf" + _xml(b"\xc3\xa9"), "\xe9"),
        (b"\xff\xfe" + _xml(b"a").decode().encode("utf-16-le"), "a"),
        (b"<!DOCTYPE x [<!ELEMENT a '>'> <!-- > -->]>" + _xml(b"a"), "a"),
        (
            b"<x:methodCall xmlns:x='u'>" + _xml(b"a")[12:-13] + b"</x:methodCall>",
            "a",
        ),
        (
            _xml(
                b"<struct><member><name>k</name><value>1</value></member>"
                b"<member><name>k</name><value>2</value></member></struct>"
            ),
            {"k": "1"},
        ),
    ],
)
def test_xml_is_read_as_xmlm_reads_it(body: bytes, param: Sent) -> None:
    """Text after the document, lone &, other encodings and OCaml's numbers are let in."""
    (found,) = xmlwire.decode_call(body).params
    assert repr(found) == repr(param)


REFUSED_BY_XMLM = [
    (b"", '1:1, "unexpected end of input"'),
    (b"x", '1:1, "expected root element"'),
    (b"  ", '1:3, "expected root element"'),
    (b"<not xml", '1:9, "unexpected end of input"'),
    (
        b"<methodCall>\n<b></c>",
        '2:7, "expected one of these character sequence: "b", found "c""',
    ),
    (_xml(b"&lol;"), '1:66, "unknown entity reference (lol)"'),
    (_xml(b"&#0;"), '1:65, "illegal character reference (#0)"'),
    (_xml(b"\xff"), '1:61, "malformed character stream"'),
    (_xml(b"a\x00"), '1:62, "malformed character stream"'),
    (_xml(b"]]>"), '1:63, "character sequence illegal here ("]]>")"'),
    (b"<?xml version='1.0' encoding='x'?><a/>", '1:33, "unknown encoding (x)"'),
    (b"<p:a/>", '1:5, "unknown namespace prefix (p)"'),
]
REFUSED_BY_CODEC = [
    (b"<a/>", 'Xmlrpc.Parse_error("open_tag(a)", "open_tag(methodCall)", _)'),
    (_xml(b"<int></int>"), 'Xmlrpc.Parse_error("empty_int", "int", _)'),
    (_xml(b"a<int>1</int>"), 'Xmlrpc.Parse_error("open_tag(int)", "close_tag(value)", _)'),
    (_xml(b"<int>ten</int>"), 'Failure("Int64.of_string")'),
    (_xml(b"<double>ten</double>"), 'Failure("float_of_string")'),
    (
        _xml(b"<nil>\xc3\xa9</nil>"),
        'Xmlrpc.Parse_error("data(\\\\195\\\\169)", "close_tag(nil)", _)',
    ),
]


@pytest.mark.parametrize(
    ("body", "text"),
    [*((body, f"Xmlm.Error({text})") for body, text in REFUSED_BY_XMLM), *REFUSED_BY_CODEC],
)
def test_xml_is_refused_in_the_words_of_xapi(body: bytes, text: str) -> None:
    """The reply quotes the exception, with the place counted as xmlm counts."""
    with pytest.raises(MalformedError) as error:
        xmlwire.decode_call(body)
    assert str(error.value) == text


def test_entities_are_never_expanded_or_fetched() -> None:
    """A billion laughs and a file of ours are both just an unknown name."""
    laughs = b"<!DOCTYPE a [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]>"
    thief = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
    for declaration in (laughs, thief):
        with pytest.raises(MalformedError, match=r"unknown entity reference \(b\)"):
            xmlwire.decode_call(declaration + _xml(b"&b;"))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":1,"a":2}', {"a": 1}),
        (b"{a:1, b_1 : [true] }", {"a": 1, "b_1": [True]}),
        (b"/* c */ [1, // d\n 2]", [1, 2]),
        (b'"\x01\n"', "\x01\n"),
        (b'"\xff"', "\udcff"),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        (b'"\\udc00"', "\udced\udcb0\udc80"),
        (b"-0", 0),
        (b"-Infinity", -math.inf),
        (b"9223372036854775807", 2**63 - 1),
    ],
)
def test_json_is_read_as_yojson_reads_it(body: bytes, value: Sent) -> None:
    """Comments, bare names and raw bytes are let in; the first of two members counts."""
    assert yojson.parse(body) == value


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b" \n ", "Blank input data"),
        (b"{bad", "Line 1, bytes 3-4:\nUnexpected end of input"),
        (b'{"a":xyz}', "Line 1, bytes 8-9:\nInvalid token 'xyz}'"),
        (b'{"a" 1}', "Line 1, bytes 6-7:\nExpected ':' but found '1}'"),
        (b"[1\n;", "Line 2, bytes 0-1:\nExpected ',' or ']' but found ';'"),
        (b"{} {}", "Line 1, bytes 4-5:\nJunk after end of JSON value: '{}'"),
        (b"{1:2}", "Line 1, bytes 4-5:\nExpected string or identifier but found '1:2}'"),
        (b'"\\q"', "Line 1, bytes 3-4:\nInvalid escape sequence 'q\"'"),
        (b"x" * 50, f"Line 1, bytes 32-34:\nInvalid token '{'x' * 33}'"),
    ],
)
def test_json_is_refused_in_the_words_of_yojson(body: bytes, text: str) -> None:
    """The reply quotes the exception, which quotes the beginning of what could not be read."""
    with pytest.raises(MalformedError) as error:
        yojson.parse(body)
    assert str(error.value) == f"Yojson__Common.Json_error({quoted(text)})"


def test_a_call_keeps_its_bytes_that_are_no_text() -> None:
    """They can be answered: with the same bytes."""
    request = jsonwire.decode_request(b'{"method":"\xff","params":[],"id":"\xfe"}')
    reply = jsonwire.encode_success(request, request.call.method)
    assert reply == b'{"result":"\xff","error":null,"id":"\xfe"}'


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("+7", 7),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", None),
        ("0xffffffffffffffff", -1),
        ("-0x1", -1),
        ("0x1ffffffffffffffff", None),
        ("0b101", 5),
        ("0o17", 15),
        ("0u18446744073709551615", -1),
        ("1_0", 10),
        ("_1", None),
        ("", None),
        (" 1", None),
        ("1" * 300_000, None),
        ("\u0661", None),
    ],
)
def test_whole_numbers_are_read_as_ocaml_reads_them(text: str, number: int | None) -> None:
    """Int64.of_string, with its bases and underscores."""
    assert int64(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1.0),
        ("1.", 1.0),
        (".5e1", 5.0),
        ("1_0.5", 10.5),
        ("0x1p4", 16.0),
        ("-inf", -math.inf),
        ("Infinity", math.inf),
        ("1e400", math.inf),
        ("0x1p5000", math.inf),
        ("", None),
        (".", None),
        ("1 ", None),
        ("\u0661", None),
        ("1" * 100_000 + "x", None),
    ],
)
def test_floats_are_read_as_ocaml_reads_them(text: str, number: float | None) -> None:
    """float_of_string, which is C's strtod without underscores."""
    assert float64(text) == number
