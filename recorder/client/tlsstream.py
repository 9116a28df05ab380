"""The client's end of a TLS connection as a stream of trio. It knows nothing of certificates.

trio.SSLStream gives one TLS record at a time, and lets everybody else have a turn after each: with
records of 16 KB that took more time than all the rest of reading an answer. This one hands on every
record that has come.
"""

import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio

T = TypeVar("T")

RECORD_BYTES_MAX = 16 * 1024
"""TLS allows no larger one; a reading returns what is left of one at most."""


class TlsStream(trio.abc.Stream):
    """TLS over a connected socket. One task at a time, whether it sends or receives.

    As everybody does with HTTPS it neither says good-bye nor insists on one: HTTP itself tells
    where an answer ends. Raises what streams of trio do.
    """

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext, *, host: str) -> None:
        """Take over the socket of `stream`; `host` is whose certificate is expected."""
        plain = socket.socket(fileno=stream.socket.detach())
        plain.setblocking(False)
        self._socket = context.wrap_socket(
            plain, server_hostname=host, do_handshake_on_connect=False
        )
        self._is_dry = False
        """Nothing more had come by the end of the last reading, or can have come by now."""
        self._ended = False
        self._broken: OSError | None = None
        """What was met behind a good record, by the reading that returned the record."""

    async def do_handshake(self) -> None:
        """Agree on keys, and have the certificate checked as the context wants it."""
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._drive(self._socket.do_handshake)

    def certificate(self) -> bytes:
        """Return what the other side showed (DER)."""
        return self._socket.getpeercert(binary_form=True) or b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send data, all of it.

        Others have a turn only where the system does not take it at once. Who sends a call waits
        for its answer next: they have theirs then, and it cannot be there before.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                sent += await self._drive(partial(self._socket.send, view[sent:]))
        self._is_dry = not self._ended

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the system takes data again."""
        await trio.lowlevel.wait_writable(self._socket)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come, some RECORD_BYTES_MAX more than `max_bytes` at most.

        Nothing is the end.
        """
        if self._is_dry and self._broken is None:
            await self._wait_readable()  # rather than have OpenSSL say that there is nothing
        else:
            await trio.lowlevel.checkpoint()
        return await self._drive(partial(self._read, max_bytes or RECORD_BYTES_MAX))

    async def aclose(self) -> None:
        """Close the connection at once."""
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()
        await trio.lowlevel.checkpoint()

    def _read(self, size: int) -> bytes:
        """Read record by record until no other has come. Raises SSLWantReadError if none has."""
        if self._broken is not None:
            raise self._broken
        self._is_dry = False
        parts = [self._socket.recv(RECORD_BYTES_MAX)]
        read = len(parts[0])
        while parts[-1] and read < size:
            try:
                parts.append(self._socket.recv(RECORD_BYTES_MAX))
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._is_dry = True
                break
            except OSError as error:
                self._broken = error  # OpenSSL would not say it again
                break
            read += len(parts[-1])
        self._ended = not parts[-1]
        return b"".join(parts)

    async def _drive(self, step: Callable[[], T]) -> T:
        """Take a step as soon as the socket lets it."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self._wait_readable()
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._socket)
            except OSError as error:
                raise trio.BrokenResourceError from error

    async def _wait_readable(self) -> None:
        if self._socket.fileno() < 0:
            raise trio.BrokenResourceError("the stream was closed")
        await trio.lowlevel.wait_readable(self._socket)
