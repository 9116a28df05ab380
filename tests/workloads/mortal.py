"""A recorder that is killed at a chosen moment while it drives a run; all in virtual time.

To be killed is to do nothing more: no byte gets to the disk or to the network from then on,
whatever the remains of the process still try. The next life finds the disk as it was, or, after a
power cut, what was synced of it.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import msgspec
import trio
import trio.testing

from recorder.client.address import Address
from recorder.config import Config, Limits, Pool, Tls
from recorder.control import endpoint
from recorder.control.running import RunReport
from recorder.journal.digest_key import load_or_create
from recorder.journal.scan import scan
from recorder.model import Entry, Mark, MarkName
from recorder.service.daemon import Seams, serve
from recorder.simulator import hostlife
from recorder.simulator.calls import Call, Result
from recorder.simulator.faults.injector import Injector, Proceed
from recorder.simulator.faults.line import Line
from recorder.simulator.faults.reading import plan_of
from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from tests.daemon.clients import Client, Json, connected
from tests.journal.memorydisk import Crash, MemoryDisk
from tests.truth.machine import DATA
from tests.truth.network import Cable, Network, Wire
from tests.truth.world import now_ns, now_s

T = TypeVar("T")

CLASSES = {"VM", "host", "pool", "task"}
"""With all classes a baseline takes longer than all that is looked at here."""
PASSWORD = "the key"
ANSWER_S_MAX = 5000.0


class Moment(StrEnum):
    """When the process is killed."""

    BEFORE_SYNC = "before a sync"
    IN_SYNC = "in a sync"  # what of it is on the disk is chance
    AFTER_SYNC = "after a sync"
    BEFORE_CALL = "before a call"
    CALL_SENT = "after a call was sent"
    CALL_ANSWERED = "when a call was answered"


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill at the nth such moment of a life, counted from when a run is asked for."""

    moment: Moment
    nth: int
    when: Callable[[], bool] | None = None
    """Instead of the nth: the first for which this holds."""


class Killed(Crash):
    """The process ended here."""


class DoomedDisk(MemoryDisk):
    """Tells its process of every sync, before and after."""

    told: Callable[[Moment], None]

    def sync(self, fd: int) -> None:
        self.told(Moment.BEFORE_SYNC)
        self.told(Moment.IN_SYNC)
        super().sync(fd)
        self.told(Moment.AFTER_SYNC)


class DoomedWire(Wire):
    """Tells its process of calls in the background that it sends, and of their answers."""

    def __init__(self, near: trio.abc.Stream, life: "Life") -> None:
        super().__init__(near, life.cable)
        self._life = life
        self._asked = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        asked = b"Async." in bytes(data)
        if asked:
            self._life.told(Moment.BEFORE_CALL)
        await super().send_all(data)
        self._asked = asked
        if asked:
            self._life.told(Moment.CALL_SENT)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await super().receive_some(max_bytes)
        if self._life.cable.pulled:
            raise trio.BrokenResourceError
        if self._asked:
            self._asked = False
            self._life.told(Moment.CALL_ANSWERED)
        return data


class Ear(Injector):
    """Notes every call in the background that the pool has begun, and its task."""

    def __init__(self, front: Front, made: "list[Made]") -> None:
        super().__init__(front)
        self._made = made

    async def answer(self, call: Call, address: str, line: Line, proceed: Proceed) -> Result:
        async def noticed(instead: object) -> Result:
            result = await proceed(instead)  # type: ignore[arg-type]  # as it was given
            if call.method.startswith("Async.") and isinstance(result, str):
                object_ref = str(call.params[1])
                self._made.append(Made(call.method.removeprefix("Async."), object_ref, result))
            return result

        result = await super().answer(call, address, line, noticed)
        if call.method == "system.listMethods":
            assert isinstance(result, list)
            return [name for name in result if str(name).partition(".")[0] in CLASSES]
        return result


@dataclass(frozen=True, slots=True)
class Made:
    """A call that the pool has begun to do."""

    method: str
    ref: str
    task: str


class Life:
    """One process of the recorder."""

    def __init__(self, disk: DoomedDisk, network: Network) -> None:
        self.disk = disk
        self.cable = Cable(network)
        self.kill: Kill | None = None
        self.next_disk: DoomedDisk | None = None
        self._counts: Counter[Moment] = Counter()
        disk.told = self.told

    @property
    def is_over(self) -> bool:
        return self.next_disk is not None

    def doom(self, kill: Kill | None) -> None:
        """Let the process be killed at this moment, counted from now."""
        self.kill = kill
        self._counts.clear()

    def told(self, moment: Moment) -> None:
        self._counts[moment] += 1
        kill = self.kill
        if kill is None or self.is_over or kill.moment is not moment:
            return
        if self._counts[moment] == kill.nth if kill.when is None else kill.when():
            self.end(power=moment is Moment.IN_SYNC)
            raise Killed

    def end(self, *, power: bool) -> None:
        """End it here, as kill -9 does, or a power cut."""
        self.next_disk = self.disk.crash() if power else self.disk.kill()
        self.cable.pulled = True

    async def dial(self, address: Address) -> trio.abc.Stream:
        if self.cable.pulled:
            raise Killed
        network = self.cable.network
        if address.host not in network.fronts:
            raise OSError("no route to host")
        client, server = trio.testing.memory_stream_pair()
        network.serve(address.host, server)
        return DoomedWire(client, self)


@dataclass
class Mortal:
    """A pool, and one life of a recorder after the other."""

    folder: Path
    network: Network
    pool: SimulatedPool
    front: Front
    config: Config
    random: random.Random
    disk: DoomedDisk
    made: list[Made] = field(default_factory=list)
    reports: list[RunReport] = field(default_factory=list)
    disk_takes_s: float = 0.0

    def rules(self, *rules: Mapping[str, object]) -> None:
        """Put rules of what goes wrong into force."""
        self.front.faults.take(plan_of({"fault": [*rules]}, "test"))

    def restart(self) -> None:
        """Let the toolstack of the master restart: it forgets its tasks, and says when it began."""
        (pool,) = self.pool.database.refs("pool")
        master = str(self.pool.database.record("pool", pool)["master"])
        hostlife.restart_agent(self.pool.toolstack, master)

    def vms(self) -> dict[str, str]:
        """Return the references of the VMs that users have made, by name."""
        database = self.pool.database
        rows = ((ref, database.record("VM", ref)) for ref in database.refs("VM"))
        return {
            str(row["name_label"]): ref
            for ref, row in rows
            if not (row["is_a_template"] or row["is_control_domain"])
        }

    def entries(self) -> Iterator[Entry]:
        """Read the journal as it is now."""
        return scan(DATA / "journal", disk=self.disk)

    def marks(self, *names: MarkName) -> list[tuple[int, MarkName, Mapping[str, object]]]:
        """Return sequence number, name and details of marks of these names."""
        return [
            (entry.seq, entry.body.name, entry.body.detail)
            for entry in self.entries()
            if isinstance(entry.body, Mark) and entry.body.name in names
        ]

    def run_name(self) -> str | None:
        """Return the name of the run, None if it has not begun as far as the journal knows."""
        started = self.marks(MarkName.RUN_STARTED)
        return str(started[0][2]["run"]) if started else None

    async def live_for(self, seconds: float, request: Json) -> None:
        """Ask for something and be stopped, as by SIGTERM, after so many seconds."""
        with trio.move_on_after(seconds + 1000) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.live, request, None)
                while not self.made:  # noqa: ASYNC110 - the pool tells nobody
                    await trio.sleep(0.05)
                await trio.sleep(seconds)
                scope.cancel()

    async def live(self, request: Json, kill: Kill | None) -> Json | None:
        """Live once: ask for something, and be killed, or come to the end of it.

        Return the first answer if it is an error.
        """
        life = Life(self.disk, self.network)
        answer: Json | None = None
        try:
            async with trio.open_nursery() as nursery:
                with suppress(FileNotFoundError):
                    (self.folder / endpoint.SOCKET_NAME).unlink()
                await nursery.start(self._serve, life)
                with suppress(trio.BrokenResourceError):
                    async with connected(self.folder) as client:
                        life.doom(kill)
                        await client.send(request)
                        answer = await self._heard(client)
                life.doom(None)
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            killed, others = group.split(Crash)
            if killed is None or (others is not None and others.split(trio.Cancelled)[1]):
                raise
        self.disk = life.next_disk or self.disk.elsewhere()
        return answer

    async def _serve(self, life: Life, *, task_status: trio.TaskStatus[None]) -> None:
        seams = Seams(
            now_ns=now_ns,
            uniform=self.random.uniform,
            dial=life.dial,
            run_sync=self._run_sync,
            disk=life.disk,
            password=lambda _pool: PASSWORD,
            tell=lambda _state: None,
            watchdog_s=None,
            listen=lambda _data: endpoint.listen(self.folder),
        )
        await serve(self.config, DATA, seams=seams, task_status=task_status)

    async def _run_sync(self, call: Callable[[], T], /) -> T:
        """Let a call of the disk take time: what does not wait for it is found out."""
        with trio.CancelScope(shield=True):
            await trio.sleep(self.disk_takes_s)
        return call()

    async def _heard(self, client: Client) -> Json | None:
        while (line := await client.line()) is not None:
            if "protocol" in line and "error" in line:
                return line
            if line.get("kind") == "run":
                self.reports.append(msgspec.convert({**line}, RunReport))
                return None
        return None


@asynccontextmanager
async def mortal(folder: Path, *, seed: int, vms: int = 4, hosts: int = 2) -> AsyncIterator[Mortal]:
    """Let a pool live for the length of the context."""
    spec = PoolSpec(
        name="lab",
        hosts=hosts,
        vms=vms,
        seed=seed,
        addresses=[f"127.0.0.{number + 1}" for number in range(hosts)],
        password=PASSWORD,
    )
    async with trio.open_nursery() as nursery:
        pool = SimulatedPool.build(spec, now_s=now_s)
        front = Front(pool, now_s=now_s)
        network = Network(nursery)
        for host in pool.hosts:
            network.fronts[host.address] = front
        address = f"http://{pool.hosts[0].address}"
        config = Config(
            pools=(Pool(name="lab", addresses=(address,), user="root", tls=Tls(verify=False)),),
            limits=Limits(segment_mib_max=1),
        )
        disk = DoomedDisk(random.Random(f"disk of {seed}"))
        disk.told = lambda _moment: None
        load_or_create(DATA / "keys", disk)
        one = Mortal(folder, network, pool, front, config, random.Random(seed), disk)
        front.faults = Ear(front, one.made)
        await nursery.start(front.run)
        yield one
        nursery.cancel_scope.cancel()
