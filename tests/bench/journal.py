"""How fast and how small the journal is; run `python -m tests.bench.journal [PART …]`.

Parts: append, verify, pack, open, memory; all of them if none is named. Each is held against a
rival in the same run, in turns, by medians of several rounds. `open` writes 10 GB and `memory` 1 GB
into a temporary folder ($TMPDIR says where), which must be on a disk that syncs for `append` to
mean anything.
"""

import gzip
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path

import msgpack
import zstandard

from recorder.journal.files import Disk
from recorder.journal.frame import FRAME_BYTES_MAX
from recorder.journal.names import packed_path, segment_path
from recorder.journal.packing import LEVEL, pack_segment
from recorder.journal.scan import scan
from recorder.journal.store import SEGMENT_BYTES_MAX, Journal
from recorder.journal.verify import verify
from recorder.model import Draft, Event, Operation
from tests.bench.mix import mixed_drafts

ROUNDS = 7
MB = 1_000_000
BATCHES = {1: 300, 10: 200, 100: 100, 1000: 20}
OPEN_BYTES = 10_000 * MB


class UnsyncedDisk(Disk):
    """For journals that are only written to be read here."""

    def sync(self, fd: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def took_s(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def medians_s(*works: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Return the median seconds of each work; they take turns, so that they share what disturbs."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, times, strict=True):
            taken.append(took_s(work))
    return [statistics.median(taken) for taken in times]


def write_journal(folder: Path, drafts: Iterator[Draft], *, batch: int = 100) -> None:
    """Write a closed journal of these drafts."""
    with Journal.open(folder, now_ns=time.time_ns, disk=UnsyncedDisk()) as journal:
        while part := list(islice(drafts, batch)):
            journal.append(part)


def sealed(folder: Path) -> list[Path]:
    """The raw segments that hold entries."""
    return [path for path in sorted(folder.glob("*.journal")) if path.stat().st_size > 10_000]


class Bare:
    """The rival of append: pack, hash, one write and one sync a batch, and nothing else."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._pack = msgpack.Packer().pack
        self._digest = b""
        self._seq = 0

    def append(self, drafts: Sequence[Draft]) -> None:
        """Make the drafts durable."""
        items = [self._item(draft) for draft in drafts]
        data = b"".join(items)
        self._digest = sha256(self._digest + data).digest()
        os.write(self._fd, data + self._digest)
        os.fdatasync(self._fd)

    def _item(self, draft: Draft) -> bytes:
        self._seq += 1
        body = draft.body
        assert isinstance(body, Event)
        plain = [body.id, body.server_at_s, body.cls, body.operation.value, body.ref, body.snapshot]
        item: bytes = self._pack([self._seq, draft.received_at_ns, "event", draft.pool, *plain])
        return item


def in_turns_s(
    parts: list[list[Draft]], *appends: Callable[[list[Draft]], object]
) -> list[list[float]]:
    """Return the seconds of each round for each way to append; they take turns at every batch."""
    rounds = []
    for _ in range(ROUNDS):
        spent = [0.0 for _ in appends]
        for part in parts:
            for place, append in enumerate(appends):
                spent[place] += took_s(partial(append, part))
        rounds.append(spent)
    return [list(taken) for taken in zip(*rounds, strict=True)]


def bench_append(folder: Path) -> None:
    """Group commit against the bare loop."""
    say("append: entries/s, and the share of the bare loop (pack + sha256 + write + fdatasync)")
    drafts = list(mixed_drafts(20_000))
    bare = Bare(folder / "bare")
    with Journal.open(folder / "journal", now_ns=time.time_ns) as journal:
        for batch, rounds in BATCHES.items():
            count = batch * rounds
            parts = [drafts[start : start + batch] for start in range(0, count, batch)]

            ours, theirs = map(statistics.median, in_turns_s(parts, journal.append, bare.append))
            say(
                f"  batches of {batch:5,d} {count / ours:10,.0f} {count / theirs:10,.0f}"
                f"   {theirs / ours:5.2f}"
            )


def bench_verify(folder: Path) -> None:
    """Verify of raw segments against programs that only hash the same bytes."""
    write_journal(folder, mixed_drafts(150_000))
    files = [str(path) for path in sealed(folder)]
    size = sum(Path(file).stat().st_size for file in files)
    say(f"verify: MB/s over {size / MB:,.0f} MB of raw segments, and the share of the rival")
    one, all_, summed, openssl = medians_s(
        lambda: verify(folder, processes=1),
        lambda: verify(folder),
        lambda: run("sha256sum", *files),
        lambda: run("openssl", "dgst", "-sha256", *files),
    )
    for name, rival in (("sha256sum", summed), ("openssl dgst -sha256", openssl)):
        say(f"  {name:24s} {size / rival / MB:8,.0f}")
        say(f"    verify, one process    {size / one / MB:8,.0f}   {rival / one:5.2f}")
        say(f"    verify, as it is       {size / all_ / MB:8,.0f}   {rival / all_:5.2f}")


def run(*command: str) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def bench_pack(folder: Path) -> None:
    """Sealed segments packed, against zstd of the same level alone and gzip of JSON lines."""
    drafts = list(mixed_drafts(24_000))
    write_journal(folder, iter(drafts))
    raw = sealed(folder)[0]
    size, data = raw.stat().st_size, raw.read_bytes()
    events = sum(1 for entry in scan(folder) if entry.seq < first_seq_after(folder))
    say(f"pack: a segment of {size / MB:.0f} MB, {events:,} events: bytes an event, MB/s")

    times = [pack_copy(raw, folder / "copy") for _ in range(ROUNDS)]
    pack_segment(folder, 1, Disk())
    packed_bytes = packed_path(folder, 1).stat().st_size
    long = zstandard.ZstdCompressionParameters.from_level(LEVEL, window_log=27, enable_ldm=True)
    lines = b"".join(line(draft) for draft in drafts[:events])
    rivals: dict[str, tuple[Callable[[], bytes], int]] = {
        f"zstd -{LEVEL} --long=27 alone": (
            lambda: zstandard.ZstdCompressor(compression_params=long).compress(data),
            size,
        ),
        f"zstd -{LEVEL} alone": (lambda: zstandard.ZstdCompressor(LEVEL).compress(data), size),
        "gzip -6 of JSON lines": (lambda: gzip.compress(lines, 6), len(lines)),
    }
    tell_packed("pack_segment, compared, synced", packed_bytes / events, size, times)
    for name, (work, bytes_in) in rivals.items():
        times = [took_s(work) for _ in range(5)]
        tell_packed(name, len(work()) / events, bytes_in, times)


def pack_copy(raw: Path, folder: Path) -> float:
    """Return the seconds that packing a copy of a segment takes."""
    folder.mkdir()
    shutil.copy(raw, folder)
    seconds = took_s(lambda: pack_segment(folder, 1, Disk()))
    shutil.rmtree(folder)
    return seconds


def tell_packed(name: str, bytes_an_event: float, size: int, times: Sequence[float]) -> None:
    speed = size / statistics.median(times) / MB
    say(f"  {name:34s} {bytes_an_event:7.1f} {speed:8,.0f}")


def first_seq_after(folder: Path) -> int:
    """The number of the first entry of the second segment."""
    from recorder.journal.segment import Cursor

    with Cursor(segment_path(folder, 2), Disk()) as cursor:
        return cursor.header.first_seq


def line(draft: Draft) -> bytes:
    """An event as a line of JSON."""
    import msgspec

    body = draft.body
    assert isinstance(body, Event)
    assert body.snapshot is not None
    head = {"at_ns": draft.received_at_ns, "id": body.id, "class": body.cls, "ref": body.ref}
    return msgspec.json.encode({**head, "snapshot": msgspec.Raw(body.snapshot)}) + b"\n"


def bench_open(folder: Path) -> None:
    """Opening a journal of 10 GB: after a clean close, and killed with a full last segment."""
    write_large(folder, OPEN_BYTES)
    clean = [took_s(lambda: reopen(folder)) for _ in range(ROUNDS)]
    files = list(folder.glob("*.journal"))
    size = sum(path.stat().st_size for path in files)
    say(f"open: ms, a journal of {size / MB:,.0f} MB in {len(files)} segments")
    say(f"  after a clean close         {statistics.median(clean) * 1000:8.1f}")
    fill_and_kill(folder)
    last = max(folder.glob("*.journal"))
    torn = [took_s(lambda: reopen_killed(folder)) for _ in range(ROUNDS)]
    say(
        f"  killed, last segment {last.stat().st_size / MB:.0f} MB"
        f"  {statistics.median(torn) * 1000:8.1f}"
    )


def write_large(folder: Path, size: int) -> None:
    """Write a closed journal of so many bytes, of large snapshots: opening does not read them."""
    snapshot = os.urandom(FRAME_BYTES_MAX - 1000)
    with Journal.open(folder, now_ns=time.time_ns, disk=UnsyncedDisk()) as journal:
        for number in range(size // len(snapshot)):
            event = Event(number, 1.0, "vm", Operation.MOD, "OpaqueRef:1", snapshot)
            journal.append([Draft(time.time_ns(), "lab", event)])


def reopen(folder: Path) -> None:
    with Journal.open(folder, now_ns=time.time_ns):
        pass


def reopen_killed(folder: Path) -> None:
    """Open in a process that dies at once, so that the last segment stays unsealed."""
    journal = Journal.open(folder, now_ns=time.time_ns)
    journal._dead = "killed"
    journal.close()


WRITER = """
import os, sys, time
from itertools import islice
from pathlib import Path
from recorder.journal.store import Journal
from tests.bench.mix import mixed_drafts
journal = Journal.open(Path(sys.argv[1]), now_ns=time.time_ns)
drafts = mixed_drafts(10**9)
while True:
    journal.append(list(islice(drafts, 100)))
    if journal._writer.size > int(sys.argv[2]):
        print(flush=True)
        time.sleep(60)
"""


def fill_and_kill(folder: Path) -> None:
    """Have a process fill the last segment nearly, and kill it."""
    wanted = SEGMENT_BYTES_MAX - MB
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, folder, str(wanted)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)


def bench_memory(folder: Path) -> None:
    """Peak memory of whoever reads a journal, by the size of the journal."""
    say("memory: peak MB of processes that do nothing, verify, scan, pack, verify and scan packed")
    for name, events in (("100 MB", 36_000), ("1 GB", 360_000)):
        write_journal(folder / name, mixed_drafts(events))
        size = sum(path.stat().st_size for path in (folder / name).glob("*.journal"))
        works = ("nothing", "verify", "scan", "pack", "verify", "scan")
        peaks = [peak_mb(what, folder / name) for what in works]
        told = "".join(f"{peak:8.0f}" for peak in peaks)
        say(f"  {size / MB:7,.0f} MB {told}")


def peak_mb(what: str, folder: Path) -> float:
    """Return the peak memory of a process of its own that reads the journal."""
    command = [sys.executable, "-m", "tests.bench.journal", f"peak-{what}", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return int(done.stdout) / 1000


def tell_peak(what: str, folder: Path) -> None:
    """Do it, and print the peak memory of this process in kB."""
    match what:
        case "peak-verify":
            verify(folder, processes=1)
        case "peak-scan":
            deque(scan(folder), maxlen=0)
        case "peak-pack":
            for number in range(1, len(sealed(folder)) + 1):
                pack_segment(folder, number, UnsyncedDisk())
    say(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


PARTS: dict[str, Callable[[Path], None]] = {
    "append": bench_append,
    "verify": bench_verify,
    "pack": bench_pack,
    "open": bench_open,
    "memory": bench_memory,
}


def main() -> None:
    """Run the parts that were named, or all."""
    if sys.argv[1:2] and sys.argv[1].startswith("peak-"):
        tell_peak(sys.argv[1], Path(sys.argv[2]))
        return
    for part in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](Path(folder) / "journal" if part != "append" else Path(folder))


if __name__ == "__main__":
    main()
