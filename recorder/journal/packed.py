"""Sealed segments packed by zstd: made beside the raw file, compared with it, put in its place.

The chain covers what is packed, never the packed bytes, which anybody may unpack with `zstd -d
--long=27`.
"""

import io
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

import zstandard

from .files import Disk
from .frame import FrameDamaged
from .names import TEMPORARY, is_packed, packed_path, segment_path

LEVEL = 3
# Records of one object come back minutes apart: a window over the whole segment packs 2.5 times
# better than that of the level (measured: 76 bytes an event instead of 190).
WINDOW_LOG_MAX = 27
WINDOW_BYTES_MAX = 1 << WINDOW_LOG_MAX
PIECE_BYTES = 1 << 20
_BLOCK_HEAD_BYTES = 3
_BLOCK_RLE = 1
_CHECKSUM_BYTES = 4
_HEAD_BYTES_MAX = 18


class PackedDamaged(FrameDamaged):
    """A packed segment is not what zstd made of it."""


def open_segment(path: Path, disk: Disk) -> BufferedReader:
    """Open a segment for reading, whichever form it has; the caller closes it. Raises OSError."""
    file = disk.open_read(path)
    if not is_packed(path):
        return file
    return BufferedReader(cast("io.RawIOBase", _Unpacked(file)), buffer_size=PIECE_BYTES)


def pack_segment(folder: Path, number: int, disk: Disk) -> None:
    """Put a packed file in the place of a sealed raw one; a crash leaves one of them whole.

    Raises OSError, and PackedDamaged if what was packed does not unpack to the same bytes.
    """
    raw, packed = segment_path(folder, number), packed_path(folder, number)
    if not disk.exists(packed):
        temporary = packed.with_name(packed.name + TEMPORARY)
        if disk.exists(temporary):
            disk.remove(temporary)
        _pack(raw, temporary, disk)
        _compare(raw, temporary, disk)
        disk.rename(temporary, packed)
        disk.sync_folder(folder)
    else:
        _compare(raw, packed, disk)
    disk.remove(raw)
    disk.sync_folder(folder)


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
    if not found.has_checksum or found.dict_id or head[4] & 0x18:
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


def _pack(raw: Path, target: Path, disk: Disk) -> None:
    with disk.open_read(raw) as source:
        size = source.seek(0, io.SEEK_END)
        source.seek(0)
        window_log = min(WINDOW_LOG_MAX, max(10, (size - 1).bit_length()))
        parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL,
            source_size=size,
            window_log=window_log,
            enable_ldm=True,
            write_checksum=True,
            write_content_size=True,
        )
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=size)
        fd = disk.create(target)
        try:
            while piece := source.read(PIECE_BYTES):
                disk.write_all(fd, packer.compress(piece))
            disk.write_all(fd, packer.flush())
            disk.sync(fd)
        finally:
            disk.close(fd)


def _compare(raw: Path, packed: Path, disk: Disk) -> None:
    check_form(packed, disk)
    with disk.open_read(raw) as left, open_segment(packed, disk) as right:
        while piece := left.read(PIECE_BYTES):
            if right.read(len(piece)) != piece:
                raise PackedDamaged(f"{packed} does not hold what {raw} does: remove it")
        if right.read(1):
            raise PackedDamaged(f"{packed} holds more than {raw}: remove it")


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
