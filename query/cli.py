"""The root command `xentrail`: the commands that read the history, and those of the service.

A command parses, refreshes the history, calls one function, and renders. Results are on stdout,
everything said about them on stderr.
"""

import os
import sys
from typing import Annotated

import typer

from recorder import VERSION
from recorder import cli as service
from recorder.errors import XentrailError
from recorder.instant import AGO

from .commands.asking import say
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

TRACEBACK_VARIABLE = "XENTRAIL_TRACEBACK"
BUG_EXIT_CODE = 70


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"xentrail {VERSION}")
        raise typer.Exit


def main() -> None:
    """Run the command line; every foreseen error is one message and the exit code of its family."""
    # `-2h` means what `now-2h` does, but would be read as an option.
    words = [f"now{word}" if AGO.fullmatch(word) else word for word in sys.argv[1:]]
    try:
        app(words, prog_name="xentrail")
    except XentrailError as error:
        say(str(error), *error.choices)
        sys.exit(error.exit_code)
    except OSError as error:
        # Files of ours are mapped where they are used; what is left is the answer itself.
        say(f"the answer cannot be written: {error.strerror or error}")
        sys.exit(1)
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        say(
            f"internal error: {type(error).__name__}: {error}; this is a bug in xentrail, please"
            f" report it ({TRACEBACK_VARIABLE}=1 shows where it happened)"
        )
        sys.exit(BUG_EXIT_CODE)


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """The flight recorder of XenServer and XCP-ng pools."""


if __name__ == "__main__":
    main()
