"""What is measured of the journal, each in a process of its own: `… work NAME ARGUMENTS`."""

import gzip
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import file_digest, sha256
from itertools import islice
from pathlib import Path

import msgpack
import zstandard

from recorder.journal.files import Disk
from recorder.journal.frame import FRAME_BYTES_MAX
from recorder.journal.packing import LEVEL, pack_segment
from recorder.journal.scan import scan
from recorder.journal.store import SEGMENT_BYTES_MAX, Journal
from recorder.journal.verify import verify
from recorder.model import Draft, Event, Operation
from tests.bench.child import Cost, measured, tell
from tests.bench.journal.made import MB, UnsyncedDisk, mixed, sealed
from tests.bench.plain import say

Append = Callable[[Sequence[Draft]], object]


class Bare:
    """The rival of append: pack, hash, one write and one sync a batch, and nothing else."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._pack = msgpack.Packer().pack
        self._digest = b""
        self._seq = 0

    def append(self, drafts: Sequence[Draft]) -> None:
        """Make the drafts durable."""
        data = b"".join([self._item(draft) for draft in drafts])
        self._digest = sha256(self._digest + data).digest()
        self.write(data + self._digest)

    def write(self, data: bytes) -> None:
        """Make bytes durable."""
        os.write(self._fd, data)
        os.fdatasync(self._fd)

    def _item(self, draft: Draft) -> bytes:
        self._seq += 1
        body = draft.body
        assert isinstance(body, Event)
        plain = [body.id, body.server_at_s, body.cls, body.operation.value, body.ref, body.snapshot]
        item: bytes = self._pack([self._seq, draft.received_at_ns, "event", draft.pool, *plain])
        return item


def append(folder: str, way: str, *plan: str) -> dict[str, Cost]:
    """Append so many batches of so many events; tell what each size costs. New files each time."""
    sizes = [tuple(map(int, one.split(":"))) for one in plan]
    drafts = list(mixed(max(size * count for size, count in sizes)))
    path = Path(folder) / str(os.getpid())
    path.mkdir()
    costs = {}
    with Journal.open(path / "journal", now_ns=time.time_ns) as journal:
        bare = Bare(path / "bare")
        for size, count in sizes:
            parts = [drafts[start : start + size] for start in range(0, size * count, size)]
            costs[str(size)] = measured(_appending(way, parts, journal, bare))
    return costs


def _appending(
    way: str, parts: Sequence[Sequence[Draft]], journal: Journal, bare: Bare
) -> Callable[[], object]:
    if way == "disk":
        blocks = [b"".join([_snapshot(draft) for draft in part]) for part in parts]
        return lambda: deque(map(bare.write, blocks), maxlen=0)
    one: Append = journal.append if way == "ours" else bare.append
    return lambda: deque(map(one, parts), maxlen=0)


def _snapshot(draft: Draft) -> bytes:
    assert isinstance(draft.body, Event)
    return draft.body.snapshot or b""


def check(folder: str, processes: str = "1") -> dict[str, Cost]:
    """Verify a journal."""
    return {"all": measured(partial(_sound, Path(folder), int(processes)))}


def _sound(folder: Path, processes: int) -> None:
    report = verify(folder, processes=processes)
    assert not report.findings, report.findings


def hash_alone(folder: str) -> dict[str, Cost]:
    """Hash the raw segments of a journal, as Python does it."""

    def work() -> None:
        for path in sealed(Path(folder)):
            with path.open("rb") as file:
                file_digest(file, "sha256").hexdigest()

    return {"all": measured(work)}


def pack(way: str, food: str, out: str) -> dict[str, Cost]:
    """Pack the first segment in `out`, or let a rival compress `food` into there."""
    if way == "segment":
        return {"all": measured(lambda: pack_segment(Path(out), 1, Disk()))}
    long = zstandard.ZstdCompressionParameters.from_level(LEVEL, window_log=27, enable_ldm=True)
    compress: dict[str, Callable[[bytes], bytes]] = {
        "zstd-long": zstandard.ZstdCompressor(compression_params=long).compress,
        "zstd": zstandard.ZstdCompressor(LEVEL).compress,
        "gzip": lambda data: gzip.compress(data, 6),
    }
    packed = Path(out) / "packed"
    return {"all": measured(lambda: packed.write_bytes(compress[way](Path(food).read_bytes())))}


def pack_all(folder: str) -> dict[str, Cost]:
    """Pack all segments of a journal."""

    def work() -> None:
        for number in range(1, len(sealed(Path(folder))) + 1):
            pack_segment(Path(folder), number, UnsyncedDisk())

    return {"all": measured(work)}


def read(folder: str) -> dict[str, Cost]:
    """Read all entries."""
    return {"all": measured(lambda: deque(scan(Path(folder)), maxlen=0))}


def write(folder: str, size: str) -> dict[str, Cost]:
    """Write a closed journal of so many bytes, of large snapshots: opening does not read them."""
    snapshot = os.urandom(FRAME_BYTES_MAX - 1000)

    def work() -> None:
        with Journal.open(Path(folder), now_ns=time.time_ns, disk=UnsyncedDisk()) as journal:
            for number in range(int(size) // len(snapshot)):
                event = Event(number, 1.0, "vm", Operation.MOD, "OpaqueRef:1", snapshot)
                journal.append([Draft(time.time_ns(), "lab", event)])

    return {"all": measured(work)}


def open_(folder: str) -> dict[str, Cost]:
    """Open a journal; how it was closed before stays as it is."""
    opened: list[Journal] = []
    path = Path(folder)
    cost = measured(lambda: opened.append(Journal.open(path, now_ns=time.time_ns)))
    return {"all": cost}


def fill(folder: str) -> dict[str, Cost]:
    """Fill the last segment nearly, say so, and wait to be killed."""
    journal = Journal.open(Path(folder), now_ns=time.time_ns, disk=UnsyncedDisk())
    first, drafts = max(Path(folder).glob("*.journal")), mixed(10**9)
    while first.stat().st_size < SEGMENT_BYTES_MAX - MB:
        journal.append(list(islice(drafts, 100)))
    say("filled")
    time.sleep(60)
    raise SystemExit("nobody killed this process")


WORKS: dict[str, Callable[..., dict[str, Cost]]] = {
    "append": append,
    "verify": check,
    "hash": hash_alone,
    "pack": pack,
    "pack-all": pack_all,
    "scan": read,
    "write": write,
    "open": open_,
    "fill": fill,
    "nothing": lambda _folder: {"all": measured(lambda: None)},
}

if __name__ == "__main__":
    tell(WORKS[sys.argv[1]](*sys.argv[2:]))
    sys.stdout.flush()
    os._exit(0)  # What is open dies as it is, as with a kill.
