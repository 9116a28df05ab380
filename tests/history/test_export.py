"""Exported files: exact values, whole or not there, in bounded pieces, honest about gaps."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from query import export as exports
from query import sinks
from query.choices import ExportFormat
from query.errors import BadSql, NoSuchPool, NoSuchTable, NotWritten
from query.export import Wanted, export
from query.history.database import History
from query.sinks import partition_path, spreadsheet_text
from recorder.instant import Instant, parse_instant
from tests.history.journals import Pool, Told, loaded, record

HOSTILE = (
    "=cmd()",
    "a\rb",
    'say "hi", he said\nand \t left',
    "\x1b[2Jgone\x00",
    "\u202eevil",
    "''",
    " pad ",
    "😀",
    "",
)
PARQUET, CSV, JSONL = ExportFormat.PARQUET, ExportFormat.CSV, ExportFormat.JSONL


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Two pools, VMs with names that nobody wants, and a gap of one pool."""
    told = Told()
    lab, east = Pool(told), Pool(told, "../ea=st/")
    lab.register()  # @2
    east.register()  # @4
    for number, name in enumerate(HOSTILE):
        lab.event("add", "vm", f"v{number}", record(name, uuid=f"u{number}"))  # @5 and on
    east.event("add", "vm", "e1", record("db1"))
    lab.close(lab.lose())
    folder = tmp_path_factory.mktemp("export")
    with loaded(folder / "history.duckdb", told.entries) as history:
        yield history


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_jsonl(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


VMS = Wanted(sql="SELECT * FROM events WHERE class = 'vm' AND pool = 'lab' ORDER BY seq")
NAMES = [name or None for name in HOSTILE]


def test_parquet_has_the_rows_and_what_they_lack(history: History, tmp_path: Path) -> None:
    """Types stay, times are UTC, zstd; the gaps are in the metadata, with the last entry."""
    path = tmp_path / "events.parquet"
    done = export(history, VMS, path, PARQUET)
    table = pq.read_table(path)
    assert done.rows == table.num_rows == len(HOSTILE)
    assert table.column("name").to_pylist() == NAMES
    assert str(table.schema.field("received_at").type) == "timestamp[us, tz=UTC]"
    assert table.column("changed_fields").to_pylist() == [None] * len(HOSTILE)
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"
    notes = json.loads(table.schema.metadata[b"xentrail"])
    assert [gap["seq"] for gap in notes["gaps"]] == [gap.seq for gap in done.lacks.gaps] == [15]
    assert (notes["sql"], notes["table"], notes["last_seq"]) == (VMS.sql, None, 16)


def test_csv_reads_back_exactly(history: History, tmp_path: Path) -> None:
    """Each cell, whatever is in it; lists are JSON text, times ISO text in UTC."""
    path = tmp_path / "events.csv"
    export(history, VMS, path, CSV)
    rows = read_csv(path)
    assert [row["name"] for row in rows] == list(HOSTILE)
    assert [json.loads(row["snapshot"])["name_label"] for row in rows] == list(HOSTILE)
    assert rows[0]["received_at"] == "2023-11-14T22:13:25Z"


def test_json_lines_read_back_exactly(history: History, tmp_path: Path) -> None:
    """A document a line, and no line break inside of one."""
    path = tmp_path / "events.jsonl"
    export(history, VMS, path, JSONL)
    rows = read_jsonl(path)
    assert [row["name"] for row in rows] == NAMES
    assert rows[0]["received_at"] == "2023-11-14T22:13:25Z"
    assert rows[0]["seq"] == 5


def test_spreadsheets_are_given_no_formula(history: History, tmp_path: Path) -> None:
    """Only if asked for, since it changes values; one apostrophe less is the value again."""
    path = tmp_path / "events.csv"
    export(history, VMS, path, CSV, spreadsheet_safe=True)
    cells = [row["name"] for row in read_csv(path)]
    assert cells[0] == "'=cmd()"
    assert [cell.removeprefix("'") for cell in cells] == list(HOSTILE)
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert read_csv(path)[0]["seq"] == "5"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\ta", "\ra", "\na", "＝1", "'a"])  # noqa: RUF001  # full width counts
def test_text_that_begins_like_a_formula_is_text(text: str) -> None:
    """As OWASP lists them; numbers are no text."""
    assert spreadsheet_text(text) == f"'{text}"
    assert spreadsheet_text(-5) == "-5"
    assert spreadsheet_text("a=1") == "a=1"


def instant(text: str) -> Instant:
    return parse_instant(text, now_ns=0)


@pytest.mark.parametrize(
    ("wanted", "seqs"),
    [
        (Wanted(table="events", pool="../ea=st/"), [14]),
        (Wanted(table="events", since=instant("@12")), [12, 13, 14]),
        (Wanted(table="events", until=instant("@5")), [5]),
        (Wanted(table="events", since=instant("2023-11-14T22:13:33Z")), [13, 14]),
        (Wanted(table="events", until=instant("2023-11-14T22:13:25Z")), [5]),
        (Wanted(sql="SELECT seq, pool FROM marks", until=instant("@2")), [1, 2]),
        (Wanted(table="gaps", since=instant("2023-11-14T22:13:31Z")), [15]),
        (Wanted(table="gaps", since=instant("@16")), [15]),
        (Wanted(table="gaps", since=instant("2023-11-14T22:14:00Z")), []),
        (Wanted(table="gaps", until=instant("2023-11-14T22:13:30Z")), []),
    ],
)
def test_range_keeps_the_rows_that_touch_it(
    history: History, tmp_path: Path, wanted: Wanted, seqs: list[int]
) -> None:
    """Of a gap or a span both ends count, of an event its one time."""
    export(history, wanted, tmp_path / "out", JSONL)
    assert sorted(int(str(row["seq"])) for row in read_jsonl(tmp_path / "out")) == seqs


@pytest.mark.parametrize(
    ("wanted", "error", "text"),
    [
        (Wanted(table="nothing"), NoSuchTable, "no table is called 'nothing'; there are "),
        (Wanted(table='marks" --'), NoSuchTable, "no table is called"),
        (Wanted(table="events", pool="west"), NoSuchPool, "no pool is called 'west'"),
        (Wanted(table="loads", pool="lab"), BadSql, "--pool needs the column pool, which loads"),
        (Wanted(sql="SELECT 1 AS a", since=instant("@1")), BadSql, "--since needs one of the colu"),
        (Wanted(sql="SELECT 1; SELECT 2"), BadSql, "2 statements were given"),
        (Wanted(sql="COPY marks TO 'x'"), BadSql, "the history can only be asked"),
        (Wanted(sql="SELECT 1 AS a, 2 AS a"), BadSql, "two columns are called 'a'"),
        (Wanted(sql="SELECT INTERVAL 1 DAY AS a"), BadSql, "CAST the column to VARCHAR"),
        (Wanted(sql="SELECT error('late') FROM range(9)"), BadSql, "late"),
    ],
)
def test_question_that_cannot_be_written_is_refused(
    history: History, tmp_path: Path, wanted: Wanted, error: type[Exception], text: str
) -> None:
    """In one line, with what to do; nothing is left behind."""
    with pytest.raises(error) as caught:
        export(history, wanted, tmp_path / "out", PARQUET)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unless_forced(history: History, tmp_path: Path) -> None:
    """And what is there stays until the new file is complete."""
    path = tmp_path / "out"
    path.write_text("precious", encoding="utf-8")
    with pytest.raises(NotWritten, match="is there already; --force replaces it"):
        export(history, VMS, path, CSV)
    with pytest.raises(BadSql):
        export(history, Wanted(sql="SELECT error('late')"), path, CSV, force=True)
    assert path.read_text(encoding="utf-8") == "precious"
    export(history, VMS, path, CSV, force=True)
    assert len(read_csv(path)) == len(HOSTILE)
    assert list(tmp_path.iterdir()) == [path]


def test_folder_that_is_no_export_is_never_replaced(history: History, tmp_path: Path) -> None:
    """Whoever names his home by mistake keeps it."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "precious").touch()
    wanted = Wanted(table="events")
    with pytest.raises(NotWritten, match="a folder that no export wrote"):
        export(history, wanted, home, PARQUET, partition=True, force=True)
    assert (home / "precious").exists()
    with pytest.raises(NotWritten, match=r"there is no folder .*nowhere: create it first"):
        export(history, wanted, tmp_path / "nowhere" / "out", PARQUET)


def test_partitions_are_read_as_one_table(history: History, tmp_path: Path) -> None:
    """By pool and day, as Hive names them; a pool's name stays a name, and no path."""
    path = tmp_path / "out"
    for _ in range(2):
        done = export(history, Wanted(table="events"), path, PARQUET, partition=True, force=True)
    assert list(tmp_path.iterdir()) == [path]
    day = "day=2023-11-14"
    assert sorted(str(one.relative_to(path)) for one in path.rglob("*.*") if one.is_file()) == [
        "_export.json",
        f"pool=..%2Fea%3Dst%2F/{day}/part-0.parquet",
        f"pool=lab/{day}/part-0.parquet",
    ]
    with duckdb.connect() as reader:
        sql = f"SELECT pool, day::VARCHAR, name FROM read_parquet('{path}/*/*/*', hive_partitioning=true)"  # noqa: E501, S608  # our own path
        rows = reader.execute(f"{sql} ORDER BY seq").fetchall()
    assert rows == [
        *(("lab", "2023-11-14", name) for name in NAMES),
        ("../ea=st/", "2023-11-14", "db1"),
    ]
    assert (done.files, done.rows) == (2, len(rows))
    assert pq.read_table(path).num_rows == len(rows)
    assert json.loads((path / "_export.json").read_bytes())["gaps"][0]["seq"] == 15


def test_partition_goes_on_in_another_part(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few files are open at a time; no row is lost when one has to be closed."""
    monkeypatch.setattr(sinks, "OPEN_FILES_MAX", 1)
    monkeypatch.setattr(exports, "PIECE_ROWS_MAX", 1)
    monkeypatch.setattr(exports, "READ_ROWS_MAX", 1)
    sql = """
        SELECT range AS n, if(range % 2 = 0, 'a', NULL) AS pool,
            TIMESTAMPTZ '2026-01-01T23:59:59Z' + range * INTERVAL 1 SECOND AS received_at
        FROM range(4)
    """
    done = export(history, Wanted(sql=sql), tmp_path / "out", JSONL, partition=True)
    found = {
        str(one.relative_to(tmp_path / "out")): [row["n"] for row in read_jsonl(one)]
        for one in sorted((tmp_path / "out").rglob("*.jsonl"))
    }
    none = "pool=__HIVE_DEFAULT_PARTITION__"
    assert found == {
        "pool=a/day=2026-01-01/part-0.jsonl": [0],
        "pool=a/day=2026-01-02/part-0.jsonl": [2],
        f"{none}/day=2026-01-02/part-0.jsonl": [1],
        f"{none}/day=2026-01-02/part-1.jsonl": [3],
    }
    assert (done.files, done.rows) == (4, 4)


@pytest.mark.parametrize("pool", ["..", "/", "a/../../b", "pool=x", "%2e", "\x00\n", "ä"])
def test_partition_stays_inside(pool: str) -> None:
    """Whatever a pool is called, its folder is one folder with that name."""
    first, second = partition_path((pool, "2026-01-01")).split("/")
    assert first.startswith("pool=")
    assert first.isascii()
    assert first.isprintable()
    assert second == "day=2026-01-01"
    assert partition_path((None, None)) != partition_path(("__HIVE_DEFAULT_PARTITION__", None))


def test_export_is_written_in_bounded_pieces(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By rows and by bytes: an answer of any size takes the memory of a piece."""
    told: list[int] = []
    monkeypatch.setattr(exports, "PIECE_BYTES_MAX", 1_000_000)
    wide = Wanted(sql="SELECT repeat('x', 1000) AS wide FROM range(10000)")
    export(history, wide, tmp_path / "wide", PARQUET, progress=told.append)
    assert len(told) >= 5
    assert told[-1] == 10000
    groups = pq.ParquetFile(tmp_path / "wide").metadata.num_row_groups
    assert groups == len(told)
