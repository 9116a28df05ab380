"""How much one recorder can take; run `python -m tests.bench.scale`, or name parts of it: idle ...

- idle: 200 pools of about 100 objects each, and nothing happens in them;
- large: one pool of 20,000 objects, read and then followed at 100 changes a second;
- together: the pools of both at once;
- busy: one pool of 5,000 objects that changes 2,000 of 4 KB a second, while its sessions are ended
  every few seconds, so that all of it is read again meanwhile.

The recorder is the real command in a process of its own, with its journal on the disk of TMPDIR;
the pools are simulated ones in another process, on loopback. Memory is what the kernel says of the
recorder: resident now, and at most ever.
"""

import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path

import trio

from recorder.journal.scan import scan
from recorder.model import Event, GapClosed, GapOpened, Mark, MarkName
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.server import Served, Sockets, serve

Act = Callable[[Served], None]
WAIT_S = 300.0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Changes:
    """What happens in a pool: writes a second, of records this large, and sessions that end."""

    per_s: float = 0.0
    record_bytes: int = 0
    ends_sessions_every_s: float = 0.0


@dataclass(frozen=True)
class Numbers:
    """How many pools of how many VMs; a VM has some seven objects."""

    pools: int
    vms: int
    hosts: int = 2


@dataclass(frozen=True)
class Serving:
    """How many objects the pools have together, and address and fingerprint of each pool."""

    objects: int
    pools: list[tuple[str, str]]


def host(numbers: list[Numbers], changes: Changes, ready: "Queue[Serving]") -> None:
    """Serve pools until terminated; tell where they are."""

    async def run() -> None:
        sizes = [size for size in numbers for _ in range(size.pools)]
        specs = [
            PoolSpec(
                name=f"pool-{n}",
                hosts=size.hosts,
                vms=size.vms,
                seed=n,
                password="bench",
                keeps_truth=False,
            )
            for n, size in enumerate(sizes)
        ]
        async with trio.open_nursery() as nursery:

            async def serving(*, task_status: trio.TaskStatus[list[Served]]) -> None:
                await serve(specs, Sockets(tls_port=0), now_s=time.time, task_status=task_status)

            served = await nursery.start(serving)
            tables = [table for one in served for table in one.pool.hub.rows.tables.values()]
            objects = sum(len(table.rows) for table in tables)
            ready.put(Serving(objects, [(s.tls_url, s.certificate.fingerprint) for s in served]))
            if changes.per_s:
                nursery.start_soon(change, served[0].pool, changes)
            if changes.ends_sessions_every_s:
                nursery.start_soon(end_sessions, served[0], changes.ends_sessions_every_s)
            await trio.sleep_forever()

    trio.run(run)


async def change(pool: SimulatedPool, changes: Changes) -> None:
    """Write fields of VMs, a hundred times a second a hundredth of what is due."""
    vms = pool.database.refs("VM")
    if changes.record_bytes:
        for vm in vms:
            pool.database.write("VM", vm, "other_config", {"padding": "x" * changes.record_bytes})
    began_s, done = time.perf_counter(), 0
    rng = random.Random(1)
    while True:
        due = int((time.perf_counter() - began_s) * changes.per_s)
        for number in range(done, due):
            pool.database.write("VM", rng.choice(vms), "name_description", str(number))
        done = due
        await trio.sleep(0.01)


async def end_sessions(served: Served, every_s: float) -> None:
    await trio.sleep(30)  # the first baseline is not to be disturbed
    while True:
        await trio.sleep(every_s)
        served.front.sessions.expire_all()


@dataclass(frozen=True)
class Memory:
    """MiB of the recorder."""

    now: float
    peak: float


def memory_of(pid: int) -> Memory:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}
    return Memory(kib["VmRSS"] / 1024, kib["VmHWM"] / 1024)


def cpu_s_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@dataclass
class Recorder:
    """The command, under way; `lines` is its log."""

    process: "subprocess.Popen[str]"
    data: Path
    log: Path

    def count(self, word: str) -> int:
        return sum(word in line for line in self.log.read_text().splitlines())

    def wait_for(self, word: str, count: int) -> float:
        """Wait until the log says a word so often; return the seconds that this took."""
        began_s = time.perf_counter()
        while self.count(word) < count:
            if self.process.poll() is not None or time.perf_counter() - began_s > WAIT_S:
                raise SystemExit(
                    f"the recorder does not get there:\n{self.log.read_text()[-2000:]}"
                )
            time.sleep(0.05)
        return time.perf_counter() - began_s

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def record(folder: Path, pools_to_record: list[tuple[str, str]]) -> Recorder:
    pools = "".join(
        f'[[pools]]\nname = "pool-{n}"\naddresses = ["{url}"]\npassword_env = "BENCH_PASSWORD"\n'
        f'tls = {{ fingerprint = "{fingerprint}" }}\n'
        for n, (url, fingerprint) in enumerate(pools_to_record)
    )
    config = folder / "recorder.toml"
    config.write_text(f"{pools}\n[limits]\nstart_timeout_s = 120.0\n", encoding="ascii")
    command: list[str | Path] = [
        Path(sys.executable).with_name("xentrail"),
        "record",
        "--config",
        config,
    ]
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--data", folder / "data"],
            stdout=out,
            stderr=out,
            text=True,
            env={"BENCH_PASSWORD": "bench", "PATH": "/usr/bin:/bin"},
        )
    return Recorder(process, folder / "data", log)


def run(title: str, numbers: list[Numbers], changes: Changes, *, seconds: float) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready: Queue[Serving] = spawn.Queue()
    server = spawn.Process(target=host, args=(numbers, changes, ready), daemon=True)
    server.start()
    serving = ready.get()
    say(f"{title}: {len(serving.pools)} pool(s), {serving.objects:,} objects, over TLS")
    with tempfile.TemporaryDirectory() as folder:
        recorder = record(Path(folder), serving.pools)
        try:
            took_s = recorder.wait_for(" recording ", len(serving.pools))
            memory, cpu_s = memory_of(recorder.process.pid), cpu_s_of(recorder.process.pid)
            say(
                f"  all recorded after {took_s:.1f} s, {cpu_s:.1f} s of a processor;"
                f" {memory.now:.0f} MiB resident, {memory.peak:.0f} at most"
            )
            time.sleep(seconds)
            used_s = cpu_s_of(recorder.process.pid) - cpu_s
            memory = memory_of(recorder.process.pid)
            say(
                f"  after {seconds:.0f} s more: {used_s / seconds:.1%} of a processor;"
                f" {memory.now:.0f} MiB resident, {memory.peak:.0f} at most"
            )
        finally:
            with suppress(subprocess.TimeoutExpired):
                recorder.stop()
            server.terminate()
        tell_what_was_recorded(recorder)


def tell_what_was_recorded(recorder: Recorder) -> None:
    gaps: Counter[str] = Counter()
    events = size = closed = 0
    for entry in scan(recorder.data / "journal"):
        match entry.body:
            case Event(snapshot=snapshot):
                events, size = events + 1, size + len(snapshot or b"")
            case GapOpened(cause=cause):
                gaps[cause.value] += 1
            case GapClosed():
                closed += 1
            case Mark(name=MarkName.QUEUE_PRESSURE, detail=detail):
                say(f"  the queue was {detail['percent']} % full")
            case _:
                pass
    mean = size / max(events, 1)
    say(f"  {events:,} events of {mean:,.0f} bytes; gaps: {dict(gaps)}, {closed} of them closed")


LARGE = Numbers(pools=1, vms=2_750, hosts=16)


def main(names: list[str]) -> None:
    if "idle" in names:
        run("idle", [Numbers(pools=200, vms=7)], Changes(), seconds=60)
    if "large" in names:
        run("large", [LARGE], Changes(per_s=100), seconds=30)
    if "together" in names:
        numbers = [LARGE, Numbers(pools=200, vms=7)]
        run("together", numbers, Changes(per_s=100), seconds=30)
    if "busy" in names:
        changes = Changes(per_s=2_000, record_bytes=1_300, ends_sessions_every_s=10)
        run("busy", [Numbers(pools=1, vms=680, hosts=8)], changes, seconds=60)


if __name__ == "__main__":
    main(sys.argv[1:] or ["idle", "large", "together", "busy"])
