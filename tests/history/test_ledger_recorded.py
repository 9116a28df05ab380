"""The gap ledger of what a recorder really wrote, against what really happened."""

import errno
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from query.load.loader import refresh
from query.questions.gaps import GapRow, gaps
from recorder.config import Limits
from recorder.keeper import SUBMISSIONS_MAX
from recorder.model import Event, Mark, MarkName, Stream
from tests.history.journals import rows
from tests.truth.plan import plan_of
from tests.truth.scene import Shape
from tests.truth.simulate import simulate
from tests.truth.test_history import SEEDS
from tests.truth.world import deterministic_scheduling, world
from tests.watch.scripted import ScriptedPool, Stage, drop, fault, never, stage
from tests.watch.test_census import gain_silently
from tests.watch.test_failover import OTHER, move_master, three_hosts

BLINDING = ["flood", "silence", "cable", "sessions-expire", "connections-drop"]
"""Troubles in which events are missed, and ids do not begin again."""

Clock = trio.testing.MockClock


def ledger(data: Path) -> list[GapRow]:
    """Return the gaps but for the last stop's, which is always there."""
    with refresh(data).open() as history:
        *found, stop = gaps(history)
    assert (stop.cause, stop.open) == ("recorder-stopped", True)
    return found


@pytest.mark.parametrize("seed", [1, *SEEDS[3:]])
def test_ids_missed_are_those_that_the_pool_gave_out(seed: int, tmp_path: Path) -> None:
    """Whatever goes wrong, the ledger counts exactly the events that were told to nobody here."""
    shape = Shape(per_minute=20.0)
    outcome = simulate(plan_of(seed, kinds=BLINDING, strokes_max=8, shape=shape))
    outcome.write_to(tmp_path)
    entries = [entry for entry in outcome.entries() if entry.pool == "pool-1"]
    ids = [entry.body.id for entry in entries if isinstance(entry.body, Event)]
    begin = next(
        entry.body.detail["next_event_id"]
        for entry in entries
        if isinstance(entry.body, Mark) and entry.body.name is MarkName.REGISTERED
    )
    assert isinstance(begin, int)
    lost = [
        change.event_id
        for change in outcome.truths["pool-1"].changes
        if change.event_id is not None and begin <= change.event_id < max(ids)
        if change.event_id not in ids
    ]
    found = ledger(tmp_path)
    assert len(found) > 2
    assert sum(gap.ids_missed or 0 for gap in found) == len(lost)
    for gap in found:
        assert gap.last_event_id is None or gap.last_event_id in ids
        assert gap.first_event_id in ids
        assert gap.ids_missed is not None


def test_restart_of_the_toolstack_is_seen(tmp_path: Path) -> None:
    """Ids begin again with it: none is counted."""

    async def run() -> None:
        async with world(1, tmp_path) as one:
            await one.add_pool("lab", per_minute=60)
            async with one.recording():
                await trio.sleep(300)
                one.fronts["lab"].restart()
                await trio.sleep(300)

    with deterministic_scheduling(1):
        trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
    (gap,) = ledger(tmp_path)
    assert (gap.cause, gap.ids_missed) == ("connection-lost", None)
    assert gap.objects_differed


# -- a pool that does what it is told -----------------------------------------------------------


@asynccontextmanager
async def running(one: Stage) -> AsyncIterator[ScriptedPool]:
    """Record for a while, with an event, before and after what the test does."""
    pool = one.pools["lab"]
    async with one.recording():
        await trio.sleep(3)
        pool.emit()  # id 5
        await trio.sleep(7)
        yield pool
        await trio.sleep(5 * Limits().census_s)


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        (fault("EVENTS_LOST"), "events-lost"),
        (fault("SESSION_INVALID", "OpaqueRef:s"), "session-lost"),
        (drop, "connection-lost"),
        (fault("HOST_IS_SLAVE", "127.0.0.1"), "master-changed"),
        (never, "server-silent"),
    ],
)
async def test_loss_is_in_the_ledger_with_its_cause(
    tmp_path: Path, autojump_clock: Clock, trouble: Callable[..., object], cause: str
) -> None:
    """And with the events around it; what changed meanwhile is counted."""
    async with stage(tmp_path) as one, running(one) as pool:
        pool.records["VM"]["OpaqueRef:new"] = {"uuid": "new"}
        pool.trouble(trouble)
    (gap,) = ledger(tmp_path)
    assert (gap.cause, gap.told_cause, gap.last_event_id) == (cause, cause, 5)
    assert (gap.objects_differed, gap.inferred_adds) == (2, 1)  # the VM of the event, and the new
    assert gap.first_event_id is not None
    assert gap.first_event_id > 5
    assert gap.duration_s is not None


async def test_census_that_does_not_agree_is_in_the_ledger(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """What it found is inferred, and names the gap; every id was told."""
    async with stage(tmp_path) as one, running(one) as pool:
        gain_silently(pool, "OpaqueRef:miss")
    (gap,) = ledger(tmp_path)
    assert (gap.cause, gap.ids_missed, gap.inferred_adds) == ("census-mismatch", 0, 1)
    with refresh(tmp_path).open() as history:
        sql = "SELECT origin, gap, operation FROM events WHERE ref = 'OpaqueRef:miss'"
        assert rows(history, sql) == [("inferred", gap.seq, "add")]


async def test_census_of_a_stream_of_last_states_is_in_the_ledger(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """There a new epoch corrects it, and no id can be counted."""
    async with stage(tmp_path) as one:
        one.follow_states()
        async with running(one) as pool:
            gain_silently(pool, "OpaqueRef:miss")
    (gap,) = ledger(tmp_path)
    assert (gap.cause, gap.stream, gap.ids_missed) == ("census-mismatch", Stream.FROM, None)
    with refresh(tmp_path).open() as history:
        sql = "SELECT origin, gap FROM events WHERE ref = 'OpaqueRef:miss'"
        assert rows(history, sql) == [("inferred", gap.seq)]


async def test_full_disk_is_in_the_ledger(tmp_path: Path, autojump_clock: Clock) -> None:
    """If it cost events: then the loss is blamed on it."""
    async with stage(tmp_path) as one, running(one) as pool:
        one.disk.write_error = errno.ENOSPC
        for _ in range(2 * SUBMISSIONS_MAX):
            pool.emit()
            await trio.sleep(0.1)
        pool.trouble(fault("EVENTS_LOST"))
        one.disk.write_error = None
    (gap,) = ledger(tmp_path)
    assert gap.cause == "disk-full"


async def test_stop_of_the_recorder_is_closed_by_the_next_one(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """With what happened while nobody listened."""
    async with stage(tmp_path) as one:
        async with running(one) as pool:
            pass
        pool.records["VM"].pop("OpaqueRef:vm")
        async with running(one):
            pass
    (gap,) = ledger(tmp_path)
    assert (gap.cause, gap.inferred_dels, gap.open) == ("recorder-stopped", 1, False)


async def test_death_of_the_recorder_is_in_the_ledger(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A journal that ends without a word is taken up by the next recorder."""
    async with stage(tmp_path / "first") as one:
        async with running(one) as pool:
            shutil.copytree(one.data, tmp_path / "second")
        one.data = tmp_path / "second"
        async with running(one):
            pass
    (gap,) = ledger(tmp_path / "second")
    assert (gap.cause, gap.last_event_id, gap.open) == ("recorder-died", 5, False)
    assert gap.first_event_id is not None
    assert pool.next_id > gap.first_event_id > 5


async def test_ids_that_never_came_are_in_the_ledger(tmp_path: Path, autojump_clock: Clock) -> None:
    """A hole inside an epoch is a loss."""
    async with stage(tmp_path) as one, running(one) as pool:
        pool.next_id += 3
        pool.emit()
    (gap,) = ledger(tmp_path)
    assert (gap.cause, gap.last_event_id, gap.detail) == (
        "ids-missing",
        5,
        "events 6 to 8 never came",
    )


async def test_master_that_moved_is_the_cause_of_a_lost_connection(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The recorder saw a connection end; the pool it found again has another master."""
    async with three_hosts(tmp_path) as one, running(one) as pool:
        move_master(one, OTHER)
        del one.network.hosts["127.0.0.1"]
        pool.trouble(drop)
    (gap,) = ledger(tmp_path)
    assert (gap.cause, gap.told_cause) == ("master-changed", "connection-lost")


async def test_rollback_is_in_the_ledger(tmp_path: Path, autojump_clock: Clock) -> None:
    """From which generation of the database to which, and what went back with it."""
    async with stage(tmp_path) as one, running(one) as pool:
        pool.host.methods["event.inject"] = lambda *_: f"{5:020d},{0:020d}"
        pool.records["VM"].pop("OpaqueRef:vm")
        pool.trouble(drop)
    (gap,) = ledger(tmp_path)
    assert (gap.rolled_back_from, gap.rolled_back_to, gap.inferred_dels) == (7, 5, 1)
