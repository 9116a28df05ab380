"""Loading entries into the history: exactly once, one batch a transaction.

Between two batches the file is free, so that readers get their turn while a long load runs.
"""

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

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

from .compare import Comparison
from .database import History, transaction
from .fold import Fold, pools_baselined, snapshots_of
from .known import Memory
from .store import Load, Turn, recall, write, write_events
from .trail.join import join
from .turns import RETRY_S, to_load

BATCH_ENTRIES_MAX = 40_000
BATCH_BYTES_MAX = 40 * 1024 * 1024
"""Two batches are in memory at a time: one is read while the one before it is written."""
BATCHES_A_TURN = 4
"""So many batches are one transaction, which takes 2 to 4 s, before whoever waits to read gets the
file. Measured: to open and to close a history takes a tenth of the time that it takes to add a
batch; and what was told of one object lies in a fourth of the places when somebody asks."""
TURN_S = 2 * RETRY_S
"""Between two turns: whoever waits to read, and looks every RETRY_S, finds the file free."""


def load(
    path: Path,
    entries: Iterable[Entry],
    memory: Memory,
    *,
    loaded_at_us: int,
    journal: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
    beside: Callable[[History], None] = lambda _: None,
) -> int:
    """Add entries, in order and none twice, to the history at `path`; return how many.

    `memory` holds the pools that the history knows, and is kept up to date. `journal` is the id of
    the one that the entries are from; `beside` writes what belongs into the same transactions. What
    was read before an error is added first. An incomplete chunk at the end is left for the next
    load.
    """
    load_of = Load(loaded_at_us, journal)
    done, comparison, coming = 0, Comparison(), batches(entries)
    with _without_gc(), ThreadPoolExecutor(1) as ahead:
        batch = next(coming, None)
        while batch is not None:
            with to_load(path) as history, transaction(history):
                turn = Turn(batch[0].seq, Fold(memory, comparison))
                for more in reversed(range(BATCHES_A_TURN)):
                    _fold(history, turn, batch, comparison)
                    progress(done + turn.entries)
                    del batch  # What is needed of it is in the rows: room for the next one.
                    # DuckDB needs no interpreter while it compresses. Before that, a thread that
                    # reads would only take turns with this one.
                    following = ahead.submit(next, coming, None)
                    write_events(history, turn)
                    if not more or turn.asks_to_end or _is_the_end(following):
                        break
                    batch = following.result()
                    assert batch is not None, "that was not the end"
                write(history, turn, load_of)
                join(history, turn.first_seq - 1)
                beside(history)
            done += turn.entries
            batch = following.result()
            if batch is not None:
                time.sleep(TURN_S)
    return done


def _fold(history: History, turn: Turn, batch: list[Entry], comparison: Comparison) -> None:
    memory, told = turn.fold.memory, snapshots_of(batch)
    recall(history, memory, told, sorted(pools_baselined(batch)))
    for key, snapshots in told.items():
        known = memory.get(key)
        before = None if known is None else known.snapshot
        comparison.foresee(key[:2], [before, *snapshots])
    for entry in batch:
        turn.fold.take(entry)
    comparison.forget_foreseen()
    turn.entries += len(batch)
    turn.last = batch[-1]


def _is_the_end(following: "Future[list[Entry] | None]") -> bool:
    """Wait for the next batch; True if there is none, or an error that has to wait its turn."""
    return following.exception() is not None or following.result() is None


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


@contextmanager
def _without_gc() -> Iterator[None]:
    """Measured: a batch makes hundreds of thousands of objects and no cycles; 25 % faster."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
