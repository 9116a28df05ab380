"""The session that a run makes its calls with: its own, and opened again when it is lost.

Also when the master has moved: whoever opens sessions looks at all hosts of the pool.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

import trio

from .. import logs
from ..client.session import Session
from ..errors import AnotherPool, LoginRefused, ProtocolError, TransportError, XapiFault
from ..xapi import faults
from ..xapi.backoff import Backoff
from ..xapi.baseline import uuid_of_pool
from ..xapi.jsonrpc import Param

T = TypeVar("T")

OpenSession = Callable[[Sequence[str], bool], AbstractAsyncContextManager[Session]]
"""Is told which hosts a pool has besides those in the configuration, and whether to go gently."""

AWAY_S_MAX = 600.0
"""A master is elected, or comes back, within minutes. What waits for longer is given up."""


class Unanswered(Exception):
    """The connection ended before the answer: the call was made, or it was not."""


class Driver:
    """Makes calls, with one session at a time.

    `members` tells the addresses of the pool's hosts, `pool_uuid` which pool is recorded: no other
    is touched. `learn` is told the reference of each session, so that it gets into no journal.
    """

    def __init__(
        self,
        pool: str,
        open_session: OpenSession,
        *,
        members: Callable[[], Sequence[str]],
        pool_uuid: Callable[[], str | None],
        learn: Callable[[str], None],
        uniform: Callable[[float, float], float],
    ) -> None:
        self._pool = pool
        self._open_session = open_session
        self._members = members
        self._pool_uuid = pool_uuid
        self._learn = learn
        self._backoff = Backoff(cap_s=5.0, uniform=uniform)
        self._lock = trio.Lock()
        self._stack = AsyncExitStack()
        self._session: Session | None = None

    async def open(self) -> Session:
        """Log in, unless that was done. Raises what the login does."""
        async with self._lock:
            if self._session is None:
                opened = self._open_session(self._members(), False)
                session = await self._stack.enter_async_context(opened)
                self._learn(session.token)
                await self._recognise(session)
                self._session = session
            return self._session

    async def begin(self, method: str, *params: Param) -> str:
        """Make a call in the background and return its task.

        A refusal that shows that nothing was done is met by another session and another call.
        Raises Unanswered, XapiFault; TransportError and ProtocolError if there is no session.
        """
        return await self._persist(f"Async.{method}", params, str, repeats=False)

    async def ask(self, method: str, *params: Param, returns: type[T]) -> T:
        """Make a call that may be made twice: a question, or `task.destroy`. Raises as `begin`."""
        return await self._persist(method, params, returns, repeats=True)

    async def aclose(self) -> None:
        """Log out."""
        self._session = None
        await self._stack.aclose()

    async def _recognise(self, session: Session) -> None:
        """Raise AnotherPool if the session is not with the pool that is recorded; end it then."""
        try:
            uuid = uuid_of_pool(await session.get_all_records("pool"))
        except BaseException:
            await self._stack.aclose()
            raise
        if uuid != self._pool_uuid():
            await self._stack.aclose()
            text = f"pool {self._pool}: {session.address} is pool {uuid}, which is not recorded"
            raise AnotherPool("ANOTHER_POOL", shown=text)

    async def _persist(
        self, method: str, params: Sequence[Param], returns: type[T], *, repeats: bool
    ) -> T:
        until_s = trio.current_time() + AWAY_S_MAX
        while True:
            session = await self._opened(until_s)
            try:
                answer = await session.call(method, *params, returns=returns)
            except XapiFault as fault:
                if not _nothing_was_done(fault):
                    raise
                await self._lose(session, fault, until_s)
            except (TransportError, ProtocolError) as error:
                await self._lose(session, error, until_s)
                if not repeats:
                    raise Unanswered(str(error)) from error
            else:
                self._backoff.reset()
                return answer

    async def _opened(self, until_s: float) -> Session:
        """Return the session, or open another; tried again and again up to a time."""
        while True:
            try:
                return await self.open()
            except (LoginRefused, AnotherPool):
                raise
            except (TransportError, ProtocolError, XapiFault) as error:
                await self._wait_or_raise(error, until_s)

    async def _lose(
        self, session: Session, error: TransportError | ProtocolError | XapiFault, until_s: float
    ) -> None:
        """Close a session that is of no use any more, unless another call has done it."""
        async with self._lock:
            if self._session is session:
                logs.warning("workload-session-lost", pool=self._pool, error=str(error))
                self._session = None
                await self._stack.aclose()
        await self._wait_or_raise(error, until_s)

    async def _wait_or_raise(
        self, error: TransportError | ProtocolError | XapiFault, until_s: float
    ) -> None:
        if trio.current_time() >= until_s:
            raise error
        await trio.sleep(self._backoff.next_s())


def _nothing_was_done(fault: XapiFault) -> bool:
    """Tell whether a refusal is about the session or the host: then the call never began."""
    return (
        faults.is_session_lost(fault)
        or faults.is_slave(fault) is not None
        or faults.is_emergency(fault)
    )
