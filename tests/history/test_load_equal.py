"""However a journal is loaded, the history is the same, table by table."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from query.load.known import Memory
from query.load.loader import refresh
from query.load.loading import load
from recorder.model import Entry
from tests.history.random_story import random_journal
from tests.history.stories import ROOT, contents, recalled

LONG = [pytest.param(*values, marks=pytest.mark.soak) for values in ((2, 1000, 900), (3, 400, 400))]


def in_one_go(folder: Path, entries: list[Entry]) -> dict[str, list[str]]:
    load(folder / "whole.duckdb", entries, Memory(), loaded_at_us=0)
    return contents(folder / "whole.duckdb")


@pytest.mark.parametrize(("seed", "steps", "pieces"), [(1, 150, 25), *LONG])
def test_loading_in_pieces_is_loading_in_one_go(
    seed: int, steps: int, pieces: int, tmp_path: Path
) -> None:
    """Each piece by a process that knows only what the history tells it."""
    entries = random_journal(tmp_path / "journal", seed, steps)
    cuts = random.Random(seed).sample(range(1, len(entries)), pieces - 1)
    path = tmp_path / "history.duckdb"
    for end in [*sorted(cuts), len(entries)]:
        memory = recalled(path)
        load(path, entries[memory.last_seq : end], memory, loaded_at_us=0)
    assert contents(path) == in_one_go(tmp_path, entries)


LOADING = """
import os, signal, sys
from pathlib import Path
from query.history import database, turns
from query.load import loader, loading, reading, store
from tests.history.stories import contents

data, entries_max, left = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def counted(real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call

for module, name in (
    (turns, "open_for_loading"), (loading, "recall"), (loading, "write"), (store, "insert"),
    (loading, "write_events"), (store, "insert_keyed"), (loading, "join"), (loader, "mark_damages"),
    (database.History, "close"), (loader, "journal_id"), (loader, "standing_of"),
):
    setattr(module, name, counted(getattr(module, name)))
real = loading.batches
loading.batches = lambda entries: real(entries, entries_max=entries_max)
turns.LOCK_WAIT_S_MAX = turns.LOAD_WAIT_S_MAX = 60.0
print(loader.refresh(data).last_seq)
"""


def loading(data: Path, *, entries_max: int, calls: int = 0) -> "subprocess.Popen[str]":
    """Start a process that loads the journal, and kills itself at one of its calls."""
    command = [sys.executable, "-c", LOADING, str(data), str(entries_max), str(calls)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("seed", "steps", "kills"),
    [(4, 150, 6), pytest.param(5, 600, 100, marks=pytest.mark.soak)],
)
def test_killed_loader_loses_nothing_and_repeats_nothing(
    seed: int, steps: int, kills: int, tmp_path: Path
) -> None:
    """kill -9 at any call: before, inside and after a transaction, and while the file closes."""
    entries = random_journal(tmp_path / "journal", seed, steps)
    rng = random.Random(seed)
    codes = []
    for _ in range(kills):
        with loading(tmp_path, entries_max=rng.randint(1, 30), calls=rng.randint(1, 40)) as dying:
            dying.communicate()
        codes.append(dying.returncode)
    assert -9 in codes
    refresh(tmp_path)
    assert contents(tmp_path / "history.duckdb") == in_one_go(tmp_path, entries)


def test_two_loaders_at_once_are_as_good_as_one(tmp_path: Path) -> None:
    """Whichever comes first, each entry is loaded once, and neither fails."""
    entries = random_journal(tmp_path / "journal", 6, 150)
    both = [loading(tmp_path, entries_max=7) for _ in range(2)]
    seqs = [process.communicate()[0] for process in both]
    assert seqs == [f"{entries[-1].seq}\n"] * 2
    assert contents(tmp_path / "history.duckdb") == in_one_go(tmp_path, entries)
