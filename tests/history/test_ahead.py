"""Reading in a process of its own: the same history, whatever becomes of that process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from query.load import ahead
from query.load.ahead import Ahead, is_worth_it
from query.load.loader import Loaded, refresh
from query.load.reading import Reader
from recorder.errors import JournalError
from recorder.journal.retention import drop
from recorder.journal.store import Journal
from tests.history.journals import START_NS, spoil, write_journal
from tests.history.stories import STORY, contents, write_more

Processes = list["subprocess.Popen[bytes]"]

READING = """
import itertools, os, sys
sys.path[:] = sys.argv[3:]
from query.load import ahead
from recorder.errors import JournalError
batches, pieces = ahead.batches, ahead._pieces
ahead.batches = lambda entries: batches(entries, entries_max=4)

def dying(after):
    def pieces_until(reader):
        for number, piece in enumerate(pieces(reader)):
            if after == number or (after == "end" and piece.batch is None):
                os._exit(9)
            yield piece
    ahead._pieces = pieces_until

def torn(piece, pipe, protocol):
    pipe.write(ahead.pickle.dumps(piece, protocol)[:100])
    pipe.flush()
    os._exit(9)

def failing(entries):
    yield from itertools.islice(batches(entries, entries_max=4), 2)
    raise JournalError("the disk is gone")

PATCH
ahead.main(sys.argv[1], int(sys.argv[2]))
"""
"""The process that reads, with small batches and something else that is not as usual."""


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    """Everything is read in a process of its own; return those that are started."""
    started: Processes = []
    start = ahead._start

    def noted(reader: Reader) -> "subprocess.Popen[bytes]":
        started.append(start(reader))
        return started[-1]

    monkeypatch.setattr(ahead, "_start", noted)
    monkeypatch.setattr(ahead, "APART_ENTRIES_MIN", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    return started


def broken_by(patch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_PROGRAM", READING.replace("PATCH", patch))


def write_damaged(data: Path) -> None:
    """Write a journal without its beginning, that is damaged inside and at its end."""
    folder = data / "journal"
    write_journal(folder, STORY.drafts()[:3])
    for first, last in ((3, 10), (10, 14), (14, 24)):
        write_more(data, STORY, first, last)
    with Journal.open(folder, now_ns=lambda: START_NS) as journal:
        drop(journal, 1)
    write_more(data, STORY, 24)
    spoil(folder, b"VM.clone")
    spoil(folder, b"host1")


def refreshed(data: Path, name: str) -> tuple[Loaded, dict[str, list[str]]]:
    loaded = refresh(data, database=data / name, now_ns=lambda: START_NS)
    return loaded, contents(loaded.path)


@pytest.mark.parametrize(
    "patch", ["", "dying(0)", "dying(2)", "dying('end')", "ahead.pickle.dump = torn"]
)
def test_history_is_the_same_whatever_becomes_of_the_process(
    patch: str, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each entry and each damage is told once, whether or not the process lives to tell it."""
    write_damaged(tmp_path)
    with monkeypatch.context() as alone:
        alone.setattr(os, "sched_getaffinity", lambda _: {0})
        expected, rows = refreshed(tmp_path, "alone.duckdb")
    assert (len(expected.warnings), processes) == (3, [])
    broken_by(patch, monkeypatch)
    loaded, same = refreshed(tmp_path, "apart.duckdb")
    assert (loaded.entries, loaded.last_seq) == (expected.entries, expected.last_seq)
    assert loaded.warnings == expected.warnings
    assert same == rows
    assert [process.returncode for process in processes] == [9 if patch else 0]


def test_error_of_the_process_comes_through(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised as it was, and what was read before it is loaded."""
    write_journal(tmp_path / "journal", STORY.drafts())
    broken_by("ahead.batches = failing", monkeypatch)
    with pytest.raises(JournalError, match=r"^the disk is gone$"):
        refresh(tmp_path)
    assert [process.returncode is None for process in processes] == [False]
    broken_by("", monkeypatch)
    loaded = refresh(tmp_path)
    assert 0 < loaded.entries < loaded.last_seq == len(STORY.entries)


def test_process_ends_when_nobody_wants_more(
    processes: Processes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A load that is given up ends it; it ends by itself, in silence, if the loader was killed."""
    write_journal(tmp_path / "journal", STORY.drafts())
    broken_by("ahead._pieces = lambda reader: itertools.cycle(list(pieces(reader)))", monkeypatch)
    coming = Ahead(Reader(tmp_path / "journal", 0)).batches()
    next(coming)
    coming.close()
    assert processes[0].returncode == -signal.SIGKILL
    with ahead._start(Reader(tmp_path / "journal", 0)) as process:
        assert ahead._next(process) is not None
    assert process.returncode == 0
    assert capfd.readouterr().err == ""


def test_process_is_worth_it_for_much_to_read_and_a_processor_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is what the history has not got yet; a small load never waits for a process."""
    write_journal(tmp_path / "journal", STORY.drafts()[:30])
    write_more(tmp_path, STORY, 30)
    begins = len(STORY.entries) + 1  # The last segment is an empty one.
    monkeypatch.setattr(ahead, "APART_ENTRIES_MIN", 20)
    for processors, after_seq, expected in (
        (2, begins - 21, True),
        (2, begins - 20, False),
        (1, begins - 21, False),
    ):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, count=processors: range(count))
        assert is_worth_it(Reader(tmp_path / "journal", after_seq)) is expected


def test_process_that_cannot_be_started_is_done_without(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that gives no more processes is no reason not to answer."""
    write_journal(tmp_path / "journal", STORY.drafts())
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    assert refresh(tmp_path).entries == len(STORY.entries)
    assert processes == []
