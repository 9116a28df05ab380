"""Answers whoever comes to the control socket. Nothing but its own task waits for a client."""

import pwd
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import trio

from . import lines
from .following import Follower, Followers
from .protocol import (
    PROTOCOL,
    REQUEST_BYTES_MAX,
    Answer,
    ErrorName,
    Follow,
    Following,
    Import,
    ImportReport,
    Refused,
    Reload,
    ReloadReport,
    Resume,
    Run,
    Status,
    StatusReport,
    line_of,
    refusal,
    request_in,
)
from .running import Running

CLIENTS_MAX = 48
"""FOLLOWERS_MAX of them follow; the others ask one question each, and are gone."""
PIECE_BYTES_MAX = 64 * 1024
"""Read at once: most requests are a few names."""
REQUEST_S_MAX = 10.0
"""A request is one line that a program has written already when it connects."""
ANSWER_S_MAX = 10.0
STALL_S_MAX = 3600.0
"""Who follows on a terminal may hold it for a while; after that its place is for others."""
END = "the recorder stopped"
GOODBYE_S_MAX = 1.0
"""At the end, clients have this long to read what waits for them."""


class Desk(Protocol):
    """What a recorder can be asked and told. All of it may raise Refused."""

    def status(self) -> StatusReport:
        """Tell how it goes."""
        ...

    async def reload(self) -> ReloadReport:
        """Read the configuration again; return what was done."""
        ...

    def check_pools(self, names: Sequence[str]) -> None:
        """Refuse names of pools that are not recorded."""
        ...

    async def run(self, wanted: Run, who: str) -> "Telling":
        """Begin a run that `who` asks for, or only plan it."""
        ...

    async def resume(self, wanted: Resume, who: str) -> "Telling":
        """Go on with a run, as `who` asks."""
        ...

    async def import_lines(self, wanted: Import) -> ImportReport:
        """Add lines to the journal; return once they are durable."""
        ...

    def last_seq(self) -> int:
        """Return the seq of the last entry that followers were, or would have been, told."""
        ...


class Telling(Protocol):
    """A run that somebody is told of."""

    @property
    def running(self) -> Running:
        """What is going to be done."""
        ...

    async def next_line(self) -> bytes | None:
        """Wait for the next line; None behind the last one."""
        ...

    def cancel(self) -> None:
        """End the run in good order. Nothing happens if it is over."""
        ...


class Server:
    """Serves the clients of one recorder.

    They are in the nursery of `attending`, which outlives the intake: its last words are still
    followed, and everybody is told of the end. `listen` only lets new ones in.
    """

    def __init__(self, followers: Followers) -> None:
        self._followers = followers
        self._clients = 0
        self._nursery: trio.Nursery | None = None
        self._attending = trio.Event()

    @asynccontextmanager
    async def attending(self) -> AsyncIterator[None]:
        """Attend to clients for the length of the context, and a little longer to tell the end."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._attending.set()
            yield
            with trio.move_on_after(GOODBYE_S_MAX):
                await self._followers.end()
            nursery.cancel_scope.cancel()

    async def listen(self, listener: trio.SocketListener, desk: Desk) -> None:
        """Let clients in until cancelled; closes the listener."""
        await self._attending.wait()

        async def attend(stream: trio.SocketStream) -> None:
            async with stream:
                await self._attend(stream, desk)

        await trio.serve_listeners(attend, [listener], handler_nursery=self._nursery)

    async def _attend(self, stream: trio.SocketStream, desk: Desk) -> None:
        """Serve one client; one that goes away is nobody's business."""
        self._clients += 1
        try:
            await self._serve(stream, desk)
        except Refused as error:
            await _send_in_time(stream, refusal(error))
        except (trio.BrokenResourceError, trio.TooSlowError):
            return
        finally:
            self._clients -= 1

    async def _serve(self, stream: trio.SocketStream, desk: Desk) -> None:
        if self._clients > CLIENTS_MAX:
            raise Refused(ErrorName.BUSY, f"{CLIENTS_MAX} are served already, which is the most")
        match request_in(await _request_line(stream)):
            case Status():
                await _send_in_time(stream, Answer(PROTOCOL, status=desk.status()))
            case Reload():
                await _send_in_time(stream, Answer(PROTOCOL, reload=await desk.reload()))
            case Import() as wanted:
                done = await desk.import_lines(wanted)
                await _send_in_time(stream, Answer(PROTOCOL, imported=done))
            case Run() as wanted:
                run = await desk.run(wanted, _peer(stream))
                await _send_in_time(stream, Answer(PROTOCOL, running=run.running))
                await _tell_of_run(stream, run)
            case Resume() as wanted:
                run = await desk.resume(wanted, _peer(stream))
                await _send_in_time(stream, Answer(PROTOCOL, running=run.running))
                await _tell_of_run(stream, run)
            case Follow() as wanted:
                desk.check_pools(wanted.pools)
                with self._followers.joined(wanted) as follower:
                    following = Following(desk.last_seq())
                    await _send_in_time(stream, Answer(PROTOCOL, following=following))
                    await _tell(stream, follower)


async def _tell_of_run(stream: trio.SocketStream, run: Telling) -> None:
    """Send the lines of a run; it ends with the interest of whoever asked for it.

    In the nursery: who sends, and who notices that the client has closed its end.
    """

    async def end_when_gone() -> None:
        await _gone(stream)
        run.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_when_gone)
        try:
            while (line := await run.next_line()) is not None:
                with trio.fail_after(STALL_S_MAX):
                    await stream.send_all(line)
        except (trio.BrokenResourceError, trio.TooSlowError):
            run.cancel()
        nursery.cancel_scope.cancel()


def _peer(stream: trio.SocketStream) -> str:
    """Name the user and process at the other end, as the kernel knows them."""
    size = struct.calcsize("3i")
    raw = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid, uid, _ = struct.unpack("3i", raw)
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = "?"
    return f"{name} (uid {uid}, pid {pid})"


async def _request_line(stream: trio.SocketStream) -> bytes:
    """Read a line. Raises Refused, BrokenResourceError if the client went away before its end."""
    received = bytearray()
    with trio.move_on_after(REQUEST_S_MAX):
        while b"\n" not in received:
            if len(received) > REQUEST_BYTES_MAX:
                text = f"a request has at most {REQUEST_BYTES_MAX} bytes"
                raise Refused(ErrorName.REQUEST_TOO_LONG, text)
            piece = await stream.receive_some(PIECE_BYTES_MAX)
            if not piece:
                raise trio.BrokenResourceError
            received += piece
        return bytes(received.partition(b"\n")[0])
    text = f"send the request within {REQUEST_S_MAX:.0f} s, and a line feed behind it"
    raise Refused(ErrorName.REQUEST_TOO_SLOW, text)


async def _send_in_time(stream: trio.SocketStream, answer: Answer) -> None:
    """Send an answer to a client that may have gone away, or not read."""
    try:
        with trio.fail_after(ANSWER_S_MAX):
            await stream.send_all(line_of(answer))
    except (trio.BrokenResourceError, trio.TooSlowError):
        return


async def _tell(stream: trio.SocketStream, follower: Follower) -> None:
    """Send lines until the end, or until the client closes its end of the connection.

    In the nursery: who sends, and who notices that nobody is there any more while nothing is sent.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_gone, stream, nursery.cancel_scope)
        try:
            while (piece := await follower.next_piece()) is not None:
                with trio.fail_after(STALL_S_MAX):
                    await stream.send_all(piece)
            with trio.fail_after(GOODBYE_S_MAX):
                await stream.send_all(lines.end_line(END))
        except (trio.BrokenResourceError, trio.TooSlowError):
            pass  # It went away, or has read nothing for so long that it might as well have.
        nursery.cancel_scope.cancel()


async def _until_gone(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """Cancel a scope once the client closes its end."""
    await _gone(stream)
    scope.cancel()


async def _gone(stream: trio.SocketStream) -> None:
    """Wait until the client closes its end; what it still says is nothing to us."""
    try:
        while await stream.receive_some(PIECE_BYTES_MAX):
            continue
    except trio.BrokenResourceError:
        return  # Gone, too.
