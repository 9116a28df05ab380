"""The short way to the values of an XML reply: never to others than the long way leads to."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import ProtocolError
from recorder.xapi.xmlrpc import DEPTH_MAX, _parse
from recorder.xapi.xmlswap import BYTES_MAX, swapped
from tests.fakes import xml_reply
from tests.wire.golden import CLIENT
from tests.wire.test_xmlrpc import TEXTS, VALUES

TOLD = sorted(
    path
    for path in CLIENT.rglob("*.resp")
    if b"<methodResponse>" in path.read_bytes() and b"HTTP/1.1 200" in path.read_bytes()
)
SMALL = xml_reply({"k": ["a", {"b": "c", "d": True}], "e": [], "f": {}, "g": 0.5})
PIECES = [
    *("<value>", "</value>", "<struct>", "</struct>", "<member>", "</member>", "<name>", "</name>"),
    *("<array><data>", "</data></array>", "</value><value>", "</name><value>", "<i4>7</i4>"),
    *("</value></member><member><name>", "<boolean>1</boolean>", "<double>1.50</double>", "k", ""),
    *(
        '"',
        "\\",
        "\n",
        "\t",
        "\r",
        " ",
        ",",
        "]",
        "}",
        "&lt;",
        "&amp;lt;",
        "&#65;",
        "<!-- -->",
        "é",
    ),
    *("\x0e", "\x0f", "\x00", "<![CDATA[x]]>", "<?x?>", "<nil/>", "<string>s</string>", "]]>"),
]


def the_long_way(body: bytes) -> object:
    try:
        return _parse(body)
    except ProtocolError:
        return ProtocolError


def same(one: object, other: object) -> bool:
    """Say whether two values are equal, down to the types of numbers and the order of members."""
    return repr(one) == repr(other)


@pytest.mark.parametrize("path", TOLD, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_answer_of_xapi_goes_the_short_way(path: Path) -> None:
    """And has the values that it has on the long one."""
    body = path.read_bytes().partition(b"\r\n\r\n")[2]
    assert same(swapped(body), _parse(body))


def test_answers_of_xapi_are_there() -> None:
    """The comparison above compares something."""
    assert len(TOLD) > 40


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_any_value_is_the_one_of_the_long_way(value: dict[str, object]) -> None:
    """Whatever a reply holds: quotation marks, brackets, entities, signs of every script."""
    body = xml_reply(value)
    short = swapped(body)
    assert short is None or same(short, _parse(body))


@pytest.mark.parametrize("text", ['"', "\\", '\\"', "a\nb\tc", '","', '"}', "<&>'", "&quot;", ""])
def test_texts_that_look_like_json_or_xml_are_texts(text: str) -> None:
    """The marks that are put in and taken out again are never those of a text."""
    assert swapped(xml_reply({text: [text, {text: text}]}))["Value"] == {text: [text, {text: text}]}


@given(st.data())
def test_no_change_of_a_reply_leads_elsewhere(data: st.DataObject) -> None:
    """Tags that are cut, doubled, moved: the short way gives up, or says what the long way says."""
    text = SMALL.decode()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        until = at + data.draw(st.sampled_from([0, 0, 1, 7, 8, 15, 16]))
        text = text[:at] + data.draw(st.sampled_from(PIECES)) + text[until:]
    value = swapped(text.encode())
    assert value is None or same(value, the_long_way(text.encode()))


@pytest.mark.parametrize(
    ("was", "instead"),
    [
        ("<name>e</name>", "<name>k</name>"),  # two members of one name
        ("</value></member><member><name>e</name>", "</value><value>e</name>"),  # no XML
        ("</name><value>", "</name> <value>"),
        ("<value>a</value>", "<value><string>a</string></value>"),
        ("<value>a</value>", "<value>&#97;</value>"),
        ("<value>a</value>", "<value><![CDATA[a]]></value>"),
        ("<value>a</value>", "<value><i4>1.5</i4></value>"),
        ("<value>a</value>", "<value>x<dateTime.iso8601>y</dateTime.iso8601></value>"),
        ("<value>a</value>", "<value>a\r\nb</value>"),
        ("0.5", "nan"),
        ("0.5", "1e999"),
        ("<data></data>", "<data/>"),
        ("</value></param>", "</value></param><!-- -->"),
        ('<?xml version="1.0"?>', '<?xml version="1.0" encoding="latin-1"?>'),
        ('<?xml version="1.0"?>', '<?xml version="1.0"?><!DOCTYPE x>'),
        ("</value></member><member><name>", "</value></member><member ><name>"),
    ],
)
def test_what_xapi_does_not_write_goes_the_long_way(was: str, instead: str) -> None:
    """Whether it may be written otherwise is not for the short way to say."""
    text = SMALL.decode()
    assert was in text
    assert swapped(text.encode()) is not None
    assert swapped(text.replace(was, instead, 1).encode()) is None


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_a_reply_that_is_too_deep_goes_the_long_way(kind: str) -> None:
    """It is refused there at the same depth as ever."""
    value: object = ""
    refused = 0
    for _ in range(DEPTH_MAX // 3 + 4):
        value = [value] if kind == "list" else {"k": value}
        body = xml_reply(value)
        expected = the_long_way(body)
        refused += expected is ProtocolError
        assert same(swapped(body), None if expected is ProtocolError else expected)
    assert refused > 3


def test_a_long_reply_goes_the_long_way() -> None:
    """Others would not have a turn until it is read."""
    around = len(xml_reply(""))
    assert swapped(xml_reply("x" * (BYTES_MAX - around))) is not None
    assert swapped(xml_reply("x" * (BYTES_MAX - around + 1))) is None
