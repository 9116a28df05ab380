"""The commands that read the history: exact output, exact errors, exit codes."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.programs import xentrail
from tests.cli.questions import Program
from tests.history.journals import Pool, Told, record, spoil, write_journal

NO_INSTANT = (
    "'soon' is no point in time; write 2026-11-23T21:48:24Z, -2h, -3d, now,"
    " 'yesterday 03:12', 03:12 or @SEQ"
)
NO_JOURNAL = "there is no journal folder /nonexistent/journal: check --data, or start the recorder"
BLIND = (
    "xentrail: gap @11 of pool lab (connection-lost): events may be missing"
    " from 2023-11-14T22:13:30Z to 2023-11-14T22:13:33Z\n"
)
WEB1 = "11111111-0000-4000-8000-000000000001"
WEB2 = "22222222-0000-4000-8000-000000000002"


def vm(name: str, uuid: str, **fields: object) -> dict[str, object]:
    return {**record(name), "uuid": uuid, **fields}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool with a VM that starts, a gap in which it grows, and a task that fails."""
    told = Told()
    lab = Pool(told)
    lab.register()
    halted = vm("web1", WEB1, power_state="Halted", memory=1, allowed_operations=["start"])
    lab.chunk("vm", {WEB1: halted, WEB2: vm("web2", WEB2)})
    lab.chunk("host", {"h1": record("host1")})
    lab.done()
    running = {**halted, "power_state": "Running", "allowed_operations": ["pause", "reboot"]}
    lab.event("mod", "vm", WEB1, {**running, "resident_on": "OpaqueRef:h1"})
    times = {"created": "20231114T22:13:21Z", "finished": "20231114T22:13:24Z"}
    lab.event(
        "add",
        "task",
        "t1",
        {
            **record("VM.start"),
            **times,
            "status": "failure",
            "error_info": ["VM_BAD_POWER_STATE", f"OpaqueRef:{WEB1}", "halted", "running"],
        },
    )
    gap = lab.lose()
    lab.register()
    grown = {**running, "resident_on": "OpaqueRef:h1", "memory": 2}
    lab.chunk("vm", {WEB1: grown})
    lab.done()
    lab.close(gap)
    folder = tmp_path_factory.mktemp("data")
    write_journal(folder / "journal", told.drafts())
    return folder


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(data, capsys, monkeypatch)


def test_history_tells_the_life_of_an_object(run: Program) -> None:
    """Old and new, names in place of references, gaps between, inferences marked."""
    ran = run("history", "vm:web1", "--all")
    assert ran.out == (
        "lab/vm:web1 (uuid 11111111-0000-4000-8000-000000000001)\n"
        "2023-11-14T22:13:24Z        @4  [baseline] was there as web1 when the recording began\n"
        "2023-11-14T22:13:29Z        @9  allowed_operations: +pause +reboot -start\n"
        "                                power_state: Halted → Running\n"
        "                                resident_on: (missing) → host1\n"
        "2023-11-14T22:13:30Z       @10  task VM.start: failure after 3 s: VM_BAD_POWER_STATE\n"
        "-- gap @11 opened: connection-lost, the cable was pulled;"
        " blind from 2023-11-14T22:13:30Z --\n"
        "2023-11-14T22:13:35Z       @15  [inferred across gap @11] memory: 1 → 2\n"
        "-- gap @11 closed: blind until 2023-11-14T22:13:33Z --\n"
    )
    assert (ran.err, ran.code) == (BLIND, 0)


def test_history_as_json_has_values(run: Program) -> None:
    """One document; old and new are values, not text."""
    told = json.loads(run("history", "web1", "--format", "json").out)
    assert told["object"]["class"] == "vm"
    assert [step["seq"] for step in told["steps"]] == [4, 9, 15]
    assert told["steps"][1]["changes"][0] == {
        "field": "allowed_operations",
        "old": ["start"],
        "new": ["pause", "reboot"],
    }
    assert told["steps"][2]["gap"] == told["gaps"][0]["seq"] == 11
    assert told["gaps"][0]["blind_until"] == "2023-11-14T22:13:33Z"


def test_events_are_a_table_that_does_not_wrap(run: Program) -> None:
    """One line an event, whatever its length; inferred ones are marked."""
    ran = run("events", "--class", "vm")
    lines = ran.out.splitlines()
    assert lines[0].split() == ["seq", "received", "pool", "object", "what", "changed", "how"]
    assert len(lines) == 6
    assert max(map(len, lines)) <= 120
    assert [line.split()[0] for line in lines[1:]] == ["@4", "@5", "@9", "@15", "@16"]
    assert lines[4].split()[-5:] == ["memory", "inferred", "across", "gap", "@11"]


def test_events_as_json_and_csv_agree(run: Program) -> None:
    """Both have every column under the name that it has in SQL."""
    words = ("events", "web2", "--format")
    told = json.loads(run(*words, "json").out)
    (first, second) = told["rows"]
    assert [gap["seq"] for gap in told["gaps"]] == [11]
    assert (told["last_states_only"], told["unrecorded"]) == ([], [])
    table = list(csv.DictReader(io.StringIO(run(*words, "csv").out)))
    assert [row["seq"] for row in table] == ["5", "16"]
    assert list(table[0]) == [*first, "range_gaps"]
    assert [row["range_gaps"] for row in table] == ["[11]", "[11]"]
    assert first == {
        "seq": 5,
        "pool": "lab",
        "epoch": 2,
        "received_at": "2023-11-14T22:13:25Z",
        "server_at": None,
        "event_id": None,
        "class": "vm",
        "operation": "add",
        "ref": f"OpaqueRef:{WEB2}",
        "uuid": WEB2,
        "name": "web2",
        "origin": "baseline",
        "gap": None,
        "changed_fields": None,
        "stream": "register",
        "by": None,
    }
    assert (second["operation"], second["origin"], second["gap"]) == ("del", "inferred", 11)


def test_events_say_when_there_are_more(run: Program) -> None:
    """The result stays on stdout, what is said about it goes to stderr."""
    ran = run("events", "--limit", "1", "--format", "json")
    assert [row["seq"] for row in json.loads(ran.out)["rows"]] == [16]
    assert ran.err == (
        f"xentrail: the newest 1 events; --limit shows more, --until earlier ones\n{BLIND}"
    )


def test_events_say_where_they_may_lack_something(run: Program) -> None:
    """A range that touches a gap is answered with the gap; one that does not, without."""
    said = "gap @11 of pool lab"
    assert said in run("events", "--since", "2023-11-14T22:13:31").err
    assert said in run("events", "--since", "@12", "--until", "@12").err
    assert run("events", "--until", "@5").err == ""
    assert "no event fits" in run("events", "--since", "2030-01-01").err


def test_unknown_field_is_told_with_the_nearest(run: Program) -> None:
    """A field that no record has is a typing error, not an empty answer."""
    ran = run("at", "@8", "web1", "--field", "power_stat")
    assert ran.code == 60
    assert ran.err == "xentrail: no field is called 'power_stat'; did you mean 'power_state'?\n"


def test_version_and_short_help(run: Program) -> None:
    """As every program has them."""
    assert run("--version").out.startswith("xentrail 0.")
    assert "Usage" in run("-h").out


def test_several_statements_and_equal_names_are_refused(run: Program) -> None:
    """An answer never loses a statement or a column without a word."""
    ran = run("sql", "SELECT 1; SELECT 2")
    assert ran.code == 60
    assert ran.err == "xentrail: 2 statements were given; ask one at a time\n"
    ran = run("sql", "SELECT 1 AS a, 2 AS a")
    assert ran.err == "xentrail: two columns are called 'a'; give each a name with AS\n"


def test_at_shows_an_object_and_its_certainty(run: Program) -> None:
    """By number, time or how long ago; chosen fields only, if asked."""
    ran = run("at", "@8", "web1", "--field", "power_state")
    assert ran.out == ("lab/vm:web1 (known)\nfield        value\npower_state  Halted\n")
    ran = run("at", "2023-11-14T22:13:32", "web1", "--format", "json")
    state = json.loads(ran.out)
    assert (state["certainty"], state["gap"], state["fields"]["memory"]) == ("uncertain", 11, 1)
    assert state["reason"] == (
        "inside gap @11 (connection-lost): events may be missed from 2023-11-14T22:13:30Z"
        " to 2023-11-14T22:13:33Z"
    )
    ran = run("at", "2020-01-01", "web1")
    assert ran.out == (
        "lab/vm:web1 (unknown: pool lab is recorded only since 2023-11-14T22:13:22Z (@2))\n"
    )
    ran = run("at", "-2h", "web2")
    assert ran.out == (
        "lab/vm:web2: not there (last-known: nothing is recorded of pool lab after"
        " 2023-11-14T22:13:37Z)\n"
    )


def test_at_shows_all_objects_of_a_class(run: Program) -> None:
    """What a reader must know of the answer is on stderr, and in the document."""
    ran = run("at", "@8", "--class", "VM", "--format", "csv", "--field", "memory")
    assert [line.split(",")[2] for line in ran.out.splitlines()] == ["name", "web1", "web2"]
    assert ran.out.splitlines()[1].endswith(",1")
    ran = run("at", "2020-01-01", "--class", "vm", "--format", "json")
    assert json.loads(ran.out) == {
        "at": "2020-01-01T00:00:00Z",
        "verdicts": [
            {
                "pool": "lab",
                "certainty": "unknown",
                "reason": "pool lab is recorded only since 2023-11-14T22:13:22Z (@2)",
                "gap": None,
                "complete": False,
                "stream": None,
            }
        ],
        "states": [],
    }
    assert ran.err == (
        "xentrail: pool lab is unknown: pool lab is recorded only since 2023-11-14T22:13:22Z (@2)\n"
    )


def test_gaps_and_tasks_are_listed(run: Program) -> None:
    """Where the recorder was blind, and what came of every task."""
    (gap,) = json.loads(run("gaps", "--format", "json").out)["rows"]
    assert (gap["seq"], gap["open"], gap["inferred_mods"], gap["inferred_dels"]) == (
        11,
        False,
        1,
        1,
    )
    assert run("gaps").out.splitlines()[1].split() == [
        "@11",
        "lab",
        "connection-lost",
        "2023-11-14T22:13:30Z",
        "3",
        "s",
        "2",
        "-",
        "the",
        "cable",
        "was",
        "pulled",
    ]
    (line,) = run("tasks", "--failed").out.splitlines()[1:]
    assert line.split() == [
        *("2023-11-14T22:13:21Z", "lab", "VM.start", "vm:web1", "VM.start", "failure", "3", "s"),
        *("VM_BAD_POWER_STATE", "web1", "halted", "running"),
    ]
    assert json.loads(run("tasks", "--status", "success", "--format", "json").out)["rows"] == []
    assert json.loads(run("tasks", "--since", "-2h", "--format", "json").out)["rows"] == []


def test_sql_answers_in_every_format(run: Program) -> None:
    """Table, JSON and CSV of one answer."""
    ask = "SELECT class, count(*) AS n FROM events GROUP BY class ORDER BY class"
    assert json.loads(run("sql", ask, "--format", "json").out) == [
        {"class": "host", "n": 1},
        {"class": "task", "n": 1},
        {"class": "vm", "n": 5},
    ]
    assert run("sql", ask, "--format", "csv").out == "class,n\nhost,1\ntask,1\nvm,5\n"
    assert run("sql", ask).out == "class  n\nhost   1\ntask   1\nvm     5\n"
    schema = json.loads(run("sql", "--schema", "--format", "json").out)
    assert next(row for row in schema if row["name"] == "events")["columns"][0] == {
        "name": "seq",
        "type": "BIGINT",
        "comment": "number of its entry in the journal",
    }


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ("history", "wbe1"),
            60,
            "no recorded object is called 'wbe1'; the nearest names are web1, web2",
        ),
        (("gaps", "--pool", "east"), 60, "no pool is called 'east'; the history has lab"),
        (("at", "@99", "web1"), 60, "@99 is not recorded: the history ends at @17"),
        (("at", "soon", "web1"), 60, NO_INSTANT),
        (("sql", "SELEC 1"), 60, 'Parser Error: syntax error at or near "SELEC"'),
        (
            ("events", "--data", "/nonexistent"),
            40,
            "there is no journal folder /nonexistent/journal: check --data, or start the recorder",
        ),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    run: Program, words: tuple[str, ...], code: int, message: str
) -> None:
    """Nothing on stdout, never a traceback."""
    ran = run(*words)
    assert (ran.out, ran.err, ran.code) == ("", f"xentrail: {message}\n", code)


@pytest.mark.parametrize(
    "words",
    [("at", "now"), ("sql", "SELECT 1", "--schema"), ("events", "--limit", "0"), ("no",)],
)
def test_usage_errors_exit_2(run: Program, words: tuple[str, ...]) -> None:
    """Typer explains them on stderr."""
    ran = run(*words)
    assert (ran.out, ran.code) == ("", 2)
    assert ran.err.startswith("Usage: xentrail")


def test_damaged_journal_is_a_warning_and_still_an_answer(tmp_path: Path) -> None:
    """What is good is answered from; what is not is said on stderr. The real program."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.event("add", "vm", WEB1, vm("web1", WEB1))
    write_journal(tmp_path / "journal", told.drafts())
    lab.event("add", "vm", WEB2, vm("web2", WEB2))
    write_journal(tmp_path / "journal", told.drafts()[-1:])
    spoil(tmp_path / "journal", b"web2")
    ended = xentrail("events", "--data", str(tmp_path), "--format", "json")
    assert [row["name"] for row in json.loads(ended.stdout)["rows"]] == ["web1"]
    assert ended.stderr.startswith("xentrail: the journal is damaged: ")
    assert ended.stderr.count("\n") == 1
    assert ended.returncode == 0
