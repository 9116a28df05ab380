"""A host that only replays: `python -m tests.bench.ingest.server SCRIPT`.

It answers over TLS what clients ask before they follow events, and then hands out the events as
fast as they are taken. The first line that it writes says where it is, as JSON; it begins with the
events once it reads a line.
"""

import json
import re
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.bench.ingest.script import Script

READ_BYTES = 64 * 1024

_METHOD = re.compile(rb'"method" ?: ?"([\w.]+)"|<methodName>([\w.]+)</methodName>')
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Host:
    """Answers calls; each reply with events is given out once."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._starts = tuple(b"POST %b HTTP" % path.encode() for path in script.paths)
        self._events: Iterator[bytes] = iter(script.events)
        self.go = threading.Event()

    def answer(self, request: bytes) -> bytes:
        """Return the answer to one request; waits where there are no events (any more)."""
        if not request.startswith(self._starts):
            return self._script.no_page
        found = _METHOD.search(request)
        method = (found[1] or found[2]).decode() if found else ""
        if method == self._script.event_method:
            return self._next_events()
        return self._script.answers.get(method, self._script.other)

    def _next_events(self) -> bytes:
        self.go.wait()
        reply = next(self._events, None)
        if reply is None:
            threading.Event().wait()  # as xapi does when nothing happens
        return reply or b""


def serve(connection: socket.socket, context: ssl.SSLContext, host: Host) -> None:
    """Answer the calls on one connection until the client closes it."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(OSError), context.wrap_socket(connection, server_side=True) as stream:
        while request := _request(stream):
            stream.sendall(host.answer(request))


def _request(stream: ssl.SSLSocket) -> bytes:
    """Return the next request as it came, empty at the end."""
    read = bytearray()
    while (end := read.find(b"\r\n\r\n")) < 0 or len(read) < end + 4 + _length(read):
        more = stream.recv(READ_BYTES)
        if not more:
            return b""
        read += more
    return bytes(read)


def _length(head: bytearray) -> int:
    found = _LENGTH.search(head)
    return int(found[1]) if found else 0


def accept(listener: socket.socket, context: ssl.SSLContext, host: Host) -> None:
    """Serve each connection in a thread of its own."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, context, host), daemon=True).start()


def context_of(script: Script) -> ssl.SSLContext:
    """Return the context of the listener."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as both:
        both.write(script.certificate + script.key)
        both.flush()
        context.load_cert_chain(both.name)
    return context


def main() -> None:
    """Serve until standard input ends."""
    script = Script.read(Path(sys.argv[1]))
    host = Host(script)
    listener = socket.create_server(("127.0.0.1", 0))
    accepting = (listener, context_of(script), host)
    threading.Thread(target=accept, args=accepting, daemon=True).start()
    where = {"port": listener.getsockname()[1], "fingerprint": script.fingerprint}
    sys.stdout.write(json.dumps(where) + "\n")
    sys.stdout.flush()
    sys.stdin.readline()
    host.go.set()
    sys.stdin.read()


if __name__ == "__main__":
    main()
