"""A reply and a fault give steps: what is sent when, and how it ends. No I/O; `line` does them."""

from collections.abc import Iterator
from html import escape
from typing import TypeAlias, assert_never

import msgspec

from . import effects
from .rule import noise

ENDLESS_LENGTH = 10**12
"""What an endless reply promises: more than anybody reads."""


class Send(msgspec.Struct, frozen=True):
    """Send these bytes."""

    data: bytes


class Pause(msgspec.Struct, frozen=True):
    """Wait; without a number for ever."""

    seconds: float | None = None


class End(msgspec.Struct, frozen=True):
    """End the connection: close it in good order, or reset it."""

    reset: bool = False


Step: TypeAlias = Send | Pause | End


def steps(effect: effects.ReplyEffect, reply: bytes, dice: str) -> Iterator[Step]:  # noqa: C901, PLR0912 - one case an effect
    """Yield what happens in place of sending `reply`, without the delay of the rule.

    `reply` is a whole HTTP reply, or nothing where a connection was just made; `dice` seeds what
    is random.
    """
    match effect:
        case effects.Slow():
            yield Send(reply)
        case effects.Stall(lasts_s):
            yield Pause(lasts_s)
            yield Send(reply)
        case effects.Drip(size, pause_s):
            for start in range(0, len(reply), size):
                yield Send(reply[start : start + size])
                yield Pause(pause_s)
        case effects.Reset():
            yield End(reset=True)
        case effects.HalfReply(fraction):
            yield Send(reply[: int(len(reply) * fraction)])
            yield End()
        case effects.Garbage(size, "reply"):
            yield Send(noise(dice, size))
            yield End()
        case effects.Garbage(size, _):
            yield Send(_with_body(reply, noise(dice, size)))
        case effects.Body(text, digits, repeat):
            yield Send(_with_body(reply, (text.encode() or bytes.fromhex(digits)) * repeat))
        case effects.Endless(size, pause_s):
            yield from _endless(reply, size, pause_s)
        case effects.HttpStatus():
            yield Send(_page(effect))
            yield End()
        case effects.Redirect(location, status):
            head = f"HTTP/1.1 {status} Found\r\ncontent-length: 0\r\nlocation: {location}\r\n"
            yield Send(f"{head}connection: close\r\n\r\n".encode())
            yield End()
        case effects.ContentLength(by):
            yield Send(_with_length(reply, max(0, len(_body(reply)) + by)))
        case effects.Duplicate():
            yield Send(reply + reply)
        case _:
            assert_never(effect)


def _endless(reply: bytes, size: int, pause_s: float) -> Iterator[Step]:
    yield Send(_with_length(reply, ENDLESS_LENGTH)[:-1])
    while True:
        yield Send(b" " * size)
        yield Pause(pause_s)


def _page(effect: effects.HttpStatus) -> bytes:
    """Return an error page in the form of xapi's, with the text in the place of the exception's."""
    title = f"<h1>HTTP {effect.status} {escape(effect.reason.lower())}</h1>"
    extra = f"<h1> Additional information </h1>{escape(effect.text)}"
    body = f"<html><body>{title}{extra}</body></html>".encode()
    head = f"HTTP/1.1 {effect.status} {effect.reason}\r\ncontent-length: {len(body)}\r\n"
    headers = "content-type: text/html\r\nconnection: close\r\ncache-control: no-cache, no-store"
    return f"{head}{headers}\r\n\r\n".encode() + body


def _body(reply: bytes) -> bytes:
    return reply.partition(b"\r\n\r\n")[2]


def _with_body(reply: bytes, body: bytes) -> bytes:
    head, end, _ = _with_length(reply, len(body)).partition(b"\r\n\r\n")
    return head + end + body


def _with_length(reply: bytes, length: int) -> bytes:
    """Change what the header promises; the bytes after it stay as they are."""
    head, end, body = reply.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    for number, line in enumerate(lines):
        if line.lower().startswith(b"content-length:"):
            lines[number] = b"content-length: %d" % length
    return b"\r\n".join(lines) + end + body
