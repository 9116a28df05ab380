"""Packing sealed segments with zstd: beside the raw file, compared with it, then in its place."""

import io
from collections.abc import Iterator
from pathlib import Path

import zstandard

from .files import Disk
from .frame import FrameDamaged
from .header import HeaderDamaged
from .names import TEMPORARY, packed_path, segment_numbers, segment_path
from .packed import PIECE_BYTES, WINDOW_LOG_MAX, PackedDamaged, check_form, open_packed
from .segment import Cursor

LEVEL = 3
# Records of one object come back minutes apart: a window over the whole segment packs 2.5 times
# better than that of the level (measured: 76 bytes an event instead of 190).
_WINDOW_LOG_MIN = 10


def to_pack(folder: Path, disk: Disk) -> list[int]:
    """Return the numbers of the segments that are still raw, but for the one being written.

    Raises OSError.
    """
    numbers = segment_numbers(disk.names(folder))[:-1]
    return [number for number in numbers if disk.exists(segment_path(folder, number))]


def pack_segment(folder: Path, number: int, disk: Disk) -> bool:
    """Put a packed file in the place of a raw one; a crash leaves one of them whole.

    A segment that is not whole, or not sealed, stays as it is: False. Raises OSError, and
    PackedDamaged if what was packed does not unpack to the same bytes.
    """
    raw, packed = segment_path(folder, number), packed_path(folder, number)
    end = _end_of(raw, disk)
    if end is None:
        return False
    if disk.exists(packed) and not _is_packed_from(raw, packed, end, disk):
        disk.remove(packed)
        disk.sync_folder(folder)
    if not disk.exists(packed):
        temporary = packed.with_name(packed.name + TEMPORARY)
        disk.write_file(temporary, _packed(raw, disk))
        _compare(raw, temporary, disk)
        disk.rename(temporary, packed)
        disk.sync_folder(folder)
    disk.remove(raw)
    disk.sync_folder(folder)
    return True


def _end_of(path: Path, disk: Disk) -> bytes | None:
    """Return the chain at the end of a segment, None if it is not whole and sealed."""
    try:
        with Cursor(path, disk, rooted=True) as cursor:
            while cursor.next() is not None:
                pass
            return cursor.chain if cursor.sealed else None
    except (FrameDamaged, HeaderDamaged):
        return None


def _is_packed_from(raw: Path, packed: Path, end: bytes, disk: Disk) -> bool:
    """Say whether a packed file that is there already is that of the raw one beside it.

    It is not if a redaction died between the two: the raw one lacks a body and has the same end.
    """
    try:
        _compare(raw, packed, disk)
    except PackedDamaged:
        if _end_of(packed, disk) not in (None, end):
            raise
        return False
    return True


def _packed(raw: Path, disk: Disk) -> Iterator[bytes]:
    """Yield the packed form of a segment."""
    with disk.open_read(raw) as source:
        size = source.seek(0, io.SEEK_END)
        source.seek(0)
        window_log = min(WINDOW_LOG_MAX, max(_WINDOW_LOG_MIN, (size - 1).bit_length()))
        parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL,
            source_size=size,
            window_log=window_log,
            enable_ldm=True,
            write_checksum=True,
            write_content_size=True,
        )
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=size)
        while piece := source.read(PIECE_BYTES):
            yield packer.compress(piece)
        yield packer.flush()


def _compare(raw: Path, packed: Path, disk: Disk) -> None:
    check_form(packed, disk)
    with disk.open_read(raw) as left, open_packed(packed, disk) as right:
        while piece := left.read(PIECE_BYTES):
            if right.read(len(piece)) != piece:
                raise PackedDamaged(f"{packed} does not hold what {raw} does: remove one of them")
        if right.read(1):
            raise PackedDamaged(f"{packed} holds more than {raw}: remove one of them")
