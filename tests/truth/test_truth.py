"""What was recorded is what happened, except where the journal says that it was blind."""

from pathlib import Path

import pytest
import trio

from recorder.journal.verify import verify
from recorder.model import GapCause, GapOpened
from tests.truth.oracle import check_events, check_gaps, entries_of
from tests.truth.world import World, deterministic_scheduling, world


async def disturb(one: World, name: str, minutes: int) -> None:
    """Something goes wrong every few minutes of virtual time, chosen by the seed."""
    front, pool = one.fronts[name], one.pools[name]

    async def silence() -> None:
        front.silence()
        await trio.sleep(200)
        front.speak()

    async def outage() -> None:
        one.unreachable.add(name)
        front.drop_connections()
        await trio.sleep(one.rng.uniform(1, 120))
        one.unreachable.discard(name)

    async def flood() -> None:
        pool.flood(3000)

    async def expire() -> None:
        front.sessions.expire_all()

    async def drop() -> None:
        front.drop_connections()

    for _ in range(minutes // 5):
        await trio.sleep(one.rng.uniform(1, 600))
        await one.rng.choice([silence, outage, flood, expire, drop])()


@pytest.mark.parametrize("seed", range(6))
def test_recorded_events_are_the_changes_that_happened(seed: int, tmp_path: Path) -> None:
    """Through an hour of faults, every change is recorded byte for byte or lies in a gap."""

    async def run() -> None:
        async with world(seed, tmp_path) as one:
            await one.add_pool("lab")
            async with one.recording():
                await disturb(one, "lab", 60)
                await trio.sleep(400)
            truth = one.pools["lab"].truth
            entries = entries_of(tmp_path, "lab")
            assert check_events(truth, entries) > 500
            check_gaps(truth, entries)
            opened = [entry.body.cause for entry in entries if isinstance(entry.body, GapOpened)]
            assert opened[-1] is GapCause.RECORDER_STOPPED
            assert len(opened) > 3
            assert verify(tmp_path / "journal").findings == ()

    with deterministic_scheduling(seed):
        trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
