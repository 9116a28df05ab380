"""The history in Python: tables with types, notes on what they lack, and the example notebook."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import query
from query.errors import BadSql, HistoryUnreadable, NoSuchField, NoSuchObject
from query.load.loader import refresh
from query.open import OpenHistory, notes_of, open_history
from recorder.errors import JournalError
from recorder.instant import BadInstant, Instant
from tests.history.journals import Pool, Told, record, spoil, write_journal

NOTEBOOK = Path(__file__).parents[2] / "config" / "notebooks" / "first_look.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VM that starts, and is found grown after a gap."""
    told = Told()
    lab = Pool(told)
    lab.register()  # @2
    halted = record("web1", power_state="Halted", memory=1, tags=["a"])
    lab.chunk("vm", {"web1": halted, "web2": record("web2")})  # @4, @5
    lab.done()  # @6
    running = {**halted, "power_state": "Running"}
    lab.event("mod", "vm", "web1", running)  # @7
    gap = lab.lose()  # @8
    lab.register()
    lab.chunk("vm", {"web1": {**running, "memory": 2}, "web2": record("web2")})  # @12
    lab.done()
    lab.close(gap)
    folder = tmp_path_factory.mktemp("data")
    write_journal(folder / "journal", told.drafts())
    return folder


@pytest.fixture
def history(data: Path) -> Iterator[OpenHistory]:
    with open_history(data) as history:
        yield history


def columns(table: pa.Table, *names: str) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in names) for row in table.to_pylist()]


def test_class_at_an_instant_is_a_table(history: OpenHistory) -> None:
    """Named fields are columns; text is as it is, anything else JSON; each row has its evidence."""
    table = history.at("@7", class_="VM", fields=["power_state", "memory", "tags", "uuid"])
    names = ("name", "power_state", "memory", "tags", "uuid", "certainty", "seq")
    assert columns(table, *names) == [
        ("web1", "Running", "1", '["a"]', "web1-uuid", "known", 7),
        ("web2", None, None, None, "web2-uuid", "known", 5),
    ]
    assert table.schema.field("told_at").type == pa.timestamp("us", tz="UTC")
    assert notes_of(table)["at"] == "@7"
    verdicts = notes_of(table)["verdicts"]
    assert isinstance(verdicts, list)
    assert [(one["pool"], one["certainty"]) for one in verdicts if isinstance(one, dict)] == [
        ("lab", "known")
    ]


def test_object_at_an_instant_has_its_record(history: OpenHistory) -> None:
    """As JSON; in a gap it is uncertain, and says why."""
    (row,) = history.at("2023-11-14T22:13:28.5Z", "web1").to_pylist()
    assert json.loads(row["fields"])["memory"] == 1
    assert (row["certainty"], row["gap"], row["exists"]) == ("uncertain", 8, True)
    assert row["reason"].startswith("inside gap @8 (connection-lost)")
    assert row["told_at"] == datetime(2023, 11, 14, 22, 13, 27, tzinfo=UTC)


def test_life_is_a_row_a_changed_field(history: OpenHistory) -> None:
    """Old and new as JSON text; what was inferred says so; the notes have the gap."""
    table = history.history("web1")
    names = ("seq", "operation", "origin", "gap", "field", "old", "new")
    assert columns(table, *names) == [
        (4, "add", "baseline", None, None, None, None),
        (7, "mod", "live", None, "power_state", '"Halted"', '"Running"'),
        (12, "mod", "inferred", 8, "memory", "1", "2"),
    ]
    gaps = notes_of(table)["gaps"]
    assert isinstance(gaps, list)
    assert [gap["seq"] for gap in gaps if isinstance(gap, dict)] == [8]
    assert columns(history.history("web1", since="@8"), "seq") == [(12,)]
    assert history.history("web1", until="@3").schema.names == table.schema.names


def test_difference_is_a_row_a_field(history: OpenHistory) -> None:
    """Between any two instants, with the entries that told both states."""
    table = history.diff("@6", Instant(seq=14))
    assert columns(table, "what", "name", "field", "old", "new", "seq_before", "seq_after") == [
        ("changed", "web1", "memory", "1", "2", 4, 12),
        ("changed", "web1", "power_state", '"Halted"', '"Running"', 4, 12),
    ]
    assert notes_of(table)["not_compared"] == []
    assert history.diff("@6", "@14", "web2").num_rows == 0


def test_instants_are_text_datetimes_or_numbers(history: OpenHistory) -> None:
    """A datetime without a zone says nothing; `@event` is looked for."""
    at = datetime(2023, 11, 14, 22, 13, 27, tzinfo=UTC)
    seqs = [
        columns(history.at(when, "web1"), "seq")
        for when in (at, "2023-11-14T22:13:27Z", Instant(seq=7), "@event:0")
    ]
    assert seqs == [[(7,)]] * 4
    with pytest.raises(BadInstant, match="has no time zone"):
        history.at(at.replace(tzinfo=None), "web1")
    with pytest.raises(NoSuchObject, match="'wbe1'"):
        history.at("now", "wbe1")
    with pytest.raises(NoSuchField, match="no field is called 'colour'; there are memory, "):
        history.at("now", class_="vm", fields=["colour"])
    with pytest.raises(ValueError, match="name an object, or a class_"):
        history.at("now")


def test_sql_and_connection_read_only(history: OpenHistory) -> None:
    """The connection has all views, and is in the same jail."""
    assert history.sql("SELECT count(*) AS n FROM events;").to_pylist() == [{"n": 4}]
    assert history.connection.execute("SELECT count(*) FROM gaps").fetchall() == [(1,)]
    with pytest.raises(BadSql):
        history.sql("DROP TABLE events")
    with pytest.raises(duckdb.Error):
        history.connection.execute("COPY events TO 'x.csv'")


def test_gaps_of_a_range_are_told(history: OpenHistory) -> None:
    """None is all that was recorded."""
    assert [gap.seq for gap in history.lacks().gaps] == [8]
    assert not history.lacks("@4", "@6")


def test_history_is_refreshed_or_read_as_it_lies(data: Path, tmp_path: Path) -> None:
    """Warnings of the loader are warnings of Python; without a journal there is an error."""
    write_journal(tmp_path / "journal", Told().drafts())
    with pytest.raises(HistoryUnreadable):
        open_history(tmp_path, refresh=False)
    with pytest.raises(JournalError):
        open_history(tmp_path / "nowhere")
    refresh(data, database=tmp_path / "copy.duckdb")
    with open_history(tmp_path, database=tmp_path / "copy.duckdb", refresh=False) as history:
        assert history.sql("SELECT max(seq) AS seq FROM events").to_pylist() == [{"seq": 12}]


def test_damage_of_the_journal_is_a_warning(tmp_path: Path) -> None:
    """What is good is answered from."""
    told = Told()
    lab = Pool(told)
    lab.register()
    write_journal(tmp_path / "journal", told.drafts())
    lab.event("add", "vm", "web9", record("web9"))
    write_journal(tmp_path / "journal", told.drafts()[-1:])
    spoil(tmp_path / "journal", b"web9")
    with pytest.warns(UserWarning, match="the journal is damaged"):
        history = open_history(tmp_path)
    with history:
        assert history.sql("SELECT count(*) AS n FROM events").to_pylist() == [{"n": 0}]


def test_package_offers_it() -> None:
    """Under `query` itself, and nothing that is not there."""
    assert query.open_history is open_history
    with pytest.raises(AttributeError, match="no attribute 'close_history'"):
        _ = query.close_history


def test_example_notebook_runs(data: Path) -> None:
    """As a script, from its first cell to its last."""
    ended = subprocess.run(
        [sys.executable, str(NOTEBOOK), str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.stderr, ended.returncode) == ("", 0)
    assert "gap @8 of lab: connection-lost, from 2023-11-14" in ended.stdout
    assert "lab web1 Running last-known\n" in ended.stdout
    assert '7 mod live power_state "Halted" "Running"\n' in ended.stdout
    assert "changed vm web1 memory\n" in ended.stdout
