"""A simulated pool on loopback in a thread of its own, for clients that block while they wait."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from recorder.simulator.inventory import PoolSpec
from recorder.simulator.server import Served, Sockets, serve

T = TypeVar("T")
USER = "root"
PASSWORD = "xenroot"
NOW_S = 1_795_452_672.0
WAIT_S_MAX = 20.0
"""How long anything may take before a test gives up; nothing is ever this slow."""
SETTLED_S = 10.0
"""Guest agents and monitoring take 5 s of the pool's own time, which goes faster than ours."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A pool that serves. Its objects belong to another thread: touch them through `do` only."""

    served: Served
    token: trio.lowlevel.TrioToken

    @property
    def url(self) -> str:
        """Where the first host answers."""
        return self.served.url

    @property
    def tls_url(self) -> str:
        """Where the first host answers over TLS, with a certificate that it signed itself."""
        assert self.served.tls_url is not None
        return self.served.tls_url

    @property
    def urls(self) -> Sequence[str]:
        """Where each host answers, in the order in which the pool has them."""
        return [self.served.url, *self.served.members]

    def do(self, work: Callable[[], T]) -> T:
        """Run something between two steps of the pool, and return its result."""
        return trio.from_thread.run_sync(work, trio_token=self.token)

    def settle(self) -> None:
        """Return when guests and monitoring have written what they owe to operations that ended."""
        settled = threading.Event()
        self.do(lambda: self.served.pool.toolstack.later(SETTLED_S, settled.set))
        assert settled.wait(WAIT_S_MAX)

    def restart(self) -> None:
        """Restart the toolstack of the master: connections, sessions and tasks are gone."""
        self.do(self.served.front.restart)

    def expire_sessions(self) -> None:
        """End all sessions, as the server does with idle ones."""
        self.do(self.served.sessions.expire_all)

    def move_master(self, number: int) -> None:
        """Make the host with this number (0 is the first) the master."""
        host = self.served.pool.hosts[number].ref
        self.do(partial(self.served.front.move_master, host))


@contextmanager
def running_lab(spec: PoolSpec, *, folder: Path | None = None) -> Iterator[Lab]:
    """Serve a pool until the block ends; `folder` gets the unix socket of its master."""
    told: queue.SimpleQueue[tuple[Lab, trio.CancelScope]] = queue.SimpleQueue()
    thread = threading.Thread(target=trio.run, args=(_live, spec, folder, told.put), daemon=True)
    thread.start()
    lab, scope = told.get(timeout=WAIT_S_MAX)
    try:
        yield lab
    finally:
        # A pool that crashed has ended by itself, and pytest tells of the exception in its thread.
        with suppress(trio.RunFinishedError):
            lab.token.run_sync_soon(scope.cancel)
        thread.join(WAIT_S_MAX)


async def _live(
    spec: PoolSpec, folder: Path | None, tell: Callable[[tuple[Lab, trio.CancelScope]], None]
) -> None:
    sockets = Sockets(tls_port=0, folder=folder)
    async with trio.open_nursery() as nursery:
        (served,) = await nursery.start(partial(serve, [spec], sockets, now_s=lambda: NOW_S))
        tell((Lab(served, trio.lowlevel.current_trio_token()), nursery.cancel_scope))
