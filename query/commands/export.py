"""`xentrail export`: tables and answers as files for other programs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..choices import ExportFormat
from ..ends import say
from .asking import Asking, exporting
from .options import PoolOption, SinceOption, UntilOption


@exporting
def export(
    ask: Asking,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="PATH", help="The file, or folder, to write."),
    ],
    table: Annotated[
        str | None,
        typer.Argument(metavar="[TABLE]", show_default=False, help="A table or view."),
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option("--sql", metavar="QUERY", help="The answer to a query in place of a TABLE."),
    ] = None,
    written: Annotated[
        ExportFormat | None,
        typer.Option(
            "--format", show_default=False, help="Else what PATH ends in says it, or parquet."
        ),
    ] = None,
    partition: Annotated[
        bool, typer.Option("--partition", help="Write a folder pool=…/day=… of files.")
    ] = False,
    since: SinceOption = None,
    until: UntilOption = None,
    pool: PoolOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    spreadsheet_safe: Annotated[
        bool,
        typer.Option(
            "--spreadsheet-safe",
            help="CSV: an apostrophe in front of text that begins like a formula, or with one.",
        ),
    ] = False,
) -> None:
    """Write a table, a view or the answer to a query as Parquet, CSV or JSON lines.

    --since and --until keep the rows that touch the range. Times are UTC.
    """
    from .. import export as exports

    if (table is None) == (sql is None):
        raise typer.BadParameter("give a TABLE, or a query with --sql")
    form = written or _form_of(output)
    if spreadsheet_safe and form is not ExportFormat.CSV:
        raise typer.BadParameter("--spreadsheet-safe is for CSV: add --format csv")
    with ask.history() as opened, _counting() as count:
        begin, end = ask.range(opened, since, until, pool=pool)
        wanted = exports.Wanted(
            table=table,
            sql=sql,
            since=begin,
            until=end,
            pool=pool,
        )
        done = exports.export(
            opened,
            wanted,
            output,
            form,
            partition=partition,
            force=force,
            spreadsheet_safe=spreadsheet_safe,
            progress=count,
        )
    files = f" in {_counted(done.files, 'file')}" if partition else ""
    say(f"{_counted(done.rows, 'row')}{files} written to {output}")
    ask.finish(done.lacks)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _form_of(output: Path) -> ExportFormat:
    endings = {f".{form}": form for form in ExportFormat}
    return endings.get(output.suffix.lower(), ExportFormat.PARQUET)


@contextmanager
def _counting() -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many rows are written."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    console = Console(stderr=True)
    column = TextColumn("{task.completed} rows written")
    with Progress(column, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda rows: bar.update(task, completed=rows)
