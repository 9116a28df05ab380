"""The only code of the journal that touches a disk, so that tests can make every call fail.

Nothing is decided here, and nothing is retried: each method is one thing asked of the system.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterable
from io import BufferedReader, FileIO
from pathlib import Path

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MODE = 0o640  # The journal holds what pools say of themselves: not for every user of the machine.


class Disk:
    """The real disk. Methods raise OSError; file descriptors are closed by their caller."""

    def make_folder(self, folder: Path, mode: int = 0o750) -> None:
        """Create `folder` and its parents where missing, durably; `mode` is for `folder` itself."""
        missing = [part for part in (folder, *folder.parents) if not self.exists(part)]
        there = folder.parents[len(missing) - 1] if missing else folder
        # What is there may come from a process that died before it could sync it. Who may not
        # read the parent has not made anything in it.
        with contextlib.suppress(PermissionError):
            self.sync_folder(there.parent)
        for part in reversed(missing):
            self.create_folder(part, mode if part == folder else 0o750)
            self.sync_folder(part.parent)

    def create_folder(self, folder: Path, mode: int) -> None:
        """Create the folder `folder` in a folder that is there."""
        folder.mkdir(mode=mode, exist_ok=True)
        with contextlib.suppress(OSError):
            fd = os.open(folder, _FOLDER | os.O_NOFOLLOW)
            try:
                _hand_over(fd, folder.parent)
            finally:
                os.close(fd)

    def lock(self, path: Path) -> int | None:
        """Take the lock file `path` and return its descriptor, or None if it is taken."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError:
            os.close(fd)
            raise
        return fd

    def names(self, folder: Path) -> list[str]:
        """Return the names in `folder`, in no order; an empty list if there is no such folder."""
        with contextlib.suppress(FileNotFoundError):
            return os.listdir(folder)  # noqa: PTH208 - names are wanted, not paths
        return []

    def open_read(self, path: Path) -> BufferedReader:
        """Open `path` for reading; the caller closes it."""
        return BufferedReader(FileIO(path), buffer_size=1 << 20)

    def exists(self, path: Path) -> bool:
        """Say whether there is a file (or anything) at `path`."""
        return path.exists()

    def size(self, path: Path) -> int:
        """Return the size of the file `path` in bytes."""
        return path.stat().st_size

    def mode(self, path: Path) -> int:
        """Return the permission bits of a file or folder."""
        return stat.S_IMODE(path.stat().st_mode)

    def create(self, path: Path, mode: int = _MODE) -> int:
        """Create the file `path`, which must not exist, for appending."""
        fd = os.open(path, _APPEND | os.O_CREAT | os.O_EXCL, mode)
        _hand_over(fd, path.parent)
        return fd

    def open_append(self, path: Path) -> int:
        """Open the existing file `path` for appending."""
        return os.open(path, _APPEND)

    def write(self, fd: int, data: memoryview) -> int:
        """Append and return how many bytes were taken, which may be fewer than given."""
        return os.write(fd, data)

    def write_all(self, fd: int, data: bytes) -> None:
        """Append all of `data`, in as many writes as the system wants."""
        # A nearly full disk takes a part and says so only in the count: a prototype that ignored it
        # lost acknowledged entries.
        view = memoryview(data)
        while view:
            taken = self.write(fd, view)
            if taken <= 0:
                raise OSError(errno.EIO, "the system took no bytes")
            view = view[taken:]

    def write_file(self, path: Path, pieces: Iterable[bytes], mode: int = _MODE) -> None:
        """Create the file `path` and sync it; what an interrupted attempt left there goes first.

        Its name is not durable yet.
        """
        if self.exists(path):
            self.remove(path)
        fd = self.create(path, mode)
        try:
            for piece in pieces:
                self.write_all(fd, piece)
            self.sync(fd)
        finally:
            self.close(fd)

    def rewrite(self, path: Path, offset: int, data: bytes) -> None:
        """Write `data` over what is at `offset` and sync it."""
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            view = memoryview(data)
            while view:
                taken = os.pwrite(fd, view, offset)
                view, offset = view[taken:], offset + taken
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def sync(self, fd: int) -> None:
        """Return once every byte written to `fd`, and its length, is durable."""
        os.fdatasync(fd)

    def sync_folder(self, folder: Path) -> None:
        """Return once the names in `folder` are durable."""
        fd = os.open(folder, _FOLDER)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        os.ftruncate(fd, size)

    def rename(self, source: Path, target: Path) -> None:
        """Give `source` the name `target`, which another file loses in the same instant."""
        source.rename(target)

    def remove(self, path: Path) -> None:
        """Remove the file `path`."""
        path.unlink()

    def close(self, fd: int) -> None:
        """Close a descriptor, which also releases its lock."""
        os.close(fd)

    def fresh_id(self) -> bytes:
        """Return 16 random bytes that name a new journal."""
        return secrets.token_bytes(16)

    def fresh_seed(self) -> bytes:
        """Return 32 random bytes that make a new signing key."""
        return secrets.token_bytes(32)


def _hand_over(fd: int, folder: Path) -> None:
    """Give what root made in a folder to the owner of the folder.

    A recorder that is a user of its own, as under systemd, could else not write what root left
    with `xentrail redact` or `rotate-key`, and would not start. Where root may give nothing away,
    as on some network file systems, what it made stays its own.
    """
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            owner = folder.stat()
            os.fchown(fd, owner.st_uid, owner.st_gid)
