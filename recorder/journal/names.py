"""What the files in a journal's folder are called.

A segment has one of two forms: raw as it was written, or packed by zstd once it is sealed. Both at
a time are left by a crash while it was packed; then the raw one counts.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from ..errors import JournalError
from .files import Disk

PACKED = ".zst"
TEMPORARY = ".tmp"
LOCK = "LOCK"
QUARANTINE = "quarantine"
TOMBSTONE = "TOMBSTONE"

_NAME = re.compile(r"([0-9]{10})\.journal(?:\.zst)?")


def segment_path(folder: Path, number: int) -> Path:
    """Return the path of segment `number` in its raw form."""
    return folder / f"{number:010d}.journal"


def packed_path(folder: Path, number: int) -> Path:
    """Return the path of segment `number` in its packed form."""
    return folder / f"{number:010d}.journal{PACKED}"


def is_packed(path: Path) -> bool:
    """Say whether a path is that of a packed segment."""
    return path.suffix == PACKED


def segment_numbers(names: Iterable[str]) -> list[int]:
    """Return the segment numbers among the names of a folder, ascending, each once."""
    matches = (_NAME.fullmatch(name) for name in names)
    return sorted({int(match[1]) for match in matches if match})


def list_segments(folder: Path, disk: Disk) -> list[int]:
    """Return the numbers of the segments in `folder`. Raises JournalError if there are none."""
    try:
        numbers = segment_numbers(disk.names(folder))
    except OSError as error:
        raise JournalError(f"the journal in {folder} cannot be read: {error}") from error
    if numbers:
        return numbers
    if disk.exists(folder):
        raise JournalError(f"{folder} holds no journal yet: has the recorder been started?")
    raise JournalError(f"there is no journal folder {folder}: check --data, or start the recorder")


def find_segment(folder: Path, number: int, disk: Disk) -> Path:
    """Return the path under which segment `number` is there; the raw one if it is not."""
    raw, packed = segment_path(folder, number), packed_path(folder, number)
    if disk.exists(raw) or not disk.exists(packed):
        return raw
    return packed
