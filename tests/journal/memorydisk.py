"""A disk in memory that stops, tears, forgets and lies on order, the same way for the same seed.

Nothing of the journal is known here, only the seam `Disk`. Paths are keys: no real file is touched.
"""

import errno
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import Enum, auto
from io import SEEK_CUR, SEEK_END, BufferedReader, RawIOBase
from pathlib import Path
from random import Random
from typing import Self

from recorder.journal.files import Disk
from tests.journal.memoryfile import SECTOR_BYTES, Garbage, MemoryFile
from tests.journal.memoryfolder import MemoryFolder, Node


class Crash(BaseException):
    """The process ended here. No handler of an error may see to it, hence a BaseException."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes wrong for one process. Calls are counted from 1, the nth of a method likewise."""

    stop_at: int | None = None
    """The call before or in which the process ends."""
    stop_among: Collection[str] = ()
    """The methods whose calls `stop_at` counts; all of them if there are none here."""
    failures: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """By method and nth call of it: the errno that it raises."""
    short_writes: float = 0.0
    """The share of the writes that take only a part of the bytes, and say so."""


NOTHING_WRONG = Plan()


class Fate(Enum):
    """What becomes of a call."""

    WHOLE = auto()
    STOPPED = auto()  # the process ends in the middle of it
    FAILED = auto()


_WHOLE: AbstractContextManager[Fate] = nullcontext(Fate.WHOLE)


class MemoryDisk(Disk):
    """One process's view of a disk. `crash` and `kill` return the disk for the next process."""

    def __init__(self, random: Random, root: MemoryFolder | None = None) -> None:
        """`random` decides everything: pass a seeded one."""
        self.calls: Counter[str] = Counter()
        """How often each method was called since `begin`, if something is to go wrong."""
        self.failed = 0
        """How many calls failed since `begin`."""
        self.stopped_in: str | None = None
        """The call in which the process ended, such as `write` or `before write`."""
        self._random = random
        self._root = root or MemoryFolder()
        self._plan = NOTHING_WRONG
        self._counted = 0
        self._stopped = False
        self._open: dict[int, MemoryFile] = {}
        self._locks: dict[int, MemoryFile] = {}
        self._last_fd = 2

    def begin(self, plan: Plan) -> None:
        """Count the calls from 1 again, and let go wrong what `plan` says."""
        self._plan = plan
        self.calls.clear()
        self.failed = self._counted = 0

    def crash(self) -> Self:
        """Cut the power. Return the disk as the next boot finds it, all of it durable."""
        self._stopped = True
        return type(self)(self._random, self._survivors(self._root))

    def kill(self) -> Self:
        """End the process only: the system keeps all that it was given, and frees the locks."""
        self._stopped = True
        if self._random.random() < 0.5:
            for file in _files(self._root):
                file.forget()
        return type(self)(self._random, self._root)

    def elsewhere(self) -> Self:
        """Return the same disk as another process uses it, for which nothing goes wrong."""
        return type(self)(self._random, self._root)

    def listing(self, folder: Path) -> list[str]:
        """Return the names that readers see in `folder`, sorted; not a call of the process."""
        found = self._find(folder)
        return sorted(found.seen) if isinstance(found, MemoryFolder) else []

    def content(self, path: Path) -> bytes:
        """Return what readers see in the file `path`."""
        return bytes(self._file(path).seen)

    def rot(self, path: Path, offset: int) -> None:
        """Damage one durable byte of the file `path`, as time does."""
        file = self._file(path)
        file.write(offset, bytes([file.seen[offset] ^ self._random.randint(1, 255)]))
        file.sync()

    def exists(self, path: Path) -> bool:
        with self._call("exists", path):
            return self._find(path) is not None

    def size(self, path: Path) -> int:
        with self._call("size", path):
            return len(self._file(path).seen)

    def mode(self, path: Path) -> int:
        with self._call("mode", path):
            found = self._find(path)
        if found is None:
            raise _error(errno.ENOENT, path)
        return found.mode

    def create_folder(self, folder: Path, mode: int) -> None:
        parent = self._folder(folder.parent)
        with self._call("create_folder", folder) as fate:
            found = self._find(folder)
            if isinstance(found, MemoryFile):
                raise _error(errno.EEXIST, folder)
            if fate is not Fate.FAILED and found is None:
                parent.change({folder.name: MemoryFolder(mode=mode)})

    def lock(self, path: Path) -> int | None:
        parent = self._folder(path.parent)
        with self._call("lock", path) as fate:
            if fate is not Fate.FAILED and path.name not in parent.seen:
                parent.change({path.name: MemoryFile()})
        file = self._file(path)
        if file in self._locks.values():
            return None
        fd = self._descriptor(file)
        self._locks[fd] = file
        return fd

    def names(self, folder: Path) -> list[str]:
        with self._call("names", folder):
            found = self._find(folder)
        if isinstance(found, MemoryFile):
            raise _error(errno.ENOTDIR, folder)
        names = [] if found is None else list(found.seen)
        self._random.shuffle(names)
        return names

    def open_read(self, path: Path) -> BufferedReader:
        with self._call("open_read", path):
            reader = _Reader(self._file(path))
        return BufferedReader(reader, buffer_size=1 << 14)

    def create(self, path: Path, mode: int = 0o640) -> int:
        parent = self._folder(path.parent)
        file = MemoryFile(mode=mode)
        with self._call("create", path) as fate:
            if path.name in parent.seen:
                raise _error(errno.EEXIST, path)
            if fate is not Fate.FAILED:
                parent.change({path.name: file})
        return self._descriptor(file)

    def open_append(self, path: Path) -> int:
        with self._call("open_append", path):
            file = self._file(path)
        return self._descriptor(file)

    def write(self, fd: int, data: memoryview) -> int:
        file = self._open[fd]
        taken = len(data)
        with self._call("write") as fate:
            if fate is not Fate.WHOLE:
                taken = self._random.randint(0, len(data))
            elif self._random.random() < self._plan.short_writes:
                taken = self._random.randint(1, len(data))
            file.write(len(file.seen), data[:taken])
        return taken

    def rewrite(self, path: Path, offset: int, data: bytes) -> None:
        with self._call("rewrite", path) as fate:
            file = self._file(path)
            taken = len(data) if fate is Fate.WHOLE else self._random.randint(0, len(data))
            file.write(offset, data[:taken])
        self._sync(file)

    def sync(self, fd: int) -> None:
        self._sync(self._open[fd])

    def sync_folder(self, folder: Path) -> None:
        found = self._folder(folder)
        with self._call("sync_folder", folder) as fate:
            if fate is Fate.FAILED:
                found.fail_sync(self._random)
            elif fate is Fate.WHOLE:
                found.sync()

    def truncate(self, fd: int, size: int) -> None:
        with self._call("truncate") as fate:
            if fate is not Fate.FAILED:
                self._open[fd].truncate(size)

    def rename(self, source: Path, target: Path) -> None:
        parent = self._folder(source.parent)
        assert target.parent == source.parent, "a rename from folder to folder is not modelled"
        with self._call("rename", source) as fate:
            node = self._find(source)
            if node is None:
                raise _error(errno.ENOENT, source)
            if fate is not Fate.FAILED and source != target:
                parent.change({source.name: None, target.name: node})

    def remove(self, path: Path) -> None:
        with self._call("remove", path) as fate:
            self._file(path)
            if fate is not Fate.FAILED:
                self._folder(path.parent).change({path.name: None})

    def close(self, fd: int) -> None:
        with self._call("close"):
            del self._open[fd]
            self._locks.pop(fd, None)

    def fresh_id(self) -> bytes:
        return self._random.randbytes(16)

    def fresh_seed(self) -> bytes:
        return self._random.randbytes(32)

    def _call(self, name: str, path: Path | None = None) -> "AbstractContextManager[Fate]":
        """Return what surrounds a call: it ends the process, or lets the call fail, as planned."""
        if self._stopped:
            raise Crash("the process has ended")
        return _WHOLE if self._plan is NOTHING_WRONG else self._planned(name, path)

    @contextmanager
    def _planned(self, name: str, path: Path | None) -> Iterator[Fate]:
        self.calls[name] += 1
        code = self._plan.failures.get((name, self.calls[name]))
        fate = Fate.WHOLE if code is None else Fate.FAILED
        if self._is_last(name):
            self._stopped = True
            before = self._random.random() < 0.3
            self.stopped_in = f"before {name}" if before else name
            if before:
                raise Crash(self.stopped_in)
            fate = Fate.STOPPED
        yield fate
        if fate is Fate.STOPPED:
            raise Crash(self.stopped_in)
        if code is not None:
            self.failed += 1
            raise _error(code, path)

    def _is_last(self, name: str) -> bool:
        if self._plan.stop_among and name not in self._plan.stop_among:
            return False
        self._counted += 1
        return self._counted == self._plan.stop_at

    def _sync(self, file: MemoryFile) -> None:
        with self._call("sync") as fate:
            if fate is Fate.FAILED:
                file.fail_sync(self._random)
            elif fate is Fate.WHOLE:
                file.sync()

    def _descriptor(self, file: MemoryFile) -> int:
        self._last_fd += 1
        self._open[self._last_fd] = file
        return self._last_fd

    def _find(self, path: Path) -> Node | None:
        node: Node | None = self._root
        for name in path.parts[1:]:
            if not isinstance(node, MemoryFolder):
                return None
            node = node.seen.get(name)
        return node

    def _folder(self, path: Path) -> MemoryFolder:
        found = self._find(path)
        if isinstance(found, MemoryFolder):
            return found
        raise _error(errno.ENOENT if found is None else errno.ENOTDIR, path)

    def _file(self, path: Path) -> MemoryFile:
        found = self._find(path)
        if isinstance(found, MemoryFile):
            return found
        raise _error(errno.ENOENT if found is None else errno.EISDIR, path)

    def _survivors(self, folder: MemoryFolder) -> MemoryFolder:
        names = folder.survivors(self._random)
        left = {name: self._survivor(node) for name, node in names.items()}
        return MemoryFolder(left, folder.mode)

    def _survivor(self, node: Node) -> Node:
        if isinstance(node, MemoryFolder):
            return self._survivors(node)
        return node.torn(self._random, self._garbage())

    def _garbage(self) -> Garbage:
        """Return what blocks may hold that were never written: nothing, noise, or old data.

        Old data is that of another file which had the same blocks before.
        """
        old = self._random.choice([b"", *(file.durable for file in _files(self._root))])
        match self._random.randrange(4):
            case 0:
                return lambda sector: b""
            case 1:
                return lambda sector: self._random.randbytes(SECTOR_BYTES)
            case 2:
                return lambda sector: _sector(old, sector)
            case _:
                return lambda sector: _sector(old, self._random.randint(0, sector))


class _Reader(RawIOBase):
    """Reads a file as it is at that moment, as a descriptor does."""

    def __init__(self, file: MemoryFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        base = {SEEK_CUR: self._at, SEEK_END: len(self._file.seen)}.get(whence, 0)
        self._at = base + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._file.seen[self._at : self._at + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _files(folder: MemoryFolder) -> Iterator[MemoryFile]:
    for node in folder.seen.values():
        if isinstance(node, MemoryFolder):
            yield from _files(node)
        else:
            yield node


def _sector(data: bytes, sector: int) -> bytes:
    return data[sector * SECTOR_BYTES : (sector + 1) * SECTOR_BYTES]


def _error(code: int, path: Path | None) -> OSError:
    if path is None:
        return OSError(code, os.strerror(code))
    return OSError(code, os.strerror(code), str(path))
