"""Loading entries into the history: exactly once, one batch a transaction.

Between two batches the file is free, so that readers get their turn while a long load runs.
"""

import gc
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from recorder.model import Entry

from ..history.database import History, transaction
from ..history.turns import RETRY_S, to_load
from .ahead import Ahead
from .batches import Batch, batches, pools_baselined, prepared, snapshots_of
from .compare import Comparison
from .fold import Fold
from .known import Memory
from .store import Load, Turn, recall, write, write_events
from .trail.join import join

BATCHES_A_TURN = 4
"""So many batches are one transaction, which takes 2 to 4 s, before whoever waits to read gets the
file. Measured: to open and to close a history takes a tenth of the time that it takes to add a
batch; and what was told of one object lies in a fourth of the places when somebody asks."""
TURN_S = 2 * RETRY_S
"""Between two turns: whoever waits to read, and looks every RETRY_S, finds the file free."""


def load(
    path: Path,
    entries: Iterable[Entry] | Ahead,
    memory: Memory,
    *,
    loaded_at_us: int,
    journal: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
    beside: Callable[[History], None] = lambda _: None,
    opened: History | None = None,
) -> int:
    """Add entries, in order and none twice, to the history at `path`; return how many.

    `memory` holds the pools that the history knows, and is kept up to date. `journal` is the id of
    the one that the entries are from; `beside` writes what belongs into the same transactions. What
    was read before an error is added first. An incomplete chunk at the end is left for the next
    load. `opened` is the history if it is open for loading: then it is closed after its first turn.
    """
    load_of = Load(loaded_at_us, journal)
    done, comparison = 0, Comparison()
    with _without_gc(), closing(_coming(entries)) as coming, ThreadPoolExecutor(1) as ahead:
        read_on = partial(ahead.submit, next, coming, None)
        batch = next(coming, None)
        while batch is not None:
            with opened or to_load(path) as history, transaction(history):
                opened = None
                turn = Turn(batch.entries[0].seq, Fold(memory, comparison))
                for more in reversed(range(BATCHES_A_TURN)):
                    _fold(history, turn, batch, comparison)
                    progress(done + turn.entries)
                    del batch  # What is needed of it is in the rows: room for the next one.
                    # DuckDB needs no interpreter while it compresses. Before that, a thread that
                    # reads would only take turns with this one.
                    following = write_events(history, turn, read_on)
                    if not more or turn.asks_to_end or _is_the_end(following):
                        break
                    batch = following.result()
                    assert batch is not None, "that was not the end"
                    del following  # It has the batch, too.
                write(history, turn, load_of)
                join(history, turn.first_seq - 1)
                beside(history)
            done += turn.entries
            batch = following.result()
            if batch is not None:
                time.sleep(TURN_S)
    return done


def _coming(entries: Iterable[Entry] | Ahead) -> Generator[Batch, None, None]:
    return entries.batches() if isinstance(entries, Ahead) else prepared(batches(entries))


def _fold(history: History, turn: Turn, batch: Batch, comparison: Comparison) -> None:
    memory, entries = turn.fold.memory, batch.entries
    told, foreseen = snapshots_of(entries), iter(batch.foreseen)
    recall(history, memory, told, sorted(pools_baselined(entries)))
    for key, snapshots in told.items():
        known = memory.get(key)
        if known is not None:
            first = known.snapshot, snapshots[0]
            comparison.expect(first, comparison.foresee(key[:2], first))
        comparison.expect(snapshots, foreseen)
    for entry in entries:
        turn.fold.take(entry)
    comparison.forget_foreseen()
    turn.entries += len(entries)
    turn.last = entries[-1]


def _is_the_end(following: "Future[Batch | None]") -> bool:
    """Wait for the next batch; True if there is none, or an error that has to wait its turn."""
    return following.exception() is not None or following.result() is None


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
