"""What a broken or hostile server may make of an answer: damage by seed, one kind a function."""

import random
import re
from collections.abc import Callable

Damage = Callable[[random.Random, bytes], bytes]

NUMBERS = [
    b"-1",
    b"NaN",
    b"Infinity",
    b"1e999",
    b"0.1",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551616",
    b"9" * 40,
    b"9" * 5000,
    b"0" * 30 + b"7",
]
TEXTS = [
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\\u0000",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\x00",
    b"\xe2\x80\xae",
    b"A" * 5000,
    b"&#xD800;",
    b"&#0;",
    b"&lol;",
    b"&amp;amp;",
    b"<![CDATA[ ]]>",
    b"<!-- -->",
    b"<?php ?>",
    b"\\",
    b'"',
]
VALUES = [
    b"null",
    b"true",
    b"{}",
    b"[]",
    b'""',
    b"[null]",
    b'{"":{}}',
    b"[[[[]]]]",
    b'"OpaqueRef:NULL"',
    b"-0",
]
XML_VALUES = [
    b"<value/>",
    b"<value><nil/></value>",
    b"<value><boolean>1</boolean></value>",
    b"<value><struct/></value>",
    b"<value><array><data/></array></value>",
    b"<value><array/></value>",
    b"<value><i4>99999999999999999999</i4></value>",
    b"<value><double>nan</double></value>",
    b"<value><double>1e999</double></value>",
    b"<value><value>x</value></value>",
    b"<value><base64>AAAA</base64></value>",
    b"<name>x</name>",
    b"<member/>",
]
DOCTYPES = [
    b'<!DOCTYPE x [<!ENTITY lol "lol"><!ENTITY l2 "&lol;&lol;&lol;">]>',
    b'<!DOCTYPE x [<!ENTITY lol SYSTEM "file:///etc/passwd">]>',
    b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
]
DEPTHS = [40, 70, 400, 980, 1100, 50_000]

_NUMBER = re.compile(rb"(?<=[:>\"\[,])-?[0-9]+(?:\.[0-9]*)?(?=[<\",}\]])")
_TEXT = re.compile(rb'"[^"\\]*"|>[^<>]+<')
_VALUE = re.compile(rb'"[^"\\]*"|\b(?:true|false|null)\b|\{[^{}]*\}|\[[^\[\]]*\]')
_XML_VALUE = re.compile(rb"<value>(?:(?!<value>).)*?</value>", re.DOTALL)
_PAIR = re.compile(rb'"[^"\\]*":(?:"[^"\\]*"|\{[^{}]*\}|\[[^\[\]]*\]|[0-9a-z]+)')
_MEMBER = re.compile(rb"<member>(?:(?!<member>).)*?</member>", re.DOTALL)


def mutated(rng: random.Random, body: bytes) -> bytes:
    """Return an answer with one kind of damage done to it, sometimes three.

    One alone is what gets past the parser more often, and further in.
    """
    for _ in range(rng.choice([1, 1, 1, 3])):
        body = rng.choice(DAMAGES)(rng, body)
    return body


def flip(rng: random.Random, body: bytes) -> bytes:
    damaged = bytearray(body)
    for _ in range(rng.randint(1, 8) if body else 0):
        damaged[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut(rng: random.Random, body: bytes) -> bytes:
    return body[: rng.randint(0, len(body))]


def drop(rng: random.Random, body: bytes) -> bytes:
    start, end = _span(rng, body)
    return body[:start] + body[end:]


def repeat(rng: random.Random, body: bytes) -> bytes:
    start, end = _span(rng, body)
    return body[:end] + body[start:end] * rng.randint(1, 3) + body[end:]


def splice(rng: random.Random, body: bytes) -> bytes:
    """Put a piece of the answer somewhere else in it."""
    start, end = _span(rng, body)
    at = rng.randint(0, len(body))
    return body[:at] + body[start:end] + body[at:]


def number(rng: random.Random, body: bytes) -> bytes:
    return _swapped(rng, body, _NUMBER, rng.choice(NUMBERS))


def text(rng: random.Random, body: bytes) -> bytes:
    """Put what no text should hold into one."""
    found = _one(rng, body, _TEXT)
    at = found[0] + 1 if found else rng.randint(0, len(body))
    return body[:at] + rng.choice(TEXTS) + body[at:]


def kind(rng: random.Random, body: bytes) -> bytes:
    """Put a value of another type in the place of one."""
    is_xml = body.lstrip().startswith(b"<")
    values, pattern = (XML_VALUES, _XML_VALUE) if is_xml else (VALUES, _VALUE)
    return _swapped(rng, body, pattern, rng.choice(values))


def nest(rng: random.Random, body: bytes) -> bytes:
    """Put a value inside many others."""
    is_xml = body.lstrip().startswith(b"<")
    found = _one(rng, body, _XML_VALUE if is_xml else _VALUE)
    if found is None:
        return body
    start, end = found
    begin, close = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    if is_xml:
        begin, close = b"<value><array><data>", b"</data></array></value>"
    depth = rng.choice(DEPTHS)
    return body[:start] + begin * depth + body[start:end] + close * depth + body[end:]


def twice(rng: random.Random, body: bytes) -> bytes:
    """Give a map a key twice, with the value of another."""
    is_xml = body.lstrip().startswith(b"<")
    pattern = _MEMBER if is_xml else _PAIR
    found, other = _one(rng, body, pattern), _one(rng, body, pattern)
    if found is None or other is None:
        return body
    pair, value = body[found[0] : found[1]], body[other[0] : other[1]]
    if not is_xml:
        pair += b"," + pair.partition(b":")[0] + b":" + value.partition(b":")[2]
    return body[: found[0]] + pair * (2 if is_xml else 1) + body[found[1] :]


def declare(rng: random.Random, body: bytes) -> bytes:
    """Declare a document type, as attacks by XML entities do."""
    at = body.find(b"?>") + 2 if b"?>" in body else 0
    used = _swapped(rng, body[at:], _TEXT, b">&lol;<")
    return body[:at] + rng.choice(DOCTYPES) + used


DAMAGES: list[Damage] = [
    flip,
    cut,
    drop,
    repeat,
    splice,
    number,
    number,
    text,
    text,
    kind,
    kind,
    nest,
    twice,
    declare,
]


def _span(rng: random.Random, body: bytes) -> tuple[int, int]:
    start = rng.randint(0, len(body))
    return start, min(len(body), start + rng.choice([1, 5, 40, 400]))


def _one(rng: random.Random, body: bytes, pattern: re.Pattern[bytes]) -> tuple[int, int] | None:
    """Return where a match is, chosen at random."""
    found = pattern.search(body, rng.randint(0, len(body))) or pattern.search(body)
    return None if found is None else found.span()


def _swapped(rng: random.Random, body: bytes, pattern: re.Pattern[bytes], new: bytes) -> bytes:
    found = _one(rng, body, pattern)
    return body if found is None else body[: found[0]] + new + body[found[1] :]
