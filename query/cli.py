"""The root command `xentrail`: the commands that read the history, and those of the service.

A command parses, refreshes the history, calls one function, and renders. Results are on stdout,
everything said about them on stderr.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recorder import cli as service
from recorder.cli import DataOption
from recorder.clock import wall_ns
from recorder.errors import XentrailError
from recorder.instant import AGO, Instant, parse_instant, time_text, us_of
from recorder.model import Operation, Stream

from . import completion
from .choices import Format, TaskStatus
from .errors import BadSql, NoSuchField
from .known import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .database import History
    from .gaps import GapRow
    from .questions import EventRow
    from .states import State

app = typer.Typer(
    name="xentrail",
    help="The flight recorder of XenServer and XCP-ng pools.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
service.register(app)

TRACEBACK_VARIABLE = "XENTRAIL_TRACEBACK"
BUG_EXIT_CODE = 70
BLIND_LINES_MAX = 3

FormatOption = Annotated[Format, typer.Option("--format", help="How the answer is written.")]
PoolOption = Annotated[
    str | None, typer.Option("--pool", help="Only this pool.", autocompletion=completion.pools)
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="INSTANT", help="From then on: ISO, -2h, @SEQ.")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="INSTANT", help="Up to then: ISO, -2h, @SEQ.")
]
ClassOption = Annotated[
    str | None,
    typer.Option(
        "--class",
        help="Only objects of this class, in any case.",
        autocompletion=completion.classes,
    ),
]
OBJECT_HELP = "Reference, uuid, beginning of a uuid, or name; also vm:NAME, POOL/NAME."
ObjectArgument = Annotated[
    str,
    typer.Argument(metavar="OBJECT", help=OBJECT_HELP, autocompletion=completion.objects),
]
OptionalObjectArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[OBJECT]",
        help=OBJECT_HELP,
        show_default=False,
        autocompletion=completion.objects,
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"xentrail {version('xentrail')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; every foreseen error is one message and the exit code of its family."""
    # `-2h` means what `now-2h` does, but would be read as an option.
    words = [f"now{word}" if AGO.fullmatch(word) else word for word in sys.argv[1:]]
    try:
        app(words, prog_name="xentrail")
    except XentrailError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        # Files of ours are mapped where they are used; what is left is the answer itself.
        _say(f"the answer cannot be written: {error.strerror or error}")
        sys.exit(1)
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        _say(
            f"internal error: {type(error).__name__}: {error}; this is a bug in xentrail, please"
            f" report it ({TRACEBACK_VARIABLE}=1 shows where it happened)"
        )
        sys.exit(BUG_EXIT_CODE)


@app.command()
def events(
    object_: OptionalObjectArgument = None,
    pool: PoolOption = None,
    class_: ClassOption = None,
    operation: Annotated[Operation | None, typer.Option("--operation")] = None,
    origin: Annotated[Origin | None, typer.Option("--origin", help="How it is known.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most the newest N.")] = 100,
    data: DataOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List what happened, newest last."""
    from . import gaps, objects, questions, render

    begin, end = _instant(since), _instant(until)
    with _history(data) as history:
        found = None if object_ is None else objects.find(history, object_, pool=pool, cls=class_)
        wanted = questions.Filter(
            found=found,
            pool=pool,
            cls=class_,
            operation=operation,
            origin=origin,
            since=begin,
            until=end,
            limit=limit,
        )
        rows = questions.events(history, wanted)
        blind = gaps.gaps_between(
            history, begin or _first_shown(rows), end, pool=found.pool if found else pool
        )
    render.events(rows, form)
    _say_blind(blind)
    _say_in_part(sorted({row.pool for row in rows if row.stream == Stream.FROM}))
    if not rows:
        _say("no event fits")
    if len(rows) == limit:
        _say(f"the newest {limit} events; --limit shows more, --until earlier ones")


@app.command()
def history(
    object_: ObjectArgument,
    pool: PoolOption = None,
    class_: ClassOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    data: DataOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Tell the life of one object: what changed, from what to what, and where nobody looked."""
    from . import objects, render, timeline

    begin, end = _instant(since), _instant(until)
    with _history(data) as opened:
        found = objects.find(opened, object_, pool=pool, cls=class_)
        told = timeline.life_of(opened, found, since=begin, until=end)
        texts = [text or "" for step in told.steps for c in step.changes for text in (c.old, c.new)]
        names = objects.names_in(opened, found.pool, texts) if form is Format.TABLE else {}
    render.life(told, form, names)
    if any(step.stream == Stream.FROM for step in told.steps):
        _say_in_part([found.pool])


@app.command()
def at(
    instant: Annotated[str, typer.Argument(metavar="INSTANT", help="ISO time, -2h, now or @SEQ.")],
    object_: OptionalObjectArgument = None,
    class_: ClassOption = None,
    pool: PoolOption = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", help="Only this field; may be repeated.")
    ] = None,
    data: DataOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show an object, or all of a class, as it was at an instant, and how certain that is."""
    from . import objects, render, states

    moment = _instant(instant)
    assert moment is not None, "the argument is required"
    if object_ is None and class_ is None:
        raise typer.BadParameter("name an OBJECT, or a --class for all its objects")
    with _history(data) as opened:
        if object_ is None:
            _all_at(opened, moment, class_ or "", pool, field or [], form)
        else:
            found = objects.find(opened, object_, pool=pool, cls=class_)
            told = states.state_of(opened, found, moment)
            _check_fields(field or [], [told])
            names = _names_in_state(opened, told)
            render.state(told, form, names, field or [])
            _say_in_part([told.pool] if told.stream == Stream.FROM else [])


def _all_at(
    opened: "History",
    moment: Instant,
    class_: str,
    pool: str | None,
    fields: list[str],
    form: Format,
) -> None:
    from . import render, states

    told = states.states_of_class(opened, class_, moment, pool=pool)
    _check_fields(fields, told.states)
    names: dict[str, str] = {}
    for one in told.states if form is Format.TABLE else ():
        names |= _names_in_state(opened, one)
    for verdict in told.verdicts:
        text = render.verdict_text(verdict)
        if text is not None:
            _say(text)
    render.states(told, form, names, class_, fields)
    _say_in_part([one.pool for one in told.verdicts if one.stream == Stream.FROM])


def _check_fields(fields: "Sequence[str]", told: "Sequence[State]") -> None:
    """Raise NoSuchField for a name that no record has, unless there is no record at all."""
    import difflib

    known = {name for state in told for name in state.fields}
    for name in fields:
        if known and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "--format json shows all fields"
            raise NoSuchField(f"no field is called {name!r}; {advice}")


def _names_in_state(opened: "History", told: "State") -> dict[str, str]:
    from . import objects

    return objects.names_in(opened, told.pool, [str(value) for value in told.fields.values()])


@app.command()
def gaps(
    pool: PoolOption = None, data: DataOption = None, form: FormatOption = Format.TABLE
) -> None:
    """List where the recorder was blind, and what was found different afterwards."""
    from . import gaps as ledger
    from . import questions, render

    with _history(data) as opened:
        rows = ledger.gaps(opened, pool=pool)
        blind = ledger.blindness(opened, rows, pool=pool)
        in_part = questions.pools_in_part(opened, pool=pool)
    render.gaps(rows, blind, form)
    _say_in_part(in_part)


@app.command()
def tasks(
    failed: Annotated[
        bool, typer.Option("--failed", help="Only those that failed, were cancelled or vanished.")
    ] = False,
    status: Annotated[
        TaskStatus | None, typer.Option("--status", help="Only those that stand like this.")
    ] = None,
    pool: PoolOption = None,
    since: SinceOption = None,
    data: DataOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List tasks and their outcomes, also of those that the server has forgotten."""
    from . import gaps, questions, render

    begin = _instant(since)
    with _history(data) as opened:
        rows = questions.tasks(opened, pool=pool, failed=failed, status=status, since=begin)
        blind = gaps.gaps_between(opened, begin, None, pool=pool)
    render.tasks(rows, form)
    _say_blind(blind)
    if not rows:
        _say("no task fits")


@app.command()
def sql(
    statement: Annotated[
        str | None, typer.Argument(metavar="[STATEMENT]", show_default=False)
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="List tables and columns.")] = False,
    data: DataOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Ask anything in SQL (DuckDB); nothing can be written."""
    from . import questions, render

    if schema == (statement is not None):
        raise typer.BadParameter("give one STATEMENT, or --schema")
    with _history(data) as opened:
        if statement is None:
            render.tables(questions.tables(opened), form)
            return
        columns, rows = questions.sql(opened, statement)
    if not columns:
        raise BadSql("the statement has no answer")
    render.answer(columns, rows, form)


@app.command()
def demo(data: DataOption = None) -> None:
    """Watch two simulated pools being recorded, and what the history makes of it."""
    from . import demo as show

    failed = show.run(service.data_folder(data))
    for expectation in failed:
        _say(f"the demo expected that {expectation}; it did not hold")
    raise typer.Exit(1 if failed else 0)


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """The flight recorder of XenServer and XCP-ng pools."""


def _first_shown(rows: "Sequence[EventRow]") -> Instant | None:
    return Instant(seq=rows[0].seq) if rows else None


def _say_blind(gaps: "Sequence[GapRow]") -> None:
    """Say where an answer may lack something, the newest gaps first."""
    for gap in gaps[::-1][:BLIND_LINES_MAX]:
        since, until = (
            "now" if at is None else time_text(us_of(at)) for at in (gap.since, gap.blind_until)
        )
        _say(
            f"gap @{gap.seq} of pool {gap.pool} ({gap.cause}): events may be missing"
            f" from {since} to {until}"
        )
    if len(gaps) > BLIND_LINES_MAX:
        _say(f"and {len(gaps) - BLIND_LINES_MAX} more gaps: see xentrail gaps")


def _say_in_part(pools: "Sequence[str]") -> None:
    """Say of which pools only the last states were told."""
    for pool in pools:
        _say(
            f'pool {pool} has stream = "from": states in between, and the last before a deletion,'
            " may be missing"
        )


def _instant(text: str | None) -> Instant | None:
    return None if text is None else parse_instant(text, now_ns=wall_ns())


def _say(text: str) -> None:
    print(f"xentrail: {text}", file=sys.stderr)


@contextmanager
def _history(data: Path | None) -> Iterator["History"]:
    """Bring the history up to date, say what stands in the way, and open it for reading."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from . import loader

    console = Console(stderr=True)
    columns = (TextColumn("loading the journal"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", visible=False)
        loaded = loader.refresh(
            service.data_folder(data),
            progress=lambda done, total: bar.update(
                task, completed=done, total=total, visible=done < total
            ),
        )
    for warning in loaded.warnings:
        _say(warning)
    with loaded.open() as opened:
        yield opened


if __name__ == "__main__":
    main()
