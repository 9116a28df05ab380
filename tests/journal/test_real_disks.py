"""Disks that are really full, read-only or taken: nothing is lost, and it is said."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.errors import JournalLocked, JournalWriteFailed
from recorder.journal.scan import scan
from recorder.journal.store import DiskFull, Journal
from recorder.journal.verify import verify
from tests.journal.mounts import fill, make_read_only, small_file_system
from tests.journal.samples import abandon, event, open_journal

ROOT = Path(__file__).parents[2]
ENOUGH_BYTES = 16_384  # for a key, its public half, a lock and a header, each a page


def run(script: str, *args: object, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run a script of this file in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, args)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_file_system(tmp_path / "disk") as folder:
        yield folder


def append_until_full(journal: Journal, size: int) -> tuple[int, DiskFull]:
    """Append events of `size` bytes, two at a time; return how many are durable, and the error."""
    for number in range(1, 10_000, 2):
        try:
            journal.append([event(number, size), event(number + 1, size)])
        except DiskFull as error:
            return number - 1 + error.written, error
    raise AssertionError("the disk never was full")


@pytest.mark.parametrize("segment_bytes_max", [1 << 26, 60_000, 5_000])
@pytest.mark.parametrize("size", [40, 1_000, 3_000, 9_000])
def test_full_file_system_loses_nothing_and_goes_on(
    disk: Path, size: int, segment_bytes_max: int
) -> None:
    """What fitted is there; what did not is refused by name, and fits once there is room."""
    spare = disk / "spare"
    spare.write_bytes(bytes(200_000))
    folder = disk / "journal"
    journal = open_journal(folder, segment_bytes_max=segment_bytes_max)
    durable, error = append_until_full(journal, size)
    assert str(folder) in str(error)
    assert str(error).endswith("No space left on device: make room on its file system")
    with pytest.raises(DiskFull):
        journal.append([event(durable + 1, 20_000)])
    assert len(list(scan(folder))) == durable
    assert verify(folder).findings == ()
    spare.unlink()
    seqs = journal.append([event(number, size) for number in range(durable + 1, durable + 4)])
    assert seqs == range(durable + 1, durable + 4)
    journal.close()
    expected = [event(number, size).body for number in range(1, durable + 4)]
    assert [entry.body for entry in scan(folder)] == expected
    assert verify(folder).findings == ()


def test_process_that_ends_on_a_full_file_system_leaves_a_journal(disk: Path) -> None:
    """Closed or killed without room for a seal: all is readable, and opens once there is room."""
    folder = disk / "journal"
    for end in (Journal.close, abandon):
        journal = open_journal(folder)
        first = journal.next_seq
        filler = fill(disk, left_bytes=30_000)
        durable, _ = append_until_full(journal, 2_000)
        end(journal)
        assert len(list(scan(folder))) == first - 1 + durable
        filler.unlink()
        with open_journal(folder) as again:
            assert again.next_seq >= first + durable
            assert again.repairs == ()
        assert verify(folder).findings == ()


@pytest.mark.parametrize("left_bytes", [0, 4096, 8192, 12_288, 16_384, 20_480])
def test_journal_that_cannot_begin_on_a_full_file_system_says_so(
    disk: Path, left_bytes: int
) -> None:
    """A first start without room names the path and what to do; with room the next one succeeds."""
    folder = disk / "journal"
    filler = fill(disk, left_bytes=left_bytes)
    refusal: JournalWriteFailed | None = None
    try:
        open_journal(folder).close()
    except JournalWriteFailed as error:
        refusal = error
    assert (refusal is None) == (left_bytes >= ENOUGH_BYTES)
    if refusal is not None:
        assert str(folder) in str(refusal)
        assert str(refusal).endswith("No space left on device: make room on its file system")
        assert refusal.exit_code == 40
    filler.unlink()
    with open_journal(folder) as journal:
        journal.append([event(1)])
    assert [entry.body for entry in scan(folder)][-1] == event(1).body
    assert verify(folder).findings == ()


def test_read_only_file_system_is_told_and_can_be_read(disk: Path) -> None:
    """Nothing can be recorded there, which is said with what to do; reading needs no right."""
    folder = disk / "journal"
    with open_journal(folder) as journal:
        journal.append([event(1)])
    make_read_only(disk)
    with pytest.raises(JournalWriteFailed) as caught:
        open_journal(folder)
    assert str(caught.value) == (
        f"{folder} cannot be used as a journal: Read-only file system ({folder}/LOCK):"
        " mount its file system for writing, or choose another folder with --data"
    )
    assert caught.value.exit_code == 40
    assert [entry.body for entry in scan(folder)] == [event(1).body]
    assert verify(folder).findings == ()


FOREIGN = """
import os
from pathlib import Path
from recorder.errors import JournalWriteFailed
from tests.journal.samples import open_journal
if os.geteuid() == 0:
    os.setuid(65534)
try:
    open_journal(Path("journal"))
except JournalWriteFailed as error:
    print(error)
"""


def test_folder_without_the_right_to_write_is_told(tmp_path: Path) -> None:
    """The refusal names the folder and what to do, also where the parent may not be read."""
    tmp_path.chmod(0o711)
    (tmp_path / "journal").mkdir(mode=0o555)
    done = run(FOREIGN, cwd=tmp_path)
    assert done.stdout == (
        "journal cannot be used as a journal: Permission denied (journal/LOCK):"
        " let the recorder's user write there, or choose another folder with --data\n"
    ), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_what_root_writes_belongs_to_the_user_of_the_folder(tmp_path: Path) -> None:
    """A recorder with a user of its own goes on after `sudo xentrail redact`, or a repair."""
    folder = tmp_path / "data" / "journal"
    with open_journal(folder) as journal:
        journal.append([event(1)])
    for path in (folder.parent, *folder.parent.rglob("*")):
        os.chown(path, 65534, 65534)
    last = max(folder.glob("*.journal"))
    last.write_bytes(last.read_bytes() + b"torn")
    with open_journal(folder) as journal:
        journal.append([event(2)])
    assert (folder / "quarantine").is_dir()
    assert max(folder.glob("*.journal")) != last
    owners = {path.stat().st_uid for path in folder.rglob("*")}
    assert owners == {65534}


LIMITED = """
import resource, sys
from pathlib import Path
from recorder.journal.store import DiskFull
from tests.journal.samples import event, open_journal
limit, size = int(sys.argv[2]), int(sys.argv[3])
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
journal = open_journal(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
durable = 0
try:
    while True:
        durable = journal.append([event(durable + 1, size)]).stop - 1
except DiskFull as error:
    print(durable, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
journal.append([event(durable + 1, size)])
journal.close()
"""


@pytest.mark.parametrize(("limit", "size"), [(5_000, 300), (5_001, 299), (20_000, 7_000)])
def test_limit_for_the_size_of_a_file_is_a_full_disk(tmp_path: Path, limit: int, size: int) -> None:
    """The system takes a part of a write and then refuses: the part goes, and writing goes on."""
    done = run(LIMITED, tmp_path, limit, size)
    assert done.returncode == 0, done.stderr
    durable, _, text = done.stdout.partition(" ")
    assert text.endswith("File too large: raise the limit for the size of a file (ulimit -f)\n")
    assert f"there is no room left to write {tmp_path}/0000000001.journal" in text
    bodies = [entry.body for entry in scan(tmp_path)]
    assert bodies == [event(number, size).body for number in range(1, int(durable) + 2)]
    assert verify(tmp_path).findings == ()


def test_second_process_is_told_who_has_the_journal(tmp_path: Path) -> None:
    """The refusal names folder and holder, and says what to do; the first goes on unharmed."""
    script = (
        "import sys; from pathlib import Path;"
        "from tests.journal.samples import open_journal;"
        "open_journal(Path(sys.argv[1]))"
    )
    with open_journal(tmp_path) as journal:
        done = run(script, tmp_path)
        assert done.returncode != 0
        assert f"is writing to the journal in {tmp_path}: stop it, or use another folder" in (
            done.stderr
        )
        with pytest.raises(JournalLocked) as caught:
            open_journal(tmp_path)
        assert caught.value.exit_code == 40
        journal.append([event(1)])
    assert [entry.body for entry in scan(tmp_path)] == [event(1).body]
