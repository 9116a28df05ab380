"""A whole world in one process and no time: simulated pools, their network, and a recorder.

Streams are in memory, the clock is virtual, blocking calls run inline, and every die is seeded: the
same seed is the same run.
"""

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import trio
import trio.testing

from recorder.client.address import Address
from recorder.client.transport import Dial
from recorder.config import AuditTrail, Config, Limits, Pool
from recorder.journal.digest_key import NAME
from recorder.journal.files import Disk
from recorder.model import Stream
from recorder.service.daemon import Seams, serve
from recorder.service.reload import Reread
from recorder.simulator.activity import stir
from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.threads import inline
from recorder.timetable import Schedule

REDACTION_KEY = bytes(range(32))
"""That of every recorder of a world: digests are the same in every run, and known to the oracle."""

BEGAN_NS = 1_790_000_000 * 10**9
"""Virtual time begins at this wall-clock time."""


def now_ns() -> int:
    return BEGAN_NS + int(trio.current_time() * 1e9)


def now_s() -> float:
    return now_ns() / 1e9


@contextmanager
def deterministic_scheduling(seed: int) -> Iterator[None]:
    """Make trio's scheduler choose the same order of tasks in every run."""
    from trio._core import _run

    before = _run._r
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # made for this
    _run._r = random.Random(seed)
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = False  # type: ignore[misc]  # as above
        _run._r = before


def put_key(folder: Path) -> None:
    """Put the known key where a recorder would make one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / NAME
    path.write_text(REDACTION_KEY.hex(), encoding="ascii")
    path.chmod(0o600)


class World:
    """Pools by name, each under an address of its own; `record` runs a recorder against them."""

    def __init__(self, nursery: trio.Nursery, seed: int, data: Path) -> None:
        self.nursery = nursery
        self.rng = random.Random(seed)
        self.data = data
        put_key(data / "keys")
        self.pools: dict[str, SimulatedPool] = {}
        self.fronts: dict[str, Front] = {}
        self.audit_trail = AuditTrail(enabled=False)  # In most stories it is noise.
        self.schedules: Sequence[Schedule] = ()

    async def add_pool(
        self,
        name: str,
        *,
        vms: int = 5,
        hosts: int = 2,
        per_minute: float = 20.0,
        addresses: Sequence[str] = (),
    ) -> SimulatedPool:
        """`addresses` are those of the hosts, if clients are to find the others, too."""
        spec = PoolSpec(
            name=name,
            hosts=hosts,
            addresses=addresses,
            vms=vms,
            seed=self.rng.randrange(1000),
            password=f"the key of {name}",
        )
        pool = SimulatedPool.build(spec, now_s=now_s)
        front = Front(pool, now_s=now_s)
        self.pools[name], self.fronts[name] = pool, front
        await self.nursery.start(front.run)

        async def live() -> None:
            await stir(pool, random.Random(self.rng.random()), per_minute=per_minute)

        if per_minute:
            self.nursery.start_soon(live)
        return pool

    async def dial(self, address: Address) -> trio.abc.Stream:
        """Open a stream to the pool whose port it is: 1 is the first pool's."""
        name = list(self.pools)[address.port - 1]
        client, server = trio.testing.memory_stream_pair()
        host = address.host if self.pools[name].spec.addresses else None
        self.nursery.start_soon(partial(self.fronts[name].serve_stream, server, address=host))
        return client

    def config(self, stream: Stream = Stream.REGISTER) -> Config:
        pools = [
            Pool(
                name=name,
                addresses=(f"http://127.0.0.1:{port}",),
                stream=stream,
                audit_trail=self.audit_trail,
            )
            for port, name in enumerate(self.pools, 1)
        ]
        return Config(pools=tuple(pools), limits=Limits(), schedules=tuple(self.schedules))

    @asynccontextmanager
    async def recording(
        self,
        stream: Stream = Stream.REGISTER,
        *,
        dial: Dial | None = None,
        disk: Disk | None = None,
        reread: Reread | None = None,
        begins_due: bool = True,
    ) -> AsyncIterator[None]:
        """Run a recorder for the length of the context, and stop it cleanly.

        `dial` is its way to the pools, where that is not everybody's.
        """
        passwords = {name: pool.spec.password for name, pool in self.pools.items()}
        seams = Seams(
            now_ns=now_ns,
            uniform=self.rng.uniform,
            dial=dial or self.dial,
            run_sync=inline,
            password=lambda pool: passwords[pool.name],
            disk=disk or Disk(),
        )
        config = self.config(stream)

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            await serve(
                config,
                self.data,
                reread=reread,
                begins_due=begins_due,
                seams=seams,
                task_status=task_status,
            )

        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            yield
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def world(seed: int, data: Path) -> AsyncIterator[World]:
    """Open a world; everything in it ends with the context."""
    async with trio.open_nursery() as nursery:
        yield World(nursery, seed, data)
        nursery.cancel_scope.cancel()
