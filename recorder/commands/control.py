"""The commands that ask a running recorder: `status`, `follow`, `reload`."""

import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..control.kinds import FOLLOWED, Kind
from ..errors import XentrailError
from ..model import Operation
from .options import DataOption, ReportFormat, ReportOption, data_folder

if TYPE_CHECKING:
    from ..control.protocol import StatusReport

REDRAW_S = 1.0


class StatusFormat(StrEnum):
    """How a status is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.command()(status)
    app.command()(follow)
    app.command()(reload)


def status(
    data: DataOption = None,
    form: Annotated[
        StatusFormat, typer.Option("--format", help="How it is printed.")
    ] = StatusFormat.TABLE,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew each second.")] = False,
) -> None:
    """Tell how a running recorder and its pools stand; exit 1 unless all pools are live."""
    from ..control import client
    from ..control.protocol import State
    from . import status_view

    folder = data_folder(data)
    if watch and form is not StatusFormat.TABLE:
        raise typer.BadParameter("--watch shows a table; ask again for json or csv")
    report = client.status(folder)
    if watch:
        report = _watched(folder, report)
    elif form is StatusFormat.JSON:
        status_view.print_json(report)
    elif form is StatusFormat.CSV:
        status_view.print_csv(report)
    else:
        status_view.console().print(status_view.table(report))
    raise typer.Exit(0 if all(pool.state is State.LIVE for pool in report.pools) else 1)


def _watched(folder: Path, report: "StatusReport") -> "StatusReport":
    """Show a status anew each second until Ctrl-C; return the last one."""
    from rich.live import Live

    from ..control import client
    from . import status_view

    with Live(status_view.table(report), console=status_view.console(), auto_refresh=False) as live:
        try:
            while True:
                live.update(status_view.table(report), refresh=True)
                time.sleep(REDRAW_S)
                report = client.status(folder)
        except KeyboardInterrupt:
            return report


def _pools_recorded(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the shell the pools of the recorder that runs, if one does."""
    from ..control import client

    try:
        data = ctx.params.get("data")
        report = client.status(data_folder(None if data is None else Path(data)))
    except XentrailError:
        return []
    return [one.pool for one in report.pools if one.pool.startswith(incomplete)]


def follow(
    pool: Annotated[
        list[str] | None,
        typer.Option(
            "--pool",
            metavar="NAME",
            help="Only this pool; may be repeated.",
            autocompletion=_pools_recorded,
        ),
    ] = None,
    class_: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="CLASS",
            help="Only events of this class, in any case; may be repeated.",
        ),
    ] = None,
    operation: Annotated[
        list[Operation] | None,
        typer.Option("--operation", help="Only events of this kind; may be repeated."),
    ] = None,
    object_: Annotated[
        list[str] | None,
        typer.Option(
            "--object",
            metavar="TEXT",
            help="Only events of objects with this reference, beginning of a uuid, or text in"
            " their name; may be repeated.",
        ),
    ] = None,
    kind: Annotated[
        list[Kind] | None,
        typer.Option(
            "--kind",
            help="Only this kind of entry (if none is named: all but baseline); may be repeated.",
        ),
    ] = None,
    data: DataOption = None,
    form: ReportOption = ReportFormat.TABLE,
) -> None:
    """Print what a running recorder writes, as soon as it is durable, until Ctrl-C."""
    from ..control import client
    from ..control.protocol import Follow
    from . import follow_view

    wanted = Follow(
        kinds=tuple(kind or FOLLOWED),
        pools=tuple(pool or ()),
        classes=tuple(class_ or ()),
        operations=tuple(operation or ()),
        objects=tuple(object_ or ()),
    )
    try:
        with client.following(data_folder(data), wanted) as lines:
            printer = follow_view.printer(as_json=form is ReportFormat.JSON)
            for line in lines:
                reason = follow_view.end_of(line)
                if reason is not None:
                    typer.echo(f"xentrail: {reason}", err=True)
                    return
                printer(line)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # Whoever read it has enough. What is buffered goes nowhere, at the exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def reload(data: DataOption = None, form: ReportOption = ReportFormat.TABLE) -> None:
    """Let a running recorder read its configuration again: pools come, go and change."""
    from ..control import client
    from . import status_view

    report = client.reload(data_folder(data))
    if form is ReportFormat.JSON:
        status_view.print_json(report)
        return
    for one in report.pools:
        print(f"{one.pool}: {status_view.told(one.action)}")
    for schedule in report.schedules:
        print(f"schedule {schedule.schedule}: {status_view.told_of_schedule(schedule.action)}")
    for key in report.needs_restart:
        typer.echo(f"xentrail: {key} has changed and needs a restart of the recorder", err=True)
