"""The writer of the journal: open (and repair), append durably, sign, roll over, close.

There is one writer per folder. Reading is elsewhere: `scan`, `head` and `verify` need no writer.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec.structs import replace

from ..clock import WallClock
from ..errors import JournalError, JournalWriteFailed
from ..model import RECORDER, Detail, Draft, Mark, MarkName, PoolTail
from .codec import Packer
from .files import Disk
from .frame import FRAME_BYTES_MAX, FRAME_EXTRA_BYTES, FRAME_ITEMS_MAX
from .header import FORMAT_VERSION, Damage, Header
from .lock import take_lock
from .names import segment_path
from .notary import Notary, appoint
from .refusal import told
from .repair import Recovered, recover
from .writer import DiskFull, SegmentWriter

__all__ = ["DiskFull", "Journal"]

SEGMENT_BYTES_MAX = 64 * 1024 * 1024
SEGMENT_AGE_MAX_S = 3600.0
CHECKPOINT_ENTRIES = 10_000
CHECKPOINT_S = 60.0


class News(msgspec.Struct, frozen=True):
    """What happened to the journal beside its entries: checkpoints signed, segments sealed."""

    notes: tuple[str, ...] = ()
    sealed: tuple[int, ...] = ()


NO_NEWS = News()
"""One for all: the keeper asks for news after every commit, and there hardly ever are any."""


class Journal:
    """The journal of one recorder, open for appending. Blocking; one thread at a time."""

    def __init__(
        self,
        folder: Path,
        recovered: Recovered,
        lock: int,
        disk: Disk,
        *,
        notary: Notary,
        now_ns: WallClock,
        segment_bytes_max: int,
        segment_age_max_s: float,
    ) -> None:
        """Use `Journal.open` instead: this one expects a locked and repaired folder."""
        self.folder = folder
        self.notary = notary
        self._journal_id = recovered.journal_id
        self._last_number = recovered.last_number
        self._next_seq = recovered.next_seq
        self._chain = recovered.chain
        self._keys = recovered.keys or notary.keys  # those that the journal has told of so far
        self._tree = recovered.tree
        self._tails = recovered.tails
        self._writer = recovered.writer
        self._damage: Damage | None = recovered.damage
        self._lock: int | None = lock
        self.disk = disk
        self._now_ns = now_ns
        self._segment_bytes_max = segment_bytes_max
        self._segment_age_max_ns = int(segment_age_max_s * 1e9)
        self._packer = Packer()
        self._dead: str | None = None
        self._signed_size = recovered.signed_size
        # Nobody knows how long entries that were not signed for before have waited already.
        waiting = recovered.tree.size > recovered.signed_size
        self._signed_at_ns = 0 if waiting else now_ns()
        self._news = NO_NEWS
        self.repairs: tuple[Detail, ...] = ()
        """What had to be repaired when it was opened: the details of the REPAIRED marks."""

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        now_ns: WallClock,
        keys: Path | None = None,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        segment_age_max_s: float = SEGMENT_AGE_MAX_S,
        disk: Disk | None = None,
    ) -> Self:
        """Lock `folder` (created if missing), repair its tail, and return the journal.

        A torn tail goes to `quarantine/` and is cut off; damage stays where it is and a new segment
        is begun behind it. Both append a REPAIRED mark of pool RECORDER, whose detail has `reason`
        (`torn-tail` or `damage`), `segment`, `offset`, `bytes` and `kept_in`. The key that signs
        checkpoints is in `keys` (`folder/keys` if None), and is made there if it is missing.

        Raises JournalLocked if another process writes here, JournalDamaged if nothing here can be
        built upon, JournalError for a newer format or an unusable key, JournalWriteFailed if the
        disk refuses.
        """
        disk = disk or Disk()
        lock = take_lock(folder, disk)
        journal: Self | None = None
        try:
            recovered = recover(folder, disk)
            notary, change = appoint(
                keys or folder / "keys", recovered.journal_id, recovered.keys, disk
            )
            journal = cls(
                folder,
                recovered,
                lock,
                disk,
                notary=notary,
                now_ns=now_ns,
                segment_bytes_max=segment_bytes_max,
                segment_age_max_s=segment_age_max_s,
            )
            journal._begin(recovered, change)
        except OSError as error:
            _abandon(journal, lock, disk)
            raise JournalWriteFailed(f"{folder} could not be opened: {told(error)}") from error
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

    @property
    def segment(self) -> int:
        """The number of the segment that was begun last."""
        return self._last_number

    def append(self, drafts: Sequence[Draft]) -> range:
        """Make the drafts durable, in order, and return their sequence numbers.

        All or a prefix of the batch is on disk when this raises: DiskFull (its `written` tells how
        many; the journal stays usable) or JournalWriteFailed (the journal is dead: every further
        append raises the same; open it anew). JournalError refuses a draft that is too big or
        cannot be encoded, before anything is written.
        """
        self._check_usable()
        first = self._next_seq
        items = self._packer.entries(first, drafts)
        now_ns = self._now_ns()
        try:
            for part in _frames(items):
                written = part.start
                self._commit(items[part.start : part.stop], drafts[part.start : part.stop], now_ns)
        except DiskFull as error:
            error.written = written
            raise
        except JournalWriteFailed as error:
            self._dead = str(error)
            raise
        last = self._next_seq
        self._sign_if_due(now_ns)
        return range(first, last)

    @property
    def unsigned(self) -> int:
        """How many entries came after the last checkpoint."""
        return self._tree.size - self._signed_size

    def sign(self) -> None:
        """Sign a checkpoint of what came after the last one, if anything did.

        Raises JournalWriteFailed; a full disk only puts it off.
        """
        self._check_usable()
        if self.unsigned:
            self._checkpoint(self._now_ns())

    def begin_segment(self) -> None:
        """Seal the open segment, unless it is empty, and begin the next. Raises as `append`."""
        self._check_usable()
        now_ns = self._now_ns()
        try:
            if self._writer is not None and not self._writer.empty:
                self._seal(self._writer, now_ns)
            if self._writer is None:
                self._create(now_ns)
        except JournalWriteFailed as error:
            if not isinstance(error, DiskFull):
                self._dead = str(error)
            raise

    def take_news(self) -> News:
        """Return what happened since the last call."""
        news, self._news = self._news, NO_NEWS
        return news

    def close(self) -> None:
        """Seal the open segment, begin the next, and unlock. A second close does nothing.

        The next segment is there so that opening has to read a header only. A full disk leaves the
        segment unsealed, which the next open accepts; a dead journal is only unlocked. Raises
        JournalWriteFailed if the disk refuses the seal.
        """
        if self._lock is None:
            return
        try:
            if self._writer is not None and self._dead is None and not self._writer.empty:
                now_ns = self._now_ns()
                self._seal(self._writer, now_ns)
                self._create(now_ns)
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

    @property
    def now_ns(self) -> int:
        """The time by the clock that this journal stamps its own entries with."""
        return self._now_ns()

    def _begin(self, recovered: Recovered, change: Detail | None) -> None:
        if recovered.last_number == 0:
            self._create(self._now_ns())  # so that a reader finds a journal, if an empty one
        self.repairs = tuple(recovered.repairs)
        marks = [Mark(MarkName.REPAIRED, detail) for detail in self.repairs]
        if change is not None:
            marks.append(Mark(MarkName.KEY_CHANGED, change))
        if marks:
            self.append([Draft(self._now_ns(), RECORDER, mark) for mark in marks])
        self._keys = self.notary.keys

    def _check_usable(self) -> None:
        if self._lock is None:
            raise JournalError(f"the journal in {self.folder} is closed")
        if self._dead is not None:
            raise JournalWriteFailed(f"the journal must be opened anew since {self._dead}")

    def _commit(self, items: Sequence[bytes], drafts: Sequence[Draft], now_ns: int) -> None:
        writer = self._writer
        if writer is not None and self._is_full(writer, sum(map(len, items)), now_ns):
            self._seal(writer, now_ns)
            writer = None
        if writer is None:
            writer = self._create(now_ns)
        writer.append(items, at_ns=now_ns)
        self._chain = writer.chain
        self._tails.take_all(self._next_seq, drafts)
        self._next_seq = writer.next_seq

    def _is_full(self, writer: SegmentWriter, size: int, now_ns: int) -> bool:
        if writer.header.format != FORMAT_VERSION:
            return True
        if writer.begun_ns is None or self._keys != self.notary.keys:
            return False  # Nothing is signed, not even a seal, before the journal tells of the key.
        if writer.size + size + FRAME_EXTRA_BYTES > self._segment_bytes_max:
            return True
        return now_ns - writer.begun_ns >= self._segment_age_max_ns

    def _create(self, now_ns: int) -> SegmentWriter:
        number = self._last_number + 1
        header = Header(
            self._journal_id,
            number,
            self._next_seq,
            self._chain,
            now_ns,
            self._tails.freeze(),
            self._damage,
            self._tree.size,
            self._tree.peaks,
            self._keys,
        )
        path = segment_path(self.folder, number)
        self._writer = SegmentWriter.create(path, self.disk, header)
        self._tree = self._writer.tree
        self._last_number = number
        self._damage = None
        return self._writer

    def _seal(self, writer: SegmentWriter, now_ns: int) -> None:
        note = self.notary.sign(self._tree)
        writer.seal(self._packer.plain, note)
        self._chain = writer.chain
        self._writer = None
        self._signed(note, now_ns)
        sealed = (*self._news.sealed, writer.header.number)
        self._news = replace(self._news, sealed=sealed)
        writer.close()

    def _sign_if_due(self, now_ns: int) -> None:
        waited_ns = now_ns - self._signed_at_ns
        # A clock that stepped back says nothing of how long it was.
        early = 0 <= waited_ns < CHECKPOINT_S * 1e9
        if self.unsigned >= CHECKPOINT_ENTRIES or (self.unsigned and not early):
            self._checkpoint(now_ns)

    def _checkpoint(self, now_ns: int) -> None:
        writer = self._writer
        if writer is None or writer.header.format != FORMAT_VERSION:
            # Its segment was left just now, with a seal that is signed; or there were no
            # checkpoints in its format, and the next entries go into another one.
            return
        note = self.notary.sign(self._tree)
        try:
            writer.checkpoint(self._packer.plain, note)
        except DiskFull:
            return  # It is tried again with the next entries.
        except JournalWriteFailed as error:
            self._dead = str(error)
            raise
        self._chain = writer.chain
        self._signed(note, now_ns)

    def _signed(self, note: str, now_ns: int) -> None:
        self._signed_size, self._signed_at_ns = self._tree.size, now_ns
        self._news = replace(self._news, notes=(*self._news.notes, note))

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._lock is not None:
            self.disk.close(self._lock)
            self._lock = None


def _frames(items: Sequence[bytes]) -> Iterator[range]:
    """Cut a batch into runs that fit a frame; one large item makes a frame of its own."""
    if 0 < len(items) <= FRAME_ITEMS_MAX and sum(map(len, items)) <= FRAME_BYTES_MAX:
        yield range(len(items))  # as nearly all do
        return
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


def _abandon(journal: Journal | None, lock: int, disk: Disk) -> None:
    if journal is None:
        disk.close(lock)
    else:
        journal._release()
