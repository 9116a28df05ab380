"""The way through all segments in order, as a reader goes that must never believe a wrong frame."""

from collections.abc import Iterator
from pathlib import Path

from ..errors import JournalDamaged
from .files import Disk
from .frame import ChainBroken, Flag, FrameDamaged, SealBroken, SeqBroken
from .header import HeaderDamaged
from .names import is_packed, list_segments, segment_numbers, segment_path
from .repair import frames_follow, is_unborn
from .segment import Cursor, Frame
from .tombstone import read_tombstone


class DamageFound(JournalDamaged):
    """Reading came upon bytes that are not what was written.

    `path` and `offset` (bytes) say where, `last_good_seq` is the last entry that can be trusted
    before it. `resume_after_seq` is where a later segment allows reading on
    (`scan(folder, after_seq=...)`), None if nothing follows.
    """

    def __init__(
        self,
        text: str,
        *,
        path: Path,
        offset: int,
        last_good_seq: int,
        resume_after_seq: int | None = None,
    ) -> None:
        super().__init__(f"{path} at byte {offset}: {text} (last good entry: {last_good_seq})")
        self.text = text
        self.path = path
        self.offset = offset
        self.last_good_seq = last_good_seq
        self.resume_after_seq = resume_after_seq


class EntriesDropped(DamageFound):
    """The entries that were asked for have been dropped by the rules of retention."""


class Walk:
    """Yields the data frames after a sequence number; afterwards knows where the journal ended."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        """Raises JournalError if `folder` is not a journal."""
        self.folder = folder
        self._disk = disk
        self._numbers = list_segments(folder, disk)
        self._cursor: Cursor | None = None

    @property
    def segments(self) -> int:
        """How many segments there were when the walk last looked."""
        return len(self._numbers)

    def close(self) -> None:
        """Close what is open."""
        if self._cursor is not None:
            self._cursor.close()

    def frames(self, after_seq: int) -> Iterator[Frame]:
        """Yield the frames that hold entries after `after_seq`. Raises DamageFound."""
        cursor = self._start(after_seq)
        while cursor is not None:
            cursor.pass_by(after_seq)
            while (frame := self._next(cursor)) is not None:
                if frame.head.flags == Flag.DATA:
                    yield frame
            cursor = self._follow(cursor)

    def to_the_end(self) -> Cursor | None:
        """Go through the last segment; return its cursor at the end, None if nothing is there."""
        cursor = self._start(1 << 63)
        while cursor is not None:
            while self._next(cursor) is not None:
                pass
            cursor = self._follow(cursor)
        return self._cursor

    def _start(self, after_seq: int) -> Cursor | None:
        """Open the last segment that begins at or before the entry after `after_seq`."""
        for number in reversed(self._numbers):
            try:
                cursor = Cursor.of(self.folder, number, self._disk)
            except HeaderDamaged:
                continue  # judged when the walk comes to it from the segment before
            if cursor.header.first_seq <= after_seq + 1:
                self._cursor = cursor
                return cursor
            cursor.close()
        path = segment_path(self.folder, self._numbers[0])
        if len(self._numbers) == 1 and is_unborn(self.folder, self._numbers[0], self._disk):
            return None
        if (dropped := self._dropped(after_seq)) is not None:
            raise dropped
        text = f"the entries after {after_seq} are not there"
        raise self._damage(text, path, 0, after_seq, behind=self._numbers[0] - 1)

    def _dropped(self, after_seq: int) -> DamageFound | None:
        """Return what to raise if the entries that are wanted were dropped by rule."""
        if read_tombstone(self.folder, self._disk) is None:
            return None
        try:
            with Cursor.of(self.folder, self._numbers[0], self._disk) as cursor:
                last = cursor.header.first_seq - 1
                path = cursor.path
        except HeaderDamaged:
            return None  # Where it begins cannot be told.
        return EntriesDropped(
            f"entries {after_seq + 1} to {last} were dropped by the rules of retention",
            path=path,
            offset=0,
            last_good_seq=after_seq,
            resume_after_seq=last,
        )

    def _next(self, cursor: Cursor) -> Frame | None:
        """Return the next frame, None at the end of this segment as it stands now."""
        try:
            frame = cursor.next()
        except FrameDamaged:
            pass  # looked at again below, with nothing read ahead
        else:
            if frame is not None or cursor.sealed:
                return frame
        # The writer may have gone on since these bytes were read. What comes next is looked up
        # first: once there is a later segment, nobody writes to this one any more.
        final = self._successor(cursor) is not None
        cursor.reopen()
        try:
            return cursor.next()
        except FrameDamaged as error:
            if not final and is_tail(cursor, error):
                return None
            raise self._damage(
                str(error),
                cursor.path,
                cursor.offset,
                cursor.next_seq - 1,
                behind=cursor.header.number,
            ) from error

    def _successor(self, cursor: Cursor) -> int | None:
        self._numbers = segment_numbers(self._disk.names(self.folder))
        later = [number for number in self._numbers if number > cursor.header.number]
        return later[0] if later else None

    def _follow(self, cursor: Cursor) -> Cursor | None:
        """Open the segment after a finished one; None if there is none yet."""
        number, successor = cursor.header.number, self._successor(cursor)
        if successor is None:
            return None
        path = segment_path(self.folder, successor)
        last_good = cursor.next_seq - 1
        if successor != number + 1:
            text = f"segment {number + 1} is missing"
            raise self._damage(text, path, 0, last_good, behind=number)
        try:
            following = Cursor.of(self.folder, successor, self._disk)
        except HeaderDamaged as error:
            if successor == self._numbers[-1] and is_unborn(self.folder, successor, self._disk):
                return None
            raise self._damage(str(error), path, 0, last_good, behind=successor) from error
        trouble = does_not_follow(cursor, following)
        if trouble:
            following.close()
            raise self._damage(trouble, path, 0, last_good, behind=number)
        cursor.close()
        self._cursor = following
        return following

    def _damage(
        self, text: str, path: Path, offset: int, last_good_seq: int, *, behind: int
    ) -> DamageFound:
        resume = None
        for number in reversed(self._numbers):
            if number <= behind:
                break
            try:
                with Cursor.of(self.folder, number, self._disk) as cursor:
                    resume = cursor.header.first_seq - 1
            except HeaderDamaged:
                continue
        return DamageFound(
            text, path=path, offset=offset, last_good_seq=last_good_seq, resume_after_seq=resume
        )


def does_not_follow(before: Cursor, after: Cursor) -> str | None:
    """Return why the segment of `after` does not continue a finished `before`, None if it does."""
    header = after.header
    if header.journal_id != before.header.journal_id:
        return "the segment belongs to another journal"
    if header.prev_chain != before.chain:
        return "the segment does not follow from the one before it"
    if header.first_seq != before.next_seq:
        return f"the segment begins with entry {header.first_seq}, not {before.next_seq}"
    return None


def is_tail(cursor: Cursor, error: FrameDamaged) -> bool:
    """Say whether a bad frame of the last segment is torn or being written, not damaged."""
    if is_packed(cursor.path) or isinstance(error, ChainBroken | SeqBroken | SealBroken):
        return False
    return not frames_follow(cursor.rest(), cursor.next_seq)
