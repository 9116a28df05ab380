"""Baseline: the whole state of a pool, read once by the recorder and by its rivals."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from tests.bench.chapter import OURS, Bench, Chapter, Figure, Limit, Verdict, by_turns, ratio
from tests.bench.readers.account import PASSWORD, USER
from tests.bench.recording import ROOT, Target, recording
from tests.bench.usage import Usage
from tests.clients.node import FOLDER, NodeAbsent, ready_node

TITLE = "Baseline: the whole state of a pool, read once"

OFFICIAL = "XenAPI.py"
ORCHESTRA = "xen-api"
BARE = "reading alone"

SIZES = ((8, 1_350), (16, 2_710))
SIZES_QUICK = SIZES[:1]
"""Hosts and VMs of the pools: about 10,000 and 20,000 objects."""

SECONDS = "s"
CPU = "CPU s"
CPU_WITH_START = "CPU s with the start"
MEMORY = "MB"

REAL_S = 0.92
"""What a real host needs alone for 10,015 objects."""
OVER_REAL = 1.2
MEMORY_MB_MAX = 90.0
OF_ORCHESTRA_MAX = 0.5

WORK = f"""\
A host in a process of its own answers from memory, over TLS on loopback: its replies are those of a
simulated pool of about 10,000 and 20,000 objects, made before. Each client is alone with it in a
fresh process, logs in, and reads all records of every class. Seconds run from there until it has
all of them, and so do seconds of a processor, which are also given with the start of the process:
programs that run for months start once, and read everything again after each lost session. Memory
is the most that the process ever had.

- **xentrail** is the command as it ships: secrets are hidden, and the end is when the last record
  and the mark behind it are synced to the disk.
- **XenAPI.py** asks for the records of each class in XML-RPC, and drops each answer.
- **xen-api** is the library of Xen Orchestra, until its `objectsFetched`; it keeps the objects.
- **reading alone** is the server's own time: a blocking connection in Python that reads the same
  replies and looks at none.

A host that answers from memory is much faster than a real one, which has to make its answers: a
real xapi (25.32, 2,000 VMs, loopback) needs {REAL_S} s for 10,015 objects. At *the pace of a real
host* long replies come that much later."""

BOUND = """\
The limit is the host. While it makes the records of the next class, xentrail searches those of the
last one for secrets, packs, hashes and syncs them; what it adds is the login, a round trip for each
class, most of which are empty, and what is left to do with the last ones. From a host that answers
at once the search for secrets takes most of the processor, then the round trips, then decoding,
msgpack and SHA-256, each of about the same weight. With the start it is Python that counts: most of
it are imports, half of those trio, TLS and msgspec. Garbage is not collected meanwhile; shorter
turns for threads brought nothing."""


class Host(msgspec.Struct):
    """What the host says of itself; `urls` answer at once, and at the pace of a real host."""

    urls: tuple[str, str]
    fingerprint: str
    classes: list[str]
    objects: int
    bytes: int

    @property
    def row(self) -> str:
        """How many objects it has, in round figures."""
        return f"{round(self.objects, -2):,} objects"


def measure(bench: Bench) -> Chapter:
    """Have each rival read pools of each size by turns."""
    chapter = Chapter(WORK, BOUND)
    try:
        node = ready_node()
    except NodeAbsent as absent:
        node = None
        chapter.remarks.append(f"{ORCHESTRA} is not among the rivals: node is absent ({absent}).")
    for hosts, vms in SIZES_QUICK if bench.quick else SIZES:
        with replaying(hosts, vms) as host:
            chapter.remarks.append(
                f"{host.row}: exactly {host.objects:,}, {host.bytes / 1e6:.1f} MB of JSON."
            )
            _at_once(bench, chapter, host, node)
            _at_real_pace(bench, chapter, host)
    return chapter


def _at_once(bench: Bench, chapter: Chapter, host: Host, node: str | None) -> None:
    works: list[tuple[str, Callable[[], Usage]]] = [
        (OURS, partial(record, bench.folder, host, host.urls[0])),
        (BARE, partial(read, "bare", host, host.urls[0])),
        (OFFICIAL, partial(read, "official", host, host.urls[0])),
    ]
    if node is not None:
        works.append((ORCHESTRA, partial(fetch, node, host.urls[0])))
    row = host.row
    for who, used in by_turns(bench, works).items():
        chapter.figures += [
            Figure.of(row, who, SECONDS, [one.took_s for one in used]),
            Figure.of(row, who, CPU, [one.cpu_s for one in used]),
            Figure.of(row, who, CPU_WITH_START, [one.cpu_s + one.start_cpu_s for one in used]),
            Figure.of(row, who, MEMORY, [one.peak_mb for one in used]),
        ]
    for who, limit in ((ORCHESTRA, Limit("at most", OF_ORCHESTRA_MAX)), (OFFICIAL, None)):
        for unit in (CPU, CPU_WITH_START) if who != ORCHESTRA or node is not None else ():
            ours, theirs = chapter.find(row, OURS, unit), chapter.find(row, who, unit)
            which = "CPU time" if unit == CPU else "CPU time from the start"
            chapter.verdicts.append(ratio(f"{which}, of {who}'s, {row}", ours, theirs, limit))
    memory = chapter.find(row, OURS, MEMORY).spread
    chapter.verdicts.append(
        Verdict(f"memory, {row}", MEMORY, memory, Limit("at most", MEMORY_MB_MAX))
    )
    ours, bare = chapter.find(row, OURS, SECONDS), chapter.find(row, BARE, SECONDS)
    chapter.verdicts.append(ratio(f"time, of that of {BARE}, {row}", ours, bare))


def _at_real_pace(bench: Bench, chapter: Chapter, host: Host) -> None:
    works = [
        (OURS, partial(record, bench.folder, host, host.urls[1])),
        (BARE, partial(read, "bare", host, host.urls[1])),
    ]
    row = f"{host.row}, pace of a real host"
    for who, used in by_turns(bench, works).items():
        chapter.figures.append(Figure.of(row, who, SECONDS, [one.took_s for one in used]))
    ours, bare = chapter.find(row, OURS, SECONDS), chapter.find(row, BARE, SECONDS)
    limit = Limit("at most", OVER_REAL)
    chapter.verdicts.append(ratio(f"time, of that of {BARE}, {row}", ours, bare, limit))


# -- the processes ---------------------------------------------------------------------------------


@contextmanager
def replaying(hosts: int, vms: int) -> Iterator[Host]:
    """Run the host until the block ends."""
    command = [*_module("replay"), "--hosts", str(hosts), "--vms", str(vms)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield msgspec.json.decode(process.stdout.readline(), type=Host)
        finally:
            process.stdin.close()


def record(folder: Path, host: Host, url: str) -> Usage:
    """Record until the baseline is durable."""
    target = Target([url], host.fingerprint, PASSWORD)
    with tempfile.TemporaryDirectory(dir=folder) as place, recording(Path(place), target) as ours:
        began, done = ours.until("started"), ours.until("baseline-done")
        ours.stop()
    took_s = (done.durable_at_ns - began.made_at_ns) / 1e9
    return Usage(took_s, done.cpu_s - began.cpu_s, began.cpu_s, done.peak_mb)


def read(module: str, host: Host, url: str) -> Usage:
    """Read all classes of a baseline with one of the rivals in Python."""
    return _used([*_module(module), url, *host.classes], ROOT, os.environ)


def fetch(node: str, url: str) -> Usage:
    """Read what xen-api reads, with it."""
    account = url.replace("://", f"://{USER}:{PASSWORD}@")
    return _used([node, "fetch.mjs"], FOLDER, {**os.environ, "FETCH_URL": account})


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.readers.{name}"]


def _used(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Usage:
    """Run a rival, and return what it says that it used. Raises CalledProcessError."""
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Usage)
