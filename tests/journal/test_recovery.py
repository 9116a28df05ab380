"""Torn tails: cut at every byte, lost by a power cut, killed in mid-flight."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.journal.files import Disk
from recorder.journal.scan import Head, head, scan
from recorder.journal.segment import Cursor
from recorder.journal.store import Journal
from recorder.journal.verify import FindingKind, verify
from recorder.model import RECORDER, MarkName
from tests.journal.disks import ForgetfulDisk, QuickDisk
from tests.journal.samples import (
    abandon,
    clock,
    drafts,
    event,
    files,
    open_journal,
    repairs,
    segments,
    write,
)


def test_open_recovers_from_a_cut_at_every_byte(tmp_path: Path) -> None:
    """Cut anywhere, the last segment opens to a prefix, takes further entries, and reads back."""
    journal = open_journal(tmp_path / "whole", segment_bytes_max=900)
    journal.append(drafts())
    for number in range(2):
        journal.append([event(number, 5)])
    abandon(journal)
    truth = list(scan(tmp_path / "whole"))
    *earlier, last = segments(tmp_path / "whole")
    assert len(earlier) == 1, [path.stat().st_size for path in earlier]
    data = last.read_bytes()
    whole = {0, *whole_sizes(last)}
    for size in range(len(data) + 1):
        folder = tmp_path / str(size)
        folder.mkdir()
        for path in earlier:
            os.link(path, folder / path.name)
        (folder / last.name).write_bytes(data[:size])
        before = list(scan(folder))
        assert before == truth[: len(before)]
        with open_journal(folder, disk=QuickDisk(), keys=tmp_path / "whole" / "keys") as journal:
            numbers = journal.append([event(1)])
        entries = list(scan(folder))
        assert entries[: len(before)] == before
        assert entries[-1].seq == numbers.start == len(entries)
        marks = repairs(entries)
        assert len(entries) == len(before) + len(marks) + 1
        assert verify(folder).findings == ()
        for mark in marks:
            kept = (folder / str(mark.detail["kept_in"])).read_bytes()
            assert data[:size].endswith(kept)
            assert kept
            assert len(kept) == mark.detail["bytes"]
        assert bool(marks) == (size not in whole)


def whole_sizes(path: Path) -> list[int]:
    """The sizes at which a cut of a segment tears nothing."""
    with Cursor(path, Disk()) as cursor:
        sizes = [cursor.offset]
        while cursor.next() is not None:
            sizes.append(cursor.offset)
    return sizes


def test_torn_tail_is_told_and_kept(tmp_path: Path) -> None:
    """The mark of a repair says how many bytes were cut, from where, and where they are kept."""
    journal = open_journal(tmp_path)
    journal.append([event(1)])
    size = segments(tmp_path)[0].stat().st_size
    journal.append([event(2)])
    abandon(journal)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    torn = path.read_bytes()[size:]
    (finding,) = verify(tmp_path).findings
    assert (finding.kind, finding.offset, finding.seq) == (FindingKind.TORN_TAIL, size, 1)
    open_journal(tmp_path).close()
    *_, entry = scan(tmp_path)
    assert (entry.seq, entry.pool) == (2, RECORDER)
    (mark,) = repairs([entry])
    assert mark.name is MarkName.REPAIRED
    assert mark.detail == {
        "reason": "torn-tail",
        "segment": 1,
        "offset": size,
        "bytes": len(torn),
        "kept_in": f"quarantine/0000000001-{size:010d}-1.torn-tail",
    }
    assert (tmp_path / str(mark.detail["kept_in"])).read_bytes() == torn


def test_open_that_died_after_the_cut_is_told_by_the_next(tmp_path: Path) -> None:
    """A tail that was cut, with no mark to tell of it, is told of by the next open."""
    journal = open_journal(tmp_path)
    journal.append([event(1)])
    size = segments(tmp_path)[0].stat().st_size
    journal.append([event(2)])
    abandon(journal)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    abandon(open_journal(tmp_path))
    path.write_bytes(path.read_bytes()[:size])
    open_journal(tmp_path).close()
    (mark,) = repairs(scan(tmp_path))
    assert mark.detail["offset"] == size


@pytest.mark.parametrize("size", [0, 19, 40])
def test_journal_that_died_at_birth_is_begun_anew(tmp_path: Path, size: int) -> None:
    """A first segment without its whole header reads as empty and is replaced by the next open."""
    open_journal(tmp_path).close()
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    assert list(scan(tmp_path)) == []
    assert head(tmp_path) == Head(0, "00" * 32, 1)
    assert [finding.kind for finding in verify(tmp_path).findings] == [FindingKind.TORN_TAIL]
    with open_journal(tmp_path) as journal:
        journal.append([event(1)])
    assert len(repairs(scan(tmp_path))) == (size > 0)
    assert verify(tmp_path).findings == ()


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"\xa5"])
def test_torn_tail_of_any_filling_is_cut(tmp_path: Path, filler: bytes) -> None:
    """Sectors that never arrived may read as anything: still a tear, as nothing is behind them."""
    truth = write(tmp_path, sealed=False)
    path = segments(tmp_path)[-1]
    with path.open("ab") as file:
        file.write(filler * 5000)
    assert list(scan(tmp_path)) == truth
    with open_journal(tmp_path) as journal:
        assert journal.next_seq == len(truth) + 2
    assert verify(tmp_path).findings == ()


@pytest.mark.parametrize("kept_bytes", [0, 1, 30, 100, 10_000])
def test_power_cut_loses_nothing_acknowledged(tmp_path: Path, kept_bytes: int) -> None:
    """Whatever part of the unsynced bytes survives, every acknowledged entry does."""
    disk = ForgetfulDisk()
    journal = open_journal(tmp_path, disk=disk, segment_bytes_max=1500)
    acknowledged = 0
    for _ in range(4):
        acknowledged = journal.append(drafts()).stop - 1
        disk.cut_power(kept_bytes=kept_bytes)
        assert len(list(scan(tmp_path))) == acknowledged
    abandon(journal)
    with open_journal(tmp_path) as again:
        assert again.next_seq == acknowledged + 1


WRITER = """
import os, sys, time
from pathlib import Path
from recorder.journal.store import Journal
from tests.journal.samples import event
journal = Journal.open(Path(sys.argv[1]), now_ns=time.time_ns, segment_bytes_max=20_000)
while True:
    numbers = journal.append([event(n, 300) for n in range(7)])
    os.write(1, b"%d\\n" % (numbers.stop - 1))
"""


def test_killed_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """kill -9 under load, again and again: each acknowledged entry is there, in order."""
    acknowledged = 0
    for round_ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        ) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(5 + 13 * round_)]
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
        acknowledged = max(int(line) for line in lines if line.endswith(b"\n"))
        seqs = [entry.seq for entry in scan(tmp_path)]
        assert len(seqs) >= acknowledged
        assert seqs == list(range(1, len(seqs) + 1))
    with Journal.open(tmp_path, now_ns=clock()) as journal:
        assert journal.next_seq > acknowledged
    assert verify(tmp_path).findings == ()
