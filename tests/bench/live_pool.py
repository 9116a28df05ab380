"""A simulated pool over TLS that does what it is told: `... live_pool --hosts N --vms N`.

Orders are lines of JSON on standard input, each answered by one on standard output; the first line
says where the pool is. All times are in ns since 1970.
"""

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from recorder.simulator.inventory import PoolSpec
from recorder.simulator.server import Listening, Sockets, listen

PASSWORD = "bench"
SETTLE_S = 0.2
"""After the last change: by then an answer with it has left."""

_ID = re.compile(rb'\{"id":"(\d+)"')
_ID_IN_XML = re.compile(rb"<name>id</name><value>(?:<string>)?(\d+)")


class Stamped(trio.abc.Stream):
    """A connection that notes when answers of `event.next` leave, by the last event in them.

    Before they are encrypted: that is the last time at which the server alone is to blame.
    """

    def __init__(self, inner: trio.abc.Stream, left: list[tuple[int, int]]) -> None:
        self._inner = inner
        self._left = left
        self._asked_for_events = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, those of an answer after a look at the clock."""
        if self._asked_for_events:
            now_ns = time.time_ns()
            text = bytes(data)
            ids = _ID.findall(text) or _ID_IN_XML.findall(text)
            if ids:
                self._left.append((now_ns, int(ids[-1])))
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream inside."""
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive bytes, which may ask for events."""
        data = await self._inner.receive_some(max_bytes)
        if b"event.next" in data:
            self._asked_for_events = True
        elif data.startswith(b"POST"):
            self._asked_for_events = False
        return data

    async def aclose(self) -> None:
        """Close the stream inside."""
        await self._inner.aclose()


class LivePool:
    """A pool that is served, and its record of what happened."""

    def __init__(self, listening: Listening, nursery: trio.Nursery) -> None:
        self._listening = listening
        self._served = listening.served
        self._nursery = nursery
        self._rng = random.Random(1)
        self._left: list[tuple[int, int]] = []

    async def serve(self) -> None:
        """Answer clients until cancelled."""
        front = self._served.front
        await self._nursery.start(front.run)
        for opening in self._listening.openings:

            async def handle(stream: trio.abc.Stream, address: str = opening.address) -> None:
                await front.serve_stream(Stamped(stream, self._left), address=address)

            self._nursery.start_soon(partial(trio.serve_listeners, handle, [opening.listener]))

    def where(self) -> dict[str, object]:
        """Return where the pool is, the address of the master first."""
        assert self._served.tls_url is not None
        port = self._served.tls_url.rpartition(":")[2]
        hosts = self._served.pool.hosts
        return {
            "urls": [f"https://{host.address}:{port}" for host in hosts],
            "fingerprint": self._served.fingerprint,
        }

    async def change(self, per_s: float, count: int) -> dict[str, object]:
        """Write fields of VMs, at times that are as far apart as chance has it.

        Returns when each change was made, with the id of its event, and when answers left, with
        the id of their last event.
        """
        self._left.clear()
        made = await self._write(per_s, count)
        await trio.sleep(SETTLE_S)
        return {"made": made, "left": self._left}

    async def _write(self, per_s: float, count: int) -> list[tuple[int, int]]:
        made: list[tuple[int, int]] = []
        database = self._served.pool.database
        vms = database.refs("VM")
        began_s = trio.current_time()
        for number in range(count):
            await trio.sleep_until(began_s + (number + self._rng.random()) / per_s)
            made.append((time.time_ns(), database.hub.current_id()))
            database.write("VM", self._rng.choice(vms), "name_description", str(number))
        return made

    async def keep_changing(self, per_s: float) -> dict[str, object]:
        """Write fields from now on, beside all else."""

        async def forever() -> None:
            while True:
                await self._write(per_s, 100)

        self._nursery.start_soon(forever)
        return {}

    async def move_master(self, outage_s: float) -> dict[str, object]:
        """Let the master be dead for so long, until the next host is the master in its place."""
        pool, front = self._served.pool, self._served.front
        old = next(host for host in pool.hosts if host.ref == pool.master)
        new = next(host for host in pool.hosts if host.ref != pool.master)
        front.kill(old.address, answers=True)
        await trio.sleep(outage_s)
        answers_ns = time.time_ns()
        pool.move_master(new.ref)
        return {"answers_ns": answers_ns, "old": old.address}

    async def revive(self, address: str) -> dict[str, object]:
        """Let a host that was dead answer again, as a member."""
        self._served.front.revive(address)
        return {}

    async def restart(self) -> dict[str, object]:
        """Restart the toolstack of the master."""
        answers_ns = time.time_ns()
        self._served.front.restart()
        return {"answers_ns": answers_ns}


async def obey(options: argparse.Namespace) -> None:
    """Serve a pool, and do what comes by standard input until its end."""
    spec = PoolSpec(
        hosts=options.hosts, vms=options.vms, password=PASSWORD, speed=0.0, keeps_truth=False
    )
    (listening,) = await listen([spec], Sockets(tls_port=0), now_s=time.time)
    async with trio.open_nursery() as nursery:
        pool = LivePool(listening, nursery)
        await pool.serve()
        tell(pool.where())
        orders: dict[str, Callable[..., Any]] = {
            "change": pool.change,
            "keep-changing": pool.keep_changing,
            "move-master": pool.move_master,
            "revive": pool.revive,
            "restart": pool.restart,
        }
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            order, arguments = json.loads(line)
            tell(await orders[order](**arguments))
        nursery.cancel_scope.cancel()


def tell(answer: dict[str, object]) -> None:
    """Print a line of JSON."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, required=True)
    parser.add_argument("--vms", type=int, required=True)
    trio.run(obey, parser.parse_args())
