"""Answers to SQL, and what SQL can ask."""

from collections.abc import Callable, Sequence

from rich.text import Text

from ..choices import Format
from ..questions import TableRow
from ..records import Json
from .output import Column, cell_text, console, write_csv, write_json, write_rows, write_table


def answer(names: Sequence[str], rows: Sequence[dict[str, Json]], form: Format) -> None:
    """Write the answer to an SQL statement."""
    if form is Format.JSON:
        write_json(rows)
    elif form is Format.CSV:
        write_csv(rows, names)
    else:
        cells = [[cell_text(row[name]) for name in names] for row in rows]
        write_table([Column(name) for name in names], cells)


def tables(rows: Sequence[TableRow], form: Format) -> None:
    """Write which tables and views there are."""
    if form is not Format.TABLE:
        write_rows(rows, TableRow, form)
        return
    show: Callable[[Text], None] = console().print
    for row in rows:
        show(Text.assemble((row.name, "bold"), f" ({row.kind})"))
        for line in (row.comment or "").splitlines():
            show(Text(f"  {line}", style="dim"))
        for column in row.columns:
            show(Text(f"  {column}"))
