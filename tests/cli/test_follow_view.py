"""What followed entries look like."""

import json
from collections.abc import Mapping

import pytest

from recorder.commands import follow_view

AT = "2026-11-28T10:02:33.566Z"
UUID = "6e1fb6ad-cee9-44fd-b25a-9a5bf6a07500"


def shown(line: Mapping[str, object], capsys: pytest.CaptureFixture[str]) -> str:
    """Return how a line looks below the heading."""
    printer = follow_view.printer(as_json=False)
    printer(json.dumps(dict(line)).encode() + b"\n")
    heading, text = capsys.readouterr().out.splitlines()
    assert heading == ("received        entry pool       what             how      object")
    return text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            {"kind": "event", "class": "vm", "operation": "mod", "ref": "OpaqueRef:1"}
            | {"uuid": UUID, "name": "web1", "snapshot": {"uuid": UUID}},
            f"vm               mod      web1 {UUID}",
        ),
        (
            {"kind": "event", "class": "session", "operation": "del", "ref": "OpaqueRef:1"}
            | {"uuid": None, "name": None, "snapshot": None},
            "session          del      OpaqueRef:1",
        ),
        ({"kind": "baseline", "class": "vm", "count": 3}, "vm               baseline 3 objects"),
        (
            {"kind": "baseline", "class": "vm", "ref": "OpaqueRef:1", "uuid": UUID, "name": "web1"},
            f"vm               baseline web1 {UUID}",
        ),
        (
            {"kind": "gap", "what": "opened", "cause": "events-lost", "detail": "too late"},
            "gap              opened   events-lost: too late",
        ),
        (
            {"kind": "gap", "what": "closed", "opened_seq": 7},
            "gap              closed   that of @7",
        ),
        (
            {"kind": "mark", "name": "queue-pressure", "detail": {"percent": 74, "class": None}},
            "queue-pressure   mark     percent=74",
        ),
        (
            {"kind": "verdict"},
            "verdict                   of a newer version: --format json shows it",
        ),
    ],
)
def test_entry_is_a_row(
    line: dict[str, object], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """When it came, which it is, of which pool, and what it says."""
    text = shown({"seq": 7782, "pool": "lab", "received_at": AT} | line, capsys)
    assert text == f"10:02:33.566    @7782 lab        {expected}"


def test_entries_that_were_missed_are_told_by_number(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever wants them finds them in the journal."""
    line = {"kind": "missed", "count": 17193, "first_seq": 5808, "last_seq": 23000}
    assert shown(line, capsys) == (
        "17193 entries are not shown, this terminal was too slow for them: @5808 to @23000"
    )


def test_row_is_whole_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What is searched is not cut."""
    line: dict[str, object] = {"kind": "mark", "seq": 1, "received_at": AT, "name": "refused"}
    text = shown(line | {"detail": {"error": "long " * 100 + "end"}}, capsys)
    assert text.endswith("long end")


def test_name_does_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A VM can have any name."""
    line = {"kind": "event", "class": "vm", "operation": "mod", "ref": "r", "received_at": AT}
    assert shown(line | {"name": "a\x1b[2J\nb", "uuid": "u"}, capsys).endswith(r"a\x1b[2J\nb u")


def test_only_the_last_line_is_an_end() -> None:
    """An entry that speaks of an end is none."""
    assert follow_view.end_of(b'{"kind":"end","reason":"the recorder stopped"}\n') == (
        "the recorder stopped"
    )
    assert follow_view.end_of(b'{"kind":"mark","reason":"end"}\n') is None
