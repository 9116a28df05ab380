"""What an answer about a range may lack."""

from pathlib import Path

import pytest

from query.questions.lacks import Lacks, Unrecorded, lacks_between
from recorder.instant import Instant, us_of
from recorder.model import Stream
from tests.history.journals import START_NS, Pool, Told, loaded, record


def at_s(seq: int, after_s: float = 0.0) -> Instant:
    """The moment at which an entry was received, or some time after it."""
    return Instant(at_us=START_NS // 1000 + int((seq + after_s) * 1_000_000))


def at_seq(seq: int) -> Instant:
    return Instant(seq=seq)


@pytest.fixture
def told() -> Told:
    """A pool with a gap (@5 to @9) after which it is followed by last states, and one without."""
    told = Told()
    lab, east = Pool(told), Pool(told, "east")
    lab.register()  # @2
    lab.done()
    lab.event("add", "vm", "web1", record("web1"))  # @4: nothing was missed up to here
    gap = lab.lose()
    assert gap == 5
    lab.register(Stream.FROM)
    lab.done()
    lab.close(gap)
    assert told.seq == 9
    east.register()
    east.done()
    east.event("add", "vm", "db1", record("db1"))
    return told


@pytest.mark.parametrize(
    ("since", "until", "gaps", "last_states_only"),
    [
        (None, None, [5], ["lab"]),
        (None, at_seq(4), [], []),
        (at_seq(2), at_s(3, 0.5), [], []),
        (None, at_seq(6), [5], []),
        (at_seq(9), None, [5], ["lab"]),
        (at_seq(10), None, [], ["lab"]),
        (at_s(9, 0.5), at_s(11), [], ["lab"]),
        (at_s(4, 0.5), at_s(4, 0.6), [5], []),
    ],
)
def test_range_lacks_what_it_touches(
    told: Told,
    tmp_path: Path,
    since: Instant | None,
    until: Instant | None,
    gaps: list[int],
    last_states_only: list[str],
) -> None:
    """Gaps and epochs of last states, by number and by time, to the very entry."""
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        lacks = lacks_between(history, since, until)
        assert [gap.seq for gap in lacks.gaps] == gaps
        assert list(lacks.last_states_only) == last_states_only
        assert lacks.gaps_of("lab") == gaps
        assert lacks.gaps_of("east") == []
        assert not lacks_between(history, since, until, pool="east").gaps


def test_times_outside_the_record_are_named_by_pool(told: Told, tmp_path: Path) -> None:
    """Numbers never lie outside: they are the journal's own."""
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        early = lacks_between(history, at_s(3), None, pool="east").unrecorded
        assert [(one.pool, one.after) for one in early] == [("east", None)]
        assert lacks_between(history, at_seq(1), at_seq(told.seq), pool="east") == Lacks([], [], [])
        late = lacks_between(history, None, at_s(told.seq, 1), pool="east").unrecorded
        assert [(one.pool, one.before) for one in late] == [("east", None)]
        both = lacks_between(history, at_s(0), at_s(99)).unrecorded
        assert [one.pool for one in both] == ["east", "lab"]


def test_an_answer_that_lacks_nothing_is_false() -> None:
    """As an empty list is."""
    assert not Lacks()
    assert Lacks(last_states_only=["lab"])
    assert Lacks(unrecorded=[Unrecorded("lab")])


def test_range_beside_the_record_is_unrecorded(tmp_path: Path) -> None:
    """Nothing would seem to have happened in it."""
    told = Told()
    east, lab = Pool(told, "east"), Pool(told)
    east.register()
    last = east.done()
    lab.register()
    lab.done()
    end = lab.event("mod", "vm", "web1", record("web1"))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        since = Instant(at_us=told.at_ns(end) // 1000)
        (one,) = lacks_between(history, since, None).unrecorded
        assert (one.pool, one.before) == ("east", None)
        assert one.after is not None
        assert us_of(one.after) == told.at_ns(last) // 1000
        until = Instant(at_us=told.at_ns(last) // 1000)
        (one,) = lacks_between(history, None, until).unrecorded
        assert (one.pool, one.after) == ("lab", None)
