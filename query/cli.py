"""The root command `xentrail`: the commands that read the history, and those of the service.

A command parses, refreshes the history, calls one function, and renders. Results are on stdout,
everything said about them on stderr.
"""

import sys
from typing import Annotated

import typer

from recorder import VERSION
from recorder import cli as service
from recorder.instant import AGO

from .commands.at import at
from .commands.demo import demo
from .commands.diff import diff
from .commands.doers import audit_trail, who
from .commands.events import events
from .commands.export import export
from .commands.gaps import gaps
from .commands.life import history
from .commands.power import moves, power
from .commands.recorded import pools, top
from .commands.report import report
from .commands.sql import sql
from .commands.tasks import task, tasks
from .commands.workload import register as register_workloads
from .ends import ends_told

app = typer.Typer(
    name="xentrail",
    help="The flight recorder of XenServer and XCP-ng pools.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
service.register(app)
COMMANDS = (
    *(events, history, at, diff, power, moves, top),
    *(tasks, task, who, audit_trail, gaps, pools, report, sql, export),
)
for command in COMMANDS:
    app.command(rich_help_panel="Ask the past")(command)
app.command()(demo)
register_workloads()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"xentrail {VERSION}")
        raise typer.Exit


def main() -> None:
    """Run the command line; every foreseen error is one message and the exit code of its family."""
    # `-2h` means what `now-2h` does, but would be read as an option.
    words = [f"now{word}" if AGO.fullmatch(word) else word for word in sys.argv[1:]]
    with ends_told():
        app(words, prog_name="xentrail")


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """The flight recorder of XenServer and XCP-ng pools."""


if __name__ == "__main__":
    main()
