"""How runs look on a terminal: the plan, bars while they are under way, a table at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from ..control.running import PartTitle, Running, RunReport, StepLine
from ..printable import json_shown, shown
from .status_view import console

__all__ = ["bars", "console", "print_json", "summary", "verdict"]

if TYPE_CHECKING:
    from rich.table import Table

GOOD = frozenset({"success", "skipped"})


class Bars:
    """A bar for each step of a script, which also moves with what its tasks say of themselves.

    Calls that did not succeed are printed as they end, on a terminal or not.
    """

    def __init__(self, parts: list[PartTitle], progress: Progress) -> None:
        self._progress = progress
        self._bars: list[TaskID] = [
            progress.add_task(shown(part.title), total=max(part.calls, 1)) for part in parts
        ]
        self._under_way: dict[int, tuple[int, float]] = {}

    def take(self, line: StepLine) -> None:
        """Show how far a call is."""
        if line.part == len(self._bars):
            self._bars.append(self._progress.add_task("restore", total=None))
        if line.state == "ended":
            self._under_way.pop(line.step, None)
            if line.outcome not in GOOD:
                self._progress.console.print(shown(complaint(line)), soft_wrap=True)
        else:
            self._under_way[line.step] = line.part, line.progress
        parts_done = sum(done for part, done in self._under_way.values() if part == line.part)
        self._progress.update(self._bars[line.part], completed=line.done + parts_done)


def complaint(line: StepLine) -> str:
    """Say of a call that did not succeed what came of it."""
    reason = line.why or " ".join(line.error)
    return f"{line.name}: {line.method} {line.outcome}" + (f": {reason}" if reason else "")


@contextmanager
def bars(parts: list[PartTitle]) -> Iterator[Bars]:
    """Show bars on stderr for the length of the context, if that is a terminal."""
    screen = Console(stderr=True, highlight=False, markup=False, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        yield Bars(parts, progress)


def summary(report: RunReport) -> "Table":
    """Return the table that says how a run went."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("step", "calls", "success", "skipped", "other", "slowest", "expected"):
        right = name not in {"step", "expected"}
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for part in report.parts:
        good = [part.outcomes.get(name, 0) for name in ("success", "skipped")]
        other = [f"{count} {name}" for name, count in part.outcomes.items() if name not in GOOD]
        table.add_row(
            shown(part.title),
            f"{part.made}/{part.planned}" if part.planned else str(part.made),
            *map(str, good),
            ", ".join(other) or "0",
            f"{part.slowest_s:.1f} s",
            "; ".join(part.broken) or "kept",
        )
    return table


def verdict(report: RunReport) -> str:
    """Return the last line about a run."""
    held = "all that was expected held" if report.held else "NOT all that was expected held"
    error = f": {report.error}" if report.error else ""
    return shown(f"run {report.run} {report.status} after {report.duration_s:.1f} s; {held}{error}")


def print_json(report: Running | RunReport) -> None:
    """Print one JSON document."""
    print(json_shown(msgspec.json.format(msgspec.json.encode(report), indent=2).decode()))
