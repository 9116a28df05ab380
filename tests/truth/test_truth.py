"""What was recorded is what happened, except where the journal says that it was blind."""

from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.journal.verify import verify
from recorder.model import GapCause, GapOpened, Stream
from recorder.simulator.truth import Truth
from tests.truth.faults import disturb
from tests.truth.oracle import check_events, check_gaps, entries_of
from tests.truth.world import deterministic_scheduling, world

SEEDS = [*range(3), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 60))]


def simulate(
    seed: int,
    data: Path,
    *,
    times: int,
    stream: Stream = Stream.REGISTER,
    latency_s: float = 0.0,
) -> Truth:
    """Record a pool through some faults in virtual time; return what really happened."""

    async def run() -> Truth:
        async with world(seed, data) as one:
            one.latency_s = latency_s
            pool = await one.add_pool("lab")
            async with one.recording(stream):
                await disturb(one, "lab", times=times)
                await trio.sleep(400)
        return pool.truth

    with deterministic_scheduling(seed):
        return trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("seed", SEEDS)
def test_recorded_events_are_the_changes_that_happened(seed: int, tmp_path: Path) -> None:
    """Through the better part of an hour, every change is recorded byte for byte or in a gap."""
    truth = simulate(seed, tmp_path, times=8)
    entries = entries_of(tmp_path, "lab")
    assert check_events(truth, entries) > 500
    check_gaps(truth, entries)
    opened = [entry.body.cause for entry in entries if isinstance(entry.body, GapOpened)]
    assert opened[-1] is GapCause.RECORDER_STOPPED
    assert len(opened) > 3
    assert verify(tmp_path / "journal").findings == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_answers_on_their_way_are_inside_the_gap(seed: int, tmp_path: Path) -> None:
    """Over a long line, what happened after the server made its last answer is declared missed."""
    truth = simulate(seed, tmp_path, times=8, latency_s=0.8)
    entries = entries_of(tmp_path, "lab")
    assert check_events(truth, entries) > 300
    assert check_gaps(truth, entries) > 0


def test_same_seed_is_the_same_journal(tmp_path: Path) -> None:
    """A failure that a seed has found can be found again."""

    def lines(folder: str) -> list[str]:
        simulate(7, tmp_path / folder, times=2)
        return [str(entry) for entry in entries_of(tmp_path / folder, "lab")]

    assert lines("first") == lines("second")
    assert len(lines("third")) > 200


def test_oracle_finds_a_missing_event(tmp_path: Path) -> None:
    """The oracle itself can fail: an event that is taken out of the record is missed."""
    truth = simulate(0, tmp_path, times=0)
    entries = entries_of(tmp_path, "lab")
    check_gaps(truth, entries)
    events = [entry for entry in entries if type(entry.body).__name__ == "Event"]
    entries.remove(events[len(events) // 2])
    with pytest.raises(AssertionError):
        check_gaps(truth, entries)
