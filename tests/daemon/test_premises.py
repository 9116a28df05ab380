"""What a preflight sees of the machine, where it takes another user or another moment to see it."""

import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from recorder.checking.preflight import Finding, Verdict
from recorder.checking.premises import look_around
from recorder.config import Config
from recorder.journal.digest_key import NAME as DIGEST_KEY
from recorder.journal.files import Disk
from recorder.journal.keys import NEXT_KEY_NAME
from recorder.journal.lock import take_lock
from recorder.journal.names import LOCK
from recorder.journal.store import Journal
from recorder.model import Draft, Heartbeat

NOBODY = 65534
MARKER = ".demo"


def looked(data: Path) -> list[Finding]:
    return look_around(Config(), data, MARKER).findings


def about(point: str, findings: list[Finding]) -> list[Finding]:
    return [one for one in findings if one.point == point]


def journal_in(data: Path) -> None:
    """Leave a journal behind, closed cleanly."""
    with Journal.open(data / "journal", keys=data / "keys", now_ns=lambda: 10**18) as journal:
        journal.append([Draft(10**18, "", Heartbeat())])


def looked_as_nobody(data: Path) -> list[Finding]:
    """Look as a user who may not do what root may."""
    here, there = multiprocessing.Pipe()

    def look(pipe: Connection) -> None:
        if os.geteuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        pipe.send(looked(data))

    process = multiprocessing.get_context("fork").Process(target=look, args=(there,))
    process.start()
    assert here.poll(30), "the other user saw nothing"
    findings: list[Finding] = here.recv()
    process.join()
    return findings


@pytest.mark.parametrize("part", ["", "journal", "keys"])
def test_folder_of_another_user_is_told(part: str) -> None:
    """Who tries it as himself, and not as the user of the recorder, is told the difference."""
    with TemporaryDirectory() as name:
        data = Path(name)
        for folder in (data / "journal", data / "keys"):
            folder.mkdir()
            folder.chmod(0o777)
        data.chmod(0o777)
        (data / part).chmod(0o555)
        (found,) = about("folder", looked_as_nobody(data))
    assert found.verdict is Verdict.ERROR
    assert found.text == f"{data / part} cannot be written to by this user"


def test_folder_of_a_demo_is_told(tmp_path: Path) -> None:
    """A recorder refuses what a demo left behind, and so does the check."""
    (tmp_path / MARKER).touch()
    (found,) = about("folder", looked(tmp_path))
    assert found.text == f"{tmp_path} holds what a demo left behind"


def test_word_of_a_writer_that_died_is_no_writer(tmp_path: Path) -> None:
    """A crash leaves the lock file with its word; nobody holds it."""
    journal_in(tmp_path)
    lock = tmp_path / "journal" / LOCK
    assert lock.read_text(encoding="utf-8").startswith(f"process {os.getpid()} on ")
    assert about("writer", looked(tmp_path)) == []
    lock.write_text(f"process 999999999 on {os.uname().nodename}\n", encoding="utf-8")
    assert about("writer", looked(tmp_path)) == []


def test_look_at_the_lock_leaves_it_free(tmp_path: Path) -> None:
    """A recorder can start right after a check, and is seen while it runs."""
    journal_in(tmp_path)
    looked(tmp_path)
    disk = Disk()
    lock = take_lock(tmp_path / "journal", disk)
    (found,) = about("writer", looked(tmp_path))
    disk.close(lock)
    assert found.verdict is Verdict.OK
    assert found.text.startswith(f"process {os.getpid()} on ")


def test_interrupted_replacement_of_the_key_is_told_and_left(tmp_path: Path) -> None:
    """Only the recorder completes it: the check holds no lock and writes nothing."""
    journal_in(tmp_path)
    left = tmp_path / "keys" / NEXT_KEY_NAME
    left.touch()
    (found,) = about("keys", looked(tmp_path))
    assert found.verdict is Verdict.WARNING
    assert found.advice == "start the recorder, which completes it"
    assert left.exists()


def test_keys_of_another_journal_are_told(tmp_path: Path) -> None:
    """A folder of keys that was put back belongs to its journal only."""
    journal_in(tmp_path / "a")
    journal_in(tmp_path / "b")
    (tmp_path / "a" / "keys").rename(tmp_path / "kept")
    (tmp_path / "b" / "keys").rename(tmp_path / "a" / "keys")
    (found,) = about("keys", looked(tmp_path / "a"))
    assert found.verdict is Verdict.ERROR
    assert "use the folder that belongs to this journal" in found.text


@pytest.mark.parametrize(("mode", "advice"), [(0o600, "put it back"), (0o640, "run chmod 600")])
def test_key_of_digests_that_is_no_use_is_told(tmp_path: Path, mode: int, advice: str) -> None:
    """The recorder would not start on it, journal or none."""
    journal_in(tmp_path)
    key = tmp_path / "keys" / DIGEST_KEY
    key.write_text("00\n")
    key.chmod(mode)
    (found,) = about("keys", looked(tmp_path))
    assert found.verdict is Verdict.ERROR
    assert str(key) in found.text
    assert advice in found.text


def test_segment_that_was_only_being_begun_hides_no_journal(tmp_path: Path) -> None:
    """A crash at the change of segments leaves an empty file; what was before it still counts."""
    journal_in(tmp_path)
    newest = max((tmp_path / "journal").glob("*.journal"))
    newest.write_bytes(b"")
    (found,) = about("journal", looked(tmp_path))
    assert found.verdict is Verdict.OK
    assert "its end is torn, as a crash leaves it" in found.text
