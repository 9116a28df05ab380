"""`xentrail sql`: anything else."""

from typing import Annotated

import typer

from ..errors import BadSql
from .asking import Asking, asking


@asking
def sql(
    ask: Asking,
    statement: Annotated[
        str | None, typer.Argument(metavar="[STATEMENT]", show_default=False)
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="List tables and columns.")] = False,
) -> None:
    """Ask anything in SQL (DuckDB); nothing can be written."""
    from .. import questions
    from ..render import tables as screen

    if schema == (statement is not None):
        raise typer.BadParameter("give one STATEMENT, or --schema")
    with ask.history() as opened:
        if statement is None:
            screen.tables(questions.tables(opened), ask.form)
            return
        columns, rows = questions.sql(opened, statement)
    if not columns:
        raise BadSql("the statement has no answer")
    screen.answer(columns, rows, ask.form)
