"""The commands about the journal itself: is it sound, who vouches for it, how is it mended."""

import getpass
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from ..clock import wall_ns
from ..errors import ConfigError, JournalDamaged
from ..instant import time_text
from .options import SEQ_HELP, DataOption, ReportFormat, ReportOption, data_folder
from .proofs import check_proof, notes_in, prove

if TYPE_CHECKING:
    from rich.progress import Progress

    from ..journal.newest import Newest
    from ..journal.verify import Report


def register(app: typer.Typer) -> None:
    """Add the commands about the journal to the root command."""
    app.command()(verify)
    app.command()(head)
    app.command()(prove)
    app.command(name="check-proof")(check_proof)
    app.command()(repair)
    app.command()(redact)
    app.command(name="rotate-key")(rotate_key)


def verify(
    data: DataOption = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Checkpoints noted elsewhere, from which the journal must go on.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="A verifier key that must have signed for it."),
    ] = None,
    form: ReportOption = ReportFormat.TABLE,
) -> None:
    """Check every byte of the journal; exit 1 if something is wrong."""
    from ..journal.findings import FindingKind
    from ..journal.keys import VerifierKey
    from ..journal.note import BadNote
    from ..journal.verify import verify as verify_journal

    anchors = [note for file in checkpoint or () for note in notes_in(file)]
    with _bar("verifying") as bar:
        try:
            trusted = None if key is None else VerifierKey.parse(key.strip()).text
            report = verify_journal(
                data_folder(data) / "journal",
                progress=lambda done, total: bar.update(
                    bar.task_ids[0], completed=done, total=total
                ),
                anchors=anchors,
                key=trusted,
            )
        except BadNote as error:
            raise ConfigError(f"--checkpoint or --key: {error}") from error
    if form is ReportFormat.JSON:
        print(
            json.dumps(msgspec.to_builtins(report, builtin_types=[bytes]), indent=2, default=_plain)
        )
    else:
        print_report(report)
        missed = [found for found in report.findings if found.kind is FindingKind.ANCHOR_MISSED]
        if anchors and not missed:
            print(f"it goes on from each of the {len(anchors)} checkpoints noted elsewhere")
    raise typer.Exit(1 if report.findings else 0)


def head(
    data: DataOption = None,
    keys: Annotated[
        bool, typer.Option("--keys", help="Print the verifier keys instead, the newest last.")
    ] = False,
    form: ReportOption = ReportFormat.TABLE,
) -> None:
    """Print the newest checkpoint, a signed note to keep where no intruder can change it."""
    from ..journal.files import Disk
    from ..journal.newest import newest

    folder = data_folder(data) / "journal"
    found = newest(folder, Disk())
    if form is ReportFormat.JSON:
        print(json.dumps(msgspec.to_builtins(found), indent=2))
    elif keys:
        print("\n".join(found.keys))
    else:
        _print_newest(found)


def repair(data: DataOption = None, form: ReportOption = ReportFormat.TABLE) -> None:
    """Cut a torn tail off, keep the cut bytes, and record that; refuse everything else."""
    from ..journal.files import Disk
    from ..journal.findings import FindingKind
    from ..journal.inspect import inspect
    from ..journal.names import list_segments
    from ..journal.store import Journal

    folder = data_folder(data) / "journal"
    last = list_segments(folder, Disk())[-1]
    for finding in inspect(folder, last, last=True).findings:
        if finding.kind is not FindingKind.TORN_TAIL:
            raise JournalDamaged(
                f"segment {finding.segment} at byte {finding.offset}: {finding.text}. This is no"
                " torn tail, so that nothing is cut off: put a good copy of the segment back, or"
                " start the recorder, which keeps a copy and goes on behind it in a new segment"
            )
    with Journal.open(folder, now_ns=wall_ns, keys=folder.with_name("keys")) as journal:
        repairs = journal.repairs
    if form is ReportFormat.JSON:
        print(json.dumps([dict(detail) for detail in repairs], indent=2))
        return
    for detail in repairs:
        print(
            f"{detail['bytes']} bytes of a torn tail were cut from segment {detail['segment']} at"
            f" byte {detail['offset']} and kept in {folder / str(detail['kept_in'])}"
        )
    if not repairs:
        print(
            "there is nothing to repair in the last segment; `xentrail verify` checks all of them"
        )


def redact(
    seq: Annotated[int, typer.Argument(metavar="SEQ", help=SEQ_HELP)],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the journal.")
    ],
    data: DataOption = None,
    form: ReportOption = ReportFormat.TABLE,
) -> None:
    """Take the snapshot of one entry out of the journal; that it was there stays provable."""
    from ..journal.redaction import redact as redact_entry
    from ..journal.store import Journal

    if not reason.strip():
        raise ConfigError("--reason: say why it has to go")
    folder = data_folder(data) / "journal"
    _must_be(folder)
    with Journal.open(folder, now_ns=wall_ns, keys=folder.with_name("keys")) as journal:
        detail = redact_entry(journal, seq, reason.strip(), by=_who_runs_this())
    if form is ReportFormat.JSON:
        print(json.dumps(detail, indent=2))
        return
    whose = f"{detail['class']} {detail['ref']} of pool {detail['pool']}"
    print(f"entry {seq} ({whose}) has no snapshot now")
    print(f"its leaf hash, which stays, is {detail['leaf']}")


def _who_runs_this() -> str:
    """Return the name of the user, or the number of one without a name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an OSError from Python 3.13 on
        return f"uid {os.getuid()}"


def rotate_key(data: DataOption = None) -> None:
    """Replace the key that signs checkpoints; the old one vouches for the new one, and goes."""
    from ..journal.files import Disk
    from ..journal.keys import PUBLIC_NAME, read_verifiers, replace_key
    from ..journal.lock import take_lock
    from ..journal.store import Journal

    folder, disk = data_folder(data) / "journal", Disk()
    keys = folder.with_name("keys")
    _must_be(folder)
    lock = take_lock(folder, disk)
    try:
        name = read_verifiers(keys / PUBLIC_NAME, disk)[-1].name
        new = replace_key(keys, name, disk).verifier.text
    finally:
        disk.close(lock)
    Journal.open(folder, now_ns=wall_ns, keys=keys).close()  # which records the change
    print(new)


def print_report(report: "Report") -> None:
    """Print what was checked and what was found, for people."""
    for finding in report.findings:
        where = f"segment {finding.segment}, byte {finding.offset}, after entry {finding.seq}"
        print(f"{finding.kind.value}: {finding.text} ({where})")
    if report.dropped is not None:
        gone = report.dropped
        span = " to ".join(time_text(at_ns // 1000) for at_ns in (gone.begun_ns, gone.ended_ns))
        print(f"dropped by rule: entries 1 to {gone.last_seq} ({span}), as a signed tombstone says")
    if report.redacted:
        print(f"redacted: {report.redacted:,} entries, each recorded")
    signed = (
        f"{report.checkpoints:,} signed checkpoints vouch for entries up to {report.signed_seq}"
    )
    print(signed if report.checkpoints else "no signed checkpoint vouches for any entry yet")
    print(f"entry {report.last_seq} has the chain {report.chain}")
    verdict = f"{len(report.findings)} findings" if report.findings else "no findings"
    print(
        f"{verdict}: {report.entries:,} entries ({report.first_seq} to {report.last_seq}),"
        f" {report.frames:,} frames, {report.segments} segments ({report.packed} packed),"
        f" {report.bytes:,} bytes"
    )


def _print_newest(found: "Newest") -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if found.note is None:
        console.print("no checkpoint yet: one comes within a minute of traffic, and with a stop")
        return
    print(found.note, end="")
    unsigned = found.last_seq - found.signed_seq
    since = (
        f"{unsigned:,} entries since then wait for the next" if unsigned else "nothing since then"
    )
    console.print(f"vouches for entries up to @{found.signed_seq}; {since}")


def _must_be(folder: Path) -> None:
    """Raise JournalError unless there is a journal: these commands begin none."""
    from ..journal.files import Disk
    from ..journal.names import list_segments

    list_segments(folder, Disk())


def _plain(value: object) -> str:
    assert isinstance(value, bytes)
    return value.hex()


@contextmanager
def _bar(label: str) -> Iterator["Progress"]:
    """Show the progress of one task in bytes on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn(label), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        bar.add_task("")
        yield bar
