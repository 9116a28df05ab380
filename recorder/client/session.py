"""A session with a pool: log in at its master, listen, log out.

Nothing here logs in again by itself: a new session has lost its registration for events, and what
that means for the record is for the watch to say.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import trio
from msgspec.structs import replace

from ..config import Limits
from ..errors import AnotherPool, LoginRefused, ProtocolError, TransportError, XapiFault
from ..threads import RunSync
from ..xapi import faults
from .address import Address
from .line import FAILURES, JSON, XML, Codec, Failure, Line, Route, retold
from .search import Probe, Search
from .tls import TlsPolicy
from .transport import Dial

__all__ = ["Acquaintances", "Credentials", "Line", "Session", "open_session"]

ORIGINATOR = "xentrail"
"""The server counts sessions by originator; "" would share a bucket of 400 with everyone else."""

LOGOUT_TIMEOUT_S = 2.0

ANOTHER_POOL_REST_S = 60.0
"""A host that is in another pool now does not come back in this second."""

ACQUAINTANCES_MAX = 512
"""Pools have 64 hosts at most; a broken server could name others for ever."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in. The password is in no repr."""

    user: str
    password: str = field(repr=False)


class Acquaintances:
    """What the sessions of one pool taught about its hosts, for the next attempts to log in.

    Every attempt sends the password, and who counts those that fail, a proxy or a directory, may
    lock the account. So a host that has answered in JSON once is never asked in XML as well, and
    one whose answer is not XAPI is left in peace for `limits.retry_wait_max_s`. One that belongs to
    another pool, such as a host that was ejected, stays out of the way of the others for longer.
    """

    def __init__(self) -> None:
        self._speak_json: set[Address] = set()
        self._resting: dict[Address, tuple[float, Failure]] = {}

    def speaks_json(self, address: Address) -> bool:
        """Tell whether the host has ever answered in JSON."""
        return address in self._speak_json

    def answered_json(self, address: Address) -> None:
        """Note that the host answered in JSON, were it with a fault."""
        if len(self._speak_json) < ACQUAINTANCES_MAX:
            self._speak_json.add(address)

    def let_rest(self, route: Route, error: Failure) -> None:
        """Note that the host answered with what is not XAPI, or not our pool: with `error`."""
        now_s = trio.current_time()
        other = isinstance(error, AnotherPool)
        rest_s = ANOTHER_POOL_REST_S if other else route.limits.retry_wait_max_s
        self._resting = {one: rest for one, rest in self._resting.items() if rest[0] > now_s}
        # A copy: the error itself keeps frames, and with them the answer, in memory.
        self._resting[route.address] = now_s + rest_s, _copy(error)

    def check(self, probe: Probe) -> None:
        """Raise what the host was left in peace for, while it is."""
        until_s, error = self._resting.get(probe.route.address, (0.0, None))
        if error is not None and trio.current_time() < until_s:
            probe.left_in_peace = True
            raise _copy(error)


class Session(Line):
    """A line that is logged in; its calls share one connection, and `open_line` gives others."""

    @property
    def address(self) -> Address:
        """The address of the master that this session is with."""
        return self._route.address

    @property
    def route(self) -> Route:
        """The way to that master."""
        return self._route

    @property
    def token(self) -> str:
        """The reference of this session, a bearer token: given out only to be looked for."""
        return self._ref

    @property
    def codec(self) -> str:
        """`json-rpc`, or `xml-rpc` for a host that knows no other."""
        return self._codec.name

    @asynccontextmanager
    async def open_line(self, address: Address | None = None) -> AsyncIterator[Line]:
        """Open another connection of this session, for a blocked call; closed on leaving.

        With `address` it leads to that host, whose certificate is checked like the master's.
        """
        route = self._route if address is None else replace(self._route, address=address)
        line = Line(route, self._codec, self._ref)
        try:
            await line.open()
            yield line
        finally:
            await line.aclose()

    async def register(self, classes: Sequence[str]) -> None:
        """Subscribe this session to events of `classes` (`*` is all)."""
        await self.call("event.register", list(classes), returns=str)

    async def inject(self, cls: str, ref: str) -> str:
        """Touch an object; return a token lower than that of any later `event.from`.

        `cls` is the exact class name (`VM`, `pool`). The touch is told as a `mod` to everyone.
        """
        return await self.call("event.inject", cls, ref, returns=str)

    async def permissions(self) -> frozenset[str] | None:
        """Return what this session may call, in lower case; None for a superuser: everything."""
        if await self.call("session.get_is_local_superuser", self._ref, returns=bool):
            return None
        allowed = await self.call("session.get_rbac_permissions", self._ref, returns=list[str])
        return frozenset(allowed)

    async def log_out(self) -> None:
        """End the session and close the connection, within LOGOUT_TIMEOUT_S whatever happens."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + LOGOUT_TIMEOUT_S):
            try:
                await self.call("session.logout", returns=str)
            except FAILURES:
                # The session is gone already, or the host is: then it ends there by itself.
                return
            finally:
                await self.aclose()


@asynccontextmanager
async def open_session(
    addresses: Sequence[Address],
    tls: TlsPolicy,
    credentials: Credentials,
    *,
    originator: str = ORIGINATOR,
    gently: bool = False,
    acquaintances: Acquaintances | None = None,
    dial: Dial | None = None,
    limits: Limits | None = None,
    run_sync: RunSync = trio.to_thread.run_sync,
) -> AsyncIterator[Session]:
    """Log in at the master that the addresses lead to, all tried at once; log out on leaving.

    Raises LoginRefused, or an error that names each address with its reason (see `Search.run`).
    `gently` tries one address at a time: for a password that was refused before. Who tries again
    and again keeps `acquaintances`. `dial` and `run_sync` replace the network and the thread that
    decodes large answers.
    """
    routes = [Route(one, tls, dial, limits or Limits(), run_sync) for one in addresses]
    login = _Login(credentials, originator, acquaintances or Acquaintances())
    session = await Search(login.attempt, Session.log_out).run(routes, gently=gently)
    try:
        yield session
    except AnotherPool as error:
        login.acquaintances.let_rest(session.route, error)
        raise
    finally:
        await session.log_out()


class _Login(msgspec.Struct, frozen=True):
    """How to log in at any host of a pool."""

    credentials: Credentials
    originator: str
    acquaintances: Acquaintances

    async def attempt(self, probe: Probe) -> Session:
        """Log in at one host; its fault is told as a sentence."""
        self.acquaintances.check(probe)
        try:
            return await self._by_either_codec(probe)
        except XapiFault as fault:
            if faults.is_slave(fault) is not None:
                raise
            raise _explained(fault, probe.route.address, self.credentials.user) from fault

    async def _by_either_codec(self, probe: Probe) -> Session:
        """Log in with the codec that the host knows: one without /jsonrpc answers no JSON there."""
        address = probe.route.address
        try:
            session = await self._by(JSON, probe)
        except XapiFault:
            self.acquaintances.answered_json(address)
            raise
        except ProtocolError as error:
            if self.acquaintances.speaks_json(address):
                self.acquaintances.let_rest(probe.route, error)
                raise
            return await self._by_xml(probe)
        self.acquaintances.answered_json(address)
        return session

    async def _by_xml(self, probe: Probe) -> Session:
        """Log in once more, at a host that answered JSON with what is not XAPI."""
        try:
            return await self._by(XML, probe)
        except (ProtocolError, TransportError) as error:
            self.acquaintances.let_rest(probe.route, error)
            raise

    async def _by(self, codec: Codec, probe: Probe) -> Session:
        session = Session(probe.route, codec)
        try:
            await session.open()
            probe.is_connected()
            user, password = self.credentials.user, self.credentials.password
            await session.log_in(user, password, self.originator)
        except BaseException:
            await session.aclose()
            raise
        return session


def _copy(error: Failure) -> Failure:
    return retold(error, str(error))


def _explained(fault: XapiFault, address: Address, user: str) -> XapiFault:
    """Return the fault of a login as a sentence for the operator."""
    said = " ".join(fault.params[1:]) or fault.code
    if fault.code == "SESSION_AUTHORIZATION_FAILED":
        text = f"{address} knows user {user!r}, who has no role in this pool ({said}); grant one"
    elif faults.is_login_refused(fault):
        text = f"{address} refuses user {user!r} ({said}); check user and password of this pool"
    elif faults.is_emergency(fault):
        text = f"{address} is starting or cut off from its pool: {fault}"
        return XapiFault(fault.code, fault.params, shown=text)
    else:
        return XapiFault(fault.code, fault.params, shown=f"{address} refuses the login: {fault}")
    return LoginRefused(fault.code, fault.params, shown=text)
