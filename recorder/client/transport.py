"""Calls to a host and their answers: HTTP/1.1 over a stream, which `dialing` opens.

It knows nothing of XAPI. Foreign exceptions end here: what leaves are the errors of xentrail.
"""

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import count
from typing import NamedTuple

import h11
import trio

from .. import VERSION
from ..errors import ProtocolError, TransportError
from .address import Address
from .answer import usual_answer
from .dialing import Dial, dial_directly, presented, reason_of, why
from .tls import Presented, TlsPolicy

__all__ = ["Address", "Connection", "Dial", "HttpRefused", "TlsPolicy", "connect"]

HEADER_BYTES_MAX = 64 * 1024
READ_BYTES = 256 * 1024
PARTS_AT_ONCE = 256
"""An answer may come in chunks of one byte, 40,000 in one reading: after so many of them, which
take some 5 ms, the other pools have their turn."""

REQUESTS_MAX = 1024
"""Heads of calls that are kept, of some 150 bytes each."""

REASON_CHARS_MAX = 200
USER_AGENT = f"xentrail/{VERSION}"


class HttpRefused(ProtocolError):
    """A host answered a call with an HTTP status other than 200."""

    def __init__(self, message: str, *, status: int) -> None:
        """`status` is the HTTP status."""
        super().__init__(message)
        self.status = status


class _Reply(NamedTuple):
    """An answer; `ends_clean` if the connection can serve another call."""

    status: int
    body: bytes
    ends_clean: bool


class Connection:
    """One HTTP/1.1 connection, kept alive between calls; one call at a time.

    Whoever made it closes it. After any error it is closed and of no more use.
    """

    def __init__(self, stream: trio.abc.Stream, address: Address, *, reply_bytes_max: int) -> None:
        """Take over `stream`, which leads to `address`; no body may be over `reply_bytes_max`."""
        self.address = address
        self.answered_at_s = 0.0
        """When the last answer began to come, on trio's clock; the host made it before that. One
        that was asked for ahead is taken to have come sooner, by the time until it was waited for:
        nobody saw when it did."""
        self.asked_at_s = 0.0
        """When the last call was sent, on trio's clock."""
        self.was_asked_ahead = False
        """True if the next call was sent already: what comes is its answer."""
        self._stream = stream
        self._host = _host_header(address)
        self._reply_bytes_max = reply_bytes_max
        self._http = _fresh_http()
        self._unwaited_s = 0.0
        self._busy = False
        self._answered = False
        self._usable = True

    @property
    def usable(self) -> bool:
        """Tell whether another call can be sent, as far as is known here."""
        return self._usable

    async def post(
        self,
        path: str,
        content_type: str,
        body: bytes,
        *,
        timeout_s: float | None,
        ahead: bytes | None = None,
    ) -> bytes:
        """Send a call, unless that was done ahead, and return the body of the answer.

        If all is well, `ahead` is sent as the next call at once, for the host to work on while this
        answer is; that it could not be sent is told by the next `post`.

        `timeout_s` is for all of it, to the last byte: who drips gets no more time than who is
        silent. Without it the caller bounds the wait. Raises TransportError if the connection ends
        early or the time is up, HttpRefused for another status than 200, ProtocolError for an
        answer that is not HTTP or too large.
        """
        assert not self._busy, "one call at a time"
        if not self._usable:
            raise TransportError(f"the connection to {self.address} is closed")
        self._busy, self._answered = True, False
        done = False
        try:
            if timeout_s is None:
                reply = await self._exchange(path, content_type, body)
            else:
                with trio.fail_after(timeout_s):
                    reply = await self._exchange(path, content_type, body)
            answer = self._accepted(path, reply.status, reply.body)
            if reply.ends_clean and ahead is not None:
                await self._ask_ahead(path, content_type, ahead)
            done = reply.ends_clean
            return answer
        except trio.TooSlowError as error:
            did_not = "did not end its answer" if self._answered else "did not answer"
            raise TransportError(
                f"{self.address} {did_not} within {timeout_s:g} s; the host may be overloaded"
            ) from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise TransportError(f"lost the connection to {self.address}: {why(error)}") from error
        except h11.RemoteProtocolError as error:
            raise self._protocol_error(error) from error
        finally:
            self._busy = False
            if not done:
                await self.aclose()

    async def get(self, target: str, *, cookie: str, timeout_s: float) -> None:
        """Ask for a page; `next_piece` then gives its body. The connection is of no use after that.

        `timeout_s` is for the head of the answer. Raises what `post` does.
        """
        assert not self._busy, "one call at a time"
        if not self._usable:
            raise TransportError(f"the connection to {self.address} is closed")
        self._busy, self._answered = True, False
        request = h11.Request(
            method="GET",
            target=target,
            headers=[
                ("Host", self._host),
                ("User-Agent", USER_AGENT),
                ("Cookie", cookie),
            ],
        )
        sent = b"".join(self._http.send(event) or b"" for event in (request, h11.EndOfMessage()))
        with self._closing_on_error(timeout_s), trio.fail_after(timeout_s):
            await self._stream.send_all(sent)
            while not isinstance(response := await self._next_event(), h11.Response):
                pass  # What comes before the answer proper, such as `100 Continue`, says nothing.
            status, body = response.status_code, bytearray()
            while status != 200 and len(body) < HEADER_BYTES_MAX:
                event = await self._next_event()
                if not isinstance(event, h11.Data):
                    break
                body += event.data
            self._accepted(target.partition("?")[0], status, bytes(body))

    async def next_piece(self, *, timeout_s: float) -> bytes:
        """Return the next bytes of the page that was asked for, none at its end.

        Where the host says no length, as xapi, the end of the connection is the end of the page:
        nobody can tell whether it is all of it. Raises what `post` does.
        """
        with self._closing_on_error(timeout_s), trio.fail_after(timeout_s):
            event = await self._next_event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    @contextmanager
    def _closing_on_error(self, timeout_s: float) -> Iterator[None]:
        """Tell every failure as `post` does; after one, the connection is of no more use."""
        try:
            yield
        except trio.TooSlowError as error:
            self._usable = False
            raise TransportError(
                f"{self.address} did not go on with its answer within {timeout_s:g} s"
            ) from error
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._usable = False
            raise TransportError(f"lost the connection to {self.address}: {why(error)}") from error
        except h11.RemoteProtocolError as error:
            self._usable = False
            raise self._protocol_error(error) from error

    async def _next_event(self) -> h11.Event:
        """Return the next part of an answer: its head, a piece, or its end."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._receive_some())
        if isinstance(event, h11.ConnectionClosed):
            raise self._ended_early()
        await trio.lowlevel.checkpoint()
        return event  # type: ignore[return-value]  # NEED_DATA was seen to, PAUSED is of servers

    async def aclose(self) -> None:
        """Close the connection at once, without a good-bye: never waits for the host."""
        self._usable = False
        await trio.aclose_forcefully(self._stream)

    async def _ask(self, path: str, content_type: str, body: bytes) -> None:
        self.asked_at_s = trio.current_time()
        head = _head(path, self._host, content_type)
        await self._stream.send_all(b"%b%d\r\n\r\n%b" % (head, len(body), body))

    async def _ask_ahead(self, path: str, content_type: str, body: bytes) -> None:
        self.was_asked_ahead = True
        # Whoever waits for the answer is told what went wrong; the one that came is not lost.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._ask(path, content_type, body)

    async def _exchange(self, path: str, content_type: str, body: bytes) -> _Reply:
        if not self.was_asked_ahead:
            await self._ask(path, content_type, body)
        self.was_asked_ahead = False
        self._unwaited_s = trio.current_time() - self.asked_at_s
        some = await self._receive_some()
        usual = usual_answer(some)
        if usual is None:
            self._http = _fresh_http()
            _sent(self._http, path, self._host)
            self._http.receive_data(some)
            return await self._receive()
        self._begins()
        return await self._receive_usual(some, *usual)

    def _begins(self) -> None:
        self.answered_at_s = trio.current_time() - self._unwaited_s

    async def _receive_some(self) -> bytes:
        some = bytes(await self._stream.receive_some(READ_BYTES))
        self._answered = self._answered or bool(some)
        return some

    async def _receive_usual(self, some: bytes, start: int, size: int) -> _Reply:
        """Read the rest of an answer of which `some` has come: its body is from `start` on."""
        self._check_size(size)
        if len(some) == start + size:
            return _Reply(200, some[start:], ends_clean=True)
        body = io.BytesIO()
        body.write(memoryview(some)[start:])
        while body.tell() < size:
            some = await self._receive_some()
            if not some:
                raise self._ended_early()
            body.write(some)
        ends_clean = body.tell() == size
        body.truncate(size)
        return _Reply(200, body.getvalue(), ends_clean)

    async def _receive(self) -> _Reply:
        """Read an answer; what is kept of it is what is returned, however it is cut into chunks."""
        status = 0
        body = io.BytesIO()
        for part in count(1):
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._receive_some())
            elif isinstance(event, h11.Response):
                self._begins()
                status = event.status_code
                size_told = dict(event.headers).get(b"content-length", b"0")
                self._check_size(int(size_told))
            elif isinstance(event, h11.Data):
                self._check_size(body.tell() + len(event.data))
                body.write(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise self._ended_early()
            if part % PARTS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        return _Reply(status, body.getvalue(), self._ends_clean())

    def _check_size(self, size: int) -> None:
        if size > self._reply_bytes_max:
            raise ProtocolError(
                f"{self.address} sends an answer of {size} bytes or more;"
                f" limits.reply_mib_max allows {self._reply_bytes_max}"
            )

    def _ends_clean(self) -> bool:
        """Tell whether the host lets the connection be, and said nothing behind its answer."""
        states = {self._http.our_state, self._http.their_state}
        return states == {h11.DONE} and not self._http.trailing_data[0]

    def _accepted(self, path: str, status: int, body: bytes) -> bytes:
        if status == 200:
            return body
        reason = _plain(body)
        said = f": {reason}" if reason else ""
        raise HttpRefused(f"{self.address}{path} answers HTTP {status}{said}", status=status)

    def _protocol_error(self, error: h11.RemoteProtocolError) -> TransportError | ProtocolError:
        if self._http.trailing_data[1]:
            return self._ended_early()
        said = f"{error!s:.{REASON_CHARS_MAX}}"  # h11 quotes whole headers
        return ProtocolError(f"{self.address} does not answer in HTTP: {said}")

    def _ended_early(self) -> TransportError:
        when = "in the middle of" if self._answered else "without"
        return TransportError(f"{self.address} closed the connection {when} an answer")


def _host_header(address: Address) -> str:
    return "localhost" if address.scheme == "unix" else str(address).partition("://")[2]


@lru_cache(maxsize=REQUESTS_MAX)
def _head(path: str, host: str, content_type: str) -> bytes:
    """Return the head of a call up to its length; the next one to the same host has the same."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: "
    ).encode("ascii")


def _fresh_http() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADER_BYTES_MAX)


def _sent(http: h11.Connection, path: str, host: str) -> None:
    """Let `http` know of a call that was sent past it: what its answer may be depends on that."""
    http.send(h11.Request(method="POST", target=path, headers=[("Host", host)]))
    http.send(h11.EndOfMessage())


async def connect(
    address: Address,
    tls: TlsPolicy,
    *,
    timeout_s: float,
    reply_bytes_max: int,
    dial: Dial | None = None,
) -> Connection:
    """Open a connection to `address`, its certificate checked; the caller closes it.

    `dial` replaces everything below HTTP. Raises TransportError if the host is not reached in
    `timeout_s`, CertificateRefused if `tls` does not vouch for it, ConfigError for an unusable
    CA file.
    """
    with _reaching(address, timeout_s):
        stream = await (dial_directly(address, tls) if dial is None else dial(address))
    return Connection(stream, address, reply_bytes_max=reply_bytes_max)


async def examine(address: Address, *, timeout_s: float) -> Presented:
    """Return the certificate that a host at an `https` address shows, whether trusted or not.

    Nothing but the handshake is sent, and the connection is closed again. Raises TransportError.
    """
    with _reaching(address, timeout_s):
        return await presented(address)


@contextmanager
def _reaching(address: Address, timeout_s: float) -> Iterator[None]:
    """Bound the time to reach a host, and tell every failure as a TransportError."""
    try:
        with trio.fail_after(timeout_s):
            yield
    except trio.TooSlowError as error:
        raise _unreachable(address, f"no answer within {timeout_s:g} s") from error
    except OSError as error:
        raise _unreachable(address, reason_of(error)) from error
    except trio.BrokenResourceError as error:
        raise _unreachable(address, why(error)) from error


def _unreachable(address: Address, reason: str) -> TransportError:
    return TransportError(
        f"cannot reach {address}: {reason}; check the address and that the host is up"
    )


def _plain(body: bytes) -> str:
    """Return the reason inside an HTML error page as one short line."""
    text = body[:HEADER_BYTES_MAX].decode("utf-8", "replace")
    text = text.rpartition("Additional information")[2]
    text = html.unescape(re.sub("<[^>]*>", " ", text))
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:REASON_CHARS_MAX]
