"""Bytes that are not what was written: found by verify, never believed by scan, never cut off."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recorder.errors import JournalDamaged, JournalError
from recorder.journal.files import Disk
from recorder.journal.frame import HEAD, read_head
from recorder.journal.scan import DamageFound, scan
from recorder.journal.segment import Cursor
from recorder.journal.verify import FindingKind, Report, verify
from recorder.model import BaselineRecord, Draft, Entry
from tests.journal.samples import (
    BODIES,
    abandon,
    drafts,
    event,
    files,
    open_journal,
    repairs,
    segments,
    write,
)


def small(folder: Path, *, frames: int = 4, sealed: bool = True) -> list[Entry]:
    """Write a journal of one segment with small frames of two entries."""
    journal = open_journal(folder)
    for number in range(frames):
        journal.append([event(number, 5), event(number + 100, 5)])
    if sealed:
        journal.close()
    else:
        abandon(journal)
    return list(scan(folder))


def frame_spans(path: Path) -> list[tuple[int, int]]:
    """Where each frame of an undamaged segment begins and ends."""
    spans = []
    with Cursor(path, Disk()) as cursor:
        while cursor.next() is not None:
            spans.append((cursor.last_offset, cursor.offset))
    return spans


def read_what_is_good(folder: Path) -> tuple[list[Entry], bool]:
    """The entries that scan yields, and whether it ended in damage."""
    entries = []
    try:
        for entry in scan(folder):
            entries.append(entry)  # noqa: PERF402 - those before the damage are kept
    except JournalDamaged:
        return entries, True
    return entries, False


def kinds(report: Report) -> list[FindingKind]:
    """The kinds of the findings, in order."""
    return [finding.kind for finding in report.findings]


def test_verify_finds_flipped_bits_of_a_segment_without_a_seal(tmp_path: Path) -> None:
    """Nor can a bit change where nothing is signed for yet; scan yields only a prefix.

    Those of sealed segments are tried in test_tampering.
    """
    truth = small(tmp_path, frames=1, sealed=False)
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    assert verify(tmp_path).findings == ()
    for place in range(0, 8 * len(data), 3):
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        data[place // 8] ^= 1 << place % 8
        assert verify(tmp_path).findings, f"bit {place % 8} of byte {place // 8}"
        entries, _ = read_what_is_good(tmp_path)
        assert entries == truth[: len(entries)], f"bit {place % 8} of byte {place // 8}"


@pytest.mark.parametrize("sealed", [True, False])
def test_flip_before_the_last_frame_is_damage_not_a_tear(tmp_path: Path, sealed: bool) -> None:
    """A whole frame behind the damage proves it: scan raises and verify does not call it a tear."""
    truth = small(tmp_path, sealed=sealed)
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    spans = frame_spans(path)
    for number, (start, end) in enumerate(spans[:-1]):
        for place in range(start, end, 3):
            data[place] ^= 0x10
            path.write_bytes(data)
            data[place] ^= 0x10
            entries, damaged = read_what_is_good(tmp_path)
            assert (entries, damaged) == (truth[: 2 * number], True), place
            assert FindingKind.TORN_TAIL not in kinds(verify(tmp_path)), place


def swap(frames: list[bytes]) -> list[bytes]:
    return [frames[0], frames[2], frames[1], *frames[3:]]


def drop(frames: list[bytes]) -> list[bytes]:
    return [frames[0], *frames[2:]]


def drop_first(frames: list[bytes]) -> list[bytes]:
    return frames[1:]


def repeat(frames: list[bytes]) -> list[bytes]:
    return [frames[0], frames[1], *frames[1:]]


def repeat_last(frames: list[bytes]) -> list[bytes]:
    return [*frames, frames[-1]]


def insert_rubbish(frames: list[bytes]) -> list[bytes]:
    return [frames[0], b"rubbish", *frames[1:]]


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("shape", [swap, drop, drop_first, repeat, repeat_last, insert_rubbish])
def test_moved_frames_are_found_and_survive_an_open(
    tmp_path: Path, shape: Callable[[list[bytes]], list[bytes]], sealed: bool
) -> None:
    """Frames in another order are damage: never cut off, and recording goes on behind them."""
    truth = small(tmp_path, sealed=sealed)
    (path,) = segments(tmp_path)
    data = path.read_bytes()
    spans = frame_spans(path)
    frames = [data[start:end] for start, end in spans]
    path.write_bytes(data[: spans[0][0]] + b"".join(shape(frames)))
    damaged = path.read_bytes()

    assert verify(tmp_path).findings
    entries, ended_in_damage = read_what_is_good(tmp_path)
    assert ended_in_damage
    assert entries == truth[: len(entries)]

    with open_journal(tmp_path) as journal:
        numbers = journal.append([event(7)])
        assert numbers.start > truth[-1].seq, "no number that was given out is used again"
    assert path.read_bytes() == damaged
    with pytest.raises(DamageFound) as caught:
        list(scan(tmp_path))
    assert caught.value.last_good_seq == len(entries)
    resume = caught.value.resume_after_seq
    assert resume is not None
    rest = list(scan(tmp_path, after_seq=resume))
    if sealed:
        # Opening looks at the last segment only, which is the empty one behind the damage.
        assert [entry.seq for entry in rest] == [numbers.start]
        return
    (repaired,) = repairs(rest)
    assert repaired.detail["reason"] == "damage"
    assert rest[-1].seq == numbers.start
    kept = tmp_path / str(repaired.detail["kept_in"])
    assert damaged.endswith(kept.read_bytes())
    found = verify(tmp_path)
    assert FindingKind.BAD_HEADER not in kinds(found)
    assert found.last_seq == numbers.start


def test_damage_under_an_open_journal_is_told_once(tmp_path: Path) -> None:
    """After a repair the next open finds a sound last segment and adds no further mark."""
    small(tmp_path, sealed=False)
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[frame_spans(path)[1][0] + HEAD.size + 2] ^= 1
    path.write_bytes(data)
    open_journal(tmp_path).close()
    files = sorted(tmp_path.rglob("*"))
    open_journal(tmp_path).close()
    assert sorted(tmp_path.rglob("*")) == files


def test_missing_segment_is_found(tmp_path: Path) -> None:
    """A hole in the row of segments is damage for scan and a finding for verify."""
    truth = write(tmp_path)
    assert len(segments(tmp_path)) >= 3
    segments(tmp_path)[1].unlink()
    report = verify(tmp_path)
    assert kinds(report)[0] is FindingKind.MISSING_SEGMENT
    assert FindingKind.SEQ_GAP in kinds(report)
    with pytest.raises(DamageFound, match="segment 2 is missing") as caught:
        list(scan(tmp_path))
    resume = caught.value.resume_after_seq
    assert resume is not None
    assert list(scan(tmp_path, after_seq=resume)) == truth[resume:]


def test_missing_first_segment_is_found(tmp_path: Path) -> None:
    """A journal whose beginning is gone does not pass for one that began later."""
    truth = write(tmp_path)
    segments(tmp_path)[0].unlink()
    assert kinds(verify(tmp_path))[0] is FindingKind.MISSING_SEGMENT
    with pytest.raises(DamageFound, match="the entries after 0 are not there") as caught:
        list(scan(tmp_path))
    resume = caught.value.resume_after_seq
    assert resume is not None
    assert list(scan(tmp_path, after_seq=resume)) == truth[resume:]


def test_segment_of_another_journal_is_found(tmp_path: Path) -> None:
    """A segment with the right number but from elsewhere is refused."""
    write(tmp_path / "one")
    write(tmp_path / "two")
    shutil.copy(segments(tmp_path / "two")[1], segments(tmp_path / "one")[1])
    assert FindingKind.BAD_HEADER in kinds(verify(tmp_path / "one"))
    with pytest.raises(DamageFound, match="belongs to another journal"):
        list(scan(tmp_path / "one"))


def test_cut_segment_in_the_middle_is_found(tmp_path: Path) -> None:
    """A segment shortened at a frame does not hide the entries that it lost."""
    write(tmp_path)
    path = segments(tmp_path)[0]
    data = path.read_bytes()
    path.write_bytes(data[: frame_spans(path)[-1][0]])  # without its seal
    report = verify(tmp_path)
    assert kinds(report) == [FindingKind.BAD_SEAL, FindingKind.BROKEN_CHAIN]
    with pytest.raises(DamageFound, match="does not follow"):
        list(scan(tmp_path))


def test_entry_with_right_digests_but_wrong_shape_is_found(tmp_path: Path) -> None:
    """Whoever writes frames with valid digests must still write entries."""
    journal = open_journal(tmp_path)
    journal.append(drafts(BODIES[:2]))
    assert journal._writer is not None
    journal._writer.append([b"\x94\x03\x00\xa4oops\xa0"], at_ns=0)  # [3, 0, "oops", ""]
    abandon(journal)
    assert kinds(verify(tmp_path)) == [FindingKind.BAD_ENTRY]
    reader = scan(tmp_path)
    assert [next(reader).seq, next(reader).seq] == [1, 2]
    with pytest.raises(DamageFound, match="unknown kind 'oops'"):
        next(reader)
    with pytest.raises(JournalDamaged, match="unknown kind 'oops'"):
        open_journal(tmp_path)


def test_text_that_imitates_a_frame_does_not_turn_a_tear_into_damage(tmp_path: Path) -> None:
    """A snapshot may hold the bytes of a frame: its numbers give it away."""
    (tmp_path / "other").mkdir()
    small(tmp_path / "other", sealed=False)
    (path,) = segments(tmp_path / "other")
    (start, end) = frame_spans(path)[0]  # entries 1 and 2
    imitation = path.read_bytes()[start:end]
    journal = open_journal(tmp_path / "mine")
    journal.append([event(n) for n in range(10)])
    body = BaselineRecord("vm", "OpaqueRef:1", imitation)
    journal.append([Draft(1, "lab", body)])
    abandon(journal)
    (mine,) = segments(tmp_path / "mine")
    mine.write_bytes(mine.read_bytes()[:-1])
    assert kinds(verify(tmp_path / "mine")) == [FindingKind.TORN_TAIL]
    with open_journal(tmp_path / "mine") as again:
        assert again.next_seq == 12


def test_damaged_header_of_the_last_segment_is_left_and_passed_by(tmp_path: Path) -> None:
    """Entries behind a damaged header keep their numbers; recording goes on behind them."""
    truth = write(tmp_path, batches=4, sealed=False)
    path = segments(tmp_path)[-1]
    number = len(segments(tmp_path))
    damaged = bytearray(path.read_bytes())
    damaged[30] ^= 1
    path.write_bytes(damaged)
    assert kinds(verify(tmp_path)) == [FindingKind.BAD_HEADER]
    entries, ended_in_damage = read_what_is_good(tmp_path)
    assert ended_in_damage
    assert entries == truth[: len(entries)]
    with open_journal(tmp_path) as journal:
        assert journal.next_seq == len(truth) + 2
        assert journal.tails["lab"].last_seq == len(entries) - 1  # the heartbeat is not the pool's
    assert path.read_bytes() == damaged
    with pytest.raises(DamageFound) as caught:
        list(scan(tmp_path))
    assert (caught.value.path, caught.value.offset) == (path, 0)
    assert caught.value.last_good_seq == len(entries)
    assert caught.value.resume_after_seq == len(truth)
    (mark,) = repairs(scan(tmp_path, after_seq=len(truth)))
    assert (mark.detail["segment"], mark.detail["offset"]) == (number, 0)

    assert kinds(verify(tmp_path)) == [FindingKind.BAD_HEADER, FindingKind.SEQ_GAP]
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    texts = [finding.text for finding in verify(tmp_path).findings]
    assert f"the damaged bytes of segment {number} are not those found then" in texts


def test_damaged_header_in_the_middle_is_found(tmp_path: Path) -> None:
    """A header that cannot be read stops scan there; verify goes on behind it."""
    truth = write(tmp_path, batches=4)
    path = segments(tmp_path)[1]
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    report = verify(tmp_path)
    assert kinds(report) == [FindingKind.BAD_HEADER, FindingKind.SEQ_GAP]
    assert report.last_seq == len(truth)
    with pytest.raises(DamageFound, match="the header is damaged") as caught:
        list(scan(tmp_path))
    resume = caught.value.resume_after_seq
    assert resume is not None
    assert list(scan(tmp_path, after_seq=resume)) == truth[resume:]


def test_journal_without_any_header_is_refused(tmp_path: Path) -> None:
    """Nothing can be built upon frames whose headers are all gone: the folder is left alone."""
    small(tmp_path, sealed=False)
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamageFound, match="the entries after 0 are not there"):
        list(scan(tmp_path))
    with pytest.raises(JournalDamaged, match="move the folder away to record anew"):
        open_journal(tmp_path)
    assert path.read_bytes() == data


def test_renamed_segment_is_refused(tmp_path: Path) -> None:
    """A segment under another number is not written to, and is found."""
    small(tmp_path, sealed=False)
    (path,) = segments(tmp_path)
    path.rename(tmp_path / "0000000002.journal")
    with pytest.raises(JournalDamaged, match="the file says that it is segment 1"):
        open_journal(tmp_path)
    assert kinds(verify(tmp_path)) == [FindingKind.MISSING_SEGMENT, FindingKind.BAD_HEADER]


def test_file_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    """verify goes on past a segment that the system refuses to read; scan says why it cannot."""
    write(tmp_path)
    path = segments(tmp_path)[1]
    path.unlink()
    path.mkdir()
    assert FindingKind.UNREADABLE in kinds(verify(tmp_path))
    with pytest.raises(JournalError, match="cannot be read"):
        list(scan(tmp_path))


def test_verify_reports_progress_in_bytes(tmp_path: Path) -> None:
    """Progress rises to the size of the journal."""
    write(tmp_path)
    seen: list[tuple[int, int]] = []
    report = verify(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (report.bytes, report.bytes)
    assert report.bytes == sum(path.stat().st_size for path in files(tmp_path))


def test_verify_never_writes(tmp_path: Path) -> None:
    """Checking a damaged journal leaves every file as it was."""
    small(tmp_path, sealed=False)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-3])

    def state() -> Iterator[tuple[str, bytes, int]]:
        for file in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
            yield file.name, file.read_bytes(), file.stat().st_mtime_ns

    before = list(state())
    assert verify(tmp_path).findings
    assert list(state()) == before


def test_read_head_refuses_lengths_beyond_the_limit() -> None:
    """A head with a matching complement but an impossible length is damage, not a long wait."""
    with pytest.raises(ValueError, match="out of bounds"):
        read_head(HEAD.pack(2**31, 2**31 ^ 0xFFFFFFFF, 0, 0, 1, 1))
