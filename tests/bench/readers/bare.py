"""All records read and thrown away: `... bare URL CLASS ...`.

Nothing is decoded, nothing kept: what is left is the time of the server, of TLS and of the wire.
"""

import json
import socket
import ssl
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from tests.bench.usage import Meter, tell

BUFFER_BYTES = 1024 * 1024


def read_all(url: str, classes: Sequence[str]) -> None:
    """Ask for the records of each class, and read the answer to its end."""
    address = urlsplit(url)
    context = ssl._create_unverified_context()  # noqa: S323 - as both rivals do
    buffer = bytearray(BUFFER_BYTES)
    with (
        socket.create_connection((address.hostname, address.port)) as inner,
        context.wrap_socket(inner) as stream,
    ):
        for cls in classes:
            call = {"jsonrpc": "2.0", "method": f"{cls}.get_all_records", "params": [""], "id": 1}
            body = json.dumps(call).encode()
            stream.sendall(
                b"POST /jsonrpc HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(body), body)
            )
            _skip_reply(stream, buffer)


def _skip_reply(stream: ssl.SSLSocket, buffer: bytearray) -> None:
    """Read one answer, whose head comes in one piece."""
    size = stream.recv_into(buffer)
    head, _, rest = bytes(buffer[:size]).partition(b"\r\n\r\n")
    left = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]) - len(rest)
    while left > 0:
        left -= stream.recv_into(buffer)


if __name__ == "__main__":
    meter = Meter()
    read_all(sys.argv[1], sys.argv[2:])
    tell(meter.usage())
