"""What crashes were found to leave behind in rare cases, each by itself."""

from pathlib import Path
from random import Random

import pytest

from recorder.journal.scan import scan
from tests.journal.memorydisk import Crash, MemoryDisk, Plan
from tests.journal.samples import event, open_journal


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
