"""What several commands of the service take on their command line."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from .config import Config

DEFAULT_DATA = Path("xentrail-data")
"""Where a recorder writes, and a question looks, unless another folder is named."""

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="XENTRAIL_DATA",
        metavar="DIR",
        help=f"Where the journal and the history live (else ./{DEFAULT_DATA}).",
    ),
]

SEQ_HELP = "The number of the entry, as every answer names it (@SEQ)."


ConfigOption = Annotated[
    Path,
    typer.Option("--config", metavar="FILE", help="What to record; see config/recorder.toml."),
]

DEMO_MARKER = ".xentrail-demo"
"""Marks a folder that a demo left behind: the next demo sweeps it away, a recorder refuses it."""


class ReportFormat(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"


ReportOption = Annotated[ReportFormat, typer.Option("--format", help="How it is printed.")]


def data_folder(option: Path | None, config: "Config | None" = None) -> Path:
    """Return the folder of the option or its variable, else that of the configuration."""
    if option is not None:
        return option
    return config.data if config is not None and config.data is not None else DEFAULT_DATA
