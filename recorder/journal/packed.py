"""Reading segments that are packed by zstd, and checking that they are nothing else.

The chain covers what is packed, never the packed bytes, which anybody may unpack with `zstd -d
--long=27`. They are made in packing.py.
"""

import io
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

import zstandard

from .files import Disk
from .frame import FrameDamaged
from .names import is_packed

WINDOW_LOG_MAX = 27
WINDOW_BYTES_MAX = 1 << WINDOW_LOG_MAX
PIECE_BYTES = 1 << 20
_BLOCK_HEAD_BYTES = 3
_BLOCK_RLE = 1
_CHECKSUM_BYTES = 4
_HEAD_BYTES_MAX = 18
_HEAD_BITS_UNUSED = 0x18


class PackedDamaged(FrameDamaged):
    """A packed segment is not what zstd made of it."""


def open_segment(path: Path, disk: Disk) -> BufferedReader:
    """Open a segment for reading, whichever form it has; the caller closes it. Raises OSError."""
    return open_packed(path, disk) if is_packed(path) else disk.open_read(path)


def open_packed(path: Path, disk: Disk) -> BufferedReader:
    """Open a packed file for reading what is in it; the caller closes it. Raises OSError."""
    file = disk.open_read(path)
    return BufferedReader(cast("io.RawIOBase", _Unpacked(file)), buffer_size=PIECE_BYTES)


def check_form(path: Path, disk: Disk) -> None:
    """Check what unpacking does not look at: that the file is one whole frame of zstd, no more.

    Raises PackedDamaged.
    """
    with disk.open_read(path) as file:
        try:
            end = _frame_end(file)
        except zstandard.ZstdError as error:
            raise PackedDamaged(f"the packed segment is damaged: {error}") from error
        file.seek(0, io.SEEK_END)
        if file.tell() != end:
            raise PackedDamaged("there are bytes behind the packed segment")


def _frame_end(file: BufferedReader) -> int:
    """Walk from block to block (RFC 8878 section 3.1.1) and return where the frame ends."""
    head = file.read(_HEAD_BYTES_MAX)
    found = zstandard.get_frame_parameters(head)
    sized = found.content_size not in (0, zstandard.CONTENTSIZE_UNKNOWN)
    if not sized or not found.has_checksum or found.dict_id or head[4] & _HEAD_BITS_UNUSED:
        raise PackedDamaged("the packed segment does not begin as xentrail writes it")
    place, last = zstandard.frame_header_size(head), 0
    while not last:
        file.seek(place)
        block = int.from_bytes(file.read(_BLOCK_HEAD_BYTES), "little")
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        place += _BLOCK_HEAD_BYTES + (1 if kind == _BLOCK_RLE else size)
        if not block:
            raise PackedDamaged("the packed segment is cut short")
    return place + _CHECKSUM_BYTES


class _Unpacked(io.RawIOBase):
    """The bytes of a packed file, read forwards; a step back begins at the start again."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._rewind()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        try:
            taken = self._stream.readinto(view)
        except zstandard.ZstdError as error:
            raise PackedDamaged(f"the packed segment is damaged: {error}") from error
        self._place += taken
        return taken

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        assert whence == io.SEEK_SET
        if offset < self._place:
            self._rewind()
        scratch = bytearray(min(PIECE_BYTES, offset - self._place))
        while self._place < offset:
            wanted = memoryview(scratch)[: offset - self._place]
            if not self.readinto(wanted):
                break
        return self._place

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _rewind(self) -> None:
        self._file.seek(0)
        decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
        self._stream = decompressor.stream_reader(self._file, read_size=PIECE_BYTES, closefd=False)
        self._place = 0
