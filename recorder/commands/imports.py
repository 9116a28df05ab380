"""The command that adds copies of audit trails to the journal."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from ..clock import wall_ns
from ..errors import ConfigError
from ..model import RECORDER, Draft
from .options import DataOption, ReportFormat, ReportOption, data_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..errors import JournalLocked
    from ..journal.files import Disk
    from ..journal.store import Journal
    from ..model import AuditLine
    from ..pools.trail.clean import Cleaner
    from ..pools.trail.importing import Imported
    from ..redaction.policy import Policy

    Add = Callable[..., Imported]
    """`import_files`, told which files, of which host, and whose rules."""


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
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="The recorder's: secrets are hidden by its [redaction] (else the built-in rules).",
        ),
    ] = None,
    data: DataOption = None,
    form: ReportOption = ReportFormat.TABLE,
) -> None:
    """Add lines of copied audit trails to the journal; those that are there are not added again.

    A running recorder adds them itself.
    """
    from ..config import Config, load
    from ..errors import JournalLocked
    from ..journal.store import Journal
    from ..pools.trail.importing import import_files

    loaded = Config() if config is None else load(config)
    policy = loaded.redaction.policy()
    add = partial(import_files, files, host=host, rules=policy.name, are_named=config is not None)
    place = data_folder(data, loaded)
    folder = place / "journal"
    if not folder.is_dir():
        raise ConfigError(f"there is no journal in {folder}: --data names the folder above it")
    try:
        with Journal.open(folder, now_ns=wall_ns, keys=place / "keys") as journal:
            name = _pool(pool, journal.tails)
            done = _import_into(journal, name, policy, add)
    except JournalLocked as locked:
        name, done = _let_import(place, pool, policy, add, locked)
    if form is ReportFormat.JSON:
        print(json.dumps({"pool": name, **msgspec.to_builtins(done)}, indent=2))
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


def _import_into(journal: "Journal", pool: str, policy: "Policy", add: "Add") -> "Imported":
    """Add what is new to a journal that nobody else writes to."""
    from ..pools.trail.importing import entries_in

    def append(lines: "Sequence[AuditLine]") -> None:
        journal.append([Draft(journal.now_ns, pool, line) for line in lines])

    return add(
        pool=pool,
        cleaner=_cleaner(policy, journal.folder, journal.disk),
        entries=entries_in(journal.folder, journal.disk),
        append=append,
    )


def _let_import(
    place: Path, pool: str | None, policy: "Policy", add: "Add", locked: "JournalLocked"
) -> "tuple[str, Imported]":
    """Have the running recorder add what is new. Raises `locked` if none answers."""
    from ..control import client
    from ..control.protocol import CopiedLine, Import
    from ..errors import TransportError
    from ..journal.files import Disk
    from ..pools.trail.importing import entries_in

    try:
        recorded = [one.pool for one in client.status(place).pools]
    except TransportError as error:
        raise locked from error
    name, disk = _pool(pool, recorded), Disk()

    def append(lines: "Sequence[AuditLine]") -> None:
        copied = tuple(CopiedLine(line.host, line.line) for line in lines)
        client.import_lines(place, Import(pool=name, rules=policy.name, lines=copied))

    done = add(
        pool=name,
        cleaner=_cleaner(policy, place / "journal", disk),
        entries=entries_in(place / "journal", disk),
        append=append,
    )
    return name, done


def _cleaner(policy: "Policy", folder: Path, disk: "Disk") -> "Cleaner":
    from ..journal.digest_key import load_or_create
    from ..pools.trail.clean import Cleaner
    from ..redaction.redact import PoolRedactor, Redactor

    key = load_or_create(folder.with_name("keys"), disk)
    return Cleaner(PoolRedactor(Redactor(policy, key)))


def _pool(name: str | None, pools: "Iterable[str]") -> str:
    """Return the pool that is meant. Raises ConfigError."""
    known = sorted(pool for pool in pools if pool != RECORDER)
    if name is None and len(known) == 1:
        return known[0]
    if name in known:
        return name
    listed = ", ".join(known) or "none yet"
    raise ConfigError(f"--pool: name one of the pools in this journal: {listed}")
