"""`xentrail report`: where it is written, what it refuses, what its exit code says."""

import json
from pathlib import Path

import pytest

from tests.cli.questions import Program
from tests.history.journals import spoil, write_journal
from tests.report.audit import audited
from tests.report.stories import Days, a_day


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_journal(folder / "journal", a_day().told.drafts())
    return folder


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(data, capsys, monkeypatch)


def test_report_is_written_in_place_of_the_old_one(run: Program, tmp_path: Path) -> None:
    """Whole, through links, and nothing is left beside it; what the answer lacks is on stderr."""
    file, link = tmp_path / "report.html", tmp_path / "link.html"
    file.write_text("old", "utf-8")
    link.symlink_to(file)
    ran = run("report", "--since", "@3", "-o", str(link), "--tz", "Europe/Berlin")
    told = audited(file.read_text("utf-8"))
    assert (ran.out, ran.code, told.troubles) == ("", 0, [])
    assert "gap @19 of pool lab (session-lost): events may be missing" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.html", "report.html"]
    assert link.is_symlink()
    assert "it is sound." in told.text
    assert f"xentrail report --since @3 -o {link} --tz Europe/Berlin" in told.text
    assert "times in Europe/Berlin (+01:00)" in told.text
    assert "@4711" not in told.text


def test_report_on_stdout_is_the_page(run: Program) -> None:
    """With `-o -`; `--no-verify` is said, and the checkpoint is shown nevertheless."""
    ran = run("report", "-o", "-", "--no-verify", "--strict")
    told = audited(ran.out)
    assert (told.troubles, ran.code) == ([], 1)
    assert "The journal was not verified for this report (--no-verify)." in told.text
    assert "Its signature was not checked." in told.text


def test_report_as_json_is_its_data(run: Program) -> None:
    """All that the page shows, with the verdict."""
    told = json.loads(run("report", "-o", "-", "--format", "json", "--vms", "1").out)
    (pool,) = told["report"]["pools"]
    assert pool["lives"]["left_out"] == 2
    assert [row["seq"] for row in pool["coverage"]["ledger"]] == [19]
    assert told["integrity"]["verified"]["flaws"] == []
    assert told["integrity"]["note"].startswith("xentrail/")


def test_report_is_certain_where_nothing_is_lacking(run: Program) -> None:
    """A period without a gap passes `--strict`."""
    ran = run("report", "--since", "@3", "--until", "@12", "-o", "-", "--strict")
    assert (ran.err, ran.code) == ("", 0)
    assert "No gap touches this period: nothing was missed." in ran.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("-o", "/"), 2, "--output /: is no regular file; write to one, or to -"),
        (("-o", "/nonexistent/r"), 2, "cannot be written: No such file or directory"),
        (("-o", "-", "--format", "csv"), 2, "a report is a page, or with --format json its data"),
        (("-o", "-", "--since", "@12", "--until", "@12"), 60, "so that there is time between them"),
        (("-o", "-", "--pool", "east"), 60, "no pool is called 'east'; the history has lab"),
        ((), 2, "Missing option '--output' / '-o'"),
    ],
)
def test_report_refuses_with_a_line_that_says_what_to_do(
    words: tuple[str, ...], code: int, message: str, run: Program
) -> None:
    """On stderr, and nothing on stdout."""
    ran = run("report", *words)
    assert (ran.out, ran.code) == ("", code)
    assert message in " ".join(ran.err.replace("\u2502", " ").split())


def test_report_of_a_damaged_journal_says_so_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is written all the same, with the findings at its top."""
    days = Days()
    days.begin(web1=("Running", "h1"))
    days.quiet(2)
    write_journal(tmp_path / "journal", days.told.drafts())
    run = Program(tmp_path, capsys, monkeypatch)
    assert run("gaps").code == 0
    spoil(tmp_path / "journal", b"web1")
    ran = run("report", "-o", "-")
    assert ran.code == 1
    assert "xentrail: the journal is not sound: " in ran.err
    assert "The journal is NOT sound: " in audited(ran.out).text.partition("Pool lab")[0]
