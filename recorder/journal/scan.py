"""Reading the journal in order: every entry, or only those after a sequence number."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from ..errors import JournalError
from ..model import Entry
from .chain import GENESIS
from .codec import BadEntry, decode
from .files import Disk
from .header import HeaderDamaged
from .names import list_segments
from .segment import Cursor
from .walk import DamageFound, EntriesDropped, Walk

__all__ = ["DamageFound", "EntriesDropped", "Head", "begun", "head", "journal_id", "scan"]


class Head(msgspec.Struct, frozen=True):
    """The end of a journal: last sequence number (0 if empty), its chain in hex, segment count."""

    last_seq: int
    chain: str
    segments: int


def scan(folder: Path, *, after_seq: int = 0, disk: Disk | None = None) -> Iterator[Entry]:
    """Yield the entries after `after_seq`, in order; safe while a writer appends.

    A last frame that is torn or still being written ends the iteration. Raises DamageFound (a
    JournalDamaged) after the good entries before any other damage, and JournalError if `folder` is
    not a journal (at once, before the first entry is asked for).
    """
    return _scan(Walk(folder, disk or Disk()), after_seq)


def head(folder: Path, *, disk: Disk | None = None) -> Head:
    """Return where the journal ends; reads the last segment only. Raises as `scan` does."""
    with closing(Walk(folder, disk or Disk())) as walk, _readable(folder):
        cursor = walk.to_the_end()
        if cursor is None:
            return Head(0, GENESIS.hex(), walk.segments)
        return Head(cursor.next_seq - 1, cursor.chain.hex(), walk.segments)


def begun(folder: Path, *, disk: Disk | None = None) -> int:
    """Return the first sequence number of the last segment, 0 if none has a readable header.

    The journal has at least as many entries before it: that takes no reading. Raises JournalError
    if `folder` is not a journal.
    """
    disk = disk or Disk()
    for number in reversed(list_segments(folder, disk)):
        with _readable(folder), suppress(HeaderDamaged), Cursor.of(folder, number, disk) as cursor:
            return cursor.header.first_seq
    return 0


def journal_id(folder: Path, *, disk: Disk | None = None) -> str | None:
    """Return the name in hex that a journal got when it was begun, and that all its segments bear.

    None if no segment has a readable header. Raises JournalError if `folder` is not a journal.
    """
    disk = disk or Disk()
    for number in list_segments(folder, disk):
        with _readable(folder), suppress(HeaderDamaged), Cursor.of(folder, number, disk) as cursor:
            return cursor.header.journal_id.hex()
    return None


def _scan(walk: Walk, after_seq: int) -> Iterator[Entry]:
    last = after_seq
    with closing(walk), _readable(walk.folder):
        for frame in walk.frames(after_seq):
            first = frame.head.first_seq
            try:
                entries = [decode(item) for item in frame.items[max(0, after_seq + 1 - first) :]]
            except BadEntry as error:
                raise DamageFound(
                    str(error), path=frame.path, offset=frame.offset, last_good_seq=last
                ) from error
            yield from entries
            last = first + frame.head.count - 1


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JournalError(f"the journal in {folder} cannot be read: {error}") from error
