"""How a status looks: a line for the recorder, a table of pools, and below it what is not well."""

import csv
import sys
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from ..control.protocol import (
    Action,
    BaselineStatus,
    GapStatus,
    PoolStatus,
    RecorderStatus,
    ReloadReport,
    RunStatus,
    ScheduleStatus,
    State,
    StatusReport,
)
from ..printable import shown

PLAIN_WIDTH = 120
"""Columns of a table that goes into a file or a pipe."""

STYLES = {
    State.LIVE: "green",
    State.BASELINE: "cyan",
    State.CONNECTING: "yellow",
    State.BLIND: "bold red",
    State.REFUSED: "bold red",
    State.DISK_FULL: "bold red",
}

TOLD = {
    Action.ADDED: "is recorded from now on",
    Action.REMOVED: "is recorded no more",
    Action.CHANGED: "is recorded anew, as it is configured now",
    Action.RETRIED: "was refused, and is tried again",
    Action.KEPT: "goes on",
}


TOLD_OF_SCHEDULES = {
    Action.ADDED: "is run from now on",
    Action.REMOVED: "is run no more",
    Action.CHANGED: "is run as it is configured now",
    Action.KEPT: "goes on",
}


def told_of_schedule(action: Action) -> str:
    """Return for people what was done with a schedule."""
    return TOLD_OF_SCHEDULES[action]


def told(action: Action) -> str:
    """Return for people what was done with a pool."""
    return TOLD[action]


def console() -> Console:
    """Return where a status goes."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def print_json(report: StatusReport | ReloadReport) -> None:
    """Print one JSON document."""
    print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())


def print_csv(report: StatusReport) -> None:
    """Print a row a pool; what is nested has a column a part, nothing is empty."""
    rows = [dict(_flat(msgspec.to_builtins(pool))) for pool in report.pools]
    writer = csv.DictWriter(sys.stdout, HEADER, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


NESTED = {
    "gap": GapStatus.__struct_fields__,
    "baseline": BaselineStatus.__struct_fields__,
    "run": RunStatus.__struct_fields__,
    "schedule": ScheduleStatus.__struct_fields__,
}
HEADER = [
    column
    for name in PoolStatus.__struct_fields__
    for column in ([f"{name}_{part}" for part in NESTED[name]] if name in NESTED else [name])
]


def _flat(fields: dict[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from ((f"{name}_{part}", inner) for part, inner in value.items())
        elif name not in NESTED:
            yield name, value


class Column(msgspec.Struct, frozen=True):
    """A column of the table; of those that may go, the one with the highest `spare` goes first."""

    title: str
    cells: Sequence[Text]
    right: bool = False
    spare: int = 0

    @property
    def width(self) -> int:
        """How many cells of the terminal it takes, with what is between it and the next."""
        return max(len(self.title), *(cell.cell_len for cell in self.cells), 0) + 2


class PoolTable(msgspec.Struct, frozen=True):
    """The table of the pools, with as many columns as fit."""

    pools: Sequence[PoolStatus]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        columns = list(_columns(self.pools))
        while sum(one.width for one in columns) > options.max_width + 2:
            spare = max(columns, key=lambda one: one.spare)
            if not spare.spare:
                break
            columns.remove(spare)
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
        for one in columns:
            justify: Literal["left", "right"] = "right" if one.right else "left"
            table.add_column(one.title, no_wrap=True, overflow="ellipsis", justify=justify)
        for row in zip(*(one.cells for one in columns), strict=True):
            table.add_row(*row)
        yield table


def _columns(pools: Sequence[PoolStatus]) -> Iterator[Column]:
    def column(
        title: str, cells: Iterator[str | Text], *, right: bool = False, spare: int = 0
    ) -> Column:
        texts = [cell if isinstance(cell, Text) else Text(shown(cell)) for cell in cells]
        return Column(title, texts, right, spare)

    yield column("pool", (one.pool for one in pools))
    yield column("state", (Text(one.state, STYLES[one.state]) for one in pools))
    yield column("master", (one.master or "-" for one in pools))
    yield column("epoch", (_seq(one.epoch) for one in pools), right=True, spare=3)
    yield column("last event", (_age(one.last_event_age_s) for one in pools), right=True)
    yield column("lag", (_span(one.lag_s) for one in pools), right=True, spare=1)
    yield column("events/s", (f"{one.events_per_s:.1f}" for one in pools), right=True)
    yield column("queue", (f"{one.pressure_percent:.0f} %" for one in pools), right=True)
    ages = [one.last_audit_line_age_s for one in pools]
    if any(age is not None for age in ages):
        yield column("last call", map(_age, ages), right=True, spare=2)
    yield column("baseline", (_baseline(one) for one in pools), right=True, spare=4)


def table(report: StatusReport) -> Group:
    """Return what is shown of a status."""
    return Group(
        _recorder_lines(report.recorder),
        PoolTable(report.pools),
        *_troubles(report.pools),
        *_workloads(report.pools),
    )


def _recorder_lines(one: RecorderStatus) -> Text:
    vouched = "no checkpoint yet"
    if one.checkpoint is not None:
        vouched = f"signed up to @{one.checkpoint.seq}"
    line = Text(
        f"recorder {one.version}, process {one.pid}, up {_span(one.uptime_s)}\n"
        f"{one.entries:,} entries, the last @{one.last_seq} in segment {one.segment}; {vouched}"
    )
    if one.disk_full:
        line.append("; THE DISK IS FULL", "bold red")
    return line


def _troubles(pools: Sequence[PoolStatus]) -> Iterator[Text]:
    for one in pools:
        if one.gap is not None:
            cause = one.gap.cause or "from before this start"
            text = f"{one.pool}: gap {_seq(one.gap.seq)} is open ({cause}), since {one.gap.since}"
            yield Text(shown(text), "red")
        if one.error is not None:
            yield Text(shown(f"{one.pool}: {one.error}"), "red")


def _workloads(pools: Sequence[PoolStatus]) -> Iterator[Text]:
    """Say what runs on each pool, and what will next."""
    for one in pools:
        if (run := one.run) is not None:
            begun = f"call {run.step} of {run.steps}, since {run.since} ({_age(run.age_s)})"
            yield Text(
                shown(f"{one.pool}: run {run.run} of {run.script} by {run.who}: {begun}"), "cyan"
            )
        if (due := one.schedule) is not None:
            when = f"{due.at}, in {_span(due.in_s)}"
            yield Text(
                shown(f"{one.pool}: next is {due.script} at {when} (schedule {due.schedule})")
            )


def _seq(seq: int | None) -> str:
    return "-" if seq is None else f"@{seq}"


def _age(age_s: float | None) -> str:
    return "-" if age_s is None else f"{_span(age_s)} ago"


def _baseline(one: PoolStatus) -> str:
    last = one.baseline
    return "-" if last is None else f"{last.objects:,} objects, {_age(last.age_s)}"


def _span(span_s: float | None) -> str:
    """Return a length of time in its two largest units, a short one in milliseconds."""
    if span_s is None:
        return "-"
    if span_s < 1:
        return f"{span_s * 1000:.0f} ms" if span_s >= 0.01 else f"{span_s * 1000:.1f} ms"
    if span_s < 60:
        return f"{span_s:.0f} s"
    for unit, smaller, unit_s, smaller_s in (("min", "s", 60, 1), ("h", "min", 3600, 60)):
        if span_s < unit_s * 60:
            return f"{span_s // unit_s:.0f} {unit} {span_s % unit_s // smaller_s:.0f} {smaller}"
    return f"{span_s // 86400:.0f} d {span_s % 86400 // 3600:.0f} h"
