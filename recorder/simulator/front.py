"""The network side of one pool: its sessions, its open connections, and ways to disturb them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import msgspec
import trio

from . import connection, sessions
from .audit import AuditTrail
from .calls import Call, Result
from .dispatch import Dispatcher, Door
from .faults.injector import Injector
from .faults.line import Line, LineEnded
from .insider import Insider
from .inventory import PoolSpec
from .pool import SimulatedPool
from .users import Directory
from .values import Fault


class _Outage(msgspec.Struct, frozen=True):
    """A host that is dead; one that `answers` closes connections, others say nothing at all."""

    answers: bool
    over: trio.Event = msgspec.field(default_factory=trio.Event)


class Front:
    """Answers clients on behalf of a pool. It needs no socket: `serve_stream` takes any stream.

    `sessions` may be expired at any time. `emergency` maps the address of a host to the fault
    that it gives to every call (such as HOST_STILL_BOOTING), `named_master` to the address of the
    master that it names in HOST_IS_SLAVE, true or not. `faults` are the rules in force.
    `dispatcher` answers calls without a connection, and without faults.
    """

    def __init__(self, pool: SimulatedPool, *, now_s: Callable[[], float]) -> None:
        self.pool = pool
        self.emergency: dict[str, Fault] = {}
        self.named_master: dict[str, str] = {}
        clock = self._clock = pool.clock.beside(now_s)
        self.sessions = sessions.Sessions(
            user=pool.spec.user,
            password=pool.spec.password,
            seed=pool.spec.seed,
            now_s=clock,
            database=pool.database,
            hub=pool.hub,
            directory=Directory(pool.spec.users),
        )
        self.faults = Injector(self)
        self.dispatcher = Dispatcher(pool, self.sessions, now_s=clock)
        self._connections: dict[trio.CancelScope, str] = {}
        self._outages: dict[str, _Outage] = {}
        self._strangers: dict[str, Front] = {}
        self._nursery: trio.Nursery | None = None
        self._speaking = trio.Event()
        self._speaking.set()
        pool.presence = self
        pool.toolstack.machines.host_of_session = self._host_of_local_session

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the pool and collect its sessions, until cancelled; `started()` when it lives.

        The nursery holds the pool, the timed faults and the pools of ejected hosts; all end with
        the cancellation of `run`.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self.pool.run)
            nursery.start_soon(self.faults.run)
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
        address = self.pool.hosts[0].address if address is None else address
        door = Door.of(stream, address, local=local, thread=self.trail.thread())
        with trio.CancelScope() as scope:
            self._connections[scope] = door.address
            try:
                await self._attend(Line(stream), door)
            except (trio.BrokenResourceError, trio.ClosedResourceError, LineEnded):
                return  # The peer went away, which is its right at any moment; or a fault did it.
            except Exception as error:  # noqa: BLE001 - logged; the others go on
                self.pool.bugs.note(error, f"connection to {door.address}")
            finally:
                del self._connections[scope]
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(stream)

    def insider(self) -> Insider:
        """Return a client that needs no connection."""
        return Insider(self.pool, self.dispatcher)

    def drop_connections(self, address: str | None = None) -> None:
        """Cut open connections, of all hosts or one, without a reply to calls that are under way.

        Those of a host that died silently stay as they are: no packet comes from it.
        """
        silent = {host for host, outage in self._outages.items() if not outage.answers}
        for scope, host in self._connections.items():
            if host not in silent and address in (None, host):
                scope.cancel()

    def restart(self) -> None:
        """Restart xapi: connections break without a reply, sessions and event ids are gone."""
        self.pool.restart_toolstack()

    def move_master(self, host: str) -> None:
        """Make another host (a reference) the master; the old one answers HOST_IS_SLAVE."""
        self.pool.move_master(host)

    def silence(self) -> None:
        """Let calls come in, but send no reply any more, until `speak`."""
        if self._speaking.is_set():
            self._speaking = trio.Event()

    def speak(self) -> None:
        """Send the replies that were held back, and all further ones."""
        self._speaking.set()

    @property
    def trail(self) -> AuditTrail:
        """The audit trail of the pool."""
        return self.dispatcher.trail

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def dead(self) -> list[str]:
        """Return the addresses of hosts that are dead."""
        return list(self._outages)

    def kill(self, address: str, *, answers: bool) -> None:
        """Let the host with this address be dead until `revive`.

        If it `answers`, connections to it are reset at once, else nothing comes back at all.
        """
        if answers:
            self.drop_connections(address)
        outage = self._outages.get(address)
        if outage is None or outage.answers != answers:
            self._outages[address] = _Outage(answers)
            if outage is not None:
                outage.over.set()

    def revive(self, address: str) -> None:
        """End the outage of a host; its connections from before are reset."""
        outage = self._outages.pop(address, None)
        if outage is not None:
            outage.over.set()
            self.drop_connections(address)

    def adopt(self, address: str, spec: PoolSpec) -> None:
        """Let another pool answer at this address from now on; `run` must be running."""
        assert self._nursery is not None, "a front adopts only while it runs"
        stranger = Front(SimulatedPool.build(spec, now_s=self._clock), now_s=self._clock)
        self._strangers[address] = stranger
        self._nursery.start_soon(stranger.run)

    def toolstack_restarted(self) -> None:
        """Break connections and sessions, for an operation has restarted the master's xapi."""
        self.drop_connections()
        self.sessions.expire_all()

    def master_moved(self) -> None:
        """Name the true master from now on."""
        self.named_master.clear()

    def host_down(self, host: str) -> None:
        """Let nobody answer at a host (a reference): it does not run."""
        address = self._address(host)
        self.drop_connections(address)
        self.kill(address, answers=False)

    def host_up(self, host: str) -> None:
        """Let a host (a reference) answer again."""
        self.revive(self._address(host))

    def _address(self, host: str) -> str:
        return next(known.address for known in self.pool.hosts if known.ref == host)

    def _host_of_local_session(self, session: str) -> str:
        """Return the host that a session of one host only is of, nothing for other sessions."""
        locals_ = (
            host.ref for host in self.pool.hosts if self.sessions.is_local(session, host.address)
        )
        return next(locals_, "")

    async def _attend(self, line: Line, door: Door) -> None:
        await self._survive(line, door)
        if stranger := self._strangers.get(door.address):
            await stranger.serve_stream(line, address=door.address, local=door.local)
            return
        if strike := self.faults.at_connect(door.address):
            await line.suffer(strike)
        await connection.converse(line, self._manners(line, door))
        await line.aclose()

    async def _survive(self, line: Line, door: Door) -> None:
        """Go on only if the host is alive; raises LineEnded when its outage is over."""
        if outage := self._outages.get(door.address):
            if not outage.answers:
                await outage.over.wait()
            raise line.end(reset=True)

    def _manners(self, line: Line, door: Door) -> connection.Manners:
        async def answer(call: Call) -> Result:
            await self._survive(line, door)

            def proceed(instead: Callable[[], Awaitable[Result]] | None) -> Awaitable[Result]:
                return self.dispatcher.answer(call, door, instead=instead)

            return await self.faults.answer(call, door.address, line, proceed)

        async def may_reply() -> None:
            await self._survive(line, door)
            await self._speaking.wait()

        return connection.Manners(
            answer=answer,
            emergency=lambda: self.emergency.get(door.address),
            may_reply=may_reply,
            first_head_s_max=math.inf if door.local else connection.FIRST_HEAD_S_MAX,
            pages=self.dispatcher.pages(door),
        )
