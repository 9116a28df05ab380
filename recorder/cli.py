"""The commands of the service: parse, call one function, print."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from . import check_cli, control_cli, journal_cli
from .import_cli import import_audit
from .options import DEFAULT_DATA, DEMO_MARKER, ConfigOption, DataOption, data_folder
from .replay_cli import replay_on_pool, replay_simulated
from .resume_cli import resume
from .schedules_cli import schedules
from .simulate_cli import fault, simulate
from .workload_cli import app as workload
from .workload_cli import show_script

if TYPE_CHECKING:
    from .demo import Narrate, Played

__all__ = [
    "DEFAULT_DATA",
    "DEMO_MARKER",
    "DataOption",
    "Narrate",
    "Played",
    "data_folder",
    "play_demo",
    "register",
    "replay_on_pool",
    "replay_simulated",
    "show_script",
    "workload",
]


def register(app: typer.Typer) -> None:
    """Add the commands of the service to the root command."""
    app.command()(record)
    app.command()(check_cli.check)
    control_cli.register(app)
    app.command()(simulate)
    app.command()(fault)
    journal_cli.register(app)
    app.command(name="import-audit")(import_audit)
    workload.command()(schedules)
    workload.command("resume")(resume)
    app.add_typer(workload)


def record(
    config: ConfigOption,
    data: DataOption = None,
) -> None:
    """Record pools until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    from .recording import record_until_stopped

    record_until_stopped(config, data)


def play_demo(data: Path, narrate: "Narrate") -> "Played":
    """Play the recorder's half of the demo: pools, a recorder, and things that happen."""
    import trio

    from . import demo

    return trio.run(demo.play, data, narrate)
