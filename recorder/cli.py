"""The commands of the service: parse, call one function, print."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .commands import check, control, journal
from .commands.imports import import_audit
from .commands.options import DEFAULT_DATA, DEMO_MARKER, ConfigOption, DataOption, data_folder
from .commands.replay import replay_on_pool, replay_simulated
from .commands.resume import resume
from .commands.schedules import schedules
from .commands.simulate import fault, simulate
from .commands.workload import app as workload
from .commands.workload import show_script

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
    app.command()(check.check)
    control.register(app)
    app.command()(simulate)
    app.command()(fault)
    journal.register(app)
    app.command(name="import-audit")(import_audit)
    workload.command()(schedules)
    workload.command("resume")(resume)
    app.add_typer(workload)


def record(
    config: ConfigOption,
    data: DataOption = None,
) -> None:
    """Record pools until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    from .service.recording import record_until_stopped

    record_until_stopped(config, data)


def play_demo(data: Path, narrate: "Narrate") -> "Played":
    """Play the recorder's half of the demo: pools, a recorder, and things that happen."""
    import trio

    from . import demo

    return trio.run(demo.play, data, narrate)
