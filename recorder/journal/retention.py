"""Dropping the oldest segments, whole, by age and by size, with a signed word of what they were.

In this order: a mark in the journal, the tombstone, the files. A crash in between leaves more than
there should be, never less; the next drop takes up what it left.
"""

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import msgspec

from ..model import RECORDER, Detail, Draft, Mark, MarkName
from .files import Disk
from .frame import FrameDamaged
from .header import Header, HeaderDamaged
from .names import TEMPORARY, find_segment, packed_path, segment_numbers, segment_path
from .notary import origin_of
from .note import BadNote, parse_note
from .segment import Cursor
from .store import Journal
from .tombstone import Tombstone, read_tombstone, write_tombstone


class Rules(msgspec.Struct, frozen=True):
    """What is kept: entries younger than `age_max_s`, segments of `bytes_max` in all; None: all.

    The segment that is being written is always kept.
    """

    age_max_s: float | None = None
    bytes_max: int | None = None


def last_to_drop(folder: Path, disk: Disk, rules: Rules, *, now_ns: int) -> int | None:
    """Return the number of the last segment that the rules do not keep, None if they keep all.

    Raises OSError.
    """
    numbers = segment_numbers(disk.names(folder))
    sizes = {number: disk.size(find_segment(folder, number, disk)) for number in numbers}
    kept_bytes, last = sum(sizes.values()), None
    for number, following in pairwise(numbers):
        header = _header(folder, following, disk)
        if header is None or header.format == 1:
            kept_bytes -= sizes[number]
            continue  # It cannot say what was before it, so that it cannot become the first.
        age_ns = now_ns - header.created_ns
        too_old = rules.age_max_s is not None and age_ns > rules.age_max_s * 1e9
        too_much = rules.bytes_max is not None and kept_bytes > rules.bytes_max
        if not too_much and not too_old:
            break
        last = number
        kept_bytes -= sizes[number]
    return last


def drop(journal: Journal, last: int) -> Detail:
    """Delete the segments up to number `last`, whose successor must be readable, and say so.

    Returns the detail of the DROPPED mark. Raises JournalWriteFailed, DiskFull before anything is
    deleted; OSError, after which it can be done again.
    """
    folder, disk = journal.folder, journal.disk
    header = _header(folder, last + 1, disk)
    assert header is not None
    tombstone = _tombstone(folder, disk, header, last)
    doomed = [number for number in segment_numbers(disk.names(folder)) if number <= last]
    size = sum(disk.size(find_segment(folder, number, disk)) for number in doomed)
    detail: Detail = {
        "first_segment": doomed[0],
        "last_segment": last,
        "last_seq": tombstone.last_seq,
        "entries_in_all": tombstone.entries,
        "bytes": size,
        "root": tombstone.root.hex(),
    }
    journal.append([Draft(journal.now_ns, RECORDER, Mark(MarkName.DROPPED, detail))])
    write_tombstone(folder, journal.notary.sign_text(tombstone.text()), disk)
    for number in doomed:
        _remove(folder, number, disk)
        disk.sync_folder(folder)  # each by itself, so that no crash leaves a hole
    return detail


def _tombstone(folder: Path, disk: Disk, header: Header, last: int) -> Tombstone:
    before = read_tombstone(folder, disk)
    begun_ns = header.created_ns
    first = _header(folder, segment_numbers(disk.names(folder))[0], disk)
    if first is not None:
        begun_ns = first.created_ns
    if before is not None:
        # Of a bad one `verify` has told; what it said of the beginning is lost.
        with suppress(BadNote):
            begun_ns = Tombstone.parse(parse_note(before).text).begun_ns
    return Tombstone(
        origin_of(header.journal_id),
        last,
        header.first_seq - 1,
        header.tree_size,
        begun_ns,
        header.created_ns,
        header.tree().root(),
        header.prev_chain,
    )


def _header(folder: Path, number: int, disk: Disk) -> Header | None:
    try:
        with Cursor.of(folder, number, disk) as cursor:
            return cursor.header
    except (HeaderDamaged, FrameDamaged):
        return None


def _remove(folder: Path, number: int, disk: Disk) -> None:
    raw, packed = segment_path(folder, number), packed_path(folder, number)
    for path in (packed.with_name(packed.name + TEMPORARY), packed):
        if disk.exists(path):
            disk.remove(path)
    if disk.exists(raw):
        # The raw file counts while there are both, and may lack a snapshot that was redacted: a
        # crash must not leave the packed one, which has it, in its place.
        disk.sync_folder(folder)
        disk.remove(raw)
