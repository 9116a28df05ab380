"""Journals to try things on: one draft of every kind, a clock that counts, files to damage."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from recorder.journal.files import Disk
from recorder.journal.scan import scan
from recorder.journal.store import Journal
from recorder.model import (
    RECORDER,
    AuditLine,
    BaselineChunk,
    BaselineRecord,
    Body,
    Draft,
    Entry,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Heartbeat,
    Mark,
    MarkName,
    Operation,
)

EPOCH_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000

BODIES: tuple[Body, ...] = (
    Mark(MarkName.CONNECTED, {"pool_uuid": "5a1f", "tls": True, "port": 443, "via": None}),
    Mark(MarkName.REGISTERED, {"next_event_id": 7}),
    BaselineChunk("vm", 7, 9, 2),
    BaselineRecord("vm", "OpaqueRef:1", b'{"name_label":"web"}'),
    Mark(MarkName.BASELINE_DONE),
    Event(7, 1700000000.0, "vm", Operation.MOD, "OpaqueRef:1", b'{"power_state":"Running"}'),
    Event(8, 1700000001.0, "task", Operation.DEL, "OpaqueRef:2", None),
    GapOpened(GapCause.EVENTS_LOST, "the server dropped events", 8, EPOCH_NS),
    GapClosed(8, EPOCH_NS + 5),
    Heartbeat(),
)
"""Those that the frozen journals of this version began with."""

AUDIT_LINE = AuditLine("10.0.0.1", b"Nov 23 17:13:34 xapi: [20261123T17:13:34.250Z|audit||8", False)


def clock(step_ns: int = SECOND_NS) -> Callable[[], int]:
    """A wall clock that moves on by a step with every look at it."""
    ticks = count(EPOCH_NS, step_ns)
    return lambda: next(ticks)


def drafts(bodies: tuple[Body, ...] = BODIES, pool: str = "lab") -> list[Draft]:
    """One draft for each body; heartbeats are the recorder's."""
    return [
        Draft(EPOCH_NS + at, RECORDER if isinstance(body, Heartbeat) else pool, body)
        for at, body in enumerate(bodies)
    ]


def event(number: int, size: int = 20, pool: str = "lab") -> Draft:
    """An event whose id is `number` and whose snapshot has `size` bytes."""
    snapshot = b"x" * size
    body = Event(number, 1.0, "vm", Operation.MOD, f"OpaqueRef:{number}", snapshot)
    return Draft(EPOCH_NS + number, pool, body)


def open_journal(
    folder: Path,
    *,
    disk: Disk | None = None,
    segment_bytes_max: int = 1 << 26,
    keys: Path | None = None,
) -> Journal:
    """Open the journal in `folder` with a counting clock."""
    return Journal.open(
        folder, now_ns=clock(), disk=disk, segment_bytes_max=segment_bytes_max, keys=keys
    )


def abandon(journal: Journal) -> None:
    """Let go of a journal as a killed process does: no seal, but the lock is free."""
    journal._dead = "killed"
    journal.close()


def write(folder: Path, *, batches: int = 3, sealed: bool = True) -> list[Entry]:
    """Write every kind of body in `batches` frames of several segments; return the entries."""
    journal = open_journal(folder, segment_bytes_max=1000)
    for _ in range(batches):
        journal.append(drafts())
    if sealed:
        journal.close()
    else:
        abandon(journal)
    return list(scan(folder))


def segments(folder: Path) -> list[Path]:
    """The raw segment files of a journal, in order, without one that only waits for entries."""
    return [path for path in files(folder) if path.stat().st_size != _header_bytes(path)]


def files(folder: Path) -> list[Path]:
    """All raw segment files of a journal, in order."""
    return sorted(folder.glob("*.journal"))


def _header_bytes(path: Path) -> int:
    """Where the header of a segment ends, as far as it says so."""
    return 20 + int.from_bytes(path.read_bytes()[8:12], "little")


def repairs(entries: Iterator[Entry] | list[Entry]) -> list[Mark]:
    """The marks of repairs among the entries."""
    bodies = (entry.body for entry in entries)
    return [body for body in bodies if isinstance(body, Mark) and body.name is MarkName.REPAIRED]
