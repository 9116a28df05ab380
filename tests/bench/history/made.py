"""What is loaded: a packed journal, and the same events as lines of JSON."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from recorder.journal.packing import pack_segment
from recorder.journal.scan import scan
from recorder.journal.store import Journal
from recorder.model import BaselineRecord, Event
from tests.bench.journal.made import UnsyncedDisk
from tests.bench.mix import START_S, epoch_drafts

VMS = 560
APPENDED_AT_ONCE = 1_000
LINES_MAX = 1_000_000


class Line(msgspec.Struct, rename={"cls": "class"}):
    """An event as a program without a history would write it."""

    seq: int
    pool: str
    received_at_us: int
    event_id: int
    cls: str
    operation: str
    ref: str
    snapshot: msgspec.Raw


def write_food(folder: Path, events: int) -> None:
    """Write journal and lines, unless they are there."""
    if not (folder / "journal").exists():
        write_journal(folder, events)
    path = lines_of(folder)
    if not path.exists():
        with path.open("wb") as file:
            for line in islice(_lines(folder), LINES_MAX):
                file.write(msgspec.json.encode(line) + b"\n")


def lines_of(folder: Path) -> Path:
    """Return where the lines are."""
    return folder / "events.jsonl"


def write_journal(folder: Path, events: int) -> None:
    """Write the journal; a segment is packed as soon as it is sealed."""
    disk, packed = UnsyncedDisk(), 0
    drafts = epoch_drafts(events, vms=VMS)
    journal_folder = folder / "journal"
    with Journal.open(journal_folder, now_ns=lambda: START_S * 10**9, disk=disk) as journal:
        while some := list(islice(drafts, APPENDED_AT_ONCE)):
            journal.append(some)
            for number in range(packed + 1, len(list(journal_folder.glob("*.journal*")))):
                pack_segment(journal_folder, number, disk)
                packed = number


def _lines(folder: Path) -> Iterator[Line]:
    for entry in scan(folder / "journal"):
        at_us = entry.received_at_ns // 1000
        match entry.body:
            case Event(id=id_, cls=cls, operation=operation, ref=ref, snapshot=snapshot):
                raw = msgspec.Raw(snapshot or b"null")
                yield Line(entry.seq, entry.pool, at_us, id_, cls, operation.value, ref, raw)
            case BaselineRecord(cls=cls, ref=ref, snapshot=snapshot):
                yield Line(entry.seq, entry.pool, at_us, 0, cls, "add", ref, msgspec.Raw(snapshot))
            case _:
                pass
