"""`xentrail who`, `audit-trail`, and who stands beside events, tasks and the life of an object."""

import json
from pathlib import Path

import pytest

from query.history.database import open_for_reading
from query.load.loader import refresh
from recorder.model import AuditLine, Draft, GapCause, GapOpened
from tests.attribution.chain import POOL, write_journal, written
from tests.attribution.day import Day, day_of
from tests.cli.questions import Program
from tests.history import journals

HOST = "host-1"
"""The master, which is the only one to call by a socket of its own."""


@pytest.fixture(scope="module")
def day() -> Day:
    """A day on which people lied in their headers, guests shut down, and a host was lost."""
    return day_of(0)


@pytest.fixture(scope="module")
def data(day: Day, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("day")
    write_journal(day, folder / "journal")
    refresh(folder)
    return folder


@pytest.fixture
def program(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Program:
    return Program(data, capsys, monkeypatch)


def asked(data: Path, sql: str) -> list[tuple[object, ...]]:
    with open_for_reading(data / "history.duckdb") as history:
        return history.plain(sql, {})


def test_who_changed_an_event_is_told_with_its_evidence(program: Program, data: Path) -> None:
    """By the entry of the event and by that of the line; exact, because the line is of it."""
    ((event, line, user, client),) = asked(
        data,
        """
        SELECT a.seq, a.line_seq, l.username, l.client FROM attributions a
        JOIN audit_lines l ON l.seq = a.line_seq
        WHERE a.how = 'setter' AND a.confidence = 'exact' AND l.call = 'VM.set_name_label'
        ORDER BY a.seq LIMIT 1
        """,
    )
    for entry in (event, line):
        (row,) = json.loads(program("who", f"@{entry}", "--format", "json").out)["rows"]
        assert (row["username"], row["client"], row["confidence"]) == (user, client, "exact")
        assert (row["seq"], row["seqs"], row["fields"]) == (line, [event], ["name_label"])
    shown = program("who", f"@{event}").out
    assert f"@{line} @{event}" in shown
    assert f"{user}@{client}" in program("events", "--since", f"@{event}", "--limit", "1000").out


def test_who_touched_an_object_is_told_with_what_was_refused(program: Program, data: Path) -> None:
    """Nothing was changed by a call that was denied, and no event tells of it."""
    ((ref,),) = asked(
        data,
        """
        SELECT target FROM audit_lines WHERE verdict = 'DENIED' AND call = 'VM.snapshot'
        ORDER BY seq LIMIT 1
        """,
    )
    rows = json.loads(program("who", str(ref), "--format", "json").out)["rows"]
    refused = [row for row in rows if row["verdict"] == "DENIED"]
    assert {row["how"] for row in refused} == {"named"}
    assert not any(row["fields"] or row["seqs"] for row in refused)
    assert {row["confidence"] for row in rows} >= {"exact", "likely", None}
    assert "DENIED" in program("who", str(ref)).out


def test_who_made_a_task_is_told_also_of_its_parts(program: Program, data: Path) -> None:
    """The part has only the line of a host that called for itself; the task above has a user's."""
    ((part, line, user),) = asked(
        data,
        """
        SELECT d.ref, d.line_seq, l.username FROM task_doers d JOIN audit_lines l
            ON l.seq = d.line_seq
        WHERE how = 'parent' AND confidence = 'likely' ORDER BY ALL LIMIT 1
        """,
    )
    rows = json.loads(program("who", str(part), "--format", "json").out)["rows"]
    own, above = sorted(rows, key=lambda row: not row["internal"])
    assert (above["seq"], above["how"], above["confidence"]) == (line, "parent", "likely")
    assert (own["how"], own["caller"][:5], own["internal"]) == ("mark", "host-", True)
    told_of = program("tasks", "--limit", "10000", "--format", "json").out
    tasks = json.loads(told_of)["rows"]
    (told,) = [row["by"] for row in tasks if row["ref"] == part]
    assert told.startswith(f"{user}@10.0.0.")


def test_what_a_host_did_by_itself_names_the_host(program: Program, data: Path) -> None:
    """Also in the list of events, and where nobody asked for it: with the line that shows it."""
    ((task, line, event),) = asked(
        data,
        """
        SELECT ref, line_seq, seq FROM attributions
        WHERE internal AND about = 'task' AND confidence = 'exact' ORDER BY ALL LIMIT 1
        """,
    )
    (row,) = json.loads(program("who", str(task), "--format", "json").out)["rows"]
    assert (row["seq"], row["caller"], row["confidence"]) == (line, HOST, "exact")
    assert f"host {HOST}" in program("who", str(task)).out
    near = program("events", "--since", f"@{event}", "--until", f"@{event}").out
    assert f"host {HOST} (likely)" in near
    strange = json.loads(program("who", "--unattributed", "--format", "json").out)["rows"]
    shown = [row for row in strange if row["line_seq"] is not None]
    assert {row["class"] for row in shown} == {"vm"}
    for row in shown:
        assert (
            row["cause"] == f"by host {HOST} itself, as HA has: VM.start, line @{row['line_seq']}"
        )


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        (["--denied"], "verdict = 'DENIED'"),
        (["--failed"], "(verdict = 'DENIED' OR error_code IS NOT NULL)"),
        (["--user", "ROOT"], "username = 'root'"),
        (["--user", "example*"], "username LIKE 'EXAMPLE%'"),
        (
            ["--client", "10.0.0.1?", "--call", "vm.*"],
            "client LIKE '10.0.0.1_' AND call LIKE 'VM.%'",
        ),
    ],
)
def test_trail_is_filtered(options: list[str], holds: str, program: Program, data: Path) -> None:
    """What hosts call for themselves is left out unless it is wanted."""
    sql = f"SELECT count(*) FROM audit_lines WHERE NOT internal AND {holds}"  # noqa: S608  # ours
    ((count,),) = asked(data, sql)
    answer = program("audit-trail", *options, "--limit", "10000", "--format", "json").out
    assert len(json.loads(answer)["rows"]) == count != 0


def test_what_hosts_did_is_shown_if_wanted(program: Program, data: Path) -> None:
    """They are the same lines, in the same order."""
    ((every,),) = asked(data, "SELECT count(*) FROM audit_lines")
    answer = program("audit-trail", "--internal", "--limit", "10000", "--format", "json").out
    assert len(json.loads(answer)["rows"]) == every
    assert f"host {HOST}" in program("audit-trail", "--internal", "--limit", "10000").out


@pytest.mark.parametrize("command", [["audit-trail", "--limit", "10000"], ["who", "VM:vm-001"]])
def test_originator_is_told_of_users_that_have_a_line_of_their_login(
    command: list[str], program: Program
) -> None:
    """Sessions of root have none, and no events: what they say that they are for is not known."""
    rows = json.loads(program(*command, "--format", "json").out)["rows"]
    said = {row["username"]: row["originator"] for row in rows if not row["internal"]}
    assert said.pop("root") is None
    assert len(said) > 1
    assert said == {user: f"client {user}" for user in said}


def test_what_nobody_asked_for_is_told_with_what_it_comes_from(program: Program, day: Day) -> None:
    """Each is due to the pool itself by the simulator's own word, or to a line that was forged."""
    rows = json.loads(program("who", "--unattributed", "--format", "json").out)["rows"]
    causes = {row["cause"] for row in rows}
    assert "rebooted from inside the guest, or crashed" in causes
    assert "its host failed, or was declared dead" in causes
    told = {
        row["ref"] for row in rows if row["class"] == "vm" and row["cause"].startswith("rebooted")
    }
    changes = day.truth.changes[day.epochs[0] :]
    by_itself = {change.ref for change in changes if change.cls == "vm" and change.by is None}
    assert told <= by_itself


def test_life_of_an_object_names_who_changed_it(program: Program, data: Path) -> None:
    """Beside each step of which it is known."""
    ((ref,),) = asked(
        data,
        """
        SELECT ref FROM attributions WHERE about = 'event' AND class = 'vm' AND how = 'setter'
            AND confidence = 'exact' ORDER BY seq LIMIT 1
        """,
    )
    assert "  by root@10.0.0." in program("history", str(ref), "--all").out


def test_report_names_who_made_a_task(program: Program, tmp_path: Path) -> None:
    """And puts a question mark where nobody is known."""
    page = tmp_path / "day.html"
    assert program("report", "--since", "2026-09-21", "-o", str(page)).code == 0
    html = page.read_text(encoding="utf-8").replace("<wbr>", "")
    assert "root@10.0.0.1" in html
    assert 'data-title="by" class="wide">?<' in html


def test_gap_of_the_trail_is_said_of_who_did_it_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are missing, no states are; with --strict that is an error."""
    drafts = written(day_of(0)).drafts[:400]
    lost = GapOpened(GapCause.AUDIT_TRAIL, "lines were lost", None, drafts[-1].received_at_ns)
    drafts += [Draft(drafts[-1].received_at_ns + 10**9, POOL, lost)]
    journals.write_journal(tmp_path / "journal", drafts)
    program = Program(tmp_path, capsys, monkeypatch)
    told = program("audit-trail", "--strict")
    assert "(audit-trail): lines of the audit trail may be missing" in told.err
    assert told.code == 1
    assert "audit trail" not in program("events").err


def test_where_no_trail_is_recorded_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is accused, and nobody cleared."""
    drafts = [one for one in written(day_of(0)).drafts if not isinstance(one.body, AuditLine)]
    journals.write_journal(tmp_path / "journal", drafts[:500])
    program = Program(tmp_path, capsys, monkeypatch)
    assert "no audit trail is recorded" in program("audit-trail").err
    assert json.loads(program("who", "--unattributed", "--format", "json").out)["rows"] == []
    assert " by " not in program("events").out


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["who"], "name an object, a task or @SEQ", 2),
        (["who", "vm-001", "--unattributed"], "name an object, a task or @SEQ", 2),
        (["who", "@x"], "'@x' is no entry", 60),
        (["who", "nobody"], "nobody", 60),
    ],
)
def test_wrong_question_is_told(words: list[str], said: str, code: int, program: Program) -> None:
    """In a line that says what to write."""
    told = program(*words)
    assert said in told.err
    assert told.code == code
