"""A batch of far apart times is joined around each of them, not from the first to the last."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from query.load.known import Memory
from query.load.loading import load
from query.load.trail.stretches import HOUR_US, STRETCHES_MAX, Stretch, stretches_of
from recorder.journal.scan import scan
from recorder.model import AuditLine
from tests.attribution.chain import write_parts, written
from tests.attribution.day import day_of
from tests.history.stories import contents

YEAR_US = 365 * 24 * HOUR_US


def at(hours: float, length: float = 0.1) -> Stretch:
    return Stretch(int(hours * HOUR_US), int((hours + length) * HOUR_US))


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], []),
        ([at(5)], [at(5)]),
        ([at(5), at(5.5), at(6.5)], [at(5, 1.6)]),
        ([at(9), at(5)], [at(5), at(9)]),
        ([at(5, 4), at(6)], [at(5, 4)]),
        ([at(0), at(1.1)], [at(0), at(1.1)]),
    ],
)
def test_stretches_are_parted_by_pauses_of_an_hour(
    pieces: list[Stretch], expected: list[Stretch]
) -> None:
    """In order, whatever the order of the pieces; one within another adds nothing."""
    assert stretches_of(pieces) == expected


def test_stretches_are_few_and_the_longest_pauses_stay() -> None:
    """A quiet month is a few long stretches; the year before it is in none of them."""
    month = [at(2 * number) for number in range(360)]
    long_ago = Stretch(-YEAR_US, 1 - YEAR_US)
    first, *rest = stretches_of([*month, long_ago])
    assert first == long_ago
    assert len(rest) == STRETCHES_MAX - 1
    assert rest[0].first_us == 0


@pytest.mark.parametrize("seed", range(20))
def test_each_piece_is_in_one_stretch(seed: int) -> None:
    """And stretches are further apart than what is near each other."""
    rng = random.Random(seed)
    pieces = [at(rng.uniform(0, 10**4), rng.random()) for _ in range(rng.randrange(1, 200))]
    found = stretches_of(pieces)
    assert len(found) <= STRETCHES_MAX
    for piece in pieces:
        holders = [
            one for one in found if one.first_us <= piece.first_us and piece.last_us <= one.last_us
        ]
        assert len(holders) == 1
    for one, other in pairwise(found):
        assert other.first_us - one.last_us >= HOUR_US


OLD = (
    b"x xapi: [20190228T10:00:00.000Z|audit||1 HTTP 10.0.0.9->|VM.start R:0123456789ab|audit]"
    b" ('trackid=0' 'S-1' 'root' 'ALLOWED' 'OK' 'API' 'VM.start' ())"
)
NEW = OLD.replace(b"2019", b"2219")


def joined(folder: Path, *more: bytes) -> list[str]:
    """Return who is said to have done what on a day, with more lines at its end, in one load."""
    journal = written(day_of(0))
    at_s = journal.drafts[-1].received_at_ns / 1e9
    for line in more:
        journal.add(at_s, AuditLine("10.0.0.9", line, imported=False))
    list(write_parts(journal, folder / "journal", parts=1))
    path = folder / "history.duckdb"
    load(path, scan(folder / "journal"), Memory(), loaded_at_us=0)
    return contents(path)["attributions"]


def test_lines_of_hosts_with_wrong_clocks_change_nothing(tmp_path: Path) -> None:
    """Neither one of long ago nor one that is to come: what lies between is joined as ever."""
    expected = joined(tmp_path / "right")
    assert expected
    assert joined(tmp_path / "wrong", OLD, NEW) == expected
