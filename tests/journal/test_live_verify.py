"""verify beside a recorder that goes on: files are packed, dropped, sealed and begun meanwhile."""

from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from recorder.errors import JournalError
from recorder.journal import inspect as inspect_module
from recorder.journal import inspections as inspections_module
from recorder.journal.names import find_segment
from recorder.journal.packing import pack_segment
from recorder.journal.redaction import redact
from recorder.journal.retention import drop
from recorder.journal.segment import Cursor
from recorder.journal.store import Journal
from recorder.journal.verify import FindingKind, Report, verify
from tests.journal.samples import drafts, files, open_journal
from tests.journal.tampering import SmallDisk


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal of ten segments, and still open."""
    journal = open_journal(tmp_path / "journal", segment_bytes_max=1000, disk=SmallDisk())
    for _ in range(10):
        journal.append(drafts())
    assert len(files(journal.folder)) == 10
    return journal


def verify_beside(journal: Journal, act: Callable[[], object], *, after: int) -> Report:
    """Verify, and have the recorder act once `after` segments were looked at."""
    seen = set[int]()

    def progress(done: int, total: int) -> None:
        seen.add(done)
        if len(seen) >= after and not acted:
            acted.append(True)
            act()

    acted: list[bool] = []
    report = verify(journal.folder, progress=progress, processes=1)
    assert acted
    return report


@pytest.mark.parametrize("after", [1, 5, 12])
def test_segments_that_are_packed_meanwhile_are_found_under_their_other_name(
    journal: Journal, after: int
) -> None:
    """What was raw when the folder was listed may be packed when its turn comes."""

    def pack() -> None:
        for number in range(1, 10):
            pack_segment(journal.folder, number, journal.disk)

    report = verify_beside(journal, pack, after=after)
    assert report.findings == ()
    assert report.entries == 100


def test_segment_that_is_packed_between_look_and_opening_is_looked_at_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The raw file may vanish at the worst instant: after it was found, before it is opened."""
    find = find_segment

    def find_and_pack(folder: Path, number: int, disk: SmallDisk) -> Path:
        path = find(folder, number, disk)
        if number < 10 and path.suffix != ".zst":
            pack_segment(folder, number, journal.disk)
        return path

    monkeypatch.setattr(inspect_module, "find_segment", find_and_pack)
    report = verify(journal.folder, processes=1)
    assert report.findings == ()
    assert (report.entries, report.packed) == (100, 9)


@pytest.mark.parametrize("after", [1, 5, 9])
@pytest.mark.parametrize("last", [1, 4, 9])
def test_segments_that_are_dropped_meanwhile_are_covered_by_the_tombstone(
    journal: Journal, after: int, last: int
) -> None:
    """Whether they were looked at before or not, what is reported is sound and agrees."""
    report = verify_beside(journal, lambda: drop(journal, last), after=after)
    assert report.findings == ()
    if report.dropped is not None:
        assert report.dropped.last_segment == last
        assert report.first_seq == report.dropped.last_seq + 1
    assert report.entries == report.last_seq + 1 - report.first_seq


def test_segment_that_vanishes_without_a_word_is_missing(journal: Journal) -> None:
    """Only the oldest are dropped by rule, and a tombstone says so."""
    report = verify_beside(journal, files(journal.folder)[8].unlink, after=2)
    kinds = [finding.kind for finding in report.findings]
    assert FindingKind.MISSING_SEGMENT in kinds
    report = verify_beside(journal, files(journal.folder)[0].unlink, after=0)
    assert report.findings


def test_journal_that_vanishes_altogether_is_an_error(journal: Journal) -> None:
    """A folder that is emptied meanwhile is no journal any more."""

    def remove_all() -> None:
        for path in files(journal.folder):
            path.unlink()

    with pytest.raises(JournalError, match="holds no journal yet"):
        verify_beside(journal, remove_all, after=1)


@pytest.mark.parametrize("after", [1, 5, 9])
def test_segments_that_are_begun_meanwhile_are_left_for_the_next_time(
    journal: Journal, after: int
) -> None:
    """What is appended while verify runs is not looked at, and nothing is held against it."""

    def go_on() -> None:
        for _ in range(5):
            journal.append(drafts())

    report = verify_beside(journal, go_on, after=after)
    assert report.findings == ()
    assert report.entries >= 100


def test_frame_that_is_written_meanwhile_is_read_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a frame that has become a whole one at a second look is no torn tail."""
    path = files(journal.folder)[-1]
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    reopen = Cursor.reopen

    def finish_writing(cursor: Cursor) -> None:
        path.write_bytes(whole)
        reopen(cursor)

    with monkeypatch.context() as patch:
        patch.setattr(Cursor, "reopen", finish_writing)
        assert verify(journal.folder, processes=1).findings == ()
    path.write_bytes(whole[:-30])
    (finding,) = verify(journal.folder, processes=1).findings
    assert finding.kind is FindingKind.TORN_TAIL


@pytest.mark.parametrize("after", [1, 5, 9])
def test_entry_that_is_redacted_meanwhile_is_no_finding(journal: Journal, after: int) -> None:
    """Its mark may be read after its segment was: the body that was seen is gone by then."""
    report = verify_beside(journal, lambda: redact(journal, 36, "a name", by="me"), after=after)
    assert report.findings == ()


def test_killed_process_does_not_stop_verify(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the system kills a process of many, the rest is checked by this one."""

    class Killed:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def __enter__(self) -> "Killed":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def map(self, look: Callable[[int], object], numbers: list[int]) -> object:
            yield look(numbers[0])
            yield look(numbers[1])
            raise BrokenProcessPool

    monkeypatch.setattr(inspections_module, "ProcessPoolExecutor", Killed)
    report = verify(journal.folder, processes=2)
    assert report.findings == ()
    assert report.entries == 100
