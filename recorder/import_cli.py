"""The command that adds copies of audit trails to the journal."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .clock import wall_ns
from .errors import ConfigError
from .model import RECORDER
from .options import DataOption, ReportFormat, ReportOption, data_folder

if TYPE_CHECKING:
    from .journal.store import Journal


def import_audit(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Copies of audit.log, rotated or packed, too."),
    ],
    pool: Annotated[
        str | None,
        typer.Option("--pool", metavar="NAME", help="Whose they are; needed if there are several."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            "--host", metavar="NAME", help="The host that they are from (else the file's name)."
        ),
    ] = None,
    data: DataOption = None,
    form: ReportOption = ReportFormat.TABLE,
) -> None:
    """Add lines of copied audit trails to the journal; those that are there are not added again."""
    from .config import Redaction
    from .journal.digest_key import load_or_create
    from .journal.store import Journal
    from .redact import PoolRedactor, Redactor
    from .trail.clean import Cleaner
    from .trail.importing import import_files

    folder = data_folder(data) / "journal"
    if not folder.is_dir():
        raise ConfigError(f"there is no journal in {folder}: --data names the folder above it")
    with Journal.open(folder, now_ns=wall_ns, keys=folder.with_name("keys")) as journal:
        name = _pool(pool, journal)
        key = load_or_create(folder.with_name("keys"), journal.disk)
        cleaner = Cleaner(PoolRedactor(Redactor(Redaction().policy(), key)))
        done = import_files(journal, files, pool=name, host=host, cleaner=cleaner)
    if form is ReportFormat.JSON:
        print(json.dumps({"pool": name, **asdict(done)}, indent=2))
        return
    print(f"{done.new} of {done.lines} lines in {done.files} files are added to pool {name}")
    for count, text in (
        (done.known, "were in the journal before"),
        (done.own, "only say that the recorder looked, and are not kept"),
        (done.others, "are no lines of an audit trail"),
        (done.cut, "of those that are added are not all there: syslog cut them"),
    ):
        if count:
            print(f"{count} {text}")


def _pool(name: str | None, journal: "Journal") -> str:
    """Return the pool that is meant. Raises ConfigError."""
    known = sorted(pool for pool in journal.tails if pool != RECORDER)
    if name is None and len(known) == 1:
        return known[0]
    if name in known:
        return name
    listed = ", ".join(known) or "none yet"
    raise ConfigError(f"--pool: name one of the pools in this journal: {listed}")
