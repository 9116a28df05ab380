"""Disks that fail on order, forget what was not synced, or do not bother to sync."""

import errno
from pathlib import Path

from recorder.journal.files import Disk


class FaultyDisk(Disk):
    """Real files; writes and syncs are counted from 1 and fail where they are told to."""

    def __init__(
        self,
        *,
        write_bytes_max: int | None = None,
        room_bytes: int | None = None,
        fail_write: int | None = None,
        fail_sync: int | None = None,
    ) -> None:
        self.write_bytes_max = write_bytes_max
        self.room_bytes = room_bytes
        self.fail_write = fail_write
        self.fail_sync = fail_sync
        self.writes = 0
        self.syncs = 0

    def write(self, fd: int, data: memoryview) -> int:
        self.writes += 1
        if self.writes == self.fail_write:
            raise OSError(errno.EIO, "Input/output error")
        if self.room_bytes is not None:
            if self.room_bytes == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            data = data[: self.room_bytes]
        taken = super().write(fd, data[: self.write_bytes_max])
        if self.room_bytes is not None:
            self.room_bytes -= taken
        return taken

    def sync(self, fd: int) -> None:
        self.syncs += 1
        if self.syncs == self.fail_sync:
            raise OSError(errno.EIO, "Input/output error")
        super().sync(fd)

    def fresh_id(self) -> bytes:
        return b"journal-for-test"

    def fresh_seed(self) -> bytes:
        return b"seed of a key that signs nothing"


class QuickDisk(Disk):
    """Real files that are never synced, for tests that open a journal a thousand times."""

    def sync(self, fd: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass

    def rewrite(self, path: Path, offset: int, data: bytes) -> None:
        assert path.read_bytes()[offset:] == data, "only the last frame is written again, as it is"


class ForgetfulDisk(Disk):
    """Real files, and for each the size that survives a power cut."""

    def __init__(self) -> None:
        self._paths: dict[int, Path] = {}
        self._durable: dict[Path, int] = {}
        self._named: set[Path] = set()

    def create(self, path: Path, mode: int = 0o640) -> int:
        fd = super().create(path, mode)
        self._paths[fd] = path
        self._durable[path] = 0
        return fd

    def open_append(self, path: Path) -> int:
        fd = super().open_append(path)
        self._paths[fd] = path
        return fd

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self._durable[target] = self._durable.pop(source)
        self._named.discard(target)

    def sync(self, fd: int) -> None:
        super().sync(fd)
        self._durable[self._paths[fd]] = self._paths[fd].stat().st_size

    def sync_folder(self, folder: Path) -> None:
        super().sync_folder(folder)
        self._named |= {path for path in self._durable if path.parent == folder}

    def cut_power(self, *, kept_bytes: int = 0) -> None:
        """Lose what was not synced, except for `kept_bytes` of each file's unsynced tail."""
        for path, durable in self._durable.items():
            if path not in self._named:
                path.unlink()
            elif path.exists():
                size = min(path.stat().st_size, durable + kept_bytes)
                path.write_bytes(path.read_bytes()[:size])
