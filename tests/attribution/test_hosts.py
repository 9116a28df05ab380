"""What hosts do for themselves is told as that, and never in the place of what a user did."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from query.load.loader import refresh
from recorder.model import AuditLine, Body, Draft, Event, Mark, MarkName, Operation, Stream
from tests.history.journals import text, write_journal

AT = datetime(2026, 11, 23, 17, 13, 34, tzinfo=UTC)
TASK = "OpaqueRef:13cbc27e-8770-0a45-9185-5406259f3ad0"
MARK = "R:13cbc27e8770"
VM = "OpaqueRef:f3c8eca3-aa81-83a7-a0ed-8d7ae525960a"
HOST = "OpaqueRef:bf2a7a06-1b53-e8c2-e301-e58a15869730"
SOCKET, OTHER, USER = "/var/lib/xcp/xapi", "HTTPS 10.0.0.2->:::80", "HTTPS 10.0.0.9->:::80"


def line(who: str, client: str, task: str, call: str = "VM.start") -> AuditLine:
    """Return a line of somebody by a client, under the name and mark of a task."""
    said = (
        f"x xapi: [20261123T17:13:34.500Z|audit||80 {client}|{task}|audit]"
        f" ('trackid={who[-4:]}' 'S' '{who}' 'ALLOWED' 'OK' 'API' '{call}'"
        f" (('vm' 'vm2' 'a-uuid' '{VM}')))"
    )
    return AuditLine("10.0.0.1", said.encode(), imported=False)


def told(data: Path, *more: Body, task: str = "VM.start") -> list[tuple[object, ...]]:
    """Return whose a task, and a change of a VM's name, is said to be, by what more is recorded."""
    now_us = int(AT.timestamp()) * 10**6
    made = {
        "uuid": TASK.removeprefix("OpaqueRef:"),
        "name_label": task,
        "created": f"{AT:%Y%m%dT%H:%M:%SZ}",
        "finished": f"{AT + timedelta(seconds=1):%Y%m%dT%H:%M:%SZ}",
        "status": "success",
    }
    at_s = now_us / 1e6
    bodies: list[Body] = [
        Mark(MarkName.REGISTERED, {"stream": Stream.REGISTER.value}),
        Event(1, at_s, "task", Operation.ADD, TASK, text(made)),
        Event(2, at_s, "vm", Operation.ADD, VM, text({"uuid": "a-uuid", "name_label": "vm1"})),
        Event(3, at_s, "vm", Operation.MOD, VM, text({"uuid": "a-uuid", "name_label": "vm2"})),
        *more,
    ]
    drafts = [Draft(now_us * 1000 + number, "lab", body) for number, body in enumerate(bodies)]
    write_journal(data / "journal", drafts)
    with refresh(data).open() as history:
        return history.plain(
            """
            SELECT a.about, l.username, a.confidence, a.internal
            FROM attributions_in_gaps a JOIN audit_lines l ON l.seq = a.line_seq ORDER BY ALL
            """,
            {},
        )


OWN = f"VM.start {MARK}"
IN_BACKGROUND = f"Async.VM.start {MARK}"


@pytest.mark.parametrize(
    ("lines", "task", "whose"),
    [
        ([(HOST, SOCKET, OWN)], "VM.start", [(HOST, "exact", True)]),
        ([(HOST, SOCKET, IN_BACKGROUND)], "Async.VM.start", [(HOST, "exact", True)]),
        ([(HOST, OTHER, OWN)], "VM.start", [(HOST, "likely", True)]),
        ([(HOST, OTHER, IN_BACKGROUND)], "Async.VM.start", []),
        ([(HOST, SOCKET, OWN), (HOST, OTHER, OWN)], "VM.start", [(HOST, "exact", True)]),
        ([("root", USER, OWN), (HOST, OTHER, OWN)], "VM.start", [("root", "exact", False)]),
        ([("root", USER, "a lie"), (HOST, OTHER, OWN)], "VM.start", []),
        (
            [("root", USER, "a lie"), (HOST, SOCKET, OWN)],
            "VM.start",
            [(HOST, "exact", True)],
        ),
        (
            [("root", USER, f"lie {MARK}"), (HOST, SOCKET, OWN)],
            "VM.start",
            [(HOST, "exact", True), ("root", "suspicious", False)],
        ),
        ([(HOST, SOCKET, f"other {MARK}")], "VM.start", []),
    ],
)
def test_task_of_a_host_is_known_by_its_own_socket(
    lines: list[tuple[str, str, str]],
    task: str,
    whose: list[tuple[str, str, bool]],
    tmp_path: Path,
) -> None:
    """A line from another host is of a user if his is there; it may be if he lies, or is lost."""
    found = told(tmp_path, *(line(*said) for said in lines), task=task)
    assert found == [("task", *one) for one in whose]


SETS = "VM.set_name_label"
DUMMY = "VM.set_name_label D:0123456789ab"


@pytest.mark.parametrize(
    ("lines", "whose"),
    [
        ([(HOST, SOCKET, DUMMY)], [(HOST, "exact", True)]),
        ([("root", USER, DUMMY), (HOST, OTHER, DUMMY)], [("root", "exact", False)]),
        (
            [("root", USER, DUMMY.replace("9", "8")), (HOST, SOCKET, DUMMY)],
            [(HOST, "several", True), ("root", "several", False)],
        ),
    ],
)
def test_what_a_host_sets_is_told_once(
    lines: list[tuple[str, str, str]], whose: list[tuple[str, str, bool]], tmp_path: Path
) -> None:
    """What was passed on is the user's; of what both set at once nobody knows which is whose."""
    found = told(tmp_path, *(line(*said, call=SETS) for said in lines))
    assert found == [("event", *one) for one in whose]
