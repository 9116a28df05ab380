"""Taking the snapshot of one entry out of the journal, with a word of who wanted it, and why.

The leaf hash of the entry as it was takes its place. Chain, tree, checkpoints and the proofs of all
other entries stay what they were; a proof of this one still proves that it was there.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec

from ..errors import JournalError
from ..model import (
    RECORDER,
    AuditLine,
    BaselineRecord,
    Detail,
    Draft,
    Entry,
    Event,
    Mark,
    MarkName,
    Redacted,
)
from .codec import AUDIT_LINE, BadEntry, decode, redacted_item
from .files import Disk
from .frame import Flag, FrameDamaged, rebuilt
from .header import HeaderDamaged
from .names import TEMPORARY, packed_path, segment_numbers, segment_path
from .packing import pack_segment
from .segment import Cursor, Frame
from .store import Journal


class CannotRedact(JournalError):
    """The snapshot of this entry cannot be taken out of the journal."""


class Place(msgspec.Struct, frozen=True):
    """Where an entry is: segment, frame and place in it; its leaf, its item without snapshot."""

    number: int
    offset: int
    index: int
    leaf: bytes
    entry: Entry
    without: bytes


def redact(journal: Journal, seq: int, reason: str, *, by: str) -> Detail:
    """Replace the snapshot of entry `seq` by its leaf hash; return the detail of the REDACTED mark.

    Durable when it returns. A crash in the middle leaves the entry as it was, with a mark that says
    what was wanted: it is asked for again then. Raises CannotRedact, which says why, JournalError,
    JournalWriteFailed, OSError.
    """
    place = _find(journal.folder, seq, journal.disk, next_seq=journal.next_seq)
    body = place.entry.body
    if isinstance(body, Redacted):
        raise CannotRedact(f"entry {seq} has been redacted already")
    if not isinstance(body, Event | BaselineRecord | AuditLine):
        raise CannotRedact(
            f"entry {seq} holds no record of a pool: only events, baseline records and audit lines"
            " are redacted"
        )
    if place.number == segment_numbers(journal.disk.names(journal.folder))[-1]:
        journal.begin_segment()  # nothing is changed in a segment that is being written
    detail: Detail = {
        "seq": seq,
        "leaf": place.leaf.hex(),
        "item": sha256(place.without).hexdigest(),
        "reason": reason,
        "by": by,
        "pool": place.entry.pool,
        **_whose(body),
        "received_at_ns": place.entry.received_at_ns,
    }
    journal.append([Draft(journal.now_ns, RECORDER, Mark(MarkName.REDACTED, detail))])
    _rewrite(journal.folder, place, journal.disk)
    return detail


def _whose(body: Event | BaselineRecord | AuditLine) -> Detail:
    if isinstance(body, AuditLine):
        return {"class": AUDIT_LINE, "ref": body.host}
    return {"class": body.cls, "ref": body.ref}


def _find(folder: Path, seq: int, disk: Disk, *, next_seq: int) -> Place:
    if not 0 < seq < next_seq:
        raise CannotRedact(f"there is no entry {seq}: the journal ends at {next_seq - 1}")
    for number in reversed(segment_numbers(disk.names(folder))):
        try:
            with Cursor.of(folder, number, disk) as cursor:
                if cursor.header.first_seq > seq:
                    continue
                if cursor.header.format == 1:
                    raise CannotRedact(
                        f"entry {seq} is in segment {number}, which has format 1: its chain covers"
                        " the lengths of entries, so that nothing can be taken out"
                    )
                return _place_in(cursor, number, seq)
        except (HeaderDamaged, FrameDamaged, BadEntry) as error:
            raise CannotRedact(f"segment {number} is damaged: {error}") from error
    raise CannotRedact(f"entry {seq} was dropped by the rules of retention")


def _place_in(cursor: Cursor, number: int, seq: int) -> Place:
    cursor.pass_by(seq - 1)
    for frame in _data_frames(cursor):
        first = frame.head.first_seq
        if first <= seq < first + frame.head.count:
            index = seq - first
            item, leaf = frame.items[index], frame.leaves[index]
            without = redacted_item(item, leaf)
            return Place(number, frame.offset, index, leaf, decode(item), without)
    raise CannotRedact(f"entry {seq} cannot be read: it lies in damage, see `xentrail verify`")


def _data_frames(cursor: Cursor) -> Iterator[Frame]:
    # What is passed by is not checked for its chain; verify does that.
    while (frame := cursor.next()) is not None:
        if frame.head.flags == Flag.DATA:
            yield frame


def _rewrite(folder: Path, place: Place, disk: Disk) -> None:
    """Put a segment without the snapshot in the place of the one with it."""
    raw, packed = segment_path(folder, place.number), packed_path(folder, place.number)
    was_packed = not disk.exists(raw)
    temporary = raw.with_name(raw.name + TEMPORARY)
    disk.write_file(temporary, _pieces(folder, place, disk))
    disk.rename(temporary, raw)
    disk.sync_folder(folder)
    if disk.exists(packed):
        disk.remove(packed)  # the raw file counts while there are both
        disk.sync_folder(folder)
    if was_packed:
        pack_segment(folder, place.number, disk)


def _pieces(folder: Path, place: Place, disk: Disk) -> Iterator[bytes]:
    """Yield the bytes of the segment, frame by frame, with the one item replaced."""
    with Cursor.of(folder, place.number, disk) as cursor:
        yield cursor.raw_header
        while (frame := cursor.next()) is not None:
            if frame.offset == place.offset:
                yield rebuilt(cursor.last_frame, {place.index: place.without})
            else:
                yield cursor.last_frame
