"""`xentrail record` on disks that refuse: what it says, how it ends, and that nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.journal.scan import head, scan
from recorder.journal.verify import verify
from recorder.model import Mark, MarkName
from tests.cli.programs import (
    SimulatedAt,
    pool_table,
    recorder,
    simulator,
    stop,
    wait_for,
    write_config,
    xentrail,
)
from tests.journal.mounts import fill, make_read_only, small_file_system


@pytest.fixture(scope="module")
def pool() -> Iterator[SimulatedAt]:
    with simulator("--vms", "6", "--activity", "1200", "--realtime", "0") as served:
        yield served


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data folder that is a file system of its own, with room for all that waits meanwhile."""
    with small_file_system(tmp_path / "data", mebibytes=64) as folder:
        yield folder


def last_words(config: Path) -> str:
    """Run a recorder that cannot start; return its last line on stderr."""
    done = xentrail("record", "--config", str(config))
    assert done.returncode == 40, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_full_disk_pauses_the_recorder_which_goes_on_by_itself(
    pool: SimulatedAt, data: Path, tmp_path: Path
) -> None:
    """It says when the disk is full and when there is room again; the journal says so, too."""
    filler = fill(data, left_bytes=300_000)
    journal = data / "journal"
    with recorder(write_config(tmp_path, pool_table(pool.url))) as process:
        line = wait_for(process, ["disk-full"])
        assert f"there is no room left to write {journal}" in line
        assert "make room on its file system" in line
        seen = list(scan(journal))
        assert verify(journal).findings == ()
        filler.unlink()
        wait_for(process, ["disk-has-space"])
        stop(process)
    assert process.returncode == 0
    entries = list(scan(journal))
    assert entries[: len(seen)] == seen
    assert [entry.seq for entry in entries] == list(range(1, head(journal).last_seq + 1))
    names = [entry.body.name for entry in entries if isinstance(entry.body, Mark)]
    assert MarkName.DISK_FULL in names
    assert names[-1] is MarkName.STOPPED
    assert verify(journal).findings == ()


def test_disk_without_room_for_a_journal_is_told(
    pool: SimulatedAt, data: Path, tmp_path: Path
) -> None:
    """A start that finds no room names the folder, says what to do, and ends with 40."""
    config = write_config(tmp_path, pool_table(pool.url))
    fill(data)
    line = last_words(config)
    assert str(data) in line
    assert line.endswith("No space left on device: make room on its file system")


def test_read_only_data_folder_is_told(pool: SimulatedAt, data: Path, tmp_path: Path) -> None:
    """A start on a file system that takes nothing names it, and ends with 40; verify works."""
    config = write_config(tmp_path, pool_table(pool.url))
    with recorder(config) as process:
        wait_for(process, ["recording"])
        stop(process)
    make_read_only(data)
    line = last_words(config)
    assert line.startswith(f"xentrail: {data / 'journal'} cannot be used as a journal: Read-only ")
    assert line.endswith("mount its file system for writing, or choose another folder with --data")
    assert xentrail("verify", "--data", str(data)).returncode == 0
