"""Simulated pools in a process of their own, which change as they are told."""

import multiprocessing
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import trio

from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.server import Served, Sockets, serve

TICK_S = 0.01
CHANGED = b'"name_description":"change '
"""What every record of a VM says once it was changed here."""
PASSWORD = "bench"


@dataclass(frozen=True)
class Numbers:
    """How many pools of how many VMs; a VM has some seven objects."""

    pools: int
    vms: int
    hosts: int = 2


@dataclass(frozen=True)
class Changes:
    """What happens in a pool: writes a second, of records this large, and sessions that end."""

    per_s: float = 0.0
    record_bytes: int = 0
    ends_sessions_every_s: float = 0.0


@dataclass(frozen=True)
class Burst:
    """Writes to make: so many a second, in all pools together, for so long."""

    per_s: float
    seconds: float


@dataclass(frozen=True)
class Serving:
    """How many objects the pools have together, and address and fingerprint of each pool."""

    objects: int
    pools: list[tuple[str, str]]


@dataclass(frozen=True)
class Pools:
    """Pools that are served, and how to tell them to change."""

    serving: Serving
    line: "Connection[Burst, Serving | int]"

    def begin(self, burst: Burst) -> None:
        """Have changes made, in the background."""
        self.line.send(burst)

    def done(self) -> int:
        """Wait until they are made, and return how many there were."""
        made = self.line.recv()
        assert isinstance(made, int)
        return made


@contextmanager
def served(numbers: Sequence[Numbers], changes: Changes = Changes()) -> Iterator[Pools]:
    """Serve pools for the length of the context; `changes` happen in the first of them."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=_host, args=(numbers, changes, theirs), daemon=True)
    server.start()
    try:
        serving = ours.recv()
        assert isinstance(serving, Serving)
        yield Pools(serving, ours)
    finally:
        server.terminate()


def _host(
    numbers: Sequence[Numbers], changes: Changes, line: "Connection[Serving | int, Burst]"
) -> None:
    """Serve pools until terminated; tell where they are, and make the changes that are asked."""
    sizes = [size for size in numbers for _ in range(size.pools)]
    specs = [
        PoolSpec(
            name=f"pool-{n}",
            hosts=size.hosts,
            vms=size.vms,
            seed=n,
            password=PASSWORD,
            keeps_truth=False,
        )
        for n, size in enumerate(sizes)
    ]

    async def run() -> None:
        async with trio.open_nursery() as nursery:

            async def serving(*, task_status: trio.TaskStatus[list[Served]]) -> None:
                await serve(specs, Sockets(tls_port=0), now_s=time.time, task_status=task_status)

            served = await nursery.start(serving)
            tables = [table for one in served for table in one.pool.hub.rows.tables.values()]
            objects = sum(len(table.rows) for table in tables)
            places = [(str(s.tls_url), s.certificate.fingerprint) for s in served]
            line.send(Serving(objects, places))
            pools = [one.pool for one in served]
            if changes.per_s:
                _enlarge(pools[0], changes.record_bytes)
                nursery.start_soon(_change, pools[:1], Burst(changes.per_s, float("inf")))
            if changes.ends_sessions_every_s:
                nursery.start_soon(_end_sessions, served[0], changes.ends_sessions_every_s)
            while True:
                burst = await trio.to_thread.run_sync(line.recv)
                line.send(await _change(pools, burst))

    trio.run(run)


def _enlarge(pool: SimulatedPool, size: int) -> None:
    """Add so many bytes to the records of all VMs."""
    if size:
        for vm in pool.database.refs("VM"):
            pool.database.write("VM", vm, "other_config", {"padding": "x" * size})


async def _change(pools: Sequence[SimulatedPool], burst: Burst) -> int:
    """Write fields of VMs, of one pool after the other; a hundred times a second what is due."""
    vms = [pool.database.refs("VM") for pool in pools]
    began_s, done, due = time.perf_counter(), 0, 0
    rng = random.Random(time.time_ns())  # What is written twice is no change.
    while due < burst.per_s * burst.seconds:
        due = int(min(time.perf_counter() - began_s, burst.seconds) * burst.per_s)
        for number in range(done, due):
            place = number % len(pools)
            text = f"change {rng.getrandbits(64)}"
            pools[place].database.write("VM", rng.choice(vms[place]), "name_description", text)
        done = due
        await trio.sleep(TICK_S)
    return done


async def _end_sessions(served: Served, every_s: float) -> None:
    await trio.sleep(30)  # the first baseline is not to be disturbed
    while True:
        await trio.sleep(every_s)
        served.front.sessions.expire_all()
