"""What crashes were found to leave behind in rare cases, each by itself."""

from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from recorder.journal.files import Disk
from recorder.journal.names import segment_path
from recorder.journal.packing import pack_segment
from recorder.journal.redaction import redact
from recorder.journal.retention import drop
from recorder.journal.scan import head, scan
from recorder.journal.segment import Cursor
from recorder.journal.verify import FindingKind, verify
from recorder.journal.walk import EntriesDropped
from recorder.model import Entry, Redacted
from tests.journal.memorydisk import Crash, MemoryDisk, Plan
from tests.journal.samples import abandon, event, open_journal, repairs


def kinds(folder: Path) -> list[FindingKind]:
    return [finding.kind for finding in verify(folder).findings]


@pytest.mark.parametrize("stop_at", range(1, 12))
def test_folder_that_a_dead_process_made_is_made_durable(stop_at: int) -> None:
    """Killed before it could sync the name of a new folder: the next process does it."""
    folder = Path("/a/b/journal")
    for seed in range(20):
        disk = MemoryDisk(Random(seed))
        disk.begin(Plan(stop_at=stop_at))
        with pytest.raises(Crash):
            disk.make_folder(folder)
        disk = disk.kill()
        open_journal(folder, disk=disk).append([event(1)])
        assert [entry.body for entry in scan(folder, disk=disk.crash())] == [event(1).body]


def write_two_segments(folder: Path) -> list[Entry]:
    """Write a sealed segment of two entries and one of two more, which a kill ended."""
    journal = open_journal(folder)
    journal.append([event(1)])
    journal.append([event(2)])
    journal.begin_segment()
    journal.append([event(3)])
    journal.append([event(4)])
    abandon(journal)
    return list(scan(folder))


def frame_offsets(path: Path) -> list[int]:
    """Where the frames of a segment begin."""
    with Cursor(path, Disk()) as cursor:
        offsets = [cursor.offset]
        while cursor.next() is not None:
            offsets.append(cursor.offset)
        return offsets[:-1]


@pytest.mark.parametrize("filler", [b"", bytes(512), b"\xa5" * 100], ids=["none", "zeros", "noise"])
def test_old_blocks_in_a_torn_tail_do_not_make_it_damage(tmp_path: Path, filler: bytes) -> None:
    """A block of the segment before, with its last frame and seal, is no proof of later frames."""
    truth = write_two_segments(tmp_path)
    first, last = segment_path(tmp_path, 1), segment_path(tmp_path, 2)
    old = first.read_bytes()[frame_offsets(first)[1] :]
    torn = last.read_bytes()[: frame_offsets(last)[0] + 30] + filler + old
    last.write_bytes(torn)
    assert kinds(tmp_path) == [FindingKind.TORN_TAIL]
    assert list(scan(tmp_path)) == truth[:2]
    with open_journal(tmp_path) as journal:
        assert [detail["reason"] for detail in journal.repairs] == ["torn-tail"]
        journal.append([event(5)])
    assert list(scan(tmp_path))[:2] == truth[:2]
    assert kinds(tmp_path) == []


@pytest.mark.parametrize("offset", [0, 10])
def test_unborn_segment_in_old_blocks_is_begun_anew(tmp_path: Path, offset: int) -> None:
    """A new segment whose blocks still hold an old one, header and all, was never there."""
    truth = write_two_segments(tmp_path)
    open_journal(tmp_path).close()
    end = head(tmp_path)
    number = end.segments
    unborn = segment_path(tmp_path, number)
    old = segment_path(tmp_path, 1).read_bytes()[offset:]
    unborn.write_bytes(old)
    assert kinds(tmp_path) == [FindingKind.TORN_TAIL]
    assert list(scan(tmp_path)) == truth
    assert list(scan(tmp_path, after_seq=3)) == truth[3:]
    assert head(tmp_path).last_seq == end.last_seq
    with open_journal(tmp_path) as journal:
        (detail,) = journal.repairs
        assert (detail["reason"], detail["segment"], detail["offset"]) == ("torn-tail", number, 0)
        assert (tmp_path / str(detail["kept_in"])).read_bytes() == old
        journal.append([event(5)])
    entries = list(scan(tmp_path))
    assert entries[: len(truth)] == truth
    assert len(repairs(entries)) == 1
    assert kinds(tmp_path) == []


def test_segment_with_newer_entries_and_an_old_header_is_no_unborn_one(tmp_path: Path) -> None:
    """Entries that came later than those before prove that there was a header: it is damage."""
    write_two_segments(tmp_path)
    first, last = segment_path(tmp_path, 1), segment_path(tmp_path, 2)
    header = first.read_bytes()[: frame_offsets(first)[0]]
    data = header + last.read_bytes()[frame_offsets(last)[0] :]
    last.write_bytes(data)
    assert FindingKind.BAD_HEADER in kinds(tmp_path)
    with open_journal(tmp_path) as journal:
        assert journal.next_seq > 4
        assert [detail["reason"] for detail in journal.repairs] == ["damage"]
    assert last.read_bytes() == data


def test_quarantine_finds_a_name_whichever_copies_are_left(tmp_path: Path) -> None:
    """The second copy of a tail may be there without the first, which a crash took."""
    journal = open_journal(tmp_path)
    journal.append([event(1)])
    abandon(journal)
    path = segment_path(tmp_path, 1)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"torn")
    (tmp_path / "quarantine").mkdir()
    other = tmp_path / "quarantine" / f"0000000001-{size:010d}-2.torn-tail"
    other.write_bytes(b"other")
    with open_journal(tmp_path) as journal:
        (detail,) = journal.repairs
    assert detail["kept_in"] == f"quarantine/0000000001-{size:010d}-1.torn-tail"
    assert (tmp_path / str(detail["kept_in"])).read_bytes() == b"torn"
    assert other.read_bytes() == b"other"


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_drop_does_not_bring_back_what_was_redacted(nth: int) -> None:
    """A segment has two files after a redaction that was killed: the one without it goes last."""
    folder = Path("/journal")
    for seed in range(20):
        disk = MemoryDisk(Random(seed))
        journal = open_journal(folder, disk=disk)
        journal.append([event(1)])
        journal.begin_segment()
        assert pack_segment(folder, 1, disk)
        disk.begin(Plan(stop_at=1, stop_among=["remove"]))
        with pytest.raises(Crash):
            redact(journal, 1, "asked for", by="tests")
        disk = disk.kill()
        journal = open_journal(folder, disk=disk)
        assert isinstance(next(scan(folder, disk=disk)).body, Redacted)
        disk.begin(Plan(stop_at=nth, stop_among=["remove", "sync_folder"]))
        with suppress(Crash):
            drop(journal, 1)
        left = disk.kill() if seed % 2 else disk.crash()
        with suppress(EntriesDropped):
            assert isinstance(next(scan(folder, disk=left)).body, Redacted)
