"""A history in a file that was named, and what becomes of one that is built anew."""

import fcntl
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from query.errors import HistoryOfAnother, HistoryUnreadable
from query.history import turns
from query.history.database import History, insert, open_for_reading, transaction
from query.history.schema import MARKS
from query.history.turns import to_load
from query.load.known import Memory
from query.load.loader import refresh
from query.load.loading import load
from query.load.rows import Row, pieces_of
from query.questions.gaps import gaps
from recorder.errors import QueryError
from recorder.journal.retention import drop
from recorder.journal.scan import journal_id
from recorder.journal.store import Journal
from tests.history.journals import START_NS, Pool, Told, record, rows, write_journal
from tests.history.stories import STORY, contents, recalled, write_more


def other_journal(folder: Path) -> None:
    """A longer one, so that the entry after the last one loaded is there."""
    told = Told()
    Pool(told, "other").register()
    write_journal(folder, [*told.drafts(), *STORY.drafts()])


def test_named_file_is_the_history(tmp_path: Path) -> None:
    """It is made there, with its lock beside it, and gone on with; the data folder stays clean."""
    write_journal(tmp_path / "data/journal", STORY.drafts()[:20])
    (tmp_path / "else").mkdir()
    for name, lock in (("h.duckdb", "h.lock"), ("h", "h.lock"), ("x.lock", "x.lock.lock")):
        database = tmp_path / "else" / name
        assert refresh(tmp_path / "data", database=database).last_seq == 20
        assert database.with_name(lock).exists()
        assert any(contents(database).values())
    write_more(tmp_path / "data", STORY, 20)
    loaded = refresh(tmp_path / "data", database=database)
    assert (loaded.path, loaded.entries) == (database, len(STORY.entries) - 20)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["journal"]
    refresh(tmp_path / "data")
    assert contents(database) == contents(tmp_path / "data/history.duckdb")


def test_named_file_of_another_journal_is_refused(tmp_path: Path) -> None:
    """Neither replaced nor added to, whichever of the two journals is longer."""
    write_journal(tmp_path / "one/journal", STORY.drafts())
    other_journal(tmp_path / "two/journal")
    for first, second in (("one", "two"), ("two", "one")):
        database = tmp_path / f"{first}.duckdb"
        refresh(tmp_path / first, database=database)
        before = contents(database)
        with pytest.raises(HistoryOfAnother) as caught:
            refresh(tmp_path / second, database=database)
        assert str(caught.value) == (
            f"{database} is the history of another journal than {tmp_path}/{second}/journal, or of"
            " this one before its end was cut off: name another file, or delete this one"
        )
        assert isinstance(caught.value, QueryError)
        assert contents(database) == before
        assert not list(tmp_path.glob("*.replaced*"))


def test_journal_is_known_by_its_id_even_if_entries_are_alike(tmp_path: Path) -> None:
    """Two recorders may begin with the same entries; what they are called never is the same."""
    for name in ("one", "two"):
        write_journal(tmp_path / name / "journal", STORY.drafts())
    database = tmp_path / "h.duckdb"
    refresh(tmp_path / "one", database=database)
    with pytest.raises(HistoryOfAnother):
        refresh(tmp_path / "two", database=database)
    connection = duckdb.connect(str(database), read_only=True)
    ids = connection.sql("SELECT DISTINCT journal FROM loads").fetchall()
    assert ids == [(journal_id(tmp_path / "one/journal"),)]
    assert ids != [(journal_id(tmp_path / "two/journal"),)]


def test_named_file_without_a_folder_says_so(tmp_path: Path) -> None:
    """A folder is not made for whoever mistypes it."""
    write_journal(tmp_path / "journal", STORY.drafts())
    database = tmp_path / "no/h.duckdb"
    with pytest.raises(HistoryUnreadable) as caught:
        refresh(tmp_path, database=database)
    assert str(caught.value) == f"{database} cannot be made: there is no folder {tmp_path}/no"


def test_what_is_replaced_is_kept_every_time(tmp_path: Path) -> None:
    """A second replacement does not take the place of what the first one kept."""
    for name in ("one", "two", "three"):
        shutil.rmtree(tmp_path / "journal", ignore_errors=True)
        told = Told()
        Pool(told, name).register()
        write_journal(tmp_path / "journal", told.drafts())
        loaded = refresh(tmp_path)
    assert "is kept as history.duckdb.replaced-2, and" in loaded.warnings[0]
    for kept, pool in (("", "three"), (".replaced", "one"), (".replaced-2", "two")):
        path = tmp_path / f"history.duckdb{kept}"
        connection = duckdb.connect(str(path), read_only=True)
        assert connection.sql("SELECT pool FROM pools").fetchall() == [(pool,)]


def test_history_built_anew_from_a_journal_without_its_beginning_loses_nothing_silently(
    tmp_path: Path,
) -> None:
    """What only the older history knows stays in it, and both facts are said."""
    folder, path = tmp_path / "journal", tmp_path / "history.duckdb"
    for part in (STORY.drafts()[:12], STORY.drafts()[12:]):
        write_journal(folder, part)
    refresh(tmp_path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE loads SET schema_version = 0")
    with Journal.open(folder, now_ns=lambda: START_NS) as journal:
        drop(journal, 1)
    loaded = refresh(tmp_path)
    replaced, dropped = loaded.warnings
    assert replaced == (
        f"{path} was built by another release: it is kept as history.duckdb.replaced, and the"
        " history is built anew"
    )
    assert dropped == (
        "the history begins later than the journal once did: entries 1 to 12 were dropped by the"
        " rules of retention"
    )
    kept = duckdb.connect(f"{path}.replaced", read_only=True)
    assert kept.sql("SELECT min(seq) FROM events").fetchall() == [(5,)]
    with loaded.open() as history:
        details = [gap.detail for gap in gaps(history) if gap.cause == "dropped"]
        assert any("not in the history: entries 1 to 12 were dropped" in text for text in details)


def test_history_of_another_release_is_not_asked_while_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cannot have the lock does not read tables that have other columns."""
    monkeypatch.setattr(turns, "LOCK_WAIT_S_MAX", 0.0)
    write_journal(tmp_path / "journal", STORY.drafts())
    with duckdb.connect(str(tmp_path / "history.duckdb")) as connection:
        connection.execute("CREATE TABLE loads (last_seq BIGINT, schema_version INTEGER)")
        connection.execute("INSERT INTO loads VALUES (5, 0)")
    with (tmp_path / "history.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(HistoryUnreadable, match="by another release, and another"):
            refresh(tmp_path)


def test_damage_and_the_entries_behind_it_are_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever dies right after a batch has written down what was damaged in it."""
    marked: list[bool] = []

    def mark(history: object) -> None:
        marked.append(True)
        raise KeyboardInterrupt

    path = tmp_path / "history.duckdb"
    with pytest.raises(KeyboardInterrupt):
        load(path, STORY.entries, Memory(), loaded_at_us=0, beside=mark)
    assert marked
    assert not any(contents(path).values())


def test_what_cannot_be_written_is_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    """A full disk, or whatever stops DuckDB, is an error that says so; nothing is half there."""
    path = tmp_path / "history.duckdb"
    load(path, STORY.entries[:15], Memory(), loaded_at_us=0)
    before = contents(path)

    def fail(history: History) -> None:
        history.connection.execute("SELECT error('no space left on device')")

    memory = recalled(path)
    with pytest.raises(HistoryUnreadable) as caught:
        load(path, STORY.entries[15:], memory, loaded_at_us=0, beside=fail)
    text = str(caught.value)
    assert text.startswith("the history cannot be written: ")
    assert "no space left on device" in text
    assert text.endswith("; what was loaded before is in it")
    assert "\n" not in text
    assert contents(path) == before


def test_ctrl_c_while_rows_are_made_is_no_error_of_the_history(tmp_path: Path) -> None:
    """DuckDB asks for rows piece by piece, and tells whatever happens there as an error of its."""

    def interrupted() -> Iterator[Row]:
        yield 1, "lab", 0, "started", None, "{}"
        raise KeyboardInterrupt

    path = tmp_path / "history.duckdb"
    with pytest.raises(KeyboardInterrupt), to_load(path) as history, transaction(history):
        insert(history, "marks", pieces_of(interrupted(), MARKS))
    assert not any(contents(path).values())


@pytest.mark.soak
def test_baseline_larger_than_a_batch_is_loaded(tmp_path: Path) -> None:
    """A chunk and the end of a baseline need all objects at once, however large they are."""
    told = Told()
    lab = Pool(told)
    lab.register()
    rng = random.Random(1)
    records = {f"vm{n}": record(f"vm{n}", note=rng.randbytes(50_000).hex()) for n in range(4000)}
    lab.chunk("vm", records)
    lab.done()
    path = tmp_path / "history.duckdb"
    load(path, told.entries, Memory(), loaded_at_us=0)
    with open_for_reading(path) as history:
        assert rows(history, "SELECT count(*), min(length(snapshot)) > 100000 FROM events") == [
            (4000, True)
        ]
