"""Bringing the history up to date with a real journal, beside other processes."""

import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from query.errors import HistoryBusy, HistoryUnreadable
from query.history import turns
from query.history.database import History, open_for_loading, open_for_reading
from query.history.schema import SCHEMA_VERSION
from query.load.known import Memory
from query.load.loader import refresh
from query.load.loading import load
from recorder.errors import JournalError
from recorder.journal.retention import drop
from recorder.journal.store import Journal
from tests.history.journals import START_NS, Pool, Told, rows, spoil, write_journal
from tests.history.stories import ROOT, STORY, contents, write_more

NOW_NS = START_NS + 3600 * 1_000_000_000


def test_refresh_adds_only_what_is_new(tmp_path: Path) -> None:
    """A second refresh loads nothing, one after more entries only those."""
    write_journal(tmp_path / "journal", STORY.drafts()[:20])
    assert refresh(tmp_path, now_ns=lambda: NOW_NS).entries == 20
    assert refresh(tmp_path, now_ns=lambda: NOW_NS).entries == 0
    write_more(tmp_path, STORY, 20)
    told: list[tuple[int, int]] = []
    loaded = refresh(
        tmp_path, now_ns=lambda: NOW_NS, progress=lambda done, total: told.append((done, total))
    )
    assert loaded.entries == len(STORY.entries) - 20
    assert told == [(loaded.entries, loaded.entries)]
    with loaded.open() as history:
        sql = "SELECT last_seq, entries, epoch_us(loaded_at), schema_version FROM loads"
        assert rows(history, f"{sql} ORDER BY last_seq") == [
            (20, 20, NOW_NS // 1000, SCHEMA_VERSION),
            (len(STORY.entries), loaded.entries, NOW_NS // 1000, SCHEMA_VERSION),
        ]


def test_history_of_another_journal_is_replaced(tmp_path: Path) -> None:
    """A journal that was begun anew does not continue the old history."""
    write_journal(tmp_path / "journal", STORY.drafts())
    refresh(tmp_path)
    (tmp_path / "journal").rename(tmp_path / "old")
    told = Told()
    Pool(told, "other").register()
    write_journal(tmp_path / "journal", told.drafts())
    loaded = refresh(tmp_path)
    (warning,) = loaded.warnings
    assert warning == (
        f"{loaded.path} is of another journal, or of this one before its end was cut off:"
        " it is kept as history.duckdb.replaced, and the history is built anew"
    )
    with loaded.open() as history:
        assert rows(history, "SELECT pool FROM pools") == [("other",)]
        assert rows(history, "SELECT count(*) FROM events") == [(0,)]


def test_journal_that_lost_its_end_is_convicted_by_the_history(tmp_path: Path) -> None:
    """What the history has loaded and the journal no longer holds is said, and kept."""
    drafts = STORY.drafts()
    write_journal(tmp_path / "journal", drafts[:-3])
    shutil.copytree(tmp_path / "journal", tmp_path / "backup")
    write_journal(tmp_path / "journal", drafts[-3:])
    before = refresh(tmp_path)
    shutil.rmtree(tmp_path / "journal")
    (tmp_path / "backup").rename(tmp_path / "journal")
    loaded = refresh(tmp_path)
    assert loaded.last_seq == before.last_seq
    (warning,) = loaded.warnings
    assert warning.startswith(
        f"THE END OF THE JOURNAL WAS CUT OFF: it ends at @{len(drafts) - 3}, but its entries up to"
        f" @{len(drafts)} were loaded before; history.duckdb still holds them"
    )
    assert not (tmp_path / "history.duckdb.replaced").exists()


def test_history_of_another_version_is_built_anew(tmp_path: Path) -> None:
    """Tables of an older release are never read."""
    write_journal(tmp_path / "journal", STORY.drafts())
    path = tmp_path / "history.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE loads (last_seq BIGINT, schema_version INTEGER)")
        connection.execute("INSERT INTO loads VALUES (5, 0)")
    loaded = refresh(tmp_path)
    assert loaded.entries == len(STORY.entries)
    (warning,) = loaded.warnings
    assert warning == (
        f"{path} was built by another release: it is kept as history.duckdb.replaced,"
        " and the history is built anew"
    )


def test_history_outlives_the_segments_that_the_journal_dropped(tmp_path: Path) -> None:
    """What the journal no longer holds stays in the history; what was never loaded is a gap."""
    folder = tmp_path / "journal"
    drafts = STORY.drafts()
    for part in (drafts[:12], drafts[12:24], drafts[24:]):
        write_journal(folder, part)  # a segment each
    load(tmp_path / "history.duckdb", STORY.entries[:20], Memory(), loaded_at_us=0)
    with Journal.open(folder, now_ns=lambda: START_NS) as journal:
        drop(journal, 2)
    for _ in range(2):
        loaded = refresh(tmp_path)
        assert loaded.last_seq == len(STORY.entries) + 1  # the mark of the drop
        with loaded.open() as history:
            assert rows(history, "SELECT min(seq) FROM events") == [(5,)]
            sql = "SELECT DISTINCT detail FROM gaps WHERE cause = 'entries-missing'"
            assert rows(history, sql) == [("entries 21 to 24 are missing from the journal",)]


def test_new_history_of_a_journal_without_its_beginning_says_so(tmp_path: Path) -> None:
    """It is no damage; it is a warning and a mark all the same, and told once."""
    folder = tmp_path / "journal"
    drafts = STORY.drafts()
    for part in (drafts[:12], drafts[12:]):
        write_journal(folder, part)
    with Journal.open(folder, now_ns=lambda: START_NS) as journal:
        drop(journal, 1)
    loaded = refresh(tmp_path)
    (warning,) = loaded.warnings
    assert warning == (
        "the history begins later than the journal once did: entries 1 to 12 were dropped by the"
        " rules of retention"
    )
    assert refresh(tmp_path).warnings == ()
    with loaded.open() as history:
        assert rows(history, "SELECT min(seq) >= 12 FROM events") == [(True,)]
        sql = "SELECT count(*) FROM marks WHERE name = 'entries-dropped'"
        assert rows(history, sql) == [(1,)]


HOLDER = """
import sys, time
from pathlib import Path
from query.history import database

with getattr(database, sys.argv[1])(Path(sys.argv[2])):
    print("held", flush=True)
    if sys.argv[3:]:
        sys.stdin.readline()
    time.sleep(0.05)
"""
"""Holds a history for a moment or, if it is told so, as long as nothing comes in."""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for anybody."""
    monkeypatch.setattr(turns, "LOCK_WAIT_S_MAX", 0.0)
    monkeypatch.setattr(turns, "LOAD_WAIT_S_MAX", 0.0)


@pytest.mark.usefixtures("hasty")
def test_refresh_without_the_lock_answers_from_what_is_there(tmp_path: Path) -> None:
    """While another process loads, a reader takes the history as it is and says how old it is."""
    write_journal(tmp_path / "journal", STORY.drafts()[:20])
    refresh(tmp_path)
    write_more(tmp_path, STORY, 20)
    with (tmp_path / "history.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        loaded = refresh(tmp_path)
    assert (loaded.entries, loaded.last_seq) == (0, 20)
    (warning,) = loaded.warnings
    assert warning == (
        "another process is loading the history; answering from what was loaded up to"
        " 2023-11-14T22:13:40Z (entry @20)"
    )


@pytest.mark.usefixtures("hasty")
def test_refresh_beside_a_long_question_answers_from_what_is_there(tmp_path: Path) -> None:
    """Nothing is added while somebody reads; the next refresh makes up for it."""
    write_journal(tmp_path / "journal", STORY.drafts()[:20])
    before = refresh(tmp_path)
    write_more(tmp_path, STORY, 20)
    command = [sys.executable, "-c", HOLDER, "open_for_reading", str(before.path), "patiently"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        loaded = refresh(tmp_path)
        holder.communicate()
    (warning,) = loaded.warnings
    assert (loaded.entries, loaded.last_seq) == (0, 20)
    assert warning.startswith("another process is asking the history; answering from what was")
    assert refresh(tmp_path).last_seq == len(STORY.entries)


@pytest.mark.usefixtures("hasty")
def test_refresh_without_lock_or_history_is_an_error(tmp_path: Path) -> None:
    """There is nothing to answer from."""
    write_journal(tmp_path / "journal", STORY.drafts())
    with (tmp_path / "history.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(HistoryUnreadable) as caught:
            refresh(tmp_path)
    assert str(caught.value) == (
        f"there is no history at {tmp_path}/history.duckdb yet, and another process is loading"
        " the history; try again, or copy the folder to where it can be written"
    )


def test_refresh_without_a_journal_is_an_error(tmp_path: Path) -> None:
    """The message comes from the journal and names the folder."""
    with pytest.raises(JournalError, match="no journal folder"):
        refresh(tmp_path / "nowhere")


def test_file_that_is_no_history_is_named(tmp_path: Path) -> None:
    """Whatever lies at the place of the history is not touched."""
    write_journal(tmp_path / "journal", STORY.drafts())
    (tmp_path / "history.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(HistoryUnreadable, match="can be deleted, and is then built anew"):
        refresh(tmp_path)


def test_damage_is_a_warning_and_a_mark_and_what_follows_a_gap(tmp_path: Path) -> None:
    """Entries behind the damage are loaded; those that are lost are a gap of every pool."""
    folder = tmp_path / "journal"
    write_journal(folder, STORY.drafts()[:20])
    write_more(tmp_path, STORY, 20, 30)
    spoil(folder, b"web5")
    write_more(tmp_path, STORY, 30)
    loaded = refresh(tmp_path)
    (warning,) = loaded.warnings
    assert warning.startswith("the journal is damaged: ")
    with loaded.open() as history:
        ((seq, detail),) = rows(history, "SELECT seq, detail FROM marks WHERE name = 'damaged'")
        assert f"the journal is damaged: {json.loads(str(detail))['text']}" == warning
        sql = "SELECT seq, pool, detail, since_seq, open FROM gaps WHERE cause = 'damaged'"
        assert rows(history, sql) == [(20, "", warning.partition(": ")[2], 20, False)]
        missing = rows(history, "SELECT pool, cause FROM gaps WHERE cause = 'entries-missing'")
        assert sorted(missing) == [("east", "entries-missing"), ("lab", "entries-missing")]
        ((last,),) = rows(history, "SELECT max(last_seq) FROM loads")
    assert seq == 20
    assert last == loaded.last_seq > 30
    refresh(tmp_path)
    with loaded.open() as history:
        assert rows(history, "SELECT count(*) FROM marks WHERE name = 'damaged'") == [(1,)]


def test_damage_at_the_end_is_where_the_history_ends(tmp_path: Path) -> None:
    """What is good before the damage is answered from, again and again."""
    write_journal(tmp_path / "journal", STORY.drafts()[:20])
    write_more(tmp_path, STORY, 20, 30)
    spoil(tmp_path / "journal", b"web5")
    for entries in (20, 0):
        loaded = refresh(tmp_path)
        assert (loaded.entries, loaded.last_seq, len(loaded.warnings)) == (entries, 20, 1)
        with loaded.open() as history:
            assert rows(history, "SELECT seq FROM marks WHERE name = 'damaged'") == [(20,)]
    assert contents(loaded.path)["gap_spans"] == []


def test_reader_waits_while_the_history_is_written(tmp_path: Path) -> None:
    """The file belongs to the loader during a batch; a reader tries again until it is free."""
    write_journal(tmp_path / "journal", STORY.drafts())
    loaded = refresh(tmp_path)
    command = [sys.executable, "-c", HOLDER, "open_for_loading", str(loaded.path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(HistoryBusy):
            open_for_reading(loaded.path)
        with loaded.open() as history:
            assert rows(history, "SELECT count(*) > 0 FROM events") == [(True,)]


def test_few_entries_take_one_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To open the file takes longer than to add them, and somebody waits for the answer."""
    opened: list[Path] = []

    def counted(path: Path) -> History:
        opened.append(path)
        return open_for_loading(path)

    write_more(tmp_path, STORY, 0, 15)
    refresh(tmp_path)
    write_more(tmp_path, STORY, 15)
    monkeypatch.setattr(turns, "open_for_loading", counted)
    assert refresh(tmp_path).entries == len(STORY.entries) - 15
    assert opened == [tmp_path / "history.duckdb"]
    assert refresh(tmp_path).entries == 0
    assert len(opened) == 2
