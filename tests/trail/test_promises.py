"""Whatever goes wrong, each line is in the journal once, or a gap says that it may be missing.

The days are those of `office`: restarts and power cuts of the recorder, networks that break, hosts
that fail over, files that turn over, lines that are late, cut or half written, clocks that jump.
"""

import pytest

from tests.trail.office import TRAIL, USUAL, Day, day

pytestmark = pytest.mark.seeds

SEEDS, SEEDS_LONG, BATCH = 40, 1000, 10


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_line_is_there_once_or_declared_missing(first: int) -> None:
    """The files of the hosts themselves are what the journal is held against."""
    assert _problems(first, BATCH) == {}


@pytest.mark.soak
@pytest.mark.parametrize("first", range(SEEDS, SEEDS_LONG, BATCH))
def test_line_is_there_once_or_declared_missing_for_long(first: int) -> None:
    """The same for many more seeds."""
    assert _problems(first, BATCH) == {}


def _problems(first: int, count: int) -> dict[int, list[str]]:
    days = (day(seed) for seed in range(first, first + count))
    return {one.seed: problems for one in days if (problems := one.problems())}


def lost(one: Day) -> int:
    """How many lines of a day are in the files' past and not in the journal."""
    return sum(
        one.lines[host, text.encode()] == 0 and "watcher" not in text
        for host, written in one.written.items()
        for at_s, text in written
        if at_s < one.end_s
    )


def test_lines_that_a_host_dropped_before_they_were_read_are_a_gap() -> None:
    """While the recorder is away files turn over, of which the host keeps one."""
    days = [day(seed, kinds=("stop", "rotation"), strokes=9) for seed in range(6)]
    assert [one.problems() for one in days] == [[]] * len(days)
    assert sum(map(lost, days)) > 3, "nothing was lost"
    assert all(one.gaps for one in days if lost(one))


def test_nothing_is_a_gap_where_nothing_is_lost() -> None:
    """Restarts, failovers and jumps of clocks alone lose no line, and none is declared missing."""
    kinds = [kind for kind in (*USUAL, *TRAIL) if kind not in ("rotation", "half-line", "cut")]
    days = [day(seed, kinds=kinds) for seed in range(100, 106)]
    assert [(one.problems(), one.gaps, lost(one)) for one in days] == [([], [], 0)] * len(days)
