"""Finds runs in the journal while it is written, without reading more of it than it must."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from ..errors import WorkloadError
from ..journal.files import Disk
from ..journal.header import HeaderDamaged
from ..journal.names import list_segments
from ..journal.scan import scan
from ..journal.segment import Cursor
from ..model import Mark, MarkName
from ..threads import RunSync
from .past import EventIds, RunPast, is_start_of, past_of

T = TypeVar("T")

TIME_FORMAT = "%Y%m%d-%H%M%S"
TIME_CHARS = 15
"""The name of a run begins with its time."""
CLOCK_NS = 3600 * 10**9
"""A clock that went back between a segment and a run did not go back further, usually; if it did,
the run is not found by its whole name, but by the beginning of its date."""
SEGMENTS_LOOKED_AT = 2
"""Where the last words of a run that died with its recorder are; to read them takes a second."""


class FoundRun(msgspec.Struct, frozen=True):
    """A run in the journal; `seq` is the entry that begins it."""

    run: str
    pool: str
    seq: int


class Archive(msgspec.Struct, frozen=True):
    """The journal in `folder`, read in the background."""

    folder: Path
    disk: Disk
    run_sync: RunSync

    async def find(self, name: str) -> FoundRun:
        """Find a run. Raises as `find_run`."""
        return await self._read(partial(find_run, self.folder, name, disk=self.disk))

    async def past(self, found: FoundRun) -> RunPast:
        """Read all that is told of a run. Raises as `read_run`."""
        return await self._read(partial(read_run, self.folder, found, disk=self.disk))

    async def unended(self) -> list[FoundRun]:
        """Return the runs without an end among those last heard of. Raises JournalError."""
        return await self._read(partial(unended, self.folder, disk=self.disk))

    async def _read(self, call: Callable[[], T]) -> T:
        return await self.run_sync(call)


def find_run(folder: Path, name: str, *, disk: Disk | None = None) -> FoundRun:
    """Find the run of this name, or the only one that begins with it.

    Raises WorkloadError if there is none, or there are several; JournalError.
    """
    disk = disk or Disk()
    found: list[FoundRun] = []
    for entry in scan(folder, after_seq=_place_of(folder, name, disk), disk=disk):
        if is_start_of(entry, name):
            assert isinstance(entry.body, Mark)
            run = FoundRun(str(entry.body.detail["run"]), entry.pool, entry.seq)
            if run.run == name:
                return run
            found.append(run)
    if not found:
        raise WorkloadError(f"no run is called {name!r}: see xentrail workload runs")
    if len(found) > 1:
        names = ", ".join(one.run for one in found)
        raise WorkloadError(f"{name!r} is the beginning of several runs: {names}")
    return found[0]


def read_run(folder: Path, found: FoundRun, *, disk: Disk | None = None) -> RunPast:
    """Read all that the journal tells of a run so far. Raises WorkloadError, JournalError.

    It begins with the segment in which the run does: what the pool was like then is told before it.
    """
    disk = disk or Disk()
    after_seq, ids = found.seq - 1, EventIds()
    for number in reversed(list_segments(folder, disk)):
        with suppress(HeaderDamaged), Cursor.of(folder, number, disk) as cursor:
            if cursor.header.first_seq <= found.seq:
                tail = cursor.header.tails.get(found.pool)
                ids.last = (tail.last_event_id or 0) if tail is not None else 0
                after_seq = cursor.header.first_seq - 1
                break
    return past_of(found.run, found.pool, scan(folder, after_seq=after_seq, disk=disk), ids)


def unended(folder: Path, *, disk: Disk | None = None) -> list[FoundRun]:
    """Return the runs without an end that the last segments tell of. Raises JournalError."""
    disk = disk or Disk()
    open_runs: dict[tuple[str, str], FoundRun] = {}
    numbers = list_segments(folder, disk)[-SEGMENTS_LOOKED_AT:]
    for entry in scan(folder, after_seq=_before(folder, numbers[0], disk), disk=disk):
        body = entry.body
        run = body.detail.get("run") if isinstance(body, Mark) else None
        if not isinstance(body, Mark) or run is None:
            continue
        if body.name is MarkName.RUN_ENDED:
            open_runs.pop((entry.pool, str(run)), None)
        else:
            one = FoundRun(str(run), entry.pool, entry.seq)
            open_runs.setdefault((entry.pool, str(run)), one)
    return [*open_runs.values()]


def _place_of(folder: Path, name: str, disk: Disk) -> int:
    """Return after which entry a run of this name is to be looked for."""
    numbers = list_segments(folder, disk)
    try:
        began = datetime.strptime(name[:TIME_CHARS], TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return _before(folder, numbers[0], disk)
    for number in reversed(numbers):
        try:
            with Cursor.of(folder, number, disk) as cursor:
                if cursor.header.created_ns <= int(began.timestamp()) * 10**9 - CLOCK_NS:
                    return cursor.header.first_seq - 1
        except HeaderDamaged:
            continue  # What is wrong with it is told by whoever reads it.
    return _before(folder, numbers[0], disk)


def _before(folder: Path, number: int, disk: Disk) -> int:
    try:
        with Cursor.of(folder, number, disk) as cursor:
            return cursor.header.first_seq - 1
    except HeaderDamaged:
        return 0
