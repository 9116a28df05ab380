"""Raw HTTP over a socket, as the recordings were made."""

import random
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import trio

GOLDEN = Path(__file__).parents[2] / "golden" / "wire" / "http"
PASSWORD = "xenroot"
"""The password in the recorded requests; it opens nothing but a simulated pool."""
NOW_S = 1_795_452_672.0
REF = re.compile(rb"OpaqueRef:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ANSWER_S_MAX = 2.0
QUIET_S = 0.02
"""How long a server that must not answer is given to do it all the same."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Bytes sent in one or several pieces, the reply, and whether the server then closed."""

    name: str
    pieces: tuple[bytes, ...]
    reply: bytes
    closed: bool


def recorded(path: Path) -> Recorded:
    """Read a .req file and the .resp file beside it."""
    sent = path.read_bytes()
    reply = path.with_suffix(".resp").read_bytes()
    closed = b"[[left open]]" not in reply
    for note in (b"[[RST]]", b"\n[[server closed]]", b"\n[[left open]]"):
        reply = reply.removesuffix(b"\n").removesuffix(note) if note in reply else reply
    reply = reply.replace(b"[[RST]]", b"")
    return Recorded(path.stem, tuple(sent.split(b"\n[[next chunk]]\n")), reply, closed)


async def dial(url: str) -> trio.SocketStream:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return await trio.open_tcp_stream(parts.hostname, parts.port)


def free_ports(count: int) -> int:
    """Return a port that is free on loopback, and those after it, at least just now."""
    rng = random.Random(97)
    while not all(map(_is_free, range(port := rng.randrange(20_000, 60_000), port + count))):
        continue
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


async def receive(stream: trio.abc.Stream, count: int) -> bytes:
    """Return what comes until there are `count` bytes or the end."""
    reply = b""
    with trio.move_on_after(ANSWER_S_MAX):
        while len(reply) < count:
            try:
                data = await stream.receive_some()
            except trio.BrokenResourceError:
                break  # A reset: the server closed with bytes of ours unread.
            if not data:
                break
            reply += data
    return reply


async def is_closed(stream: trio.abc.Stream, *, within_s: float) -> bool:
    """Say whether the server ends the connection; anything more that it sends is a failure."""
    with trio.move_on_after(within_s):
        try:
            extra = await stream.receive_some()
        except trio.BrokenResourceError:
            return True
        assert extra == b""
        return True
    return False


async def exchange(url: str, recording: Recorded) -> tuple[bytes, bool]:
    """Send what was sent; return the reply and whether the server then closed."""
    async with await dial(url) as stream:
        for number, piece in enumerate(recording.pieces):
            if number:
                await trio.sleep(0.005)
            await stream.send_all(piece)
        reply = await receive(stream, len(recording.reply)) if recording.reply else b""
        within_s = ANSWER_S_MAX if recording.closed else QUIET_S
        return reply, await is_closed(stream, within_s=within_s)
