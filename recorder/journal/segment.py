"""One segment file: its name, its header, its seal, and the cursor that reads it frame by frame."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Self

from ..errors import JournalError
from .chain import CHAIN_BYTES, header_chain
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
    read_head,
)
from .header import HEADER_BYTES_MAX, PREFIX, Header, HeaderDamaged, read_header
from .merkle import MerkleTree

_NAME = re.compile(r"([0-9]{10})\.journal")


def segment_path(folder: Path, number: int) -> Path:
    """Return the path of segment `number`."""
    return folder / f"{number:010d}.journal"


def segment_numbers(names: Iterable[str]) -> list[int]:
    """Return the segment numbers among the names of a folder, ascending."""
    matches = (_NAME.fullmatch(name) for name in names)
    return sorted(int(match[1]) for match in matches if match)


def list_segments(folder: Path, disk: Disk) -> list[int]:
    """Return the numbers of the segments in `folder`. Raises JournalError if there are none."""
    try:
        numbers = segment_numbers(disk.names(folder))
    except OSError as error:
        raise JournalError(f"the journal in {folder} cannot be read: {error}") from error
    if numbers:
        return numbers
    if folder.is_dir():
        raise JournalError(f"{folder} holds no journal yet: has the recorder been started?")
    raise JournalError(f"there is no journal folder {folder}: check --data, or start the recorder")


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that passed every check: its items decoded from msgpack, not yet entries."""

    path: Path
    head: Head
    offset: int
    items: list[object]


class Cursor:
    """Reads one segment from its header on. Every frame is checked before it is handed out.

    `offset`, `chain` and `next_seq` are those after the last good frame; `last_offset` is where
    that frame (or the header) begins.
    """

    def __init__(self, path: Path, disk: Disk, *, rooted: bool = False) -> None:
        """Open `path` and read its header; `rooted` also checks the Merkle root of a seal.

        Raises HeaderDamaged, JournalError (a newer format), OSError. The caller closes the cursor.
        """
        self.path = path
        self._disk = disk
        self._file: BufferedReader = disk.open_read(path)
        try:
            self.header, raw = _read_file_header(self._file)
        except BaseException:
            self._file.close()
            raise
        self.chain = header_chain(raw)
        self.offset = len(raw)
        self.last_offset = 0
        self.next_seq = self.header.first_seq
        self.frames = 0
        self.sealed = False
        self.tree = MerkleTree() if rooted else None
        self._splitter = Splitter()
        self._buffer = bytearray(1 << 16)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def reopen(self) -> None:
        """Forget what was read ahead: a writer may have changed the end of the file since."""
        self._file.close()
        self._file = self._disk.open_read(self.path)
        self._file.seek(self.offset)

    def rest(self) -> bytes:
        """Return every byte after the last good frame."""
        self._file.seek(self.offset)
        return self._file.read()

    def next(self) -> Frame | None:
        """Return the next frame, or None at the end. Raises FrameDamaged and stays where it is."""
        read = self._read()
        if read is None:
            return None
        head, rest, chain = read
        if head.first_seq != self.next_seq:
            raise SeqBroken(f"a frame begins with entry {head.first_seq}, not {self.next_seq}")
        spans, items = self._splitter.items(head, rest[: head.length])
        leaves = check_chain(head, spans, before=self.chain, chain=chain)
        if head.flags == Flag.SEAL:
            self._check_seal(items)
            self._advance(head, chain, entries=0)
            self.sealed = True
        else:
            _check_seqs(head.first_seq, items)
            self._advance(head, chain, entries=head.count)
            if self.tree is not None:
                self.tree.add(leaves)
        return Frame(self.path, head, self.last_offset, items)

    def pass_by(self, after_seq: int) -> None:
        """Move past the frames that hold only entries up to `after_seq`, checking their CRC only.

        Stops before anything that is not such a frame, for `next` to judge.
        """
        while self.next_seq <= after_seq:
            self._file.seek(self.offset)
            try:
                read = self._read()
            except FrameDamaged:
                return
            if read is None:
                return
            head, _, chain = read
            follows = head.first_seq == self.next_seq and head.flags == Flag.DATA
            if not follows or head.first_seq + head.count - 1 > after_seq:
                return
            self._advance(head, chain, entries=head.count)

    def _read(self) -> tuple[Head, memoryview, bytes] | None:
        self._file.seek(self.offset)
        start = self._file.read(HEAD.size)
        if not start:
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
        return head, rest, check_crc(head, rest)

    def _advance(self, head: Head, chain: bytes, *, entries: int) -> None:
        self.last_offset = self.offset
        self.offset += head.frame_bytes
        self.chain = chain
        self.next_seq += entries
        self.frames += 1

    def _check_seal(self, items: list[object]) -> None:
        expected: list[object] = seal_item(self.header.first_seq, self.next_seq, self.frames, b"")
        match items:
            case [[*fields, bytes(root)]] if fields == expected[:-1] and len(root) == CHAIN_BYTES:
                if self.tree is not None and root != self.tree.root():
                    raise SealBroken("the Merkle root in the seal is not that of the entries")
            case _:
                raise SealBroken("the seal is not true of its segment")


def seal_item(first_seq: int, next_seq: int, frames: int, root: bytes) -> list[object]:
    """Return the one item of a seal frame."""
    return ["seal", first_seq, next_seq - 1, next_seq - first_seq, frames, root]


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
