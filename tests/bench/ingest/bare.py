"""The limit of what Python can do: `... bare PORT COUNT FILE`.

A loop over one blocking connection: read, cut into events, pack, hash, write, sync. It checks
nothing, hides nothing, numbers nothing and serves nobody else. Without FILE it only reads.
"""

import os
import socket
import ssl
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgpack
import msgspec

from tests.bench.ingest.starting import done, ready

REPLY_BYTES_MAX = 4 * 1024 * 1024
"""A thousand events of the mix take 2.7 MB."""

HEAD_BYTES_MAX = 1024
CALL = b'{"jsonrpc":"2.0","method":"event.next","params":["OpaqueRef:x"],"id":1}'
REQUEST = b"POST /jsonrpc HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(CALL), CALL)


class Told(msgspec.Struct):
    """An event, its snapshot as it came."""

    id: str
    timestamp: str
    cls: str = msgspec.field(name="class")
    operation: str
    ref: str
    snapshot: msgspec.Raw


class Reply(msgspec.Struct):
    """An answer of `event.next`."""

    result: list[Told]


def ask(stream: ssl.SSLSocket, buffer: memoryview) -> memoryview:
    """Return the body of the next answer, which lies in the buffer until the next call."""
    stream.sendall(REQUEST)
    filled = stream.recv_into(buffer)
    head, _, _ = bytes(buffer[:HEAD_BYTES_MAX]).partition(b"\r\n\r\n")
    start = len(head) + 4
    end = start + int(head.lower().partition(b"content-length:")[2])
    while filled < end:
        read = stream.recv_into(buffer[filled:])
        if not read:
            raise ConnectionError("the server closed the connection")
        filled += read
    return buffer[start:end]


class Disk:
    """A file to which packed events go, each with its hash."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._pack = msgpack.Packer().pack

    def keep(self, events: list[Told]) -> None:
        """Make them durable."""
        parts: list[bytes] = []
        for event in events:
            snapshot = memoryview(event.snapshot)
            packed = self._pack(
                (event.id, event.timestamp, event.cls, event.operation, event.ref, snapshot)
            )
            parts += [packed, sha256(packed).digest()]
        os.write(self._fd, b"".join(parts))
        os.fdatasync(self._fd)


def take(port: int, count: int, keep: Callable[[list[Told]], None] | None) -> None:
    """Take so many events from the server at `port`, and keep them if somebody does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    decoder = msgspec.json.Decoder(Reply)
    buffer = memoryview(bytearray(REPLY_BYTES_MAX))
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain) as stream:
            ready()
            seen = 0
            while seen < count:
                events = decoder.decode(ask(stream, buffer)).result
                if keep:
                    keep(events)
                seen += len(events)
            done()


def main() -> None:
    """Take so many events."""
    port, count, *path = sys.argv[1:]
    take(int(port), int(count), Disk(Path(path[0])).keep if path else None)


if __name__ == "__main__":
    main()
