"""How a run looks while it is under way, and at its end."""

import io

from rich.console import Console
from rich.progress import Progress

from recorder.commands.run_view import Bars, summary, verdict
from recorder.control.running import PartReport, PartTitle, RunReport, StepLine


def line(step: int, state: str, **fields: object) -> StepLine:
    """Return what is told of a start of `web1`."""
    known: dict[str, object] = {"part": 0, "name": "web1", "method": "VM.start", "done": 0}
    return StepLine(step=step, state=state, **(known | fields))  # type: ignore[arg-type]


def shown(*lines: StepLine) -> tuple[Progress, str]:
    """Return the bars after some lines, and what was printed beside them."""
    out = io.StringIO()
    progress = Progress(console=Console(file=out, width=200, markup=False))
    bars = Bars([PartTitle("start_async", 4), PartTitle("permute", 2)], progress)
    for one in lines:
        bars.take(one)
    return progress, out.getvalue()


def test_bars_move_with_calls_and_with_what_their_tasks_say() -> None:
    """Half a call is half of its part of the bar."""
    progress, printed = shown(
        line(1, "called"),
        line(2, "called"),
        line(1, "progress", progress=0.5),
        line(2, "ended", done=1, outcome="success"),
    )
    first, second = progress.tasks
    assert (first.completed, first.total, second.completed, second.total) == (1.5, 4, 0, 2)
    assert printed == ""


def test_bars_get_one_more_for_what_restores() -> None:
    """It is not in the script, so nobody knows how much it will be."""
    progress, _ = shown(
        line(9, "called", part=2), line(9, "ended", part=2, done=1, outcome="success")
    )
    assert [(task.description, task.completed) for task in progress.tasks][2] == ("restore", 1)


def test_calls_that_did_not_succeed_are_printed_with_their_reason() -> None:
    """In a line each, without what could drive a terminal."""
    _, printed = shown(
        line(1, "ended", done=1, outcome="failure", error=["HOST_\x1b[31mOFF", "x"]),
        line(2, "ended", done=2, outcome="vanished", why="the task is gone", name="a\nb"),
        line(3, "ended", done=3, outcome="skipped", why="it is there"),
    )
    assert printed.splitlines() == [
        r"web1: VM.start failure: HOST_\x1b[31mOFF x",
        r"a\nb: VM.start vanished: the task is gone",
    ]


def test_summary_tells_of_each_step_what_was_expected_and_did_not_hold() -> None:
    """And the last line whether all of it did."""
    part = PartReport(
        "permute", 4, 3, {"success": 1, "failure": 2}, 12.5, ["2 calls failed, 0 may"]
    )
    report = RunReport("20260921-1", "stopped", held=False, duration_s=30.0, parts=[part])
    out = io.StringIO()
    Console(file=out, width=100).print(summary(report))
    heading, row = out.getvalue().splitlines()
    assert heading.split() == [
        "step",
        "calls",
        "success",
        "skipped",
        "other",
        "slowest",
        "expected",
    ]
    assert " ".join(row.split()) == "permute 3/4 1 0 2 failure 12.5 s 2 calls failed, 0 may"
    assert verdict(report) == (
        "run 20260921-1 stopped after 30.0 s; NOT all that was expected held"
    )
