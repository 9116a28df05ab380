"""A disk that loses its power before the nth thing that is asked of it, or refuses that thing."""

import errno
from collections.abc import Callable
from pathlib import Path

from recorder.journal.files import Disk

Names = dict[Path, bytearray]  # what is durable of each file, by its name


class PowerCut(BaseException):
    """The machine is off: nothing after this happens, clean-up included."""


class PowerCutDisk(Disk):
    """Real files in one folder, never synced, and what of them would survive a power cut.

    Counts every call that changes the disk. The nth raises PowerCut instead of doing anything, or
    if `refuse` is set an OSError once. Changes of names that no sync of the folder made durable are
    in `pending`: each of them may have survived, or not, whatever became of the others.
    """

    def __init__(self, nth: int, folder: Path, *, refuse: bool = False) -> None:
        self.calls = 0
        self.pending: list[Callable[[Names], None]] = []
        self._nth = nth
        self._refuse = refuse
        self._folder = folder
        self._files: Names = {path: bytearray(path.read_bytes()) for path in folder.iterdir()}
        self._durable = dict(self._files)
        self._open: dict[int, tuple[Path, bytearray]] = {}

    def cut_power(self, survivors: int) -> None:
        """Leave what is durable; bit n of `survivors` says whether pending change n survived."""
        for index, change in enumerate(self.pending):
            if survivors >> index & 1:
                change(self._durable)
        for path in self._folder.iterdir():
            path.unlink()
        for path, data in self._durable.items():
            path.write_bytes(data)
            path.chmod(0o600)

    def arm(self, nth: int) -> None:
        """Count from here on; all that came before is durable."""
        self.calls, self._nth = 0, nth
        for path, data in self._files.items():
            data[:] = path.read_bytes()
        self._durable, self.pending = dict(self._files), []

    def open_append(self, path: Path) -> int:
        fd = super().open_append(path)
        self._open[fd] = path, self._files[path]
        return fd

    def rewrite(self, path: Path, offset: int, data: bytes) -> None:
        self._count()
        assert path.read_bytes()[offset:] == data

    def make_folder(self, folder: Path, mode: int = 0o750) -> None:
        self._count()
        folder.mkdir(mode=mode, parents=True, exist_ok=True)

    def create(self, path: Path, mode: int = 0o640) -> int:
        self._count()
        fd = super().create(path, mode)
        data = bytearray()
        self._open[fd] = path, data
        self._change(lambda names: names.update({path: data}))
        return fd

    def write(self, fd: int, data: memoryview) -> int:
        self._count()
        return super().write(fd, data[:50])

    def sync(self, fd: int) -> None:
        self._count()
        path, durable = self._open[fd]
        durable[:] = path.read_bytes()

    def sync_folder(self, folder: Path) -> None:
        assert folder == self._folder
        self._count()
        self._durable = dict(self._files)
        self.pending = []

    def rename(self, source: Path, target: Path) -> None:
        self._count()
        super().rename(source, target)
        data = self._files[source]

        def move(names: Names) -> None:
            names.pop(source, None)
            names[target] = data

        self._change(move)

    def remove(self, path: Path) -> None:
        self._count()
        super().remove(path)

        def drop(names: Names) -> None:
            names.pop(path, None)

        self._change(drop)

    def _change(self, change: Callable[[Names], None]) -> None:
        change(self._files)
        self.pending.append(change)

    def _count(self) -> None:
        self.calls += 1
        if self._refuse and self.calls == self._nth:
            raise OSError(errno.EIO, "Input/output error")
        if not self._refuse and self.calls >= self._nth:
            raise PowerCut
