"""Tasks and their outcomes."""

from collections.abc import Sequence

from recorder.instant import us_of

from ..choices import Format
from ..questions.lacks import Lacks
from ..questions.tasks_listed import Progress, TaskRow
from ..values import short_ref
from .output import Column, console, write_answer, write_table
from .words import at_text

ERRORS_AND_MORE_COLUMNS = 150
_BARS = "▁▂▃▄▅▆▇█"


def show(rows: Sequence[TaskRow], form: Format, lacks: Lacks) -> None:
    """Write the outcomes of tasks."""
    if form is not Format.TABLE:
        write_answer(rows, TaskRow, form, lacks)
        return
    columns = [
        Column("created"),
        Column("pool", spare=True),
        Column("task", wide=True),
        Column("object", wide=True),
        Column("uuid", spare=True),
        Column("status"),
        Column("took", right=True, spare=True),
        Column("curve", spare=True),
        Column("result or error", wide=True),
    ]
    cells = [_cells(row) for row in rows]
    if not _has_room_for_curves(rows):
        at = [column.title for column in columns].index("curve")
        del columns[at]
        cells = [[*row[:at], *row[at + 1 :]] for row in cells]
    if any(row.by for row in rows) and _has_room_beside_errors(rows):
        columns.append(Column("by", wide=True))
        cells = [[*cell, row.by or "?"] for cell, row in zip(cells, rows, strict=True)]
    write_table(columns, cells)


def _has_room_for_curves(rows: Sequence[TaskRow]) -> bool:
    """True if there are curves to show, and no error is cut short for them."""
    return _has_room_beside_errors(rows) and any(has_steps(row.curve) for row in rows)


def _has_room_beside_errors(rows: Sequence[TaskRow]) -> bool:
    has_errors = any(row.error_code is not None for row in rows)
    return not has_errors or console().width >= ERRORS_AND_MORE_COLUMNS


def _cells(row: TaskRow) -> list[str]:
    return [
        at_text(row.created),
        row.pool,
        "  " * row.depth + (row.name_label or "-"),
        ", ".join(sorted(row.objects, key=_vms_first)) or "-",
        (row.uuid or short_ref(row.ref))[:8],
        status_text(row),
        "-" if row.duration_s is None else f"{row.duration_s:g} s",
        curve_text(row, cells=5) if has_steps(row.curve) else "-",
        outcome_text(row),
    ]


def _vms_first(text: str) -> tuple[bool, str]:
    return not text.startswith("vm:"), text


def status_text(row: TaskRow) -> str:
    """Return the status of a task; of one under way also how far it is."""
    return row.status if row.status != "pending" else f"pending {row.progress or 0:.0%}"


def outcome_text(row: TaskRow) -> str:
    """Return what a task returned, or its error as the server sent it, references named."""
    names = {target.ref: target.name for target in row.targets if target.name}
    if row.error_code is not None:
        params = (names.get(param) or short_ref(param) for param in row.error_params)
        return " ".join([row.error_code, *params])
    result = row.result or ""
    return names.get(result) or short_ref(result)


def has_steps(curve: Sequence[Progress]) -> bool:
    """True if a progress between nothing and all was told."""
    return any(0 < point.progress < 1 for point in curve)


def curve_text(row: TaskRow, *, cells: int) -> str:
    """Return the progress of a task over its time, in a picture of so many equal steps of time."""
    begin = us_of(row.curve[0].at)
    end = us_of(row.ended_at or row.curve[-1].at)
    step = max(end - begin, 1) / cells
    return "".join(_bar(row.curve, begin + step * (cell + 1)) for cell in range(cells))


def _bar(curve: Sequence[Progress], until_us: float) -> str:
    """Return the bar of the last progress told up to then."""
    told = [point.progress for point in curve if us_of(point.at) <= until_us]
    share = min(max(told[-1] if told else 0.0, 0.0), 1.0)
    return _BARS[round(share * (len(_BARS) - 1))]
