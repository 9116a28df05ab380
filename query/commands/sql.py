"""`xentrail sql`: anything else."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..ends import say
from .asking import Asking, asking

if TYPE_CHECKING:
    from ..history.database import History

ROWS_MAX = 1000


@asking
def sql(
    ask: Asking,
    statement: Annotated[
        str | None, typer.Argument(metavar="[STATEMENT]", show_default=False)
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="List tables, and what each of their columns says.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="At most N rows in a table.")
    ] = ROWS_MAX,
) -> None:
    """Ask anything in SQL (DuckDB); nothing can be written.

    Without STATEMENT there is a prompt; where standard input is no terminal, statements are read
    from it.
    """
    from ..questions import answers
    from ..render import tables as screen

    if schema and statement is not None:
        raise typer.BadParameter("give one STATEMENT, or --schema")
    if schema:
        with ask.history() as opened:
            screen.tables(answers.tables(opened), ask.form)
    elif statement is not None:
        only = answers.one_statement(statement)
        with ask.history() as opened:
            _answer(ask, opened, only, limit)
            _finish(ask, opened)
    elif not sys.stdin.isatty():
        _answer_all(ask, sys.stdin.read(), limit)
    elif sys.stdout.isatty():
        _prompt(ask, limit)
    else:
        raise typer.BadParameter("give a STATEMENT; the prompt needs a terminal")


def _answer(ask: Asking, opened: "History", statement: str, limit: int) -> None:
    from ..questions import answers
    from ..render import tables as screen

    with answers.asked(opened, statement) as told:
        left_out = screen.answer(told, ask.form, rows_max=limit)
    if left_out is not None:
        say(left_out)


def _answer_all(ask: Asking, text: str, limit: int) -> None:
    """Answer statements one after the other, an empty line between tables; an error is the end."""
    from ..choices import Format
    from ..history import jail

    statements = jail.statements_of(text)
    if not statements:
        raise typer.BadParameter("give a STATEMENT, or write some to standard input")
    if len(statements) > 1 and ask.form is Format.CSV:
        raise typer.BadParameter("several answers make no CSV; write one statement, or use json")
    with ask.history() as opened:
        for number, statement in enumerate(statements):
            if number and ask.form is Format.TABLE:
                print()
            _answer(ask, opened, statement, limit)
        _finish(ask, opened)


def _finish(ask: Asking, opened: "History") -> None:
    """With `--strict`, say what the whole history lacks: nobody knows what a statement touches."""
    from ..questions import lacks

    if ask.strict:
        ask.finish(lacks.lacks_between(opened, None, None))


def _prompt(ask: Asking, limit: int) -> None:
    """Ask for statements; the file is free between two of them, so that others can load it."""
    from .. import prompt
    from ..errors import NoSuchTable
    from ..history import jail
    from ..questions import answers
    from ..render import tables as screen

    def put(text: str) -> None:
        for statement in jail.statements_of(text):
            with ask.as_it_is() as opened:
                _answer(ask, opened, statement, limit)

    def described() -> list[answers.TableRow]:
        with ask.as_it_is() as opened:
            return answers.tables(opened)

    def describe(name: str) -> None:
        found = [row for row in described() if row.name == name.lower()]
        if not found:
            raise NoSuchTable(f"no table is called {name!r}; .tables lists them")
        screen.tables(found, ask.form)

    def refresh() -> None:
        with ask.history():
            pass

    refresh()
    columns = {row.name: [column.name for column in row.columns] for row in described()}
    commands = prompt.Commands(
        put, describe, lambda: screen.table_names(described(), ask.form), refresh, say
    )
    prompt.run(commands, columns)
