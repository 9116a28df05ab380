"""What people see of gaps, and of a pool of which only last states are told."""

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from query import cli
from query.values import duration_text, percent_text
from recorder.journal.redaction import redact
from recorder.journal.store import Journal
from recorder.model import GapCause, Mark, MarkName, Stream
from tests.history.journals import START_NS, Pool, Told, record, ref_of, write_journal

IN_PART = (
    'xentrail: pool east has stream = "from": states in between, and the last before a deletion,'
    " may be missing\n"
)
Run = Callable[..., tuple[str, str]]


def read_hosts(lab: Pool) -> None:
    lab.chunk("pool", {"p": record("lab", master=ref_of("h1"))})
    lab.chunk("host", {"h1": record("h1", other_config={"agent_start_time": "1."})})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool with a rollback, a redacted entry and an open gap; and one of last states."""
    told = Told()
    lab, east = Pool(told), Pool(told, "east")
    lab.register(next_id=5)
    read_hosts(lab)
    lab.chunk("vm", {"web1": record("web1", memory=1)})
    lab.done()
    east.register(Stream.FROM)
    east.chunk("vm", {"db1": record("db1", memory=1)})
    east.done()
    east.event("mod", "vm", "db1", record("db1", memory=2))
    secret = lab.event("mod", "vm", "web1", record("web1", memory=2))
    gap = lab.lose(GapCause.EVENTS_LOST)
    told.write("lab", Mark(MarkName.ROLLED_BACK, {"generation": 40, "before": 50}))
    lab.register(next_id=4006)
    read_hosts(lab)
    lab.chunk("vm", {"web1": record("web1", memory=1)})
    lab.done()
    lab.close(gap)
    lab.event("mod", "vm", "web1", record("web1", memory=5))
    lab.lose(GapCause.RECORDER_STOPPED)
    folder = tmp_path_factory.mktemp("data")
    write_journal(folder / "journal", told.drafts())
    with Journal.open(folder / "journal", now_ns=lambda: START_NS) as journal:
        redact(journal, secret, "a password", by="somebody")
    return folder


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command on the data; it must succeed."""

    def command(*words: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["xentrail", *words])
        monkeypatch.setenv("XENTRAIL_DATA", str(data))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code in (0, None)
        captured = capsys.readouterr()
        return captured.out, captured.err

    return command


def test_gaps_end_with_how_blind_each_pool_is(run: Run) -> None:
    """One line a pool; an open gap stands out in the table and in its line."""
    out, err = run("gaps")
    lines = out.splitlines()
    assert lines[0].split()[-5:] == ["since", "for", "differ", "missed", "detail"]
    assert lines[1].startswith("@17  lab   events-lost")
    assert lines[1].rstrip().endswith("4 s       1    4000  the cable was pulled")
    assert "recorder-stopped  2023-11-14T22:13:49Z  STILL OPEN       0       -" in lines[2]
    assert "redacted" in lines[3]
    assert lines[4:] == [
        "@17 lab: the pool's database went back from generation 50 to 40",
        "east: 0 gaps",
        "lab: 2 gaps, blind for 5 s of 28 s (17.9 %); STILL BLIND since 2023-11-14T22:13:49Z",
    ]
    assert err == IN_PART


def test_gaps_in_a_narrow_terminal_keep_what_matters(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cause, beginning and length are whole at 80 columns; the counts of events give way."""
    monkeypatch.setattr("query.render.output.console", lambda: Console(file=sys.stdout, width=80))
    lines = run("gaps")[0].splitlines()
    assert max(map(len, lines[:4])) <= 80
    assert "recorder-stopped  2023-11-14T22:13:49Z  STILL OPEN" in lines[2]


def test_open_gap_stands_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bold yellow, as its pool's line is."""

    def terminal() -> Console:
        return Console(file=sys.stdout, width=120, force_terminal=True, color_system="standard")

    monkeypatch.setattr("query.render.output.console", terminal)
    _, closed, stop, *_ = run("gaps")[0].splitlines()
    assert stop.startswith("\x1b[1;33m@30")
    assert "\x1b[1;33m" not in closed


def test_gaps_as_json_and_csv_have_the_whole_ledger(run: Run) -> None:
    """Every column of the view; what is not known is null, or empty."""
    told = json.loads(run("gaps", "--format", "json")[0])
    first, stop, redacted = told["rows"]
    assert told["last_states_only"] == ["east"]
    lab = next(one for one in told["pools"] if one["pool"] == "lab")
    assert (lab["gaps"], 0 < lab["share"] < 1) == (2, True)
    assert (first["ids_missed"], first["objects_differed"]) == (4000, 1)
    assert (first["rolled_back_from"], first["rolled_back_to"]) == (50, 40)
    assert (first["told_cause"], first["stream"]) == ("events-lost", "register")
    assert (stop["open"], stop["duration_s"], stop["closed_at"]) == (True, None, None)
    assert (redacted["cause"], redacted["pool"], redacted["ids_missed"]) == (
        "redacted",
        "lab",
        None,
    )
    table = list(csv.DictReader(io.StringIO(run("gaps", "--format", "csv")[0])))
    assert list(table[0]) == list(first)
    assert [row["ids_missed"] for row in table] == ["4000", "", ""]
    assert json.loads(run("gaps", "--pool", "east", "--format", "json")[0])["rows"] == []


@pytest.mark.parametrize(
    "words",
    [
        ("gaps", "--pool", "east"),
        ("events", "--pool", "east"),
        ("history", "db1"),
        ("at", "@16", "db1"),
        ("at", "@16", "--class", "vm", "--pool", "east"),
    ],
)
def test_answers_about_last_states_say_so(run: Run, words: tuple[str, ...]) -> None:
    """One line, once, whatever is asked."""
    assert run(*words)[1].count(IN_PART) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("gaps", "--pool", "lab"),
        ("events", "--pool", "lab"),
        ("history", "web1"),
        ("at", "@16", "web1"),
        ("at", "@16", "--class", "vm", "--pool", "lab"),
        ("at", "@9", "db1"),
    ],
)
def test_answers_about_every_write_do_not(run: Run, words: tuple[str, ...]) -> None:
    """Nor those about an instant before the pool was recorded."""
    assert IN_PART not in run(*words)[1]


def test_stream_is_in_every_document(run: Run) -> None:
    """So that a program that reads JSON or CSV knows it, too."""
    told = json.loads(run("events", "--format", "json")[0])
    assert {row["stream"] for row in told["rows"]} == {"from", "register"}
    assert told["last_states_only"] == ["east"]
    told = json.loads(run("history", "db1", "--format", "json")[0])
    assert [step["stream"] for step in told["steps"]] == ["from", "from"]
    assert json.loads(run("at", "@16", "db1", "--format", "json")[0])["stream"] == "from"
    told = json.loads(run("at", "@16", "--class", "vm", "--format", "json")[0])
    assert {one["pool"]: one["stream"] for one in told["verdicts"]} == {
        "east": "from",
        "lab": "register",
    }
    (row,) = csv.DictReader(io.StringIO(run("at", "@16", "db1", "--format", "csv")[0]))
    assert row["stream"] == "from"
    for words in (("events", "db1"), ("history", "db1")):
        table = list(csv.DictReader(io.StringIO(run(*words, "--format", "csv")[0])))
        assert {row["stream"] for row in table} == {"from"}


def test_redacted_entry_is_no_gap_of_an_answer(run: Run) -> None:
    """Events are not missing where a snapshot is."""
    out, err = run("events", "--pool", "lab", "--format", "json")
    assert len(json.loads(out)["rows"]) == 6
    assert "redacted" not in err
    assert err.count("events may be missing") == 2
    assert "redacted" not in run("history", "web1")[0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0 s"),
        (0.4857, "0.486 s"),
        (59.49, "59.5 s"),
        (59.999, "1 min 0 s"),
        (61.2, "1 min 1 s"),
        (3599.7, "1 h 0 min"),
        (3661.0, "1 h 1 min"),
        (86_399.0, "1 d 0 h"),
        (200_000.0, "2 d 8 h"),
    ],
)
def test_duration_is_two_units(seconds: float | None, text: str) -> None:
    """As people say it, and never `60 s`."""
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.00001, "less than 0.01 %"),
        (0.0042, "0.42 %"),
        (0.1666, "16.7 %"),
        (0.99999, "more than 99.99 %"),
        (1.0, "100 %"),
    ],
)
def test_share_is_not_rounded_to_all_or_nothing(share: float, text: str) -> None:
    """Some blindness is not none, and some sight not none either."""
    assert percent_text(share) == text
