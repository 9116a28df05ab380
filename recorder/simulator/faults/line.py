"""A connection that can be disturbed: what is sent goes through the fault that waits for it."""

import socket
import struct
from collections.abc import Iterator

import trio

from .replies import End, Pause, Send, Step, steps
from .strike import Strike

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 seconds: the kernel answers with RST where it would say FIN."""


class LineEnded(Exception):
    """A fault ended the connection; `Line` has made sure that the close will look right."""


class Line(trio.abc.Stream):
    """A stream to a client; `strike` befalls the next thing that is sent, and only that."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.strike: Strike | None = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send data, or what the fault makes of it. Raises LineEnded."""
        strike, self.strike = self.strike, None
        if strike is None or not strike.on_reply:
            await self._stream.send_all(data)
        else:
            await self.suffer(strike, bytes(data))

    async def suffer(self, strike: Strike, reply: bytes = b"") -> None:
        """Let a fault befall a reply, or the connection itself if there is none yet.

        Raises LineEnded.
        """
        assert strike.on_reply is not None
        await trio.sleep(strike.delay_s)
        # Where TLS is not agreed on yet, the fault comes in its place: below it.
        stream = self._stream if reply else _below(self._stream)
        await self._perform(steps(strike.on_reply, reply, strike.dice), stream)

    def end(self, *, reset: bool) -> LineEnded:
        """Return the error to raise for ending the connection; `reset` makes the close an RST."""
        if reset:
            _make_reset(self._stream)
        return LineEnded()

    async def _perform(self, planned: Iterator[Step], stream: trio.abc.Stream) -> None:
        for step in planned:
            match step:
                case Send(b""):
                    continue
                case Send(data):
                    await stream.send_all(data)
                case Pause(None):
                    await trio.sleep_forever()
                case Pause(seconds):
                    assert seconds is not None
                    await trio.sleep(seconds)
                case End(reset):
                    raise self.end(reset=reset)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return what the client sent."""
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


def _make_reset(stream: trio.abc.Stream) -> None:
    """Make the socket below a stream send RST when it is closed; other streams just close."""
    below = _below(stream)
    if isinstance(below, trio.SocketStream):
        below.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def _below(stream: trio.abc.Stream) -> trio.abc.Stream:
    """Return what carries a TLS stream, any other as it is."""
    if isinstance(stream, trio.SSLStream):
        carrier = stream.transport_stream
        assert isinstance(carrier, trio.abc.Stream)
        return carrier
    return stream
