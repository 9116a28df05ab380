"""Tasks and their outcomes."""

from collections.abc import Sequence

from ..choices import Format
from ..lacks import Lacks
from ..questions import TaskRow
from ..values import short_ref
from .output import Column, write_answer, write_table
from .words import at_text


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
        Column("result or error", wide=True),
    ]
    write_table(
        columns,
        (
            (
                at_text(row.created),
                row.pool,
                row.name_label or "-",
                ", ".join(sorted(row.objects, key=_vms_first)) or "-",
                (row.uuid or short_ref(row.ref))[:8],
                row.status if row.status != "pending" else f"pending {row.progress or 0:.0%}",
                "-" if row.duration_s is None else f"{row.duration_s:g} s",
                _outcome_text(row),
            )
            for row in rows
        ),
    )


def _vms_first(text: str) -> tuple[bool, str]:
    return not text.startswith("vm:"), text


def _outcome_text(row: TaskRow) -> str:
    if row.error_code is not None:
        return " ".join([row.error_code, *map(short_ref, row.error_params)])
    return short_ref(row.result or "")
