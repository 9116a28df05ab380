"""Where calls come in: which host, from whom, and how the server's logs name that."""

from __future__ import annotations

import msgspec
import trio

UNIX_SOCKET = "/var/lib/xcp/xapi"
"""The socket of a host on which everybody is root."""
PROXIED = ":::80"
"""What logs show as the listener behind TLS: a proxy ends it and comes in at port 80."""


class Door(msgspec.Struct, frozen=True):
    """The address of the host, and whether the call comes by that host's own unix socket.

    `peer` is protocol and address of the client, `listener` where the server took the connection,
    `thread` a number of the connection; they are only told, never judged.
    """

    address: str
    local: bool = False
    peer: str = "HTTP 127.0.0.1"
    listener: str = "127.0.0.1:80"
    thread: int = 0

    @classmethod
    def of(cls, stream: trio.abc.Stream, address: str, *, local: bool, thread: int) -> Door:
        """Return the door of a connection; a stream that is no socket has an ordinary one."""
        tls = isinstance(stream, trio.SSLStream)
        inner = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        if local or not isinstance(inner, trio.SocketStream):
            return cls(address, local, thread=thread)
        host, port = _ends(inner)
        peer = f"{'HTTPS' if tls else 'HTTP'} {host}"
        return cls(address, local, peer, PROXIED if tls else f"{address}:{port}", thread)

    @property
    def thread_name(self) -> str:
        """The thread that answers a call, with its client, as the header of a log line has it."""
        return f"{self.thread} {UNIX_SOCKET if self.local else f'{self.peer}->{self.listener}'}"

    @property
    def nameless(self) -> str:
        """The same for what belongs to no client: pages and unknown methods."""
        return f"{self.thread} {UNIX_SOCKET if self.local else self.listener}"

    def spawned(self, thread: int) -> str:
        """The same for a thread of its own, which an `Async.` call gets."""
        return f"{thread} " if self.local else f"{thread} {self.peer}->"


def _ends(stream: trio.SocketStream) -> tuple[str, int]:
    """Return the address of the client and the port of ours."""
    try:
        peer, own = stream.socket.getpeername(), stream.socket.getsockname()
    except OSError:
        return "127.0.0.1", 80  # The client has gone already.
    return str(peer[0]).removeprefix("::ffff:"), int(own[1])
