"""Lines of the audit trail, as real servers wrote them, and the tasks that they tell of."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from query.load.loader import refresh
from query.load.trail.lines import Line, line_in
from recorder.model import AuditLine, Draft, Event, Mark, MarkName, Operation, Stream
from recorder.simulator.audit import printable
from tests.history.journals import rows, text, write_journal

GOLDEN = Path(__file__).parent.parent / "golden" / "audit_lines"
VERSIONS = ["v24.11.0", "v25.32.0"]
TEMPLATE = (
    "Nov 23 17:23:31 host1 xapi: [20261123T17:23:31.584Z|audit||78 {who}|{task}|audit] "
    "('trackid=2de35285f426c5deb8e0f6c91e98b846' 'S-1-5-21' '{user}' 'ALLOWED' '{result}' 'API'"
    " 'VM.clone' {arguments})"
)

FORGED = "x|audit] ('trackid=0' 'S-1' 'somebody' 'ALLOWED' 'OK' 'API' 'VM.start' (('a' '' '' '')))"


def raw(
    *,
    who: str = "HTTP 10.0.0.9->10.0.0.1:80",
    task: str = "VM.clone R:52e8be8641cc",
    user: str = "root",
    result: str = "OK",
    arguments: str = "()",
) -> bytes:
    """Return a line of one call with what matters put in."""
    parts = {"who": who, "task": task, "user": user, "result": result, "arguments": arguments}
    return TEMPLATE.format(**parts).encode()


def lines_of(version: str) -> list[bytes]:
    """Return the lines that a real server of this version wrote."""
    return (GOLDEN / f"{version}.txt").read_bytes().splitlines()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_recorded_line_is_understood(version: str) -> None:
    """Calls of users and hosts, in the background and not, refused, failed and forged."""
    lines = [line_in(one) for one in lines_of(version)]
    known = [line for line in lines if line is not None]
    assert len(known) == len(lines) > 50
    assert {line.verdict for line in known} == {"ALLOWED", "DENIED"}
    assert {line.kind for line in known} == {"R", "D", ""}
    assert {line.is_internal for line in known} == {True, False}
    assert {line.error[0] for line in known if line.error} >= {"VM_BAD_POWER_STATE"}
    assert {line.client for line in known} >= {"127.0.0.1", "/var/lib/xcp/xapi"}


def atom(text: str) -> str:
    """Return an atom as a line has it, before the whole line is escaped."""
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"


def atoms(*texts: str) -> str:
    return f"({' '.join(map(atom, texts))})"


def put_together(line: Line) -> str:
    """Return the end of a line, from the task on, made of what was understood of it."""
    mark = f"{line.kind}:{line.digits}" if line.kind else ""
    task = " ".join(part for part in (line.task_name, mark) if part)
    said = (line.sid, line.user, line.verdict, line.result, line.api, line.call)
    head = atoms(f"trackid={line.trackid}", *said)
    arguments = " ".join(atoms(*msgspec.structs.astuple(one)) for one in line.arguments)
    return printable(f"|{task}|audit] {head[:-1]} ({arguments}))")


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_that_is_said_is_lost(version: str) -> None:
    """What was taken apart gives the same bytes when it is put together."""
    for one in lines_of(version):
        line = line_in(one)
        assert line is not None
        end = put_together(line).encode()
        assert one[-len(end) :] == end


def test_a_line_is_taken_apart() -> None:
    """Both layers of escapes are undone, the outer one first."""
    argument = r"('new_name' 'q\\'uote \\\\back \x22 tab\x09 | ] (paren) \xC3\xA9' '' '')"
    vm = "('vm' 'web' 'a-uuid' 'OpaqueRef:04eb55ed')"
    line = line_in(raw(task="Async.VM.clone R:52e8be8641cc", arguments=f"({vm} {argument})"))
    assert line is not None
    at = datetime(2026, 11, 23, 17, 23, 31, 584_000, UTC)
    assert line.at_us == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert (line.thread, line.client, line.listener) == ("78", "10.0.0.9", "10.0.0.1:80")
    assert (line.task_name, line.kind, line.digits) == ("Async.VM.clone", "R", "52e8be8641cc")
    assert line.trackid == "2de35285f426c5deb8e0f6c91e98b846"
    assert (line.sid, line.user, line.call) == ("S-1-5-21", "root", "VM.clone")
    assert line.targets == ["OpaqueRef:04eb55ed"]
    assert line.arguments[1].value == "q'uote \\back \" tab\t | ] (paren) é"
    assert line.error is None
    assert not line.is_internal


@pytest.mark.parametrize(
    ("who", "client", "listener"),
    [
        ("HTTPS 2001:db8::7->:::80", "2001:db8::7", ":::80"),
        ("HTTPS 10.0.0.9->", "10.0.0.9", ""),
        ("10.0.0.9:8290", "", "10.0.0.9:8290"),
        ("/var/lib/xcp/xapi", "/var/lib/xcp/xapi", ""),
    ],
)
def test_who_called_is_told_apart(who: str, client: str, listener: str) -> None:
    """By IPv4 and IPv6, in the background, without a client, and from the host itself."""
    line = line_in(raw(who=who))
    assert line is not None
    assert (line.client, line.listener) == (client, listener)


@pytest.mark.parametrize(
    ("task", "parts"),
    [
        ("a|b] c %0a", ("a|b] c %0a", "", "")),
        ("outer client task R:80040c8cc0fc", ("outer client task", "R", "80040c8cc0fc")),
        ("R:80040c8cc0fc", ("", "R", "80040c8cc0fc")),
        ("x R:80040c8cc0fc D:80040c8cc0f1", ("x R:80040c8cc0fc", "D", "80040c8cc0f1")),
        ("x R:80040C8CC0FC", ("x R:80040C8CC0FC", "", "")),
        (FORGED, (FORGED, "", "")),
        (FORGED[:-3], (FORGED[:-3], "", "")),
        (f"{FORGED}{FORGED} R:80040c8cc0fc", (f"{FORGED}{FORGED}", "R", "80040c8cc0fc")),
        ("|audit] (" * 9, ("|audit] (" * 9, "", "")),
    ],
)
def test_header_may_say_what_a_client_likes(task: str, parts: tuple[str, str, str]) -> None:
    """It does not end at the first bracket, and what is no mark is a name."""
    line = line_in(raw(task=task))
    assert line is not None
    assert (line.task_name, line.kind, line.digits) == parts
    assert (line.user, line.call) == ("root", "VM.clone")


def test_error_of_a_call_has_code_and_parameters() -> None:
    """As they are in the error_info of its task."""
    line = line_in(raw(result="ERROR:VM_BAD_POWER_STATE: [ OpaqueRef:1; halted; running ]"))
    assert line is not None
    assert line.error == ("VM_BAD_POWER_STATE", ["OpaqueRef:1", "halted", "running"])


WHOLE = raw(arguments="(('vm' 'web' 'a-uuid' 'OpaqueRef:04eb55ed'))")


@pytest.mark.parametrize(
    "broken",
    [
        *(WHOLE[:end] for end in range(0, len(WHOLE), 7)),
        *(WHOLE[:end] + WHOLE for end in range(WHOLE.index(b"[") + 1, len(WHOLE) + 1, 7)),
        WHOLE + b" 'more'",
        WHOLE + b")",
        WHOLE.replace(b"20261123T", b"20261323T"),
        WHOLE.replace(b"|audit||", b"|info||"),
        WHOLE.replace(b"'a-uuid' ", b""),
        WHOLE.replace(b"('vm'", b"(('vm')"),
        raw(arguments="(" * 100_000),
        b"[" * 100_000,
        raw(arguments="'" + "\\\\" * 100_000),
        b"[" + b"|audit] ('" * 20_000,
        b"[" + FORGED.encode() * 2_000,
        b"[|audit] (" + b"'|audit] (' " * 10_000,
    ],
)
def test_what_is_no_whole_line_is_none(broken: bytes) -> None:
    """A cut line, or with another one behind it; one that something follows; another log."""
    assert line_in(broken) is None


def test_what_is_no_line_is_kept(tmp_path: Path) -> None:
    """It is evidence, too: it counts, and can be read as it came."""
    bodies = [AuditLine("10.0.0.1", line, False) for line in (WHOLE, b"rsyslogd: \xff start", b"")]
    write_journal(tmp_path / "journal", [Draft(10**18, "lab", body) for body in bodies])
    with refresh(tmp_path).open() as history:
        found = rows(history, "SELECT call, line, imported FROM audit_lines ORDER BY seq")
    assert found == [
        ("VM.clone", WHOLE.decode(), False),
        (None, "rsyslogd: \N{REPLACEMENT CHARACTER} start", False),
        (None, "", False),
    ]


# -- the joins of real servers -----------------------------------------------------------------


def joins_of(version: str) -> list[list[str]]:
    """Return mark, task, call and parent of each line, as they were found on the server."""
    told = (GOLDEN / f"{version}.joins.txt").read_text().splitlines()
    return [line.split(" ") for line in told]


def tasks_of(version: str) -> list[Draft]:
    """Return the tasks of the lines as events would tell them, and the lines a little later."""
    drafts = [Draft(10**18, "lab", Mark(MarkName.REGISTERED, {"stream": Stream.REGISTER.value}))]
    joins = joins_of(version)
    refs = {mark: task for mark, task, _call, _parent in joins}
    for number, (join, line) in enumerate(zip(joins, lines_of(version), strict=True)):
        _mark, task, _call, parent = join
        said = line_in(line)
        assert said is not None
        if task != "-":
            at = datetime.fromtimestamp(said.at_us / 1e6, UTC)
            record = {
                "uuid": task.removeprefix("OpaqueRef:"),
                "name_label": said.task_name,
                "created": f"{at:%Y%m%dT%H:%M:%SZ}",
                "finished": f"{at + timedelta(seconds=1):%Y%m%dT%H:%M:%SZ}",
                "status": "success",
                "subtask_of": refs.get(parent, "OpaqueRef:NULL"),
            }
            event = Event(number, said.at_us / 1e6, "task", Operation.ADD, task, text(record))
            drafts.append(Draft(said.at_us * 1000, "lab", event))
        drafts.append(Draft(said.at_us * 1000 + 5, "lab", AuditLine("10.0.0.1", line, False)))
    return drafts


@pytest.mark.parametrize("version", VERSIONS)
def test_tasks_have_the_lines_that_they_had_on_the_server(version: str, tmp_path: Path) -> None:
    """A call of a user is joined to its task, and so is one of a host; nothing else is."""
    write_journal(tmp_path / "journal", tasks_of(version))
    with refresh(tmp_path).open() as history:
        found = rows(
            history,
            """
            SELECT l.mark_kind || ':' || l.mark, a.ref, a.confidence, a.internal
            FROM attributions a JOIN audit_lines l ON l.seq = a.line_seq
            WHERE a.about = 'task' ORDER BY a.line_seq
            """,
        )
    said = [line_in(line) for line in lines_of(version)]
    expected = [
        (mark, task, "exact", line is not None and line.is_internal)
        for (mark, task, _call, _parent), line in zip(joins_of(version), said, strict=True)
        if task != "-"
    ]
    assert found == expected
    assert len(found) == 27
    assert sum(internal for *_, internal in expected) == 6


@pytest.mark.parametrize("version", VERSIONS)
def test_sub_task_is_of_whoever_made_the_task_above(version: str, tmp_path: Path) -> None:
    """The host calls VM.atomic_set_resident_on for whoever started the VM."""
    write_journal(tmp_path / "journal", tasks_of(version))
    with refresh(tmp_path).open() as history:
        found = rows(
            history,
            """
            SELECT t.name_label, l.call, l.username, d.confidence
            FROM task_doers d JOIN tasks t USING (pool, ref) JOIN audit_lines l
                ON l.seq = d.line_seq
            WHERE d.how = 'parent' ORDER BY t.first_seq
            """,
        )
    assert found == [("VM.atomic_set_resident_on", "VM.start", "root", "likely")] * len(found)
    assert len(found) == 2
