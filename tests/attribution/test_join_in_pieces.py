"""The join is the same however a journal was loaded."""

import random
from pathlib import Path

import pytest

from query.load.known import Memory
from query.load.loading import load
from recorder.journal.scan import scan
from tests.attribution.chain import in_pieces, write_journal
from tests.attribution.day import day_of
from tests.history.stories import contents

pytestmark = pytest.mark.seeds

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 20))]


@pytest.mark.parametrize("seed", SEEDS)
def test_lines_may_come_long_after_what_they_tell_of(seed: int, tmp_path: Path) -> None:
    """In a load of their own, each piece by a loader that knows only what the file says."""
    write_journal(day_of(seed), tmp_path / "journal")
    entries = list(scan(tmp_path / "journal"))
    whole, pieces = tmp_path / "whole.duckdb", tmp_path / "pieces.duckdb"
    load(whole, entries, Memory(), loaded_at_us=0)
    memory = Memory()
    for piece in in_pieces(entries, random.Random(seed), 9):
        load(pieces, piece, memory, loaded_at_us=0)
    assert contents(pieces) == contents(whole)
    assert contents(whole)["attributions"]
