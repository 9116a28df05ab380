"""The commands about the journal itself: is it sound, who vouches for it, how is it mended."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from .options import DataOption, ReportFormat, ReportOption, data_folder

if TYPE_CHECKING:
    from .journal.verify import Report


def register(app: typer.Typer) -> None:
    """Add the commands about the journal to the root command."""
    app.command()(verify)


def verify(
    data: DataOption = None,
    form: ReportOption = ReportFormat.TABLE,
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


def print_report(report: "Report") -> None:
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
