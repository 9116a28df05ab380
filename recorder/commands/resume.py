"""The command that goes on with a run: `workload resume`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import WorkloadError
from .options import DataOption, ReportFormat, ReportOption, data_folder
from .workload import NOT_HELD_EXIT_CODE, converse, recorder_for


def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, or the beginning of its name.")],
    restore: Annotated[
        bool,
        typer.Option(
            "--restore",
            help="Only give VMs back the power states and hosts that they had when it began.",
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="If no recorder runs: record the pool while the run goes on, with this"
            " configuration.",
        ),
    ] = None,
    data: DataOption = None,
    form: ReportOption = ReportFormat.TABLE,
) -> None:
    """Go on with a run whose driver was killed, or that was stopped; nothing is done twice.

    Exit 0 only if all that it expects held; with --restore, if every VM got back what it had.
    """
    from ..config import load
    from ..control.protocol import Resume
    from ..workloads.archive import find_run

    if not run:
        raise WorkloadError("name a run, or the beginning of its name: see xentrail workload runs")
    loaded = None if config is None else load(config)
    folder = data_folder(data, loaded)
    pool = "" if loaded is None else find_run(folder / "journal", run).pool
    with recorder_for(loaded, folder, pool):
        wanted = Resume(run=run, restore=restore)
        report = converse(folder, wanted, as_json=form is ReportFormat.JSON)
    if report is not None and not report.held:
        raise typer.Exit(NOT_HELD_EXIT_CODE)
