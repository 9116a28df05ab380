"""Events, newest last."""

from collections.abc import Sequence

from ..choices import Format
from ..questions.lacks import Lacks
from ..questions.plain import EventRow
from ..values import short_ref
from .output import Column, write_answer, write_table
from .words import at_text, origin_text


def show(rows: Sequence[EventRow], form: Format, lacks: Lacks) -> None:
    """Write events."""
    if form is not Format.TABLE:
        write_answer(rows, EventRow, form, lacks)
        return
    columns = [
        Column("seq", right=True),
        Column("received"),
        Column("pool"),
        Column("object", wide=True),
        Column("what"),
        Column("changed", wide=True),
        Column("how", wide=True),
    ]
    cells = [
        [
            f"@{row.seq}",
            at_text(row.received_at),
            row.pool,
            f"{row.cls} {row.name or short_ref(row.ref)}",
            row.operation,
            _changed_text(row),
            origin_text(row.origin, row.gap),
            row.by or "?",
        ]
        for row in rows
    ]
    if any(row.by for row in rows):
        columns.append(Column("by", wide=True))
    write_table(columns, [row[: len(columns)] for row in cells])


def _changed_text(row: EventRow) -> str:
    if row.changed_fields is None:
        return ""
    unchanged = "" if row.operation == "del" else "(no change)"
    return ", ".join(row.changed_fields) or unchanged
