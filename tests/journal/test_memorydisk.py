"""The disk in memory: as the real one while nothing goes wrong, and as bad as one may be after."""

import errno
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from recorder.journal.files import Disk
from tests.journal.memorydisk import Crash, MemoryDisk, Plan
from tests.journal.memoryfile import SECTOR_BYTES

FOLDER = Path("/folder")
FILE = FOLDER / "file"
SEEDS = 300


def memory_disk(seed: int, plan: Plan | None = None) -> MemoryDisk:
    """A disk with a durable, empty FOLDER; `plan` is for what comes after."""
    disk = MemoryDisk(Random(seed))
    disk.make_folder(FOLDER)
    disk.begin(plan or Plan())
    return disk


def with_file(seed: int, content: bytes) -> tuple[MemoryDisk, int]:
    """A disk with a durable FILE, and a descriptor to append to it."""
    disk = memory_disk(seed)
    fd = disk.create(FILE)
    disk.write(fd, memoryview(content))
    disk.sync(fd)
    disk.sync_folder(FOLDER)
    return disk, fd


Ask = Callable[[Disk, Path, list[int]], object]
"""Asks something of a disk, about a folder, with the descriptors that are open."""


class Twins:
    """The real disk and the one in memory, asked the same."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.disks: tuple[tuple[Disk, Path], ...] = (
            (Disk(), folder),
            (MemoryDisk(Random(seed)), Path("/twin")),
        )
        self.fds: tuple[list[int], list[int]] = ([], [])

    def ask(self, call: Ask) -> None:
        """Both answer the same, or fail with the same errno."""
        answers = []
        for (disk, folder), fds in zip(self.disks, self.fds, strict=True):
            try:
                answers.append(call(disk, folder, fds))
            except OSError as error:
                answers.append(error.errno)
        assert answers[0] == answers[1]

    def step(self) -> None:
        """Ask one of the methods, drawn by lot."""
        name, other = self.random.choices("abc", k=2)
        at, which = self.random.randint(0, 1000), self.random.randrange(8)
        data = self.random.randbytes(self.random.randint(0, 2000))
        calls: list[Ask] = [
            lambda disk, folder, fds: keep(fds, disk.create(folder / name)),
            lambda disk, folder, fds: keep(fds, disk.open_append(folder / name)),
            lambda disk, folder, fds: disk.remove(folder / name),
            lambda disk, folder, fds: disk.rename(folder / name, folder / other),
            lambda disk, folder, fds: disk.make_folder(folder / "in" / name),
            lambda disk, folder, fds: disk.sync_folder(folder),
            lambda disk, folder, fds: disk.exists(folder / name),
            lambda disk, folder, fds: disk.rewrite(folder / name, at, data),
        ]
        if self.fds[0]:
            calls += [
                lambda disk, folder, fds: disk.write(fds[which % len(fds)], memoryview(data)),
                lambda disk, folder, fds: disk.truncate(fds[which % len(fds)], at),
                lambda disk, folder, fds: disk.sync(fds[which % len(fds)]),
                lambda disk, folder, fds: disk.close(fds.pop()),
            ]
        self.ask(self.random.choice(calls))

    def compare(self) -> None:
        """Both hold the same, as a reader sees it."""
        for inner in ("", "in"):
            self.ask(partial(names_in, inner))
        for name in "abc":
            self.ask(partial(content_of, name))

    def close(self) -> None:
        """Close what is open."""
        while self.fds[0]:
            self.ask(lambda disk, folder, fds: disk.close(fds.pop()))


def keep(fds: list[int], fd: int) -> None:
    fds.append(fd)


def names_in(inner: str, disk: Disk, folder: Path, fds: list[int]) -> list[str]:
    return sorted(disk.names(folder / inner))


def content_of(name: str, disk: Disk, folder: Path, fds: list[int]) -> bytes:
    return read(disk, folder / name)


def read(disk: Disk, path: Path) -> bytes:
    with disk.open_read(path) as file:
        start = file.read(3)
        file.seek(0)
        assert file.read(3) == start
        file.seek(0)
        return file.read()


def test_memory_disk_does_what_the_real_disk_does(tmp_path: Path) -> None:
    """Without faults nobody can tell the two apart: same answers, same errors, same bytes."""
    for seed in range(30):
        twins = Twins(tmp_path / str(seed), seed)
        twins.ask(lambda disk, folder, fds: disk.make_folder(folder))
        for _ in range(60):
            twins.step()
        twins.compare()
        twins.close()


def test_synced_bytes_under_a_synced_name_survive_everything() -> None:
    """What both syncs returned for is there after a power cut, whatever came after them."""
    for seed in range(SEEDS):
        durable = Random(seed).randbytes(700)
        disk, fd = with_file(seed, durable)
        disk.write(fd, memoryview(b"more" * 500))
        if seed % 2:
            disk.truncate(fd, 700 + seed)
        assert disk.crash().content(FILE)[:700] == durable


def test_unsynced_bytes_may_arrive_in_any_part() -> None:
    """Of three sectors any may be there without the others; the rest is zeros, noise or old."""
    new = [bytes([letter]) * SECTOR_BYTES for letter in b"abc"]
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        disk, fd = with_file(seed, b"-" * SECTOR_BYTES)
        disk.write(fd, memoryview(b"".join(new)))
        left = disk.crash().content(FILE)[SECTOR_BYTES:]
        sectors = [left[at : at + SECTOR_BYTES] for at in range(0, len(left), SECTOR_BYTES)]
        seen["".join(kind(sector, new) for sector in sectors)] += 1
    whole = {shape for shape in seen if len(shape) == 3}
    assert {"", "a", "abc"} <= set(seen)
    assert {"a0c", "ab?", "?bc"} <= whole
    assert any("-" in shape for shape in seen), "old data of another place"


def kind(sector: bytes, new: list[bytes]) -> str:
    """What a sector holds: a new one, zeros, old data, or noise; short ones count as well."""
    if sector == bytes(len(sector)):
        return "0"
    for letter in new:
        if sector == letter[: len(sector)]:
            return chr(sector[0])
    return "-" if set(sector) <= {0, ord("-")} else "?"


def test_size_may_arrive_without_the_bytes_and_the_bytes_without_the_size() -> None:
    """A length is one more thing on the way: at times ahead of the bytes, at times behind."""
    sizes = set()
    for seed in range(SEEDS):
        disk, fd = with_file(seed, b"")
        disk.write(fd, memoryview(b"a" * 1000))
        left = disk.crash().content(FILE)
        sizes.add((len(left), left == b"a" * len(left)))
    assert {(0, True), (1000, True), (1000, False)} <= sizes
    assert any(0 < size < 1000 for size, _ in sizes)


def test_unsynced_names_may_be_lost_in_any_order() -> None:
    """Each creation and removal may be there without the others until the folder is synced."""
    seen = set()
    for seed in range(SEEDS):
        disk = memory_disk(seed)
        for name in "ab":
            disk.close(disk.create(FOLDER / name))
        disk.sync_folder(FOLDER)
        disk.remove(FOLDER / "a")
        disk.close(disk.create(FOLDER / "c"))
        seen.add("".join(disk.crash().listing(FOLDER)))
        disk = memory_disk(seed)
        disk.close(disk.create(FOLDER / "a"))
        disk.sync_folder(FOLDER)
        assert disk.crash().listing(FOLDER) == ["a"]
    assert seen == {"ab", "abc", "b", "bc"}


def test_rename_is_lost_or_done_but_never_half() -> None:
    """After a power cut a renamed file has one of its names, and the target one of its files."""
    seen = set()
    for seed in range(SEEDS):
        disk = memory_disk(seed)
        for name in ("new", "target"):
            fd = disk.create(FOLDER / name)
            disk.write(fd, memoryview(name.encode()))
            disk.sync(fd)
        disk.sync_folder(FOLDER)
        disk.rename(FOLDER / "new", FOLDER / "target")
        after = disk.crash()
        seen.add((*after.listing(FOLDER), after.content(FOLDER / "target")))
    assert seen == {("new", "target", b"target"), ("target", b"new")}


def test_failed_sync_shows_bytes_that_no_later_sync_writes() -> None:
    """Readers see them, a second sync succeeds, and the power cut takes them all the same."""
    lost = 0
    for seed in range(SEEDS):
        disk, fd = with_file(seed, b"")
        disk.begin(Plan(failures={("sync", 1): errno.EIO}))
        disk.write(fd, memoryview(b"a" * 600))
        with pytest.raises(OSError, match="Input/output error"):
            disk.sync(fd)
        assert disk.content(FILE) == b"a" * 600
        disk.sync(fd)
        lost += disk.crash().content(FILE) != b"a" * 600
        disk, fd = with_file(seed, b"")
        disk.begin(Plan(failures={("sync", 1): errno.EIO}))
        disk.write(fd, memoryview(b"a" * 600))
        with pytest.raises(OSError, match="Input/output error"):
            disk.sync(fd)
        disk.rewrite(FILE, 0, b"a" * 600)
        assert disk.crash().content(FILE) == b"a" * 600, "written anew, they are durable"
    assert lost > SEEDS // 4


def test_killed_process_leaves_what_the_system_was_given() -> None:
    """Without a power cut nothing is lost but what a failed sync had dropped."""
    for seed in range(SEEDS):
        disk, fd = with_file(seed, b"old")
        disk.write(fd, memoryview(b"new"))
        after = disk.kill()
        assert after.content(FILE) == b"oldnew"
        with pytest.raises(Crash):
            disk.sync(fd)


@pytest.mark.parametrize("end", [MemoryDisk.kill, MemoryDisk.crash])
def test_lock_has_one_holder_and_dies_with_its_process(
    end: Callable[[MemoryDisk], MemoryDisk],
) -> None:
    """A lock is refused to a second taker until it is closed, or its process is gone."""
    disk = memory_disk(1)
    fd = disk.lock(FILE)
    assert fd is not None
    assert disk.lock(FILE) is None
    disk.close(fd)
    assert disk.lock(FILE) is not None
    assert end(disk).lock(FILE) is not None


def test_process_that_stopped_does_nothing_more() -> None:
    """From the planned call on, every call ends in a Crash, and changes nothing."""
    parts = set()
    for seed in range(SEEDS):
        disk, fd = with_file(seed, b"")
        disk.begin(Plan(stop_at=2))
        disk.write(fd, memoryview(b"first"))
        with pytest.raises(Crash):
            disk.write(fd, memoryview(b"second"))
        left = disk.content(FILE)
        assert b"firstsecond".startswith(left)
        parts.add(left)
        with pytest.raises(Crash):
            disk.truncate(fd, 0)
        with pytest.raises(Crash):
            disk.write(fd, memoryview(b"third"))
        assert disk.content(FILE) == left
    assert {b"first", b"firstsecond"} < parts, "before, after, and in the middle"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EINTR])
@pytest.mark.parametrize("call", ["write", "sync", "sync_folder", "rename", "create", "remove"])
def test_nth_call_fails_as_planned(call: str, code: int) -> None:
    """The error comes at the nth call of that method and at no other."""
    disk, fd = with_file(1, b"")
    calls: dict[str, Callable[[int], object]] = {
        "write": lambda nth: disk.write(fd, memoryview(b"data")),
        "sync": lambda nth: disk.sync(fd),
        "sync_folder": lambda nth: disk.sync_folder(FOLDER),
        "rename": lambda nth: disk.rename(FILE, FILE),
        "create": lambda nth: disk.create(FOLDER / str(nth)),
        "remove": lambda nth: disk.remove(FOLDER / f"old{nth}"),
    }
    for nth in range(1, 5):
        disk.create(FOLDER / f"old{nth}")
    disk.begin(Plan(failures={(call, 3): code}))
    failed = []
    for nth in range(1, 5):
        try:
            calls[call](nth)
        except OSError as error:
            failed.append((nth, error.errno))
    assert failed == [(3, code)]


def test_short_writes_say_how_much_they_took() -> None:
    """A write may take a part, never nothing, and its count is true."""
    disk = memory_disk(1, Plan(short_writes=0.5))
    fd = disk.create(FILE)
    taken = [disk.write(fd, memoryview(bytes([n]) * 10)) for n in range(100)]
    assert disk.content(FILE) == b"".join(bytes([n]) * size for n, size in enumerate(taken))
    assert min(taken) >= 1
    assert 20 < taken.count(10) < 80
