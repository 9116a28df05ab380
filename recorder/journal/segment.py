"""One segment: its seal, and the cursor that reads it frame by frame, in either of its forms."""

from io import BufferedReader
from pathlib import Path
from typing import Self

import msgspec

from .chain import CHAIN_BYTES, CHAIN_RULES, header_chain
from .files import Disk
from .frame import (
    HEAD,
    Flag,
    FrameDamaged,
    Head,
    SealBroken,
    SeqBroken,
    Splitter,
    check_chain,
    check_crc,
    leaves_of,
    read_head,
)
from .header import HEADER_BYTES_MAX, PREFIX, Header, HeaderDamaged, read_header
from .names import find_segment, is_packed
from .packed import PackedDamaged, open_segment


class Frame(msgspec.Struct, frozen=True):
    """A frame that passed every check: its items decoded from msgpack, not yet entries."""

    path: Path
    head: Head
    offset: int
    items: list[object]
    leaves: list[bytes]


class Seal(msgspec.Struct, frozen=True):
    """What ends a segment: entries and data frames in it, the tree after it, a signed checkpoint.

    `note` is the text of the checkpoint; in format 1 there is none, and the root is that of a tree
    over the entries of the segment alone.
    """

    first_seq: int
    last_seq: int
    entries: int
    frames: int
    root: bytes
    note: str | None

    def item(self) -> list[object]:
        """Return the one item of a seal frame."""
        plain: list[object] = [
            "seal",
            self.first_seq,
            self.last_seq,
            self.entries,
            self.frames,
            self.root,
        ]
        return plain if self.note is None else [*plain, self.note]


class Cursor:
    """Reads one segment from its header on. Every frame is checked before it is handed out.

    `raw_header` is the header as it is. `offset`, `chain` and `next_seq` are those after the last
    good frame; `last_offset` is where that frame (or the header) begins. `seal` is known once it
    was read.
    """

    def __init__(self, path: Path, disk: Disk, *, rooted: bool = False) -> None:
        """Open `path` and read its header; `rooted` also checks the Merkle root of a seal.

        Raises HeaderDamaged, JournalError (a newer format), OSError. The caller closes the cursor.
        """
        self.path = path
        self._disk = disk
        self._file: BufferedReader = open_segment(path, disk)
        try:
            self.header, raw = _read_file_header(self._file)
        except PackedDamaged as error:
            self._file.close()
            raise HeaderDamaged(str(error)) from error
        except BaseException:
            self._file.close()
            raise
        self.raw_header = raw
        self.chain = header_chain(raw)
        self.offset = len(raw)
        self.last_offset = 0
        self.next_seq = self.header.first_seq
        self.frames = 0
        self.seal: Seal | None = None
        self.tree = self.header.tree() if rooted else None
        self._rule = CHAIN_RULES[self.header.format]
        self._splitter = Splitter()
        self._buffer = bytearray(1 << 16)
        self._start, self._rest = b"", memoryview(b"")

    @classmethod
    def of(cls, folder: Path, number: int, disk: Disk, *, rooted: bool = False) -> Self:
        """Open segment `number` in the form that it has now. Raises as the constructor does."""
        try:
            cursor = cls(find_segment(folder, number, disk), disk, rooted=rooted)
        except FileNotFoundError:  # it was packed between the look and the opening
            cursor = cls(find_segment(folder, number, disk), disk, rooted=rooted)
        if cursor.header.number != number:
            cursor.close()
            raise HeaderDamaged(f"the file says that it is segment {cursor.header.number}")
        return cursor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def sealed(self) -> bool:
        """Whether the seal was read."""
        return self.seal is not None

    @property
    def last_frame(self) -> bytes:
        """The bytes of the frame that was read last."""
        return self._start + bytes(self._rest)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def reopen(self) -> None:
        """Forget what was read ahead: a writer may have changed the end of the file since."""
        self._file.close()
        self._file = open_segment(self.path, self._disk)

    def rest(self) -> bytes:
        """Return every byte after the last good frame, as far as they can be read."""
        try:
            self._file.seek(self.offset)
            return self._file.read()
        except PackedDamaged:
            return b""

    def next(self) -> Frame | None:
        """Return the next frame, or None at the end. Raises FrameDamaged and stays where it is."""
        read = self._read()
        if read is None:
            return None
        head, rest, chain = read
        if head.first_seq != self.next_seq:
            raise SeqBroken(f"a frame begins with entry {head.first_seq}, not {self.next_seq}")
        spans, items = self._splitter.items(head, rest[: head.length])
        leaves = leaves_of(spans, items)
        check_chain(head, leaves, rule=self._rule, before=self.chain, chain=chain)
        match head.flags:
            case Flag.DATA:
                self._take_entries(head, items, leaves)
            case Flag.SEAL:
                self.seal = self._checked_seal(items)
            case _:
                _check_note(items)
        self._advance(head, chain)
        return Frame(self.path, head, self.last_offset, items, leaves)

    def pass_by(self, after_seq: int) -> None:
        """Move past the frames that hold only entries up to `after_seq`, checking their CRC only.

        Stops before anything that is not such a frame, for `next` to judge.
        """
        while self.next_seq <= after_seq:
            try:
                read = self._read()
            except FrameDamaged:
                return
            if read is None:
                return
            head, _, chain = read
            follows = head.first_seq == self.next_seq and head.flags != Flag.SEAL
            if not follows or head.next_seq - 1 > after_seq:
                return
            self.frames += head.flags == Flag.DATA
            self._advance(head, chain)

    def _read(self) -> tuple[Head, memoryview, bytes] | None:
        self._file.seek(self.offset)
        start = self._file.read(HEAD.size)
        if not start and (self.sealed or not is_packed(self.path)):
            return None
        if self.sealed:
            raise SealBroken("there are bytes after the seal")
        if len(start) < HEAD.size:
            raise FrameDamaged("a frame is cut short")
        head = read_head(start)
        size = head.frame_bytes - HEAD.size
        if size > len(self._buffer):
            self._buffer = bytearray(2 * size)
        # One buffer for all frames: fresh memory for each would cost more than its checksum.
        rest = memoryview(self._buffer)[:size]
        rest = rest[: self._file.readinto(rest)]
        self._start, self._rest = start, rest
        return head, rest, check_crc(head, rest)

    def _take_entries(self, head: Head, items: list[object], leaves: list[bytes]) -> None:
        _check_seqs(head.first_seq, items)
        self.frames += 1
        if self.tree is not None:
            self.tree.add(leaves)

    def _advance(self, head: Head, chain: bytes) -> None:
        self.last_offset = self.offset
        self.offset += head.frame_bytes
        self.chain = chain
        self.next_seq = head.next_seq

    def _checked_seal(self, items: list[object]) -> Seal:
        first, last = self.header.first_seq, self.next_seq - 1
        expected: list[object] = ["seal", first, last, last + 1 - first, self.frames]
        match items:
            case [[*said, bytes(root)]] if self.header.format == 1:
                note = None
            case [[*said, bytes(root), str(note)]] if self.header.format > 1:
                pass
            case _:
                raise SealBroken("the seal does not hold what a seal does")
        if said != expected or len(root) != CHAIN_BYTES:
            raise SealBroken("the seal is not true of its segment")
        if self.tree is not None and root != self.tree.root():
            raise SealBroken("the Merkle root in the seal is not that of the entries")
        return Seal(first, last, last + 1 - first, self.frames, root, note)


def _check_note(items: list[object]) -> None:
    if len(items) != 1 or not isinstance(items[0], str):
        raise FrameDamaged("a checkpoint is not a note")


def _check_seqs(first_seq: int, items: list[object]) -> None:
    for seq, item in enumerate(items, first_seq):
        if not isinstance(item, list) or not item or item[0] != seq:
            raise SeqBroken(f"a frame does not hold entry {seq} in its place")


def _read_file_header(file: BufferedReader) -> tuple[Header, bytes]:
    start = file.read(PREFIX.size)
    if len(start) < PREFIX.size:
        raise HeaderDamaged("the header is cut short")
    length = PREFIX.unpack(start)[1]
    raw = start + file.read(min(length, HEADER_BYTES_MAX))
    return read_header(raw), raw
