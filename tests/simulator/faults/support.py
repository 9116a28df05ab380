"""A pool in virtual time with rules in force, and clients that speak JSON-RPC 1.0 in memory."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
import trio.testing

from recorder.simulator.faults.reading import plan_of
from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool

NOW_S = 1_795_452_672.0
PASSWORD = "xenroot"
MASTER, MEMBER, LAST = "192.0.2.11", "192.0.2.12", "192.0.2.13"
"""The addresses of host-1, host-2 and host-3."""
LOGIN = "session.login_with_password"


class Refused(Exception):
    """The error of a JSON-RPC reply."""


class Hung(Exception):
    """No whole reply came, however long one waits; `got` is what came."""

    def __init__(self, got: bytes) -> None:
        super().__init__(got)
        self.got = got


class Cut(Exception):
    """The connection ended before a whole reply; `got` is what came."""

    def __init__(self, got: bytes) -> None:
        super().__init__(got)
        self.got = got


@dataclass
class Reply:
    """One HTTP reply."""

    status: int
    headers: dict[str, str]
    body: bytes


def request(method: str, *params: object) -> bytes:
    """Return the bytes of a call."""
    body = json.dumps({"method": method, "params": params, "id": 1}).encode()
    return b"POST /jsonrpc HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


class Client:
    """One connection to one host."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.session = ""
        self._buffer = b""

    async def login(self) -> "Client":
        self.session = str(await self.call(LOGIN, "root", PASSWORD))
        return self

    async def do(self, method: str, *params: object) -> Any:
        """Call a method with the session."""
        return await self.call(method, self.session, *params)

    async def call(self, method: str, *params: object) -> Any:
        reply = await self.exchange(method, *params)
        document = json.loads(reply.body)
        if document["error"] is not None:
            error = document["error"]
            raise Refused(*(error if isinstance(error, list) else [error]))
        return document["result"]

    async def exchange(self, method: str, *params: object) -> Reply:
        await self.stream.send_all(request(method, *params))
        return await self.reply()

    async def reply(self, *, within_s: float = 1000.0) -> Reply:
        """Read one reply. Raises Cut, Hung."""
        while b"\r\n\r\n" not in self._buffer:
            await self._more(within_s)
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers["content-length"])
        while len(self._buffer) < length:
            await self._more(within_s)
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Reply(int(first.split()[1]), headers, body)

    async def rest(self) -> bytes:
        """Return what comes until the connection ends, or nothing more does."""
        try:
            while True:
                await self._more(1000.0)
        except (Cut, Hung) as error:
            return error.got

    async def _more(self, within_s: float) -> None:
        with trio.move_on_after(within_s):
            try:
                data = await self.stream.receive_some(65_536)
            except trio.BrokenResourceError:
                data = b""
            if not data:
                raise Cut(self._buffer)
            self._buffer += data
            return
        raise Hung(self._buffer)


class Stage:
    """A pool of three hosts that runs; `connect` opens connections to any of them."""

    def __init__(self, nursery: trio.Nursery, spec: PoolSpec) -> None:
        begun_s = trio.current_time()
        self._nursery = nursery
        self.pool = SimulatedPool.build(spec, now_s=lambda: NOW_S + trio.current_time() - begun_s)
        self.front = Front(self.pool, now_s=lambda: NOW_S + trio.current_time() - begun_s)

    def rules(self, *rules: Mapping[str, object], seed: int = 1) -> None:
        """Put rules into force."""
        self.front.faults.take(plan_of({"seed": seed, "fault": [*rules]}, "test"))

    def connect(self, address: str = MASTER) -> Client:
        ours, theirs = trio.testing.memory_stream_pair()

        async def serve() -> None:
            await self.front.serve_stream(theirs, address=address)

        self._nursery.start_soon(serve)
        return Client(ours)

    async def login(self, address: str = MASTER) -> Client:
        return await self.connect(address).login()

    def vm(self, name: str) -> str:
        (ref,) = self.pool.database.find("VM", "name_label", name)
        return ref

    def halted(self) -> str:
        """A VM that can be started."""
        return next(
            ref
            for ref in self.pool.database.find("VM", "power_state", "Halted")
            if self.pool.database.record("VM", ref)["is_a_template"] is False
        )

    def description(self) -> str:
        return str(self.pool.database.record("pool", self.pool.pool_ref)["name_description"])


@asynccontextmanager
async def a_stage(
    *rules: Mapping[str, object], vms: int = 4, hosts: int = 3
) -> AsyncIterator[Stage]:
    """Run a pool with rules for the length of the context."""
    async with trio.open_nursery() as nursery:
        spec = PoolSpec(hosts=hosts, vms=vms, password=PASSWORD, seed=5)
        stage = Stage(nursery, spec)
        stage.rules(*rules)
        await nursery.start(stage.front.run)
        yield stage
        nursery.cancel_scope.cancel()


def is_live(stage: Stage, number: int) -> object:
    """What the pool thinks of the host with this number, from 0."""
    database = stage.pool.database
    metrics = database.record("host", stage.pool.hosts[number].ref)["metrics"]
    return database.record("host_metrics", str(metrics))["live"]
