"""`xentrail export`: what is said of a file, and what its name says of its format."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.questions import Program
from tests.history.journals import Pool, Told, record, write_journal


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.event("add", "vm", "web1", record("web1"))
    lab.close(lab.lose())
    folder = tmp_path_factory.mktemp("data")
    write_journal(folder / "journal", told.drafts())
    return folder


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(data, capsys, monkeypatch)


GAP = (
    "xentrail: gap @4 of pool lab (connection-lost): events may be missing"
    " from 2023-11-14T22:13:23Z to 2023-11-14T22:13:23Z\n"
)


def test_file_is_written_and_its_gaps_are_said(run: Program, tmp_path: Path) -> None:
    """Nothing is on stdout; `--strict` fails, with the file there."""
    file = tmp_path / "marks.parquet"
    ran = run("export", "marks", "-o", str(file))
    assert (ran.out, ran.code) == ("", 0)
    assert ran.err == f"xentrail: 2 rows written to {file}\n{GAP}"
    assert pq.read_table(file).num_rows == 2
    ran = run("export", "marks", "-o", str(file), "--strict", "--force")
    assert ran.code == 1
    ran = run("export", "marks", "-o", str(file))
    assert (ran.code, ran.err) == (
        60,
        f"xentrail: {file} is there already; --force replaces it\n",
    )


def test_name_says_the_format(run: Program, tmp_path: Path) -> None:
    """Unless --format does."""
    ask = ("export", "--sql", "SELECT 1 AS n", "-o")
    run(*ask, str(tmp_path / "a.csv"))
    run(*ask, str(tmp_path / "a.JSONL"))
    run(*ask, str(tmp_path / "b.csv"), "--format", "jsonl")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "n\n1\n"
    assert json.loads((tmp_path / "a.JSONL").read_text(encoding="utf-8")) == {"n": 1}
    assert json.loads((tmp_path / "b.csv").read_text(encoding="utf-8")) == {"n": 1}


def test_partitions_of_a_range_are_written(run: Program, tmp_path: Path) -> None:
    """A folder a pool and day; instants are read as everywhere."""
    words = ("--partition", "--since", "@1", "--until", "2023-11-14 23:13:23", "--pool", "lab")
    ran = run("export", "events", "-o", str(tmp_path / "out"), *words, "--tz", "Europe/Berlin")
    assert ran.err.startswith(f"xentrail: 1 row in 1 file written to {tmp_path / 'out'}\n")
    assert (tmp_path / "out" / "pool=lab" / "day=2023-11-14" / "part-0.parquet").is_file()


@pytest.mark.parametrize(
    "words",
    [("-o", "x"), ("marks", "--sql", "SELECT 1", "-o", "x"), ("marks",)],
)
def test_usage_errors_exit_2(run: Program, words: tuple[str, ...]) -> None:
    """A table or a query, and a place."""
    ran = run("export", *words)
    assert (ran.out, ran.code) == ("", 2)


def test_spreadsheet_safe_is_for_csv(run: Program, tmp_path: Path) -> None:
    """Elsewhere it would do nothing, which is told."""
    ran = run("export", "marks", "-o", str(tmp_path / "x"), "--spreadsheet-safe")
    assert ran.code == 2
    assert "--spreadsheet-safe is for CSV" in ran.err
