"""Making the proof of one entry, from the one segment that holds it, raw or packed."""

from pathlib import Path

import msgspec

from ..errors import JournalDamaged, JournalError
from .codec import BadEntry, telling
from .files import Disk
from .frame import Flag, FrameDamaged, items_of
from .header import FORMAT_VERSION, Header, HeaderDamaged
from .merkle import inclusion_path
from .names import list_segments
from .proof import BadProof, Proof, SealedSpan, check
from .repair import key_in
from .segment import Cursor, Frame
from .tombstone import read_tombstone
from .walk import is_tail


class CannotProve(JournalError):
    """There is no proof of this entry, or none yet."""


class _Found(msgspec.Struct):
    """What was found on the way through a segment; `item` is None until the entry came."""

    header: Header
    seq: int
    key: str
    leaves: list[bytes] = msgspec.field(default_factory=list)
    item: bytes | None = None
    index: int = 0

    def take(self, frame: Frame, data: bytes) -> None:
        """Take the entries of a data frame, whose bytes are `data`."""
        place = self.seq - frame.head.first_seq
        if 0 <= place < frame.head.count:
            self.item = items_of(data)[place]
            self.index = self.header.tree_size + len(self.leaves) + place
        self.leaves += frame.leaves
        for entry in telling(frame.items):
            self.key = (self.key, *key_in(entry.body))[-1]

    def proof(self, note: str, seal: SealedSpan | None) -> Proof:
        """Return the proof by a checkpoint of all entries so far."""
        assert self.item is not None
        path = inclusion_path(self.index, before=self.header.tree(), leaves=self.leaves)
        size = self.header.tree_size + len(self.leaves)
        return Proof(self.seq, self.item, self.index, size, tuple(path), seal, note, self.key)


def prove(folder: Path, seq: int, disk: Disk) -> Proof:
    """Return the proof of entry `seq` of the journal in `folder`, which may be written to.

    The first checkpoint behind the entry vouches for it. The proof has been checked. Raises
    CannotProve, which says why and whether to wait; JournalDamaged; JournalError.
    """
    numbers = list_segments(folder, disk)
    behind: int | None = None
    for number in reversed(numbers):
        try:
            with Cursor.of(folder, number, disk, rooted=True) as cursor:
                if cursor.header.first_seq <= seq:
                    return _checked(_in_segment(cursor, seq, behind))
            behind = number
        except HeaderDamaged:
            # The last one may only be being created. What another one held is missed before it.
            behind = None if number == numbers[-1] else number
        except OSError as error:
            raise JournalError(f"segment {number} of {folder} cannot be read: {error}") from error
        except (BadEntry, FrameDamaged) as error:
            raise JournalDamaged(
                f"entry {seq} cannot be proven: segment {number} is damaged before the next"
                f" checkpoint: {error}; see `xentrail verify`"
            ) from error
    raise CannotProve(_why_not_there(folder, seq, disk))


def _in_segment(cursor: Cursor, seq: int, behind: int | None) -> Proof:
    """Return the proof from the segment that the entry belongs into; `behind` is the next one."""
    header = cursor.header
    found = _Found(header, seq, header.keys[-1] if header.keys else "")
    while (frame := _next(cursor, behind)) is not None:
        if frame.head.flags == Flag.DATA:
            found.take(frame, cursor.last_frame)
        elif found.item is not None and header.format == FORMAT_VERSION:
            return found.proof(*_checkpoint(cursor, frame))
    raise CannotProve(_why_not(found, cursor, behind))


def _next(cursor: Cursor, behind: int | None) -> Frame | None:
    """Return the next frame, None at the end, which may be torn or being written."""
    try:
        return cursor.next()
    except FrameDamaged:
        cursor.reopen()  # the writer may have gone on since these bytes were read
    try:
        return cursor.next()
    except FrameDamaged as error:
        if behind is None and is_tail(cursor, error):
            return None
        raise


def _checkpoint(cursor: Cursor, frame: Frame) -> tuple[str, SealedSpan | None]:
    seal = cursor.seal
    if seal is None:
        return str(frame.items[0]), None
    assert seal.note is not None
    return seal.note, SealedSpan(seal.first_seq, seal.last_seq, seal.entries, seal.root)


def _checked(proof: Proof) -> Proof:
    try:
        check(proof)
    except BadProof as error:
        raise JournalDamaged(
            f"entry {proof.seq} cannot be proven: {error}; see `xentrail verify`"
        ) from error
    return proof


def _why_not(found: _Found, cursor: Cursor, behind: int | None) -> str:
    seq, number, end = found.seq, found.header.number, cursor.next_seq - 1
    if found.item is None and behind is None:
        return f"there is no entry {seq}: the journal ends at {end}"
    if found.item is None:
        return f"entry {seq} cannot be read: it lies in damage, see `xentrail verify`"
    if found.header.format != FORMAT_VERSION:
        return (
            f"entry {seq} is in segment {number}, which has format {found.header.format}, in which"
            " nothing was signed: what came later vouches for it, but only the journal as a whole"
            " shows that, see `xentrail verify`"
        )
    if behind is None:
        return (
            f"entry {seq} is in no signed checkpoint yet: one comes within a minute of traffic, or"
            " when the recorder stops"
        )
    return (
        f"segment {number} was left because of damage before a checkpoint of entry {seq} was"
        " signed: only the journal as a whole shows that it was there, see `xentrail verify`"
    )


def _why_not_there(folder: Path, seq: int, disk: Disk) -> str:
    if seq < 1:
        return f"there is no entry {seq}: they are numbered from 1"
    if read_tombstone(folder, disk) is not None:
        return f"entry {seq} was dropped by the rules of retention"
    return f"entry {seq} cannot be read: its segment is missing, see `xentrail verify`"
