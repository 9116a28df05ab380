"""Seeded crashes at every call: all that was acknowledged survives, the rest is a clean prefix."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from recorder.errors import JournalError, JournalWriteFailed
from recorder.journal import repair
from recorder.journal.store import Journal
from recorder.model import Draft
from tests.journal.crashes import run
from tests.journal.memorydisk import MemoryDisk

pytestmark = pytest.mark.seeds

SCHEDULES = 2_000
STOPS = (
    *("exists", "create_folder", "sync_folder", "lock", "names", "mode", "open_read", "size"),
    *("create", "open_append", "write", "rewrite", "sync", "truncate", "rename", "remove", "close"),
)
ENDS = ("left", "closed", "failed", "full", "stopped")
REACHED = {
    *(f"stopped in {call}" for call in STOPS),
    *(f"{end}, {how}" for end in ENDS for how in ("killed", "power cut")),
    *("append on a full disk", "repaired", "found torn-tail", "damaged"),
    *("pack", "redact", "drop"),
}
"""What a schedule can come by: all of them together come by all of it."""


@pytest.mark.parametrize("schedules", [SCHEDULES, pytest.param(100_000, marks=pytest.mark.soak)])
def test_no_crash_loses_what_was_acknowledged(schedules: int) -> None:
    """Whatever ends a process, wherever: what it acknowledged is read back, and it goes on.

    A failing seed is told with its story; `python -m tests.journal.crashes SEED` repeats it.
    """
    reached: Counter[str] = Counter()
    for seed in range(schedules):
        reached.update(run(seed).reached)
    assert set(reached) >= REACHED, "the schedules no longer come by all that they are about"


def test_schedule_is_the_same_for_the_same_seed() -> None:
    """A seed is all that it takes to see a failure again."""
    assert [run(seed).story for seed in range(20)] == [run(seed).story for seed in range(20)]


class NeverSyncs(MemoryDisk):
    """The writer that leaves it to the system when bytes become durable."""

    def sync(self, fd: int) -> None:
        pass


class NeverSyncsNames(MemoryDisk):
    """The writer that does not sync the folder after it created a segment in it."""

    created = False

    def create(self, path: Path, mode: int = 0o640) -> int:
        self.created = path.suffix == ".journal"
        return super().create(path, mode)

    def sync_folder(self, folder: Path) -> None:
        if not self.created:
            super().sync_folder(folder)
        self.created = False


class PacksWithoutSyncs(MemoryDisk):
    """The packer that leaves it to the system which of its names become durable."""

    packing = 0

    def rename(self, source: Path, target: Path) -> None:
        self.packing = 2 if target.suffix == ".zst" else 0
        super().rename(source, target)

    def sync_folder(self, folder: Path) -> None:
        if self.packing:  # after the rename, and after the raw file went
            self.packing -= 1
        else:
            super().sync_folder(folder)


class SyncsLate(MemoryDisk):
    """The writer that acknowledges a frame first, and syncs it when the next one comes."""

    late: int | None = None

    def sync(self, fd: int) -> None:
        self.late = fd

    def write(self, fd: int, data: memoryview) -> int:
        self._catch_up()
        return super().write(fd, data)

    def close(self, fd: int) -> None:
        with suppress(OSError):  # too late to tell anybody
            self._catch_up()
        super().close(fd)

    def _catch_up(self) -> None:
        fd, self.late = self.late, None
        if fd is not None:
            super().sync(fd)


class IgnoresShortWrites(MemoryDisk):
    """The writer that takes it that all was written."""

    def write(self, fd: int, data: memoryview) -> int:
        super().write(fd, data)
        return len(data)


class SyncsOnDemand(SyncsLate):
    """The disk of the next one: while `holding`, syncs are put off until `release`."""

    holding = False

    def sync(self, fd: int) -> None:
        super().sync(fd)
        if not self.holding:
            self._catch_up()

    def write(self, fd: int, data: memoryview) -> int:
        return MemoryDisk.write(self, fd, data)

    def release(self) -> None:
        """Do the sync that was put off. Raises JournalWriteFailed."""
        self.holding = False
        try:
            self._catch_up()
        except OSError as error:
            raise JournalWriteFailed(str(error)) from error


class SyncsOnceForAllFrames(Journal):
    """The writer that writes the next frame of a batch before it synced the last."""

    def append(self, drafts: Sequence[Draft]) -> range:
        assert isinstance(self.disk, SyncsOnDemand)
        self.disk.holding = True
        try:
            return super().append(drafts)
        finally:
            self.disk.release()


class RetriesSyncs(MemoryDisk):
    """The writer that tries a failed sync again, which then succeeds."""

    def sync(self, fd: int) -> None:
        try:
            super().sync(fd)
        except OSError:
            super().sync(fd)


class TrustsWhatItReads(MemoryDisk):
    """The opener that takes what it can read for durable."""

    def rewrite(self, path: Path, offset: int, data: bytes) -> None:
        pass


class TrustsFoldersThatAreThere(MemoryDisk):
    """The opener that syncs only the names of folders that it created itself."""

    def make_folder(self, folder: Path, mode: int = 0o750) -> None:
        missing = [part for part in (folder, *folder.parents) if not self.exists(part)]
        for part in reversed(missing):
            self.create_folder(part, mode)
        for part in missing:
            self.sync_folder(part.parent)


def caught(**broken: type) -> bool:
    """Say whether a broken writer breaks a promise within the seeds of the normal suite."""
    for seed in range(SCHEDULES):
        try:
            run(seed, **broken)
        except (AssertionError, JournalError):
            return True
    return False


@pytest.mark.parametrize(
    "disk",
    [
        *(NeverSyncs, NeverSyncsNames, PacksWithoutSyncs, SyncsLate, IgnoresShortWrites),
        *(RetriesSyncs, TrustsWhatItReads, TrustsFoldersThatAreThere),
    ],
)
def test_broken_writer_is_caught(disk: type[MemoryDisk]) -> None:
    """The schedules tell a writer that cuts a corner from one that does not."""
    assert caught(disk=disk)


def test_writer_that_syncs_once_for_several_frames_is_caught() -> None:
    """A frame written before the last was synced makes a tear look like damage."""
    assert caught(disk=SyncsOnDemand, journal=SyncsOnceForAllFrames)


def test_opener_that_cuts_before_whole_frames_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tail with a whole frame behind its damage is not torn, and not to be cut off."""
    monkeypatch.setattr(repair, "frames_follow", lambda _rest, _next_seq: False)
    assert caught()
