"""The rival of the engine: a loop that makes the same calls and waits for their ends; no record."""

import random
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import trio

from recorder.client.address import Address
from recorder.client.line import Line
from recorder.client.session import Credentials, Session, open_session
from recorder.client.tls import TlsPolicy
from recorder.threads import inline
from recorder.workloads.kinds.powercycle import OPENINGS, ROUNDS
from recorder.workloads.methods import PARAMS, needs_of
from recorder.workloads.scripts import Variant
from recorder.xapi.jsonrpc import Param
from tests.bench.workloads.ours import TasksTime
from tests.truth.world import World, world

CONCURRENCY = 50
ITERATIONS = 2
Step = tuple[str, tuple[Param, ...]]


class _Vm(msgspec.Struct):
    power_state: str
    allowed_operations: list[str]
    resident_on: str
    is_a_template: bool
    is_control_domain: bool


class _Task(msgspec.Struct):
    status: str


class Loop:
    """Calls, and what it hears of VMs and tasks."""

    def __init__(self, session: Session, vms: dict[str, _Vm]) -> None:
        self.calls = 0
        self.vms = vms
        self._session = session
        self._ended: set[str] = set()
        self._waiting: dict[str, trio.Event] = {}
        self._limit = trio.Semaphore(CONCURRENCY)

    async def listen(self, line: Line) -> None:
        """Hear events until cancelled."""
        while True:
            for event in await line.next_events():
                if event.snapshot is None:
                    continue
                if event.cls == "vm":
                    self.vms[event.ref] = msgspec.json.decode(event.snapshot, type=_Vm)
                elif msgspec.json.decode(event.snapshot, type=_Task).status != "pending":
                    self._ended.add(event.ref)
                if event.ref in self._waiting:
                    self._waiting.pop(event.ref).set()

    async def live(self, vm: str, steps: Sequence[Step]) -> None:
        """Call one after the other, each when it is allowed and the one before has ended."""
        async with self._limit:
            for method, params in steps:
                needs = needs_of(method)
                while needs.power_state not in (
                    None,
                    self.vms[vm].power_state,
                ) or needs.allowed not in (None, *self.vms[vm].allowed_operations):
                    await self._hear(vm)
                task = await self._session.call(f"Async.{method}", vm, *params, returns=str)
                while task not in self._ended:
                    await self._hear(task)
                await self._session.call("task.destroy", task, returns=str)
                self.calls += 1

    async def _hear(self, ref: str) -> None:
        await self._waiting.setdefault(ref, trio.Event()).wait()


def powercycle(vms: dict[str, _Vm]) -> dict[str, list[Step]]:
    """Return what is called for each VM."""
    return {
        ref: [
            (method, PARAMS.get(method, ()))
            for method in (*OPENINGS[vm.power_state], *ROUNDS[Variant.SUSPEND])
        ]
        for ref, vm in vms.items()
    }


def permute(vms: dict[str, _Vm]) -> dict[str, list[Step]]:
    """Return what is called for each running VM: a host of another one, by chance, and again."""
    running = {ref: vm.resident_on for ref, vm in vms.items() if vm.power_state == "Running"}
    hosts, rng = sorted(set(running.values())), random.Random(1)
    lanes: dict[str, list[Step]] = {ref: [] for ref in running}
    for _ in range(ITERATIONS):
        for ref, at in running.items():
            running[ref] = rng.choice([host for host in hosts if host != at])
            lanes[ref].append(("VM.pool_migrate", (running[ref], {"live": "true"})))
    return lanes


KINDS: dict[str, Callable[[dict[str, _Vm]], dict[str, list[Step]]]] = {
    "powercycle": powercycle,
    "permute": permute,
}


async def drive(kind: str, count: int) -> tuple[int, float, float]:
    """Return how many calls were made on so many VMs, and the seconds that they took: without
    listening to events, and with it."""
    spent = TasksTime()
    with tempfile.TemporaryDirectory() as folder:
        async with world(1, Path(folder)) as stage, _session(stage, count) as session:
            vms = {
                ref: vm
                for ref, text in (await session.get_all_records("VM")).items()
                if not ((vm := msgspec.json.decode(text, type=_Vm)).is_a_template)
                and not vm.is_control_domain
            }
            loop, lanes = Loop(session, dict(vms)), KINDS[kind](vms)
            await session.register(["vm", "task"])
            trio.lowlevel.add_instrument(spent)
            async with session.open_line() as line, trio.open_nursery() as listening:
                listening.start_soon(loop.listen, line)
                async with trio.open_nursery() as nursery:
                    for ref, steps in lanes.items():
                        nursery.start_soon(partial(loop.live, ref, steps))
                listening.cancel_scope.cancel()
            trio.lowlevel.remove_instrument(spent)
    return loop.calls, spent.of("Loop.live"), spent.of("Loop.live", "Loop.listen")


@asynccontextmanager
async def _session(stage: World, vms: int) -> AsyncIterator[Session]:
    addresses = [f"127.0.0.{number}" for number in range(1, 17)]
    pool = await stage.add_pool("lab", vms=vms, hosts=16, per_minute=0, addresses=addresses)
    credentials = Credentials("root", pool.spec.password)
    where = [Address.parse("http://127.0.0.1:1")]
    async with open_session(
        where, TlsPolicy(), credentials, dial=stage.dial, run_sync=inline
    ) as session:
        yield session
