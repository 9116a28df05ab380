"""Checking a whole journal: findings instead of exceptions, and never a write."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from .chain import GENESIS
from .codec import BadEntry, decode
from .files import Disk
from .frame import ChainBroken, Flag, FrameDamaged, SealBroken, SeqBroken
from .header import HeaderDamaged
from .repair import any_frame, frames_follow
from .segment import Cursor, Frame, list_segments, segment_path


class FindingKind(StrEnum):
    """What is wrong with a journal."""

    TORN_TAIL = "torn-tail"  # the last frame is not whole: a crash, or it is being written now
    DAMAGED_FRAME = "damaged-frame"
    BROKEN_CHAIN = "broken-chain"
    MISSING_SEGMENT = "missing-segment"
    BAD_HEADER = "bad-header"
    SEQ_GAP = "seq-gap"
    BAD_SEAL = "bad-seal"
    BAD_ENTRY = "bad-entry"
    UNREADABLE = "unreadable"  # the system could not read the file


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong: segment number, offset in bytes, last good seq before it, and a sentence."""

    kind: FindingKind
    segment: int
    offset: int
    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` read and what it found; sound if there are no findings.

    `first_seq` and `last_seq` are 0 for an empty journal; `chain` is the last good one in hex, and
    `bytes` counts those of all segments.
    """

    findings: tuple[Finding, ...]
    entries: int
    frames: int
    segments: int
    first_seq: int
    last_seq: int
    chain: str
    bytes: int


def verify(folder: Path, *, progress: Callable[[int, int], None] | None = None) -> Report:
    """Check every byte of the journal in `folder`. Never raises for damage, never writes.

    `progress` is called with bytes checked and bytes in all. Raises JournalError only if `folder`
    is not a journal at all, or one of a newer format.
    """
    disk = Disk()
    return _Check(folder, disk, list_segments(folder, disk), progress).run()


class _Check:
    """One run over the segments there were when it began."""

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        numbers: list[int],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._numbers = numbers
        self._progress = progress
        self._sizes = {number: _size(segment_path(folder, number)) for number in numbers}
        self._bytes = sum(self._sizes.values())
        self._done = 0
        self._findings: list[Finding] = []
        self._entries = self._frames = self._first_seq = 0
        # What the next segment has to continue: None where the one before has no known end.
        self._chain: bytes | None = GENESIS
        self._last_chain = GENESIS
        self._next_seq = 1
        self._journal_id: bytes | None = None

    def run(self) -> Report:
        expected = 1
        for number in self._numbers:
            if number != expected:
                names = str(expected) if number == expected + 1 else f"{expected} to {number - 1}"
                self._find(FindingKind.MISSING_SEGMENT, expected, 0, f"missing: segment {names}")
                self._chain = None
            self._segment(number)
            expected = number + 1
            self._done += self._sizes[number]
            self._tell(0)
        return Report(
            tuple(self._findings),
            self._entries,
            self._frames,
            len(self._numbers),
            self._first_seq,
            self._next_seq - 1 if self._entries else 0,
            self._last_chain.hex(),
            self._bytes,
        )

    def _segment(self, number: int) -> None:
        try:
            with Cursor(segment_path(self._folder, number), self._disk, rooted=True) as cursor:
                self._header(number, cursor)
                self._body(number, cursor)
        except HeaderDamaged as error:
            self._find(self._header_kind(number), number, 0, str(error))
            self._chain = None
        except OSError as error:
            self._find(FindingKind.UNREADABLE, number, 0, str(error))
            self._chain = None

    def _header_kind(self, number: int) -> FindingKind:
        """Tell a last segment that was never finished from a damaged one."""
        path = segment_path(self._folder, number)
        with self._disk.open_read(path) as file:
            damaged = any_frame(file.read())
        if number == self._numbers[-1] and not damaged:
            return FindingKind.TORN_TAIL
        return FindingKind.BAD_HEADER

    def _header(self, number: int, cursor: Cursor) -> None:
        header = cursor.header
        if header.number != number:
            text = f"the file says that it is segment {header.number}"
            self._find(FindingKind.BAD_HEADER, number, 0, text)
        if self._journal_id not in (None, header.journal_id):
            text = "the segment belongs to another journal"
            self._find(FindingKind.BAD_HEADER, number, 0, text)
        if header.prev_chain != (self._chain or header.prev_chain):
            text = "the segment does not follow from the one before it"
            self._find(FindingKind.BROKEN_CHAIN, number, 0, text)
        if header.first_seq != self._next_seq:
            text = f"the segment begins with entry {header.first_seq}, not {self._next_seq}"
            self._find(FindingKind.SEQ_GAP, number, 0, text)
        self._check_damage(number, cursor)
        self._journal_id = header.journal_id
        self._next_seq = header.first_seq

    def _check_damage(self, number: int, cursor: Cursor) -> None:
        """Check that the damage that a header tells of is still what it was."""
        damage = cursor.header.damage
        if damage is None or damage.segment not in self._numbers:
            return
        with self._disk.open_read(segment_path(self._folder, damage.segment)) as file:
            file.seek(damage.offset)
            if sha256(file.read()).digest() != damage.sha256:
                text = f"the damaged bytes of segment {damage.segment} are not those found then"
                self._find(FindingKind.BAD_HEADER, number, 0, text)

    def _body(self, number: int, cursor: Cursor) -> None:
        self._last_chain = cursor.chain
        try:
            while (frame := cursor.next()) is not None:
                self._take(number, cursor, frame)
        except FrameDamaged as error:
            kind = self._kind(number, cursor, error)
            self._find(kind, number, cursor.offset, str(error))
        else:
            if not cursor.sealed and number != self._numbers[-1]:
                text = "the segment was left without a seal"
                self._find(FindingKind.BAD_SEAL, number, cursor.offset, text)
        self._chain = cursor.chain

    def _take(self, number: int, cursor: Cursor, frame: Frame) -> None:
        self._frames += 1
        self._last_chain = cursor.chain
        if frame.head.flags == Flag.DATA:
            try:
                for item in frame.items:
                    decode(item)
            except BadEntry as error:
                self._find(FindingKind.BAD_ENTRY, number, frame.offset, str(error))
            self._entries += frame.head.count
            self._first_seq = self._first_seq or frame.head.first_seq
        self._next_seq = cursor.next_seq
        self._tell(cursor.offset)

    def _kind(self, number: int, cursor: Cursor, error: FrameDamaged) -> FindingKind:
        match error:
            case ChainBroken():
                return FindingKind.BROKEN_CHAIN
            case SeqBroken():
                return FindingKind.SEQ_GAP
            case SealBroken():
                return FindingKind.BAD_SEAL
        last = number == self._numbers[-1]
        if last and not frames_follow(cursor.rest(), cursor.next_seq):
            return FindingKind.TORN_TAIL
        return FindingKind.DAMAGED_FRAME

    def _find(self, kind: FindingKind, segment: int, offset: int, text: str) -> None:
        self._findings.append(Finding(kind, segment, offset, self._next_seq - 1, text))

    def _tell(self, offset: int) -> None:
        if self._progress is not None:
            self._progress(self._done + offset, self._bytes)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
