"""Cutting what the journal tells into batches, with what can be said of one beforehand.

Nothing in here knows the history: a batch can be made in another process than that which loads it.
"""

from collections.abc import Generator, Iterable, Iterator

import msgspec

from recorder.model import (
    AuditLine,
    BaselineChunk,
    BaselineRecord,
    Body,
    Entry,
    Event,
    Mark,
    MarkName,
    rest_of,
)

from .compare import Changes, Comparison
from .known import Key

BATCH_ENTRIES_MAX = 40_000
BATCH_BYTES_MAX = 40 * 1024 * 1024
"""Two batches are in memory at a time: one is read while the one before it is written."""


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Entries that are folded one after another, and what is foreseen of the objects in them: in
    the order of `snapshots_of`, what differs between each snapshot but the first and the one before
    it (see `Comparison.foresee`)."""

    entries: list[Entry]
    foreseen: list[Changes | None]


def prepared(batches: Iterable[list[Entry]]) -> Generator[Batch, None, None]:
    """Compare within each batch what can be compared there."""
    comparison = Comparison()
    for entries in batches:
        yield Batch(entries, _foreseen(entries, comparison))
        del entries  # Room for the next one.


def _foreseen(entries: list[Entry], comparison: Comparison) -> list[Changes | None]:
    told = snapshots_of(entries).items()
    return [
        changes
        for (pool, cls, _), snapshots in told
        for changes in comparison.foresee((pool, cls), snapshots)
    ]


def batches(
    entries: Iterable[Entry],
    *,
    entries_max: int = BATCH_ENTRIES_MAX,
    bytes_max: int = BATCH_BYTES_MAX,
) -> Iterator[list[Entry]]:
    """Cut entries into batches that never end inside a chunk.

    A chunk that is still being written when the entries end is in no batch. The mark of a redaction
    ends its batch: what was loaded before is changed then, and what comes next is compared with it.
    """
    batch: list[Entry] = []
    size = 0
    rows_to_come, chunk_at = 0, 0
    for entry in entries:
        body = entry.body
        is_redaction = False
        if isinstance(body, Event):  # as nearly all are
            rows_to_come = 0
            size += len(body.snapshot or b"")
        else:
            rest = rest_of(body)
            size += _size_of(rest)
            is_redaction = isinstance(rest, Mark) and rest.name is MarkName.REDACTED
            match rest:
                case BaselineChunk(count=count):
                    rows_to_come, chunk_at = count, len(batch)
                case BaselineRecord():
                    rows_to_come = max(rows_to_come - 1, 0)
                case _:
                    rows_to_come = 0
        batch.append(entry)
        if rows_to_come == 0 and (len(batch) >= entries_max or size >= bytes_max or is_redaction):
            yield batch
            batch, size = [], 0
    if rows_to_come:
        batch = batch[:chunk_at]
    if batch:
        yield batch


def _size_of(body: Body) -> int:
    match body:
        case BaselineRecord(snapshot=snapshot):
            return len(snapshot)
        case AuditLine(line=line):
            return len(line)
        case _:
            return 0


def snapshots_of(entries: list[Entry]) -> dict[Key, list[bytes | None]]:
    """Return what entries tell of each object that they speak of, in their order."""
    told: dict[Key, list[bytes | None]] = {}
    for entry in entries:
        body = rest_of(entry.body)
        if isinstance(body, Event | BaselineRecord):
            told.setdefault((entry.pool, body.cls, body.ref), []).append(body.snapshot)
    return told


def pools_baselined(entries: list[Entry]) -> set[str]:
    """Return the pools whose baseline ends in entries: all their objects will be asked for."""
    return {
        entry.pool
        for entry in entries
        if isinstance(entry.body, Mark) and entry.body.name is MarkName.BASELINE_DONE
    }
