"""What several commands of the service take on their command line."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..folders import DATA_VARIABLE, DEFAULT_DATA, DEMO_MARKER, data_folder

__all__ = [
    "DEFAULT_DATA",
    "DEMO_MARKER",
    "SEQ_HELP",
    "ConfigOption",
    "DataOption",
    "ReportFormat",
    "ReportOption",
    "data_folder",
]

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar=DATA_VARIABLE,
        metavar="DIR",
        help=f"Where the journal and the history live (else ./{DEFAULT_DATA}).",
    ),
]

SEQ_HELP = "The number of the entry, as every answer names it (@SEQ)."


ConfigOption = Annotated[
    Path,
    typer.Option("--config", metavar="FILE", help="What to record; see config/recorder.toml."),
]


class ReportFormat(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"


ReportOption = Annotated[ReportFormat, typer.Option("--format", help="How it is printed.")]
