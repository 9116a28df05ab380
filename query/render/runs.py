"""Runs of workloads, and the calls of one of them."""

from collections.abc import Sequence

import msgspec

from ..choices import Format
from ..questions.lacks import Lacks
from ..questions.runs import RunRow, StepRow
from ..values import duration_text, short_ref
from .output import Column, write_answer, write_table
from .words import at_text

GOOD = frozenset({"success", "skipped"})
UNKNOWN = "unknown"
"""The outcome of a call whose recorder was killed."""


def runs(rows: Sequence[RunRow], form: Format, lacks: Lacks) -> None:
    """Write runs; those that did not hold, or did not end, stand out."""
    if form is not Format.TABLE:
        write_answer(rows, RunRow, form, lacks)
        return
    columns = [
        Column("run"),
        Column("pool", spare=True),
        Column("script", wide=True),
        Column("began", spare=True),
        Column("took", right=True, spare=True),
        *(Column(title, right=True) for title in ("calls", "success", "other")),
        Column("status"),
        Column("expected"),
    ]
    cells = [
        (
            row.run,
            row.pool,
            row.script,
            at_text(row.started),
            duration_text(row.duration_s),
            f"{row.made}/{row.calls}",
            str(row.success),
            str(row.other),
            status_of(row),
            "-" if row.held is None else "held" if row.held else "NOT HELD",
        )
        for row in rows
    ]
    write_table(columns, cells, loud=[i for i, row in enumerate(rows) if row.held is not True])


def status_of(row: RunRow) -> str:
    """Return how a run stands, in a few words."""
    status = row.status or ("died" if row.died else "no end")
    return f"{status}, resumed {row.resumed} x" if row.resumed else status


def steps(rows: Sequence[StepRow], form: Format, lacks: Lacks) -> None:
    """Write the calls of a run; those that did not succeed stand out."""
    if form is not Format.TABLE:
        write_answer(rows, StepRow, form, lacks)
        return
    columns = [
        Column("step", right=True),
        Column("round", right=True, spare=True),
        Column("object", wide=True),
        Column("call"),
        Column("intended", spare=True),
        Column("took", right=True),
        Column("outcome"),
        Column("why", wide=True),
    ]
    cells = [
        (
            str(row.step),
            str(row.round or "-"),
            f"{row.cls}:{row.name or short_ref(row.ref)}",
            row.method.rpartition(".")[2],
            at_text(row.intended),
            "-" if row.task is None else duration_text(row.duration_s),
            row.outcome or UNKNOWN,
            row.why or _error_text(row.error),
        )
        for row in rows
    ]
    loud = [index for index, row in enumerate(rows) if row.outcome not in GOOD]
    write_table(columns, cells, loud=loud)


def _error_text(error: str | None) -> str:
    if error is None:
        return ""
    return " ".join(map(short_ref, msgspec.json.decode(error, type=list[str])))
