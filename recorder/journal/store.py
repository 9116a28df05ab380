"""The writer of the journal: open (and repair), append durably, roll over, close.

There is one writer per folder. Reading is elsewhere: `scan`, `head` and `verify` need no writer.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ..clock import WallClock
from ..errors import JournalError, JournalLocked, JournalWriteFailed
from ..model import RECORDER, Detail, Draft, Mark, MarkName, PoolTail
from .codec import Packer
from .files import Disk
from .frame import FRAME_BYTES_MAX, FRAME_EXTRA_BYTES, FRAME_ITEMS_MAX
from .header import Damage, Header
from .repair import Recovered, recover
from .segment import segment_path
from .writer import DiskFull, SegmentWriter

__all__ = ["DiskFull", "Journal"]

LOCK_NAME = "LOCK"
SEGMENT_BYTES_MAX = 64 * 1024 * 1024
SEGMENT_AGE_MAX_S = 3600.0


class Journal:
    """The journal of one recorder, open for appending. Blocking; one thread at a time."""

    def __init__(
        self,
        folder: Path,
        recovered: Recovered,
        lock: int,
        disk: Disk,
        *,
        now_ns: WallClock,
        segment_bytes_max: int,
        segment_age_max_s: float,
    ) -> None:
        """Use `Journal.open` instead: this one expects a locked and repaired folder."""
        self._folder = folder
        self._journal_id = recovered.journal_id
        self._last_number = recovered.last_number
        self._next_seq = recovered.next_seq
        self._chain = recovered.chain
        self._tails = recovered.tails
        self._writer = recovered.writer
        self._damage: Damage | None = recovered.damage
        self._lock: int | None = lock
        self._disk = disk
        self._now_ns = now_ns
        self._segment_bytes_max = segment_bytes_max
        self._segment_age_max_ns = int(segment_age_max_s * 1e9)
        self._packer = Packer()
        self._dead: str | None = None
        self.repairs: tuple[Detail, ...] = ()
        """What had to be repaired when it was opened: the details of the REPAIRED marks."""

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        now_ns: WallClock,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        segment_age_max_s: float = SEGMENT_AGE_MAX_S,
        disk: Disk | None = None,
    ) -> Self:
        """Lock `folder` (created if missing), repair its tail, and return the journal.

        A torn tail goes to `quarantine/` and is cut off; damage stays where it is and a new segment
        is begun behind it. Both append a REPAIRED mark of pool RECORDER, whose detail has `reason`
        (`torn-tail` or `damage`), `segment`, `offset`, `bytes` and `kept_in`.

        Raises JournalLocked if another process writes here, JournalDamaged if nothing here can be
        built upon, JournalError for a newer format, JournalWriteFailed if the disk refuses.
        """
        disk = disk or Disk()
        lock = _take_lock(folder, disk)
        journal: Self | None = None
        try:
            recovered = recover(folder, disk)
            journal = cls(
                folder,
                recovered,
                lock,
                disk,
                now_ns=now_ns,
                segment_bytes_max=segment_bytes_max,
                segment_age_max_s=segment_age_max_s,
            )
            journal._begin(recovered)
        except OSError as error:
            _abandon(journal, lock, disk)
            raise JournalWriteFailed(f"{folder} could not be opened: {error}") from error
        except BaseException:
            _abandon(journal, lock, disk)
            raise
        return journal

    @property
    def tails(self) -> Mapping[str, PoolTail]:
        """Where the journal stands with each pool; RECORDER (the empty name) has a tail too."""
        return self._tails.freeze()

    @property
    def next_seq(self) -> int:
        """The sequence number that the next entry will get."""
        return self._next_seq

    def append(self, drafts: Sequence[Draft]) -> range:
        """Make the drafts durable, in order, and return their sequence numbers.

        All or a prefix of the batch is on disk when this raises: DiskFull (its `written` tells how
        many; the journal stays usable) or JournalWriteFailed (the journal is dead: every further
        append raises the same; open it anew). JournalError refuses a draft that is too big or
        cannot be encoded, before anything is written.
        """
        self._check_usable()
        first = self._next_seq
        items = [self._packer.entry(seq, draft) for seq, draft in enumerate(drafts, first)]
        for part in _frames(items):
            try:
                self._commit(items[part.start : part.stop], drafts[part.start : part.stop])
            except DiskFull as error:
                error.written = part.start
                raise
            except JournalWriteFailed as error:
                self._dead = str(error)
                raise
        return range(first, self._next_seq)

    def close(self) -> None:
        """Seal the open segment, sync, and unlock. A second close does nothing.

        A full disk leaves the segment unsealed, which the next open accepts; a dead journal is only
        unlocked. Raises JournalWriteFailed if the disk refuses the seal.
        """
        if self._lock is None:
            return
        try:
            if self._writer is not None and self._dead is None and not self._writer.empty:
                self._seal(self._writer)
        except DiskFull:
            pass  # A seal is a convenience: a reader of an unsealed segment misses nothing.
        finally:
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self, recovered: Recovered) -> None:
        if recovered.last_number == 0:
            self._create()  # so that a reader finds a journal, if an empty one
        self.repairs = tuple(recovered.repairs)
        marks = [
            Draft(self._now_ns(), RECORDER, Mark(MarkName.REPAIRED, detail))
            for detail in self.repairs
        ]
        if marks:
            self.append(marks)

    def _check_usable(self) -> None:
        if self._lock is None:
            raise JournalError(f"the journal in {self._folder} is closed")
        if self._dead is not None:
            raise JournalWriteFailed(f"the journal must be opened anew since {self._dead}")

    def _commit(self, items: Sequence[bytes], drafts: Sequence[Draft]) -> None:
        writer = self._writer
        if writer is not None and self._is_full(writer, sum(map(len, items))):
            self._seal(writer)
            writer = None
        if writer is None:
            writer = self._create()
        writer.append(items)
        self._chain = writer.chain
        for seq, draft in enumerate(drafts, self._next_seq):
            self._tails.take(seq, draft.received_at_ns, draft.pool, draft.body)
        self._next_seq = writer.next_seq

    def _is_full(self, writer: SegmentWriter, size: int) -> bool:
        if writer.empty:
            return False
        if writer.size + size + FRAME_EXTRA_BYTES > self._segment_bytes_max:
            return True
        return self._now_ns() - writer.header.created_ns >= self._segment_age_max_ns

    def _create(self) -> SegmentWriter:
        number = self._last_number + 1
        header = Header(
            self._journal_id,
            number,
            self._next_seq,
            self._chain,
            self._now_ns(),
            self._tails.freeze(),
            self._damage,
        )
        self._writer = SegmentWriter.create(segment_path(self._folder, number), self._disk, header)
        self._last_number = number
        self._damage = None
        return self._writer

    def _seal(self, writer: SegmentWriter) -> None:
        writer.seal(self._packer.plain)
        self._chain = writer.chain
        self._writer = None
        writer.close()

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._lock is not None:
            self._disk.close(self._lock)
            self._lock = None


def _frames(items: Sequence[bytes]) -> Iterator[range]:
    """Cut a batch into runs that fit a frame; one large item makes a frame of its own."""
    start = size = 0
    for index, item in enumerate(items):
        if index > start and (
            size + len(item) > FRAME_BYTES_MAX or index - start == FRAME_ITEMS_MAX
        ):
            yield range(start, index)
            start, size = index, 0
        size += len(item)
    if start < len(items):
        yield range(start, len(items))


def _take_lock(folder: Path, disk: Disk) -> int:
    try:
        disk.make_folder(folder)
        lock = disk.lock(folder / LOCK_NAME)
    except OSError as error:
        raise JournalWriteFailed(f"{folder} cannot be used as a journal: {error}") from error
    if lock is None:
        raise JournalLocked(
            f"another process is writing to the journal in {folder}: stop it, or use another folder"
        )
    return lock


def _abandon(journal: Journal | None, lock: int, disk: Disk) -> None:
    if journal is None:
        disk.close(lock)
    else:
        journal._release()
