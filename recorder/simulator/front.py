"""The network side of one pool: its sessions, its open connections, and ways to disturb them."""

import math
from collections.abc import Callable

import trio

from . import connection, sessions
from .calls import Call, Result
from .dispatch import Dispatcher, Door
from .pool import SimulatedPool
from .values import Fault


class Front:
    """Answers clients on behalf of a pool. It needs no socket: `serve_stream` takes any stream.

    `sessions` may be expired at any time. `emergency` maps the address of a host to the fault
    that it gives to every call (such as HOST_STILL_BOOTING).
    """

    def __init__(self, pool: SimulatedPool, *, now_s: Callable[[], float]) -> None:
        self.pool = pool
        self.emergency: dict[str, Fault] = {}
        self.sessions = sessions.Sessions(
            user=pool.spec.user,
            password=pool.spec.password,
            seed=pool.spec.seed,
            now_s=now_s,
            database=pool.database,
            hub=pool.hub,
        )
        self._dispatcher = Dispatcher(pool, self.sessions, now_s=now_s)
        self._connections: set[trio.CancelScope] = set()
        self._speaking = trio.Event()
        self._speaking.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the pool and collect its sessions, until cancelled; `started()` when it lives."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.pool.run)
            task_status.started()
            while True:
                await trio.sleep(sessions.COLLECT_EVERY_S)
                self.sessions.collect()

    async def serve_stream(
        self, stream: trio.abc.Stream, *, address: str | None = None, local: bool = False
    ) -> None:
        """Serve one connection to the host with this address until it ends, and close it.

        Without an address it is the first host's. The host answers as the master if it is the
        master when the call comes in. `local` makes it the host's own unix socket, where any user
        and password will do.
        """
        door = Door(self.pool.hosts[0].address if address is None else address, local)
        with trio.CancelScope() as scope:
            self._connections.add(scope)
            try:
                await connection.converse(stream, self._manners(door))
                await stream.aclose()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # The peer went away, which is its right at any moment.
            finally:
                self._connections.discard(scope)
                await trio.aclose_forcefully(stream)

    def drop_connections(self) -> None:
        """Cut every open connection, without a reply to the calls that are under way."""
        for scope in self._connections:
            scope.cancel()

    def restart(self) -> None:
        """Restart xapi: connections break without a reply, sessions and event ids are gone."""
        self.drop_connections()
        self.sessions.expire_all()
        self.pool.restart_toolstack()

    def move_master(self, host: str) -> None:
        """Make another host (a reference) the master; the old one answers HOST_IS_SLAVE."""
        self.drop_connections()
        self.sessions.expire_all()
        self.pool.move_master(host)

    def silence(self) -> None:
        """Let calls come in, but send no reply any more, until `speak`."""
        if self._speaking.is_set():
            self._speaking = trio.Event()

    def speak(self) -> None:
        """Send the replies that were held back, and all further ones."""
        self._speaking.set()

    def _manners(self, door: Door) -> connection.Manners:
        async def answer(call: Call) -> Result:
            return await self._dispatcher.answer(call, door)

        async def may_reply() -> None:
            await self._speaking.wait()

        return connection.Manners(
            answer=answer,
            emergency=lambda: self.emergency.get(door.address),
            may_reply=may_reply,
            first_head_s_max=math.inf if door.local else connection.FIRST_HEAD_S_MAX,
        )
