"""Answers to SQL, and what SQL can ask."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from ..choices import Format
from ..questions.answers import Answer, TableRow
from ..records import Json
from .output import (
    Column,
    Text,
    cell_text,
    console,
    write_csv,
    write_json_rows,
    write_rows,
    write_table,
)

COUNTED_ROWS_MAX = 100_000
"""Rows that are left out of a table are counted up to here; a cross join has no end."""


def answer(told: Answer, form: Format, *, rows_max: int) -> str | None:
    """Write the answer to an SQL statement; return what to say of rows that were left out.

    JSON and CSV are written as the rows come, and have all of them; a table has `rows_max`.
    """
    first = next(
        told.rows, None
    )  # What is wrong with the question mostly shows with the first row.
    rows = _chained(first, told.rows)
    if form is Format.JSON:
        write_json_rows(rows)
        return None
    if form is Format.CSV:
        write_csv(rows, told.names)
        return None
    cells = [[cell_text(row[name]) for name in told.names] for row in islice(rows, rows_max)]
    write_table([Column(name, wide=True) for name in told.names], cells)
    return _left_out(sum(1 for _ in islice(rows, COUNTED_ROWS_MAX + 1)), rows_max)


def _chained(
    first: dict[str, Json] | None, rest: Iterator[dict[str, Json]]
) -> Iterator[dict[str, Json]]:
    if first is not None:
        yield first
        yield from rest


def _left_out(count: int, rows_max: int) -> str | None:
    if count == 0:
        return None
    how_many = f"more than {COUNTED_ROWS_MAX}" if count > COUNTED_ROWS_MAX else str(count)
    return f"the first {rows_max} rows; {how_many} more are left out: --limit shows more"


def table_names(rows: Sequence[TableRow], form: Format) -> None:
    """Write only the names of tables and views, and what a row of each is."""
    if form is not Format.TABLE:
        tables(rows, form)
        return
    columns = [Column("name"), Column("kind"), Column("a row is", wide=True)]
    write_table(
        columns, [(row.name, row.kind, " ".join((row.comment or "").split())) for row in rows]
    )


def tables(rows: Sequence[TableRow], form: Format) -> None:
    """Write which tables and views there are, and what each column says."""
    if form is not Format.TABLE:
        write_rows(rows, TableRow, form)
        return
    for row in rows:
        _table(row)


def _table(row: TableRow) -> None:
    show: Callable[[object], None] = console().print
    show(Text.assemble(Text(row.name, "bold"), f" ({row.kind})"))
    for text in (row.comment or "").splitlines():
        show(Text(f"  {text}", "dim"))
    width = max((len(column.name) for column in row.columns), default=0)
    kind_width = max((len(column.type) for column in row.columns), default=0)
    for column in row.columns:
        head = f"  {column.name:<{width}}  {column.type:<{kind_width}}  "
        show(Text.assemble(Text(head), Text(column.comment or "", "dim")))
    show(Text())
