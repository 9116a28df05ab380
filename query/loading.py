"""Loading entries into the history: exactly once, one batch a transaction.

Between two batches the file is free, so that readers get their turn while a long load runs.
"""

import gc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from .fold import Fold, keys_of, pools_baselined
from .known import Key, Memory
from .store import Arriving, Load, arriving, recall, write
from .trail.join import join
from .turns import to_load

BATCH_ENTRIES_MAX = 40_000
BATCH_BYTES_MAX = 48 * 1024 * 1024
"""Two batches are in memory at a time: one is written while the next one is folded."""


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
    the one that the entries are from; `beside` writes what belongs into the same transactions. An
    incomplete chunk at the end is left for the next load.
    """
    loading = _Loading(memory, Load(loaded_at_us, journal), beside)
    coming = batches(entries)
    with _without_gc():
        batch = next(coming, None)
        try:
            while batch is not None:
                with to_load(path) as history:
                    is_first = loading.folded is None
                    loading.fold(history, batch)
                    del batch  # What is needed of it is in the tables: room for the next one.
                    following = next(coming, None) if is_first else None
                    if is_first and following is None:
                        loading.write(history)
                progress(loading.done)
                # Meanwhile the file is free, and whoever waits to read has it.
                batch = following if is_first else next(coming, None)
        finally:
            if loading.folded is not None:
                with to_load(path) as history:
                    loading.write(history)
                progress(loading.done)
    return loading.done


@dataclass(slots=True)
class _Loading:
    """A load under way. `folded` is the batch that the file does not have yet."""

    memory: Memory
    load: Load
    beside: Callable[[History], None]
    comparison: Comparison = field(default_factory=Comparison)
    folded: Arriving | None = None
    done: int = 0

    def fold(self, history: History, batch: list[Entry]) -> None:
        """Fold a batch while the one before it is written: DuckDB needs no interpreter for that."""
        before, keys = self.folded, keys_of(batch)
        if before is not None and before.asks_first:
            self.write(history)
        recall(history, self.memory, keys, sorted(pools_baselined(batch)))
        if before is not None:
            self._forget_the_gone(before, keys)
        if self.folded is None:
            self.folded = self._folded(batch)
            return
        with ThreadPoolExecutor(1) as beside:
            writing = beside.submit(self.write, history)
            try:
                folded = self._folded(batch)
            finally:
                writing.result()
        self.folded = folded

    def write(self, history: History) -> None:
        """Write the batch that was folded last."""
        batch = self.folded
        assert batch is not None
        with transaction(history):
            write(history, batch, self.load)
            join(history, batch.after_seq)
            self.beside(history)
        for one in batch.redactions:
            self.memory.drop((one.pool, one.cls, one.ref))  # The file knows what is left.
        self.done += batch.entries
        self.folded = None

    def _folded(self, batch: list[Entry]) -> Arriving:
        fold = Fold(self.memory, self.comparison)
        for entry in batch:
            fold.take(entry)
        return arriving(fold, batch)

    def _forget_the_gone(self, batch: Arriving, coming: set[Key]) -> None:
        """A year of tasks is not kept in mind. What comes next is compared with what was told of it
        last, which the file does not say yet."""
        for key in batch.gone:
            known = self.memory.get(key)
            if known is not None and known.gone and key not in coming:
                self.memory.drop(key)


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
