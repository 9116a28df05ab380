"""How far trails were read, told from the end of a journal and from as little of it as can be."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from recorder.journal.files import Disk
from recorder.journal.store import Journal
from recorder.keeper import Pen
from recorder.model import AuditLine, Draft, Entry, Mark, MarkName
from recorder.pools.trail import memory
from recorder.pools.trail.memory import PoolMemory, Recollection, TrailMemory, detail_of
from recorder.pools.trail.window import Known, Window, digest_of
from recorder.threads import inline
from tests.journal.samples import clock, event
from tests.trail.test_window import answer, line

T = TypeVar("T")
OVERLAP_S = 5.0
NOW = datetime(2026, 11, 24, tzinfo=UTC)


class Writer:
    """Writes the lines of hosts into a journal of many segments, as a collector does."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal.open(folder, now_ns=clock(), segment_bytes_max=1500)
        self.windows: dict[str, Window] = {}

    def lines(self, host: str, *lines: bytes, pool: str = "lab") -> None:
        drafts = [Draft(10**18 * 2, pool, AuditLine(host, one, False)) for one in lines]
        seqs = self.journal.append(drafts)
        window = self.windows.setdefault(host, Window(OVERLAP_S))
        for seq, one in zip(seqs, lines, strict=True):
            window.add(Known(one[19:40], digest_of(one), seq))
            window.anchor = digest_of(one)

    def mark(self, pool: str = "lab") -> None:
        detail = detail_of(self.windows, ("one", "two"), 7)
        self.journal.append([Draft(10**18 * 2, pool, Mark(MarkName.AUDIT_TRAIL_READ, detail))])

    def others(self, count: int) -> None:
        for number in range(count):
            self.journal.append([event(number, 1000, pool="other")])


class Quill(Pen):
    """A pen whose journal is at hand."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def ask(self, work: Callable[[Journal], T]) -> T:
        return work(self._journal)


def remembered(folder: Path, pool: str = "lab") -> PoolMemory:
    found = Recollection(folder, Disk()).take(pool)
    assert found is not None
    return memory._memory(folder, pool, found, Disk(), OVERLAP_S)


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


def test_lines_before_and_behind_the_mark_are_known(writer: Writer, tmp_path: Path) -> None:
    """An answer to the next question has nothing new, wherever the mark was."""
    file = [line(at) for at in range(0, 300, 2)]
    writer.lines("h", *file[:100])
    writer.others(3)
    writer.mark()
    writer.lines("h", *file[100:])
    writer.others(3)
    writer.journal.close()
    found = remembered(tmp_path)
    window = found.windows["h"]
    assert found.trackids == ("one", "two")
    assert window.newest == file[-1][19:40]
    reading = window.read(NOW)
    asked = answer(file, window.since)
    assert len(asked) > 50
    assert [one for one in asked if reading.take(one, digest_of(one))] == []
    assert reading.take(line(299), digest_of(line(299))) is not None
    assert not reading.is_cut


def test_other_pools_and_imported_lines_are_not_taken_for_it(
    writer: Writer, tmp_path: Path
) -> None:
    """The same host may be in the journal under several names."""
    writer.lines("h", line(1))
    writer.mark()
    writer.journal.append([Draft(10**18 * 2, "lab", AuditLine("h", line(50), True))])
    writer.lines("h", line(60), pool="other")
    writer.journal.close()
    assert remembered(tmp_path).windows["h"].newest == line(1)[19:40]


@pytest.fixture
def segments_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of segments, whenever one is read."""
    read: list[int] = []
    entries = memory._entries

    def noting(folder: Path, number: int, disk: Disk) -> Iterator[Entry]:
        read.append(number)
        return entries(folder, number, disk)

    monkeypatch.setattr(memory, "_entries", noting)
    return read


def test_no_more_is_read_than_up_to_the_newest_mark(
    writer: Writer, tmp_path: Path, segments_read: list[int]
) -> None:
    """A journal may have ten thousand segments."""
    writer.others(20)
    writer.mark()
    writer.others(3)
    writer.journal.close()
    assert remembered(tmp_path).trackids == ("one", "two")
    assert 1 < len(segments_read) < 7


def test_pool_that_was_never_read_is_not_known(writer: Writer, tmp_path: Path) -> None:
    """It is asked for everything."""
    writer.others(3)
    writer.journal.close()
    assert Recollection(tmp_path, Disk()).take("lab") is None


async def test_segment_is_read_once_for_all_pools(
    writer: Writer, tmp_path: Path, segments_read: list[int]
) -> None:
    """Two hundred pools that are new to a large journal do not read all of it two hundred times."""
    writer.lines("h", line(1), pool="old")
    writer.mark("old")
    writer.others(20)
    writer.lines("h", line(2), pool="old")
    writer.mark()
    writer.others(3)
    trails = TrailMemory(Quill(writer.journal), inline)
    lab, new, newer, old = [
        await trails.of(pool, overlap_s=OVERLAP_S) for pool in ("lab", "new", "newer", "old")
    ]
    assert lab.trackids == old.trackids == ("one", "two")
    assert new == newer == PoolMemory()
    assert old.windows["h"].newest == line(2)[19:40]
    assert len(segments_read) > 10
    assert len(segments_read) == len(set(segments_read))


async def test_pool_that_begins_again_is_told_what_was_written_since(
    writer: Writer, tmp_path: Path
) -> None:
    """The reading for all pools is older than the lines that it has written meanwhile."""
    writer.lines("h", line(1))
    writer.mark()
    trails = TrailMemory(Quill(writer.journal), inline)
    first = await trails.of("lab", overlap_s=OVERLAP_S)
    writer.lines("h", line(60))
    again = await trails.of("lab", overlap_s=OVERLAP_S)
    assert first.windows["h"].newest == line(1)[19:40]
    assert again.windows["h"].newest == line(60)[19:40]
