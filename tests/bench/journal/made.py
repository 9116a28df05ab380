"""Journals that are made to be read here."""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from recorder.journal.files import Disk
from recorder.journal.store import Journal
from recorder.model import Draft, Event

MB = 1_000_000


class UnsyncedDisk(Disk):
    """For journals that are only written to be read here."""

    def sync(self, fd: int) -> None:
        """Take it for durable."""

    def sync_folder(self, folder: Path) -> None:
        """Take it for durable."""


def mixed(count: int) -> Iterator[Draft]:
    """Yield so many events of the mix.

    The simulated pool that makes them is loaded late: most processes that are measured need none.
    """
    from tests.bench.mix import mixed_drafts

    return mixed_drafts(count)


def write_journal(folder: Path, drafts: Iterator[Draft], *, batch: int = 100) -> None:
    """Write a closed journal of these drafts."""
    with Journal.open(folder, now_ns=time.time_ns, disk=UnsyncedDisk()) as journal:
        while part := list(islice(drafts, batch)):
            journal.append(part)


def sealed(folder: Path) -> list[Path]:
    """Return the raw segments that hold entries."""
    return [path for path in sorted(folder.glob("*.journal")) if path.stat().st_size > 10_000]


def line(draft: Draft) -> bytes:
    """Return an event as a line of JSON."""
    body = draft.body
    assert isinstance(body, Event)
    assert body.snapshot is not None
    head = {"at_ns": draft.received_at_ns, "id": body.id, "class": body.cls, "ref": body.ref}
    return msgspec.json.encode({**head, "snapshot": msgspec.Raw(body.snapshot)}) + b"\n"
