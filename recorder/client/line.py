"""One connection of a session: calls in, typed answers out, by either codec.

A connection that ended is made again at the next call; a session that ended is not.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import TypeVar

import msgspec
import trio

from ..config import Limits
from ..errors import ProtocolError, TransportError, XapiFault
from ..model import Event
from ..threads import RunSync
from ..xapi import jsonrpc, xmlrpc
from ..xapi.jsonrpc import FromReply, Param
from .address import Address
from .tls import TlsPolicy
from .transport import Connection, Dial, HttpRefused, connect

T = TypeVar("T")

Failure = TransportError | ProtocolError | XapiFault
FAILURES = (TransportError, ProtocolError, XapiFault)

LOGIN_TIMEOUT_S = 20.0
"""A refused login takes up to 5 s, and logins queue behind each other."""

IDLE_S_MAX = 300.0
"""A connection unused for longer is not trusted: a firewall may have forgotten it."""

ERROR_CHARS_MAX = 2000
ERROR_PARAMS_MAX = 32
"""What goes into a journal, a log and a terminal of what a host says of an error."""

INLINE_JSON_BYTES_MAX = 4 * 1024 * 1024
INLINE_XML_BYTES_MAX = 256 * 1024
"""A larger answer is decoded in a thread. One of this size holds the event loop for 6 ms as JSON,
and for 25 ms as XML: half a dozen milliseconds pass as well until a thread gives way."""


class Codec(msgspec.Struct, frozen=True):
    """How calls are written. Whatever the codec, answers become the text of a JSON-RPC reply."""

    name: str
    path: str
    content_type: str
    inline_bytes_max: int
    encode: Callable[[str, Sequence[Param], int], bytes]
    to_json: Callable[[bytes, str], bytes]


JSON = Codec(
    "json-rpc",
    "/jsonrpc",
    "application/json",
    INLINE_JSON_BYTES_MAX,
    lambda method, params, call_id: jsonrpc.encode(method, params, call_id=call_id),
    lambda body, _: body,
)
XML = Codec(
    "xml-rpc",
    "/",
    "text/xml",
    INLINE_XML_BYTES_MAX,
    lambda method, params, _: xmlrpc.encode(method, params),
    xmlrpc.to_json,
)


class Route(msgspec.Struct, frozen=True):
    """The way to one host: what it takes to open another connection to it."""

    address: Address
    tls: TlsPolicy
    dial: Dial | None
    limits: Limits
    run_sync: RunSync


class Line:
    """One connection of a session; calls on it wait for each other.

    Errors of every call: TransportError, ProtocolError, XapiFault, none longer than
    ERROR_CHARS_MAX. Without `timeout_s` a call has
    the limit `call_timeout_s`, except `next_events`.
    """

    def __init__(self, route: Route, codec: Codec, ref: str = "") -> None:
        """Prepare a line; nothing is opened yet."""
        self._route = route
        self._codec = codec
        self._ref = ref
        self._lock = trio.Lock()
        self._ids = count(1)
        self._connection: Connection | None = None
        self._used_at_s = 0.0
        self.answered_at_s = 0.0
        """When the last answer began to come, on trio's clock."""
        self.asked_at_s = 0.0
        """When the last call was sent, or the line was opened, on trio's clock."""

    async def current_id(self) -> int:
        """Return the id that the next event will get."""
        return await self._ask("event.get_current_id", (), jsonrpc.decode_id, None)

    async def call(
        self, method: str, *params: Param, returns: type[T], timeout_s: float | None = None
    ) -> T:
        """Call a method with the session ref before `params`; the answer is a `returns`."""
        return await self._ask(method, params, partial(jsonrpc.decode, returns=returns), timeout_s)

    async def next_events(
        self, timeout_s: float | None = None, *, ahead: bool = False
    ) -> list[Event]:
        """Wait for the next batch of `event.next`; without `timeout_s` the caller bounds the wait.

        With `ahead` the batch after it is asked for at once, and the line is of use for nothing but
        that from then on. An answer that is lost on the way is lost for good.
        """
        unbounded = math.inf if timeout_s is None else timeout_s
        decode = jsonrpc.decode_events
        return await self._ask("event.next", (), decode, unbounded, ahead=ahead)

    async def events_from(
        self, classes: Sequence[str], token: str, server_timeout_s: float
    ) -> FromReply:
        """Ask `event.from`; the server answers after `server_timeout_s` even without events."""
        params = (list(classes), token, float(server_timeout_s))
        timeout_s = server_timeout_s + self._route.limits.call_timeout_s
        return await self._ask("event.from", params, jsonrpc.decode_from, timeout_s)

    async def get_all_records(self, cls: str) -> dict[str, bytes]:
        """Return all records of a class (`VM`) by ref, each as the JSON text that came."""
        return await self._ask(f"{cls}.get_all_records", (), jsonrpc.decode_records, None)

    async def list_methods(self) -> list[str]:
        """Return the names of all methods of the server."""
        return await self._call("system.listMethods", (), jsonrpc.decode_names, None)

    async def log_in(self, user: str, password: str, originator: str) -> None:
        """Log in; from now on calls carry the session ref. Raises XapiFault as the server does."""
        params = (user, password, "1.0", originator)
        method = "session.login_with_password"
        try:
            self._ref = await self._send(method, params, jsonrpc.decode_name, LOGIN_TIMEOUT_S)
        except FAILURES as error:
            # The causes are dropped with the text: they may quote it.
            raise without(error, password) from None

    async def open(self) -> None:
        """Connect now, rather than at the first call."""
        async with self._lock:
            await self._connected()
            self.asked_at_s = trio.current_time()

    async def aclose(self) -> None:
        """Close the connection at once."""
        if self._connection is not None:
            await self._connection.aclose()

    async def _ask(
        self,
        method: str,
        params: Sequence[Param],
        decode: Callable[[bytes], T],
        timeout_s: float | None,
        *,
        ahead: bool = False,
    ) -> T:
        return await self._call(method, (self._ref, *params), decode, timeout_s, ahead=ahead)

    async def _call(
        self,
        method: str,
        params: Sequence[Param],
        decode: Callable[[bytes], T],
        timeout_s: float | None,
        *,
        ahead: bool = False,
    ) -> T:
        try:
            return await self._send(method, params, decode, timeout_s, ahead=ahead)
        except FAILURES as error:
            clean = without(error, self._ref)
            if clean is error:
                raise
            raise clean from None

    async def _send(
        self,
        method: str,
        params: Sequence[Param],
        decode: Callable[[bytes], T],
        timeout_s: float | None,
        *,
        ahead: bool = False,
    ) -> T:
        codec = self._codec
        limit_s = self._route.limits.call_timeout_s if timeout_s is None else timeout_s
        # A free lock is taken without the turn for everybody else that `acquire` begins with: a
        # call has one anyhow, while it waits for its answer.
        if self._lock.locked():
            await self._lock.acquire()
        else:
            self._lock.acquire_nowait()
        try:
            connection = await self._connected()
            call = codec.encode(method, params, next(self._ids))
            body = await connection.post(
                codec.path,
                codec.content_type,
                call,
                timeout_s=None if limit_s == math.inf else limit_s,
                ahead=codec.encode(method, params, next(self._ids)) if ahead else None,
            )
            self._used_at_s = trio.current_time()
            self.asked_at_s, self.answered_at_s = connection.asked_at_s, connection.answered_at_s
        finally:
            self._lock.release()
        if len(body) > codec.inline_bytes_max:
            return await self._route.run_sync(partial(_read, codec, method, body, decode))
        return _read(codec, method, body, decode)

    async def _connected(self) -> Connection:
        known, idle_s = self._connection, trio.current_time() - self._used_at_s
        if known is not None and (known.was_asked_ahead or (known.usable and idle_s < IDLE_S_MAX)):
            return known
        await self.aclose()
        route = self._route
        self._connection = await connect(
            route.address,
            route.tls,
            timeout_s=route.limits.connect_timeout_s,
            reply_bytes_max=route.limits.reply_mib_max * 1024 * 1024,
            dial=route.dial,
        )
        self._used_at_s = trio.current_time()
        return self._connection


def _read(codec: Codec, method: str, body: bytes, decode: Callable[[bytes], T]) -> T:
    return decode(codec.to_json(body, method))


def without(error: Failure, secret: str) -> Failure:
    """Return the error without `secret`, in case that the host sent it back to us.

    What else the host said is cut short only then: half a secret would not be found any more.
    """
    params = error.params if isinstance(error, XapiFault) else ()
    if secret and any(secret in text for text in (str(error), *params)):
        error = retold(error, str(error).replace(secret, "***"), secret)
    return _short(error)


def _short(error: Failure) -> Failure:
    """Return the error, no longer than what people read and a journal holds."""
    text = _cut(str(error))
    if isinstance(error, XapiFault):
        code, params = _cut(error.code), tuple(map(_cut, error.params[:ERROR_PARAMS_MAX]))
        if (text, code, params) == (str(error), error.code, error.params):
            return error
        return type(error)(code, params, shown=text)
    return error if text == str(error) else retold(error, text)


def _cut(text: str) -> str:
    return text if len(text) <= ERROR_CHARS_MAX else f"{text[:ERROR_CHARS_MAX]}…"


def retold(error: Failure, text: str, secret: str = "") -> Failure:
    """Return an error of the same kind that says `text`."""
    if isinstance(error, XapiFault):
        params = tuple(one.replace(secret, "***") if secret else one for one in error.params)
        return type(error)(error.code, params, shown=text)
    if isinstance(error, HttpRefused):
        return HttpRefused(text, status=error.status)
    return type(error)(text)
