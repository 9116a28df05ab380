"""`xentrail report`: a period as one file, for a ticket or an auditor."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recorder import VERSION
from recorder.clock import wall_ns
from recorder.errors import ConfigError

from ..choices import Format
from ..ends import say
from .asking import Asking, asking
from .options import PoolOption, SinceOption, UntilOption

if TYPE_CHECKING:
    from ..report.gather import Report
    from ..report.integrity import Integrity

VMS_MAX = 36
STDOUT = "-"

OutputOption = Annotated[
    str,
    typer.Option("--output", "-o", metavar="FILE", help="Where it is written; - is stdout."),
]
VmsOption = Annotated[
    int, typer.Option("--vms", metavar="N", min=1, help="Draw the N busiest VMs of a pool.")
]
VerifyOption = Annotated[
    bool, typer.Option("--verify/--no-verify", help="Check every byte of the journal first.")
]


@asking
def report(
    ask: Asking,
    output: OutputOption,
    since: SinceOption = None,
    until: UntilOption = None,
    pool: PoolOption = None,
    vms: VmsOption = VMS_MAX,
    verify: VerifyOption = True,
) -> None:
    """Write what is known of a period as one HTML file that loads nothing."""
    from ..questions import lacks
    from ..report.gather import gather

    if ask.form is Format.CSV:
        raise typer.BadParameter("a report is a page, or with --format json its data")
    with ask.history() as opened:
        begin, end = ask.range(opened, since, until, pool=pool)
        told = gather(opened, since=begin, until=end, pool=pool, vms_max=vms)
        lacking = lacks.lacks_between(opened, begin, end, pool=pool)
    # Afterwards: a recorder may be writing, and what the report stands on is to be checked.
    integrity = _integrity(ask, verified=verify)
    _write(output, _text(ask, told, integrity))
    flaws = integrity.verified.flaws if integrity.verified else []
    if flaws:
        say(f"the journal is not sound: {len(flaws)} findings; see xentrail verify")
    ask.finish(lacking)
    if flaws:
        raise typer.Exit(1)


def _integrity(ask: Asking, *, verified: bool) -> "Integrity":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from ..report.integrity import integrity_of

    console = Console(stderr=True)
    columns = (TextColumn("verifying"), BarColumn(), DownloadColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", visible=verified)
        return integrity_of(
            ask.data / "journal",
            verified=verified,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _text(ask: Asking, told: "Report", integrity: "Integrity") -> str:
    if ask.form is Format.JSON:
        import msgspec

        document = {"report": told, "integrity": integrity}
        return f"{msgspec.json.format(msgspec.json.encode(document), indent=2).decode()}\n"

    from ..report.page import Maker, page
    from ..report.pictures import Canvas
    from ..report.times import Clock

    maker = Maker(
        version=VERSION,
        command=shlex.join(["xentrail", *sys.argv[1:]]),
        made_at_us=wall_ns() // 1000,
    )
    return page(
        told, integrity, Canvas(told.period, Clock.of(ask.zone, told.period.begin_us)), maker
    )


def _write(output: str, text: str) -> None:
    """Write a report, in place of the one that may be there: all of it or nothing."""
    if output == STDOUT:
        sys.stdout.write(text)
        return
    with _refused(output):
        # Through links: what they lead to is replaced, not they themselves.
        target = Path(output).resolve()
        if target.exists() and not target.is_file():
            raise ConfigError(f"--output {output}: is no regular file; write to one, or to -")
        beside = target.with_name(f".{target.name}.{os.getpid()}.new")
        try:
            beside.write_text(text, encoding="utf-8")
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def _refused(output: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"--output {output}: cannot be written: {error.strerror}") from error
