"""The commands of the service: parse, call one function, print."""

import json
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from .config import DEFAULT_DATA, Config, load
from .errors import ConfigError
from .journal.verify import Report
from .simulate_cli import fault, simulate

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
]

DEMO_MARKER = ".xentrail-demo"
"""Marks a folder that a demo left behind: the next demo sweeps it away, a recorder refuses it."""

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="XENTRAIL_DATA",
        metavar="DIR",
        help=f"Where the journal and the history live (else ./{DEFAULT_DATA}).",
    ),
]


class ReportFormat(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the commands of the service to the root command."""
    app.command()(record)
    app.command()(simulate)
    app.command()(fault)
    app.command()(verify)


def record(
    config: Annotated[
        Path,
        typer.Option("--config", metavar="FILE", help="What to record; see config/recorder.toml."),
    ],
    data: DataOption = None,
) -> None:
    """Record pools until SIGTERM or SIGINT."""
    from . import daemon, logs, process

    loaded = load(config)
    folder = data_folder(data, loaded)
    if (folder / DEMO_MARKER).exists():
        raise ConfigError(
            f"{folder} holds what a demo left behind;"
            " delete it, or choose another folder with --data"
        )
    logs.to_stderr()
    process.run(partial(daemon.serve, loaded, folder))


def data_folder(option: Path | None, config: Config | None = None) -> Path:
    """Return the folder of the option or its variable, else that of the configuration."""
    if option is not None:
        return option
    return config.data if config is not None and config.data is not None else DEFAULT_DATA


def play_demo(data: Path, narrate: "Narrate") -> "Played":
    """Play the recorder's half of the demo: pools, a recorder, and things that happen."""
    import trio

    from . import demo

    return trio.run(demo.play, data, narrate)


def verify(
    data: DataOption = None,
    form: Annotated[ReportFormat, typer.Option("--format")] = ReportFormat.TABLE,
) -> None:
    """Check every byte of the journal; exit 1 if something is wrong."""
    from .journal.verify import verify as verify_journal

    console = Console(stderr=True)
    columns = (TextColumn("verifying"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("")
        report = verify_journal(
            data_folder(data) / "journal",
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if form is ReportFormat.JSON:
        print(json.dumps(asdict(report), indent=2))
    else:
        print_report(report)
    raise typer.Exit(1 if report.findings else 0)


def print_report(report: Report) -> None:
    """Print what was checked and what was found, for people."""
    for finding in report.findings:
        where = f"segment {finding.segment}, byte {finding.offset}, after entry {finding.seq}"
        print(f"{finding.kind.value}: {finding.text} ({where})")
    print(f"entry {report.last_seq} has the chain {report.chain}")
    verdict = f"{len(report.findings)} findings" if report.findings else "no findings"
    print(
        f"{verdict}: {report.entries:,} entries ({report.first_seq} to {report.last_seq}),"
        f" {report.frames:,} frames, {report.segments} segments, {report.bytes:,} bytes"
    )
