"""What all questions have in common: zones, instants, other files, strictness, watching."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.questions import Program
from tests.history.journals import Pool, Told, record, ref_of, write_journal


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool in which a VM starts before a gap, and is found grown and moved after it."""
    told = Told()
    lab = Pool(told, next_id=100)
    lab.register()  # @2
    halted = record("web1", power_state="Halted", memory=1)
    lab.chunk("vm", {"web1": halted, "web2": record("web2", memory=1)})
    lab.done()  # @6
    running = {**halted, "power_state": "Running"}
    lab.event("mod", "vm", "web1", running)  # @7
    lab.event("mod", "vm", "web1", running)  # @8: nothing changed
    gap = lab.lose()  # @9
    lab.register()
    lab.chunk("vm", {"web1": {**running, "memory": 2}, "web2": record("web2", memory=1)})
    lab.done()
    lab.close(gap)
    lab.event("mod", "vm", "web2", record("web2", memory=5, host=ref_of("h1")))
    folder = tmp_path_factory.mktemp("data")
    write_journal(folder / "journal", told.drafts())
    return folder


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(data, capsys, monkeypatch)


def rows(program: Program, *words: str) -> list[dict[str, object]]:
    """Return the rows of an answer."""
    told: list[dict[str, object]] = json.loads(program(*words, "--format", "json").out)["rows"]
    return told


def test_times_are_read_and_shown_in_a_zone(run: Program) -> None:
    """On the screen and in what is said; documents stay in UTC."""
    words = ("events", "web1", "--since", "2023-11-14 23:13:26", "--tz", "Europe/Berlin")
    ran = run(*words)
    assert [line.split()[:2] for line in ran.out.splitlines()[1:]] == [
        ["@7", "2023-11-14T23:13:27+01:00"],
        ["@8", "2023-11-14T23:13:28+01:00"],
        ["@13", "2023-11-14T23:13:33+01:00"],
    ]
    assert "from 2023-11-14T23:13:28+01:00 to" in ran.err
    assert rows(run, *words)[0]["received_at"] == "2023-11-14T22:13:27Z"


def test_zone_comes_from_the_environment_or_the_machine(
    run: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XENTRAIL_TZ sets it for good; `local` is what this machine says."""
    monkeypatch.setenv("XENTRAIL_TZ", "Asia/Kolkata")
    assert "2023-11-15T03:43:27+05:30" in run("events", "web1").out
    monkeypatch.setenv("TZ", "America/New_York")
    assert "2023-11-14T17:13:27-05:00" in run("events", "web1", "--tz", "local").out


def test_unknown_zone_is_told_with_the_nearest(run: Program) -> None:
    """Before anything is loaded."""
    ran = run("events", "--tz", "Europe/Berlim")
    assert (ran.out, ran.code) == ("", 2)
    assert "no time zone is called" in ran.err
    assert "Europe/Berlin" in ran.err


def test_strict_answers_only_what_is_certain(run: Program) -> None:
    """The answer is written all the same; the exit code says that it may lack something."""
    for words in (("events",), ("history", "web1"), ("gaps",), ("tasks",)):
        ran = run(*words, "--strict")
        assert (ran.code, ran.err.count("gap @9") or words == ("gaps",)) == (1, True), words
        assert run(*words).code == 0
    assert run("events", "--until", "@8", "--strict").code == 0
    assert run("gaps", "--until", "@8", "--strict").code == 0
    assert run("at", "@8", "web1", "--strict").code == 0
    assert run("at", "@10", "web1", "--strict").code == 1
    assert run("at", "@10", "--class", "vm", "--strict").code == 1
    assert run("at", "now", "web1", "--strict").code == 1


def test_range_beyond_the_record_is_said(run: Program) -> None:
    """What nobody recorded is not an empty answer."""
    ran = run("events", "--since", "2023-11-14T00:00", "--until", "now")
    assert "pool lab is recorded only from 2023-11-14T22:13:2" in ran.err
    (part,) = json.loads(run("events", "--since", "2023-11-14", "--format", "json").out)[
        "unrecorded"
    ]
    assert (part["pool"], part["after"]) == ("lab", None)
    assert run("events", "--since", "@1", "--until", "@8").err == ""


def test_event_id_is_an_instant(run: Program) -> None:
    """The server's own number, as its log and other clients have it."""
    (row,) = rows(run, "events", "--since", "@8", "--until", "@8")
    by_id = f"@event:{row['event_id']}"
    assert rows(run, "events", "--since", by_id, "--until", by_id) == [row]
    assert "Running" in run("at", by_id, "web1").out
    ran = run("at", "@event:999", "web1")
    assert (ran.code, ran.err) == (
        60,
        "xentrail: no event of pool lab with the id 999 is recorded\n",
    )


def test_events_can_be_chosen_by_field_and_by_change(run: Program) -> None:
    """A field that nobody ever changed is a typing error."""
    assert [row["seq"] for row in rows(run, "events", "--field", "Memory")] == [13, 17]
    assert [row["seq"] for row in rows(run, "events", "web1", "--changed")] == [4, 7, 13]
    ran = run("events", "--field", "memry")
    assert (ran.code, ran.err) == (
        60,
        "xentrail: no change of a field 'memry' was recorded; did you mean 'memory'?\n",
    )


def test_state_as_it_was_known(run: Program) -> None:
    """Nothing that was recorded later counts, neither states nor the end of a gap."""
    now = run("at", "@10", "web1")
    assert "uncertain: inside gap @9" in now.out
    assert "when it was over @13 told another memory" in now.out
    then = run("at", "@10", "web1", "--as-known-at", "@10")
    assert "open since" in then.out
    assert "when it was over" not in then.out
    before = run("at", "@17", "web2", "--as-known-at", "@8")
    assert "last-known: nothing is recorded of pool lab after 2023-11-14T22:13:28Z" in before.out
    assert run("at", "@8", "web1", "--as-known-at", "@8").out == run("at", "@8", "web1").out


def test_object_that_is_as_before_a_gap_is_said_to_be(run: Program) -> None:
    """Found unchanged is not known to have been so all the time."""
    ran = run("at", "@10", "web2", "--format", "json")
    state = json.loads(ran.out)
    assert state["certainty"] == "uncertain"
    assert state["found_after"] == {"operation": None, "fields": [], "seq": None}


def test_history_can_be_kept_elsewhere(run: Program, data: Path, tmp_path: Path) -> None:
    """Beside it lies its lock; the journal's folder is only read."""
    before = {path.name for path in data.iterdir()}
    file = tmp_path / "elsewhere.duckdb"
    ran = run("events", "web1", "--database", str(file))
    assert ran.out == run("events", "web1").out
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere.duckdb", "elsewhere.lock"}
    assert before | {"history.duckdb", "history.lock"} == {path.name for path in data.iterdir()}


def test_watching_asks_again_until_it_is_interrupted(
    run: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The screen is cleared when the new answer is there, not before."""
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("query.commands.asking.time.sleep", pause)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    ran = run("gaps", "--watch")
    assert ran.code == 0
    assert ran.out.count("\x1b[2J") == 3
    assert ran.out.count("connection-lost") == 3
    assert ran.err.count("Ctrl-C ends") == 3


def test_watching_needs_a_terminal(run: Program) -> None:
    """A file would be filled with screens."""
    for words in (("gaps", "--watch"), ("events", "--watch", "--format", "json")):
        ran = run(*words)
        assert (ran.out, ran.code) == ("", 2)


def test_state_of_a_whole_pool(run: Program) -> None:
    """All classes, each object with all its fields."""
    ran = run("at", "@8", "--pool", "lab")
    assert ran.out.splitlines()[0].split() == ["pool", "class", "name", "uuid", "told", "certainty"]
    assert [line.split()[1:3] for line in ran.out.splitlines()[1:]] == [
        ["vm", "web1"],
        ["vm", "web2"],
    ]
    told = json.loads(run("at", "@8", "--pool", "lab", "--format", "json").out)
    assert [one["fields"]["memory"] for one in told["states"]] == [1, 1]
    table = list(
        csv.DictReader(io.StringIO(run("at", "@8", "--pool", "lab", "--format", "csv").out))
    )
    assert [json.loads(row["fields"])["name_label"] for row in table] == ["web1", "web2"]
