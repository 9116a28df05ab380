"""Is the journal that the report was read from sound, and who vouches for it?"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from recorder.errors import JournalError
from recorder.journal.files import Disk
from recorder.journal.newest import newest
from recorder.journal.note import BadNote, parse_note
from recorder.journal.verify import verify

Progress = Callable[[int, int], None]
"""Told how many bytes are checked, and how many there are."""


class Flaw(msgspec.Struct, frozen=True):
    """A finding of `xentrail verify`; `seq` is the last good entry before it."""

    kind: str
    text: str
    segment: int
    offset: int
    seq: int


class Verified(msgspec.Struct, frozen=True):
    """What checking every byte of the journal found; sound if there are no flaws."""

    flaws: list[Flaw]
    entries: int
    first_seq: int
    last_seq: int
    segments: int
    bytes: int
    checkpoints: int
    signed_seq: int
    redacted: int
    dropped_seq: int | None


class Integrity(msgspec.Struct, frozen=True):
    """The verdict, None if nobody asked for it, and the newest checkpoint, a signed note.

    `signed_seq` is the last entry that the checkpoint vouches for, `key_id` is that of the key that
    signed it, in hex. `trouble` says why no checkpoint is told.
    """

    verified: Verified | None
    note: str | None
    signed_seq: int
    key_id: str | None
    trouble: str | None


def integrity_of(folder: Path, *, verified: bool, progress: Progress | None = None) -> Integrity:
    """Check the journal in `folder` if `verified` says so, and find its newest checkpoint.

    Raises JournalError if it is no journal.
    """
    verdict = _verified(folder, progress) if verified else None
    try:
        found = newest(folder, Disk())
    except JournalError as error:
        return Integrity(verdict, None, 0, None, str(error))
    if found.note is None:
        trouble = "there is none yet: one comes within a minute of traffic"
        return Integrity(verdict, None, 0, None, trouble)
    return Integrity(verdict, found.note, found.signed_seq, _key_id(found.note), None)


def _verified(folder: Path, progress: Progress | None) -> Verified:
    report = verify(folder, progress=progress)
    flaws = [
        Flaw(found.kind.value, found.text, found.segment, found.offset, found.seq)
        for found in report.findings
    ]
    return Verified(
        flaws=flaws,
        entries=report.entries,
        first_seq=report.first_seq,
        last_seq=report.last_seq,
        segments=report.segments,
        bytes=report.bytes,
        checkpoints=report.checkpoints,
        signed_seq=report.signed_seq,
        redacted=report.redacted,
        dropped_seq=report.dropped.last_seq if report.dropped else None,
    )


def _key_id(note: str) -> str | None:
    """Return the id of the key that a note says it is signed by."""
    try:
        return parse_note(note).signatures[0].key_id.hex()
    except BadNote:
        return None  # In a journal that is damaged; `verify` says how.
