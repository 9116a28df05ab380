"""Loading entries into the history: exactly once, whatever happens in between."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from query.history.database import open_for_reading, transaction
from query.history.turns import to_load
from query.load import loading, store
from query.load.batches import batches
from query.load.fold import Fold
from query.load.known import Key, Memory
from query.load.loader import refresh
from query.load.loading import load
from query.load.rows import ByObject, sorted_rows
from recorder.errors import JournalError
from recorder.model import Entry
from tests.history.journals import Pool, Told, record, rows, write_journal
from tests.history.stories import ROOT, STORY, contents, recalled


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    path = tmp_path_factory.mktemp("whole") / "history.duckdb"
    load(path, STORY.entries, Memory(), loaded_at_us=0)
    return contents(path)


@pytest.mark.parametrize("seed", range(12))
def test_history_is_the_same_however_the_journal_is_cut(
    seed: int, whole: dict[str, list[str]], tmp_path: Path
) -> None:
    """Loading piece by piece, each by a process that knows nothing, equals loading at once."""
    path = tmp_path / "history.duckdb"
    rng = random.Random(seed)
    cuts = rng.sample(range(1, len(STORY.entries)), rng.randint(1, 4))
    for end in [*sorted(cuts), len(STORY.entries)]:
        memory = recalled(path)
        load(path, STORY.entries[memory.last_seq : end], memory, loaded_at_us=0)
    assert contents(path) == whole


@pytest.mark.parametrize("entries_max", [1, 3, 7])
def test_history_is_the_same_whatever_the_size_of_a_batch(
    entries_max: int, whole: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is forgotten between two batches is remembered by the file."""
    real = batches
    monkeypatch.setattr(loading, "batches", lambda given: real(given, entries_max=entries_max))
    path = tmp_path / "history.duckdb"
    load(path, STORY.entries, Memory(), loaded_at_us=0)
    assert contents(path) == whole


def test_history_built_anew_is_the_same(whole: dict[str, list[str]], tmp_path: Path) -> None:
    """A history is derived: deleted, it comes back from the journal."""
    write_journal(tmp_path / "journal", STORY.drafts())
    first = refresh(tmp_path)
    assert (first.entries, first.last_seq) == (len(STORY.entries), len(STORY.entries))
    assert contents(first.path) == whole
    first.path.unlink()
    assert contents(refresh(tmp_path).path) == whole


def test_batch_never_ends_inside_a_chunk() -> None:
    """Half a chunk at the end waits for the rest; one that was cut short for good does not."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": record("web1"), "web2": record("web2")})
    assert [len(batch) for batch in batches(told.entries, entries_max=3)] == [5]
    assert [len(batch) for batch in batches(told.entries[:4])] == [2]
    assert [len(batch) for batch in batches(told.entries[:3])] == [2]
    lab.chunk("host", {"h1": record("h1")}, rows=0)
    lab.lose()
    assert [len(batch) for batch in batches(told.entries)] == [7]
    assert list(batches([])) == []


def test_rows_that_are_written_are_not_kept() -> None:
    """By the time the last row of a batch is written, the next batch is in memory."""
    keys: list[Key] = [("lab", "vm", ref) for ref in "abc"]
    told: ByObject = {key: [(key[2], 9 - number)] * 2 for number, key in enumerate(keys)}
    coming = sorted_rows(told)
    assert [next(coming) for _ in range(3)] == [("c", 7), ("c", 7), ("b", 8)]
    assert list(told) == [keys[0]]
    assert list(coming) == [("b", 8), ("a", 9), ("a", 9)]
    assert not told


def test_next_batch_is_read_when_half_of_one_is_written(tmp_path: Path) -> None:
    """There is room for it then; and what comes of reading it is passed on."""
    turn = store.Turn(1, Fold(Memory()))
    for entry in STORY.entries:
        turn.fold.take(entry)
    total, path = count(turn), tmp_path / "history.duckdb"
    with to_load(path) as history, transaction(history):
        left = store.write_events(history, turn, lambda: count(turn))
    assert total // 4 < left <= total - total // 2
    with open_for_reading(path) as history:
        assert rows(history, "SELECT count(*) FROM events") == [(total,)]


def count(turn: store.Turn) -> int:
    return sum(map(len, turn.fold.rows.events.values()))


def test_load_that_fails_leaves_the_batch_before(
    whole: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and position are one transaction: nothing of a broken batch stays."""
    path = tmp_path / "history.duckdb"
    load(path, STORY.entries[:15], Memory(), loaded_at_us=0)
    before = contents(path)

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "_pool_row", broken)
        memory = recalled(path)
        with pytest.raises(KeyboardInterrupt):
            load(path, STORY.entries[15:], memory, loaded_at_us=0)
    assert contents(path) == before
    load(path, STORY.entries[15:], recalled(path), loaded_at_us=0)
    assert contents(path) == whole


DYING_LOADER = """
import os, sys
from pathlib import Path
from query.load import loading, store
from query.load.known import Key, Memory
from tests.history.stories import STORY

transactions = 0
insert_keyed = store.insert_keyed

def dying(history, table, *args, **options):
    global transactions
    insert_keyed(history, table, *args, **options)
    transactions += table == "objects"
    if transactions == 4:
        os._exit(9)

store.insert_keyed = dying
batches = loading.batches
loading.batches = lambda entries: batches(entries, entries_max=int(sys.argv[2]))
loading.BATCHES_A_TURN = int(sys.argv[3])
loading.load(Path(sys.argv[1]), STORY.entries, Memory(), loaded_at_us=0)
"""


@pytest.mark.parametrize(("size", "at_once"), [("1", "1"), ("2", "4"), ("9", "1")])
def test_loader_that_is_killed_goes_on_where_it_was(
    size: str, at_once: str, whole: dict[str, list[str]], tmp_path: Path
) -> None:
    """A process that ends in the middle of a transaction loses and repeats nothing."""
    path = tmp_path / "history.duckdb"
    ended = subprocess.run(
        [sys.executable, "-c", DYING_LOADER, str(path), size, at_once], cwd=ROOT, check=False
    )
    assert ended.returncode == 9
    memory = recalled(path)
    assert 0 < memory.last_seq < len(STORY.entries)
    load(path, STORY.entries[memory.last_seq :], memory, loaded_at_us=0)
    assert contents(path) == whole


def test_file_is_free_between_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks during a long load finds whole batches, and gets a turn after a few of them."""
    path = tmp_path / "history.duckdb"
    seen: list[int] = []

    def ask(_pause_s: float) -> None:
        with open_for_reading(path) as history:
            ((last_seq, rows_up_to),) = rows(
                history, "SELECT max(last_seq), (SELECT max(seq) FROM events) FROM loads"
            )
        assert isinstance(last_seq, int)
        assert isinstance(rows_up_to, int)
        assert rows_up_to <= last_seq
        seen.append(last_seq)

    real = batches
    monkeypatch.setattr(loading, "batches", lambda given: real(given, entries_max=5))
    monkeypatch.setattr(loading, "BATCHES_A_TURN", 2)
    monkeypatch.setattr(time, "sleep", ask)
    load(path, STORY.entries, Memory(), loaded_at_us=0)
    ends = [batch[-1].seq for batch in real(STORY.entries, entries_max=5)]
    assert len(ends) > 4
    assert seen == ends[1:-1:2]


def test_what_was_read_before_an_error_is_loaded(
    whole: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next batch is read ahead: an error in it comes after the batch before is written."""

    def broken() -> Iterator[Entry]:
        yield from STORY.entries[:15]
        raise JournalError("entry 16 cannot be read")

    path = tmp_path / "history.duckdb"
    real = batches
    monkeypatch.setattr(loading, "batches", lambda given: real(given, entries_max=10))
    with pytest.raises(JournalError, match="entry 16 cannot be read"):
        load(path, broken(), Memory(), loaded_at_us=0)
    memory = recalled(path)
    assert memory.last_seq == next(real(STORY.entries, entries_max=10))[-1].seq < 15
    load(path, STORY.entries[memory.last_seq :], memory, loaded_at_us=0)
    assert contents(path) == whole
