"""A disk that refuses: what was acknowledged stays, what was not is told as such."""

from contextlib import suppress
from pathlib import Path

import pytest

from recorder.errors import JournalWriteFailed
from recorder.journal.scan import scan
from recorder.journal.store import DiskFull
from recorder.journal.verify import verify
from recorder.model import Event
from tests.journal.disks import FaultyDisk
from tests.journal.samples import abandon, drafts, event, open_journal, repairs


@pytest.mark.parametrize("write_bytes_max", [1, 7, 1000])
def test_short_writes_are_looped_on(tmp_path: Path, write_bytes_max: int) -> None:
    """A system that takes a few bytes at a time gets the rest in further calls."""
    disk = FaultyDisk(write_bytes_max=write_bytes_max)
    with open_journal(tmp_path, disk=disk) as journal:
        journal.append(drafts())
    assert len(list(scan(tmp_path))) == 10
    assert verify(tmp_path).findings == ()


def work(folder: Path, disk: FaultyDisk) -> int:
    """Append until the disk fails or all is done; return how many entries were acknowledged."""
    acknowledged = 0
    with suppress(JournalWriteFailed):
        journal = open_journal(folder, disk=disk, segment_bytes_max=1500)
        try:
            for _ in range(6):
                acknowledged = journal.append(drafts()).stop - 1
        except JournalWriteFailed:
            calls = disk.writes, disk.syncs
            with pytest.raises(JournalWriteFailed, match="must be opened anew"):
                journal.append([event(1)])
            journal.close()
            assert (disk.writes, disk.syncs) == calls, "a failed call is never retried"
        journal.close()
    return acknowledged


@pytest.mark.parametrize("what", ["fail_write", "fail_sync"])
def test_failed_call_kills_the_journal_and_loses_nothing_acknowledged(
    tmp_path: Path, what: str
) -> None:
    """The nth write or sync fails, for every n: the journal dies and the next open goes on."""
    for nth in range(1, 30):
        folder = tmp_path / str(nth)
        disk = FaultyDisk(**{what: nth})
        acknowledged = work(folder, disk)
        journal = open_journal(folder, segment_bytes_max=1500)
        assert journal.next_seq > acknowledged
        journal.append([event(1)])
        abandon(journal)
        entries = list(scan(folder))
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        assert [entry.body for entry in entries[:acknowledged]] == [
            draft.body for _ in range(acknowledged // 10) for draft in drafts()
        ]
        assert verify(folder).findings == ()
    assert disk.writes < 29, "the last rounds ran without a fault"
    assert acknowledged == 60


@pytest.mark.parametrize("fail_sync", [1, 2, 3])
def test_failed_repair_can_be_tried_again(tmp_path: Path, fail_sync: int) -> None:
    """A disk that fails in the middle of a repair leaves a journal that the next open repairs."""
    journal = open_journal(tmp_path)
    journal.append(drafts())
    abandon(journal)
    path = tmp_path / "0000000001.journal"
    path.write_bytes(path.read_bytes() + b"torn")
    with pytest.raises(JournalWriteFailed):
        open_journal(tmp_path, disk=FaultyDisk(fail_sync=fail_sync))
    open_journal(tmp_path).close()
    entries = list(scan(tmp_path))
    assert [entry.body for entry in entries[:10]] == [draft.body for draft in drafts()]
    assert {mark.detail["bytes"] for mark in repairs(entries)} == {4}
    assert verify(tmp_path).findings == ()


def test_full_disk_takes_back_the_part_and_goes_on(tmp_path: Path) -> None:
    """Out of room: the refused batch leaves no byte, and fits once there is room again."""
    disk = FaultyDisk()
    journal = open_journal(tmp_path, disk=disk)
    journal.append([event(1)])
    for room in range(0, 150, 10):
        disk.room_bytes = room
        size = (tmp_path / "0000000001.journal").stat().st_size
        with pytest.raises(DiskFull, match="there is no room left to write") as caught:
            journal.append([event(2, 200)])
        assert caught.value.written == 0
        assert (tmp_path / "0000000001.journal").stat().st_size == size
        assert journal.next_seq == 2
    disk.room_bytes = None
    assert journal.append([event(3)]) == range(2, 3)
    journal.close()
    assert [entry.seq for entry in scan(tmp_path)] == [1, 2]
    assert verify(tmp_path).findings == ()


def test_full_disk_says_how_much_of_a_large_batch_is_durable(tmp_path: Path) -> None:
    """A batch of several frames may be on disk in part; the rest can be appended later."""
    disk = FaultyDisk(room_bytes=7_000_000)
    batch = [event(number, 1_500_000) for number in range(9)]
    with open_journal(tmp_path, disk=disk) as journal:
        with pytest.raises(DiskFull) as caught:
            journal.append(batch)
        written = caught.value.written
        assert written == 4 - 4 % 2
        disk.room_bytes = None
        assert journal.append(batch[written:]) == range(written + 1, 10)
    bodies = [entry.body for entry in scan(tmp_path)]
    assert [body.id for body in bodies if isinstance(body, Event)] == list(range(9))


def test_full_disk_in_a_roll_over_leaves_the_journal_usable(tmp_path: Path) -> None:
    """No room for the seal, or for the next segment: nothing is lost, and it rolls over later."""
    for room in range(0, 700, 20):
        folder = tmp_path / str(room)
        disk = FaultyDisk()
        journal = open_journal(folder, disk=disk, segment_bytes_max=1000)
        while len(list(folder.glob("*.journal"))) == 1:
            last = journal.append([event(1, 100)])
        disk.room_bytes = room
        with suppress(DiskFull):
            while True:
                last = journal.append([event(2, 100)])
        disk.room_bytes = None
        assert journal.append([event(3, 100)]).start == last.stop
        journal.close()
        assert [entry.seq for entry in scan(folder)] == list(range(1, last.stop + 1))
        assert verify(folder).findings == ()


def test_full_disk_at_the_end_does_not_stop_a_close(tmp_path: Path) -> None:
    """Without room for a seal the journal closes unsealed, and opens again."""
    disk = FaultyDisk()
    journal = open_journal(tmp_path, disk=disk)
    journal.append([event(1)])
    disk.room_bytes = 10
    journal.close()
    assert verify(tmp_path).findings == ()
    with open_journal(tmp_path) as again:
        assert again.next_seq == 2
