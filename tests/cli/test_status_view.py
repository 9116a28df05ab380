"""What a status looks like, at the width of a terminal, and again each second."""

import time
from pathlib import Path

import msgspec
import pytest
import typer
from rich.console import Console

from recorder.commands import control, status_view
from recorder.control import client
from recorder.control.protocol import (
    PoolStatus,
    RecorderStatus,
    RunStatus,
    ScheduleStatus,
    State,
    StatusReport,
)

GAP = {"seq": 12, "cause": None, "since": "2026-11-28T10:00:06.407Z", "age_s": 3.0}
BASELINE = {"at": "2026-11-28T09:59:59Z", "age_s": 60.0, "classes": 60, "objects": 2353}


def report_of(state: State = State.LIVE, *, up_s: float = 1.0, **fields: object) -> StatusReport:
    """Return the report of a recorder of one pool."""
    pool: dict[str, object] = dict.fromkeys(PoolStatus.__struct_fields__)
    pool |= {"pool": "lab", "state": state, "stream": "register", "events": 0}
    pool |= {"events_per_s": 2.74, "pressure_percent": 51.6, **fields}
    recorder: dict[str, object] = dict.fromkeys(RecorderStatus.__struct_fields__, 0)
    recorder |= {"version": "0", "pid": 7, "started_at": "", "uptime_s": up_s}
    recorder |= {"checkpoint": None, "disk_full": state is State.DISK_FULL}
    return msgspec.convert({"recorder": recorder, "pools": [pool]}, StatusReport)


def shown(report: StatusReport, width: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    console.print(status_view.table(report))
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_narrow_terminal_has_fewer_columns_and_no_cell_is_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The columns that matter least give way first."""
    report = report_of(
        master="https://xen1.example.com",
        epoch=12524,
        last_event_age_s=0.226,
        lag_s=0.0016,
        baseline=BASELINE,
    )
    assert shown(report, 120, capsys)[2:] == [
        (
            "pool  state  master                     epoch  last event     lag  events/s  queue"
            "                      baseline"
        ),
        (
            "lab   live   https://xen1.example.com  @12524  226 ms ago  1.6 ms       2.7   52 %"
            "  2,353 objects, 1 min 0 s ago"
        ),
    ]
    assert shown(report, 84, capsys)[2:] == [
        "pool  state  master                     epoch  last event     lag  events/s  queue",
        "lab   live   https://xen1.example.com  @12524  226 ms ago  1.6 ms       2.7   52 %",
    ]
    assert shown(report, 80, capsys)[2:] == [
        "pool  state  master                    last event     lag  events/s  queue",
        "lab   live   https://xen1.example.com  226 ms ago  1.6 ms       2.7   52 %",
    ]
    assert "lag" not in shown(report, 72, capsys)[2]


def test_newest_line_of_the_audit_trail_is_told_where_there_is_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Who does not read the trail, or has no line yet, has no column for it."""
    with_line = shown(report_of(last_audit_line_age_s=4.0), 140, capsys)
    assert with_line[2].split()[-3:] == ["last", "call", "baseline"]
    assert "4 s ago" in with_line[3]
    assert "last call" not in shown(report_of(), 140, capsys)[2]


def test_what_is_not_well_is_told_below(capsys: pytest.CaptureFixture[str]) -> None:
    """An open gap, and why there is no session, in words of their own."""
    lines = shown(report_of(State.BLIND, gap=GAP, error="connection refused"), 80, capsys)
    assert lines[3].split() == ["lab", "blind", "-", "-", "-", "-", "2.7", "52", "%", "-"]
    assert lines[4:] == [
        "lab: gap @12 is open (from before this start), since 2026-11-28T10:00:06.407Z",
        "lab: connection refused",
    ]
    wild = shown(report_of(State.REFUSED, error="no \x1b[2J\nway"), 80, capsys)
    assert wild[-1] == r"lab: no \x1b[2J\nway"
    full = shown(report_of(State.DISK_FULL), 120, capsys)
    assert full[1].endswith("no checkpoint yet; THE DISK IS FULL")


def test_workloads_are_told_below(capsys: pytest.CaptureFixture[str]) -> None:
    """What runs, how far it is, since when and by whom; and what is next."""
    run = RunStatus(
        "20260921-150000-ab12", "night", "schedule x", 3, 12, "2026-09-21T15:00:00Z", 61
    )
    due = ScheduleStatus("x", "night", "2026-09-22T15:00:00Z", 7200.0)
    lines = shown(
        report_of(run=msgspec.to_builtins(run), schedule=msgspec.to_builtins(due)), 160, capsys
    )
    began = "since 2026-09-21T15:00:00Z (1 min 1 s ago)"
    assert lines[4:] == [
        f"lab: run 20260921-150000-ab12 of night by schedule x: call 3 of 12, {began}",
        "lab: next is night at 2026-09-22T15:00:00Z, in 2 h 0 min (schedule x)",
    ]


@pytest.mark.parametrize(
    ("up_s", "text"),
    [
        (0.002, "2.0 ms"),
        (0.25, "250 ms"),
        (59.4, "59 s"),
        (61, "1 min 1 s"),
        (3 * 3600 + 119, "3 h 1 min"),
        (3 * 86_400 + 7_200, "3 d 2 h"),
    ],
)
def test_spans_have_two_units(up_s: float, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As much as one wants to know of a length of time."""
    first, *_ = shown(report_of(up_s=up_s), 80, capsys)
    assert first == f"recorder 0, process 7, up {text}"


def test_status_can_be_watched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It is asked for anew each second; Ctrl-C ends it by what was shown last."""
    reports = [report_of(State.BLIND), report_of(State.LIVE, up_s=2)]
    asked: list[Path] = []
    slept: list[float] = []

    def status(data: Path) -> StatusReport:
        asked.append(data)
        return reports[len(asked) - 1]

    def sleep(span_s: float) -> None:
        slept.append(span_s)
        if len(slept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(client, "status", status)
    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(typer.Exit) as left:
        control.status(tmp_path, watch=True)
    assert left.value.exit_code == 0
    assert (asked, slept) == ([tmp_path] * 2, [1.0, 1.0])
    assert "process 7, up 2 s" in capsys.readouterr().out
