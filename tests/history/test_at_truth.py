"""What may not be said of an instant, as the simulations of tests/truth have found it said."""

from pathlib import Path

from query.questions.certainty import Certainty
from query.questions.objects import find
from query.questions.states import FoundAfter, state_of, states_of_class
from recorder.instant import Instant
from recorder.model import Entry, Mark, MarkName
from tests.history.journals import START_NS, Pool, Told, loaded, record


def at_s(seq: float) -> Instant:
    return Instant(at_us=START_NS // 1000 + int(seq * 1_000_000))


def test_object_that_changed_before_a_gap_was_noticed_was_not_found_unchanged(
    tmp_path: Path,
) -> None:
    """A gap begins before the last events that came: they tell of the object after it, too."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("task", {"job": record("job", progress=0), "other": record("other")})
    lab.chunk("vm", {"web1": record("web1", memory=1)})
    lab.done()
    lab.certain_seq = told.seq  # The last answer was long on its way: the gap begins here.
    begin = told.seq
    lab.event("mod", "task", "job", record("job", progress=1))
    gone = lab.event("del", "task", "job", record("job", progress=1))
    mod = lab.event("mod", "vm", "web1", record("web1", memory=2))
    lab.certain_seq = begin
    gap = lab.lose()
    lab.register()
    lab.chunk("task", {"other": record("other")})
    lab.chunk("vm", {"web1": record("web1", memory=2)})
    lab.done()
    lab.close(gap)
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        states = {
            name: state_of(history, find(history, name), at_s(begin + 0.5))
            for name in ("job", "web1", "other")
        }
        assert {state.certainty for state in states.values()} == {Certainty.UNCERTAIN}
        assert states["job"].found_after == FoundAfter("del", ["progress"], gone)
        assert states["web1"].found_after == FoundAfter("mod", ["memory"], mod)
        assert states["other"].found_after == FoundAfter(None, [], None)


def test_what_was_found_after_a_gap_is_only_what_was_known_of_it(tmp_path: Path) -> None:
    """An event that tells of the object long after the gap is no news from before that event."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": record("web1", memory=1)})
    lab.done()
    gap = lab.lose()
    inside = told.seq
    lab.register()
    told.write("lab", Mark(MarkName.CLASS_SKIPPED, {"class": "VM", "error": "X"}))
    lab.done()
    closed = lab.close(gap)
    mod = lab.event("mod", "vm", "web1", record("web1", memory=2))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        found = find(history, "web1")
        now = state_of(history, found, Instant(seq=inside))
        assert now.found_after == FoundAfter("mod", ["memory"], mod)
        then = state_of(history, found, Instant(seq=inside), known=Instant(seq=closed))
        assert then.found_after is None


def test_class_that_was_never_read_is_not_called_whole(tmp_path: Path) -> None:
    """Of objects that no event told of nothing is known, and after a gap nothing of any."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {})
    lab.done()
    lab.event("mod", "sr", "disks", record("disks"))
    before = lab.event("mod", "pool", "p", record("p"))
    gap = lab.lose()
    epoch = lab.register()
    lab.chunk("vm", {})
    lab.done()
    lab.close(gap)
    after = lab.event("mod", "pool", "p", record("p"))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        answer = states_of_class(history, "sr", Instant(seq=before))
        assert [state.certainty for state in answer.states] == [Certainty.KNOWN]
        assert [verdict.is_certain for verdict in answer.verdicts] == [False]
        answer = states_of_class(history, "sr", Instant(seq=after))
        assert [state.certainty for state in answer.states] == [Certainty.UNCERTAIN]
        assert [(one.certainty, one.complete, one.reason) for one in answer.verdicts] == [
            (
                Certainty.KNOWN,
                False,
                f"class sr was not read (@{epoch}): only what events told is known of it",
            )
        ]


def test_class_that_was_skipped_is_not_called_whole(tmp_path: Path) -> None:
    """A class that the server would not let be read may have more objects than are told."""
    told = Told()
    lab = Pool(told)
    lab.register()
    skip = told.write("lab", Mark(MarkName.CLASS_SKIPPED, {"class": "VM", "error": "X"}))
    lab.done()
    lab.event("mod", "vm", "web1", record("web1"))
    lab.event("mod", "vm", "web1", record("web1"))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        (verdict,) = states_of_class(history, "vm", Instant(seq=told.seq)).verdicts
        assert not verdict.is_certain
        assert verdict.reason is not None
        assert verdict.reason.startswith(f"class vm was not read (@{skip})")


def test_last_entry_of_a_pool_tells_its_own_moment_beside_other_pools(tmp_path: Path) -> None:
    """A pool is known up to its last entry, also where another pool has a later one by then."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": record("web1")})
    lab.done()
    last = lab.event("mod", "vm", "web1", record("web1"))
    east = Pool(told, "east")
    east.register()
    told.entries[-1] = Entry(told.seq, told.at_ns(last), "east", told.entries[-1].body)
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        found = find(history, "web1")
        assert state_of(history, found, at_s(last)).certainty is Certainty.KNOWN
        assert state_of(history, found, at_s(last + 0.000001)).certainty is Certainty.LAST_KNOWN
