"""Requests that no client would send, made of recorded ones; each is made by its seed alone."""

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

REQUESTS = Path(__file__).parents[2] / "golden" / "simulator" / "wire-requests" / "requests.jsonl"
REF = re.compile(rb"OpaqueRef:[0-9a-f-]{36}")
_LENGTH = re.compile(rb"(?i)(content-length: )\d+")
_NASTY = [
    b"\x00",
    b"\xff\xfe",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\r\n\r\n",
    b"<",
    b"&lol;",
    b"&#0;",
    b"&#xD800;",
    b"]]>",
    b"<![CDATA[",
    b"<nil/>",
    b"<value><nil/></value>",
    b"<!--",
    b"<?xml version='1.0' encoding='utf-16'?>",
    b'<!DOCTYPE m [<!ENTITY a "aa"><!ENTITY lol "&a;&a;&a;&a;">]>',
    b'<!DOCTYPE m [<!ENTITY lol SYSTEM "file:///etc/passwd">]>',
    b"<value><array><data>" * 300,
    b"[" * 3000,
    b'{"a":' * 3000,
    b"NaN",
    b"-Infinity",
    b"1e400",
    b"9" * 5000,
    b"9223372036854775808",
    b"-0",
    b'"\\ud800"',
    b"\\udc00\\ud800",
    b"\\u0000",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"''",
    b"/* comment",
    b"// comment\n",
    b"%00%zz",
    b" " * 2000,
]
_HEADERS = [
    b"Content-Length: 0",
    b"Content-Length: -1",
    b"Content-Length: 0x10",
    b"Content-Length: 1_0",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 307201",
    b"Content-Length: ten",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: upgrade",
    b"Expect: 100-continue",
    b"Host",
    b": no name",
    b"Cookie: session_id=%ff; =; a",
    b"X: \xff\x00",
    b"Long: " + b"y" * 1200,
]
_LINES = [
    b"POST",
    b"POST /",
    b"POST / HTTP/0.9",
    b"POST / HTTP/1.0",
    b"POST / HTTP/2.0",
    b"POST / abc",
    b"POST / x",
    b"post / HTTP/1.1",
    b"POST /jsonrpc?a=%zz&b HTTP/1.1",
    b"POST http://host/jsonrpc HTTP/1.1",
    b"POST /%6asonrpc HTTP/1.1",
    b"POST nowhere HTTP/1.1",
    b"GET / HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"CONNECT host:443 HTTP/1.1",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS hello",
]


def recorded_requests() -> list[bytes]:
    """Return the recorded requests, in the order of the recording."""
    lines = REQUESTS.read_text().splitlines()
    return [str(json.loads(line)["sent"]).encode("latin-1") for line in lines]


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent on one connection: pieces, and the pause in seconds before each."""

    name: str
    pieces: tuple[tuple[float, bytes], ...]
    ends: bool
    """Whether the client says that nothing more comes; otherwise it just waits."""

    @property
    def sent(self) -> bytes:
        """All bytes together."""
        return b"".join(piece for _pause_s, piece in self.pieces)


def case(seed: int, number: int, requests: Sequence[bytes], refs: Sequence[bytes]) -> Case:
    """Return one case; `refs` are references that mean something to the server."""
    name = f"seed {seed}, case {number}"
    rng = random.Random(name)
    sent = b"".join(_request(rng, requests, refs) for _ in range(rng.choice([1, 1, 1, 2, 3])))
    return Case(name, tuple(_pieces(rng, sent)), ends=rng.random() < 0.7)


def _request(rng: random.Random, requests: Sequence[bytes], refs: Sequence[bytes]) -> bytes:
    sent = REF.sub(lambda _found: rng.choice(refs), rng.choice(requests))
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        sent = rng.choice(_MUTATIONS)(rng, sent, requests)
    if rng.random() < 0.7:
        sent = _with_true_length(sent)
    return sent


def _with_true_length(sent: bytes) -> bytes:
    """Make the length that the head tells true, so that the body is looked at."""
    body = sent.partition(b"\r\n\r\n")[2]
    return _LENGTH.sub(lambda found: found[1] + b"%d" % len(body), sent, count=1)


def _pieces(rng: random.Random, sent: bytes) -> list[tuple[float, bytes]]:
    if rng.random() < 0.85:
        return [(0.0, sent)]
    places = [0, *sorted(rng.randrange(len(sent) + 1) for _ in range(3)), len(sent)]
    pauses = [rng.choice([0.0, 0.1, 5.0, 11.0]) for _ in places]
    return [
        (pause_s, sent[begin:end])
        for pause_s, begin, end in zip(pauses, places, places[1:], strict=False)
    ]


def _place(rng: random.Random, sent: bytes) -> tuple[int, int]:
    """Return the begin and the end of a part, most often a short one."""
    begin = rng.randrange(len(sent) + 1)
    return begin, min(len(sent), begin + rng.choice([1, 2, 8, 40, 400]))


def _flip(rng: random.Random, sent: bytes, _requests: Sequence[bytes]) -> bytes:
    changed = bytearray(sent)
    for _ in range(rng.randrange(1, 6) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: random.Random, sent: bytes, _requests: Sequence[bytes]) -> bytes:
    begin, end = _place(rng, sent)
    return sent[:begin] + sent[end:]


def _insert(rng: random.Random, sent: bytes, _requests: Sequence[bytes]) -> bytes:
    begin, _end = _place(rng, sent)
    noise = rng.choice([rng.choice(_NASTY), rng.randbytes(rng.randrange(1, 50))])
    return sent[:begin] + noise + sent[begin:]


def _duplicate(rng: random.Random, sent: bytes, _requests: Sequence[bytes]) -> bytes:
    begin, end = _place(rng, sent)
    return sent[:end] + sent[begin:end] * rng.choice([1, 2, 50]) + sent[end:]


def _swap(rng: random.Random, sent: bytes, _requests: Sequence[bytes]) -> bytes:
    (begin, end), (_, last) = sorted([_place(rng, sent), _place(rng, sent)])
    last = max(end, last)
    middle = (end + last) // 2
    return sent[:begin] + sent[end:middle] + sent[begin:end] + sent[middle:]


def _splice(rng: random.Random, sent: bytes, requests: Sequence[bytes]) -> bytes:
    other = rng.choice(requests)
    return sent[: rng.randrange(len(sent) + 1)] + other[rng.randrange(len(other)) :]


def _other_body(rng: random.Random, sent: bytes, requests: Sequence[bytes]) -> bytes:
    head, empty, _body = sent.partition(b"\r\n\r\n")
    return head + empty + rng.choice(requests).partition(b"\r\n\r\n")[2]


def _replace_value(rng: random.Random, sent: bytes, _requests: Sequence[bytes]) -> bytes:
    """Put something of another type where a value was."""
    found = list(re.finditer(rb'(?<=<value>)[^<>]*(?=</value>)|"[^"]*"|\b\d+\b', sent))
    if not found:
        return sent
    value = rng.choice(found)
    return sent[: value.start()] + rng.choice(_NASTY) + sent[value.end() :]


def _header(rng: random.Random, sent: bytes, _requests: Sequence[bytes]) -> bytes:
    head, empty, body = sent.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(_HEADERS))
    return b"\r\n".join(lines) + empty + body


def _first_line(rng: random.Random, sent: bytes, _requests: Sequence[bytes]) -> bytes:
    return rng.choice(_LINES) + b"\r\n" + sent.partition(b"\r\n")[2]


def _noise(rng: random.Random, _sent: bytes, _requests: Sequence[bytes]) -> bytes:
    return rng.randbytes(rng.choice([1, 17, 18, 100, 1006, 1007, 5000]))


def _huge(rng: random.Random, sent: bytes, _requests: Sequence[bytes]) -> bytes:
    if rng.random() < 0.9:  # These take the longest, and one of a kind tells as much as many.
        return sent
    head, empty, body = sent.partition(b"\r\n\r\n")
    return head + empty + body[:-3] + rng.choice([b" ", b"a", b"<", b'"', b"[1,"]) * 307_000


_MUTATIONS: list[Callable[[random.Random, bytes, Sequence[bytes]], bytes]] = [
    _flip,
    _cut,
    _insert,
    _duplicate,
    _swap,
    _splice,
    _other_body,
    _replace_value,
    _replace_value,
    _header,
    _first_line,
    _noise,
    _huge,
]
