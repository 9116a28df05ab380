"""A simulated pool, a recorder, and clients that ask it to run workloads; all in virtual time."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import trio

from recorder.control.running import RunReport, StepLine
from recorder.journal.files import Disk
from recorder.journal.scan import scan
from recorder.model import Mark, MarkName
from recorder.service.reload import Reread
from recorder.simulator.faults.reading import plan_of
from recorder.simulator.front import Front
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Value
from recorder.timetable import Schedule
from tests.daemon.clients import Client, Json, connected, refusal
from tests.truth.world import World, world

RUN_MARKS = {
    MarkName.RUN_STARTED,
    MarkName.STEP_INTENDED,
    MarkName.STEP_CALLED,
    MarkName.STEP_ENDED,
    MarkName.RUN_ENDED,
}


def step(kind: str = "powercycle", **keys: object) -> dict[str, object]:
    """Return a step about all VMs, unless said otherwise."""
    chosen = {} if "hosts" in keys else {"vms": {"names": ["*"]}}
    return {"kind": kind, **chosen, **keys}


def script(*steps: Mapping[str, object], **keys: object) -> str:
    """Return a script as text: JSON values are TOML ones, here."""
    lines = [f"{key} = {_toml(value)}" for key, value in {"name": "a test", **keys}.items()]
    return "\n".join([*lines, f"steps = {_toml(list(steps))}"])


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


class CarelessDisk(Disk):
    """Nobody cuts the power here, so nobody waits for the disk."""

    def sync(self, fd: int) -> None:
        """Take it for durable."""

    def sync_folder(self, folder: Path) -> None:
        """Take it for durable."""


@dataclass
class Told:
    """What a client was told of one run."""

    running: Json
    steps: list[StepLine] = field(default_factory=list)
    report: RunReport | None = None

    @property
    def over(self) -> RunReport:
        assert self.report is not None
        return self.report

    def take(self, line: Json) -> None:
        if line["kind"] == "run":
            self.report = msgspec.convert({**line}, RunReport)
        else:
            self.steps.append(msgspec.convert({**line}, StepLine))

    def ended(self) -> list[tuple[str, str, str]]:
        """Return VM, method without its class, and outcome of each call that has ended."""
        return [
            (one.name, one.method.partition(".")[2], one.outcome)
            for one in self.steps
            if one.state == "ended"
        ]


@dataclass
class Theatre:
    """One pool `lab` and its recorder."""

    stage: World
    data: Path
    stop: Callable[[], None]
    """Stops the recorder, and all that waits for it."""

    @property
    def pool(self) -> SimulatedPool:
        return self.stage.pools["lab"]

    @property
    def front(self) -> Front:
        return self.stage.fronts["lab"]

    def rules(self, *rules: Mapping[str, object]) -> None:
        """Put rules of what goes wrong into force."""
        self.front.faults.take(plan_of({"fault": [*rules]}, "test"))

    def vm(self, name: str) -> str:
        (ref,) = self.pool.database.find("VM", "name_label", name)
        return ref

    def vms(self) -> dict[str, str]:
        """Return the references of the VMs that users have made, by name."""
        rows = (
            (ref, self.pool.database.record("VM", ref)) for ref in self.pool.database.refs("VM")
        )
        return {
            str(row["name_label"]): ref
            for ref, row in rows
            if not (row["is_a_template"] or row["is_control_domain"])
        }

    def field(self, vm: str, name: str) -> object:
        return self.pool.database.record("VM", vm)[name]

    async def do(self, method: str, name: str, *params: Value) -> None:
        """Let somebody else do something to a VM."""
        await self.pool.call_operation(NULL_REF, method, [self.vm(name), *params])

    def when_begun(self, look: Callable[[], None]) -> None:
        """Look at something whenever the pool has begun to do what a background call says."""
        begin = self.pool.tasks.begin

        def noticed(name: str, **others: Any) -> str:
            task = begin(name, **others)
            if name.startswith("Async."):
                look()
            return task

        self.pool.tasks.begin = noticed  # type: ignore[method-assign]  # to look

    def changes(self) -> int:
        """Return how often VMs and tasks have changed so far."""
        return sum(one.cls in {"vm", "task"} for one in self.pool.truth.changes)

    def hosts(self) -> dict[str, str]:
        """Return the names of the hosts by reference."""
        database = self.pool.database
        return {r: str(database.record("host", r)["name_label"]) for r in database.refs("host")}

    async def run(self, text: str, **wanted: object) -> Told:
        """Run a workload to its end."""
        async with self.running(text, **wanted) as (client, told):
            while (line := await client.line()) is not None:
                told.take(line)
        return told

    async def refusal(self, text: str, **wanted: object) -> tuple[str, list[str]]:
        """Return name and texts of the error that a workload gets instead of being run."""
        return await refusal(self.data, {"command": "run", "pool": "lab", "script": text, **wanted})

    @asynccontextmanager
    async def running(self, text: str, **wanted: object) -> AsyncIterator[tuple[Client, Told]]:
        """Begin to run a workload."""
        async with connected(self.data) as client:
            request = {"command": "run", "pool": "lab", "script": text, **wanted}
            await client.send(request)
            first = await client.line()
            assert first is not None
            assert "running" in first, first
            running = first["running"]
            assert isinstance(running, dict)
            yield client, Told(running)

    def marks(self, *names: MarkName) -> list[dict[str, object]]:
        """Return the details of the marks of runs that are in the journal, in order."""
        wanted = set(names) or RUN_MARKS
        return [
            {"mark": entry.body.name.value, "seq": entry.seq, **entry.body.detail}
            for entry in scan(self.data / "journal")
            if isinstance(entry.body, Mark) and entry.body.name in wanted
        ]


@asynccontextmanager
async def theatre(
    data: Path,
    *,
    vms: int = 3,
    hosts: int = 3,
    seed: int = 1,
    reread: Reread | None = None,
    schedules: Sequence[Schedule] = (),
) -> AsyncIterator[Theatre]:
    """Record a pool for the length of the context."""
    async with world(seed, data) as stage:
        stage.schedules = schedules
        addresses = [f"127.0.0.{number}" for number in range(1, hosts + 1)]
        await stage.add_pool("lab", vms=vms, hosts=hosts, per_minute=0, addresses=addresses)
        stopped = trio.Event()

        async def record(*, task_status: trio.TaskStatus[None]) -> None:
            async with stage.recording(disk=CarelessDisk(), reread=reread):
                task_status.started()
                await stopped.wait()

        async with trio.open_nursery() as nursery:
            await nursery.start(record)
            yield Theatre(stage, data, stopped.set)
            stopped.set()
