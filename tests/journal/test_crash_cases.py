"""What crashes were found to leave behind in rare cases, each by itself."""

from pathlib import Path
from random import Random

import pytest

from recorder.journal.names import segment_path
from recorder.journal.scan import scan
from tests.journal.memorydisk import Crash, MemoryDisk, Plan
from tests.journal.samples import abandon, event, open_journal


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
