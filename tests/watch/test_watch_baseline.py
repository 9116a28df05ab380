"""Baselines: what they skip, what they wait for, and in which order the journal holds them."""

from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.errors import XapiFault
from recorder.model import BaselineChunk, BaselineRecord, Event, GapCause, MarkName
from recorder.pools.epochs.common import SHARING_RECORDS_MAX
from tests.watch.scripted import ScriptedPool, Stage, drop, fault, logged, never, stage

Clock = trio.testing.MockClock

CLASSES = ("VM", "VBD", "VIF", "host", "task")


def busy_pool(*, reply_s: float) -> ScriptedPool:
    """A pool in which two things happen with every call, and whose events are late."""
    pool = ScriptedPool(reply_s=reply_s)
    for cls in CLASSES:
        pool.add_class(cls)
        records = pool.records[cls]

        def read(_session: str, records: object = records) -> object:
            pool.emit(2)
            return records

        pool.host.methods[f"{cls}.get_all_records"] = read

    def read_id(_session: str) -> object:
        before = pool.next_id
        pool.emit(1)
        return before

    pool.host.methods["event.get_current_id"] = read_id
    return pool


def check_order(one: Stage, name: str = "lab") -> int:
    """Every event below the high mark of a chunk comes before it. Return the number of chunks."""
    chunks = 0
    high = -1
    epoch = 0
    for entry in one.entries(name):
        body = entry.body
        if body in one.marks(MarkName.REGISTERED, name):
            high, epoch = -1, epoch + 1
        if isinstance(body, BaselineChunk):
            high = max(high, body.high)
            chunks += 1
        if isinstance(body, Event):
            assert body.id >= high, f"event {body.id} after a chunk with high mark {high}"
    return chunks


@pytest.mark.parametrize("reply_s", [0.0, 0.5, 5.0])
async def test_chunk_follows_every_event_below_its_high_mark(
    reply_s: float, tmp_path: Path, autojump_clock: Clock
) -> None:
    """However late the events come, no chunk is journaled before the events that it contains."""
    async with stage(tmp_path, {"lab": busy_pool(reply_s=reply_s)}) as one:
        async with one.recording():
            await trio.sleep(120)
        assert check_order(one) == len(CLASSES) + 1
        assert len(one.marks(MarkName.BASELINE_DONE)) == 1
        assert one.ids() == sorted(set(one.ids()))


async def test_chunk_order_holds_after_lost_events(tmp_path: Path, autojump_clock: Clock) -> None:
    """What happened between EVENTS_LOST and the new registration never follows a newer chunk.

    The position of the old session moved to the head when the call failed, so it is owed events
    that a chunk holds already: the epoch that follows must not read them.
    """
    pool = ScriptedPool(reply_s=0.5)
    async with stage(tmp_path, {"lab": pool}) as one:

        def lose_and_go_on() -> object:
            pool.emit(3)
            raise XapiFault("EVENTS_LOST")

        async with one.recording():
            await trio.sleep(10)
            pool.trouble(lose_and_go_on)
            await trio.sleep(120)
        assert len(one.marks(MarkName.BASELINE_DONE)) == 2
        assert check_order(one) == 4


async def test_unreadable_class_is_skipped_and_said(tmp_path: Path, autojump_clock: Clock) -> None:
    """A class that the user may not read is named, and all the others are recorded."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        pool.host.methods["Cluster.get_all_records"] = fault("RBAC_PERMISSION_DENIED", "x")
        async with one.recording():
            await trio.sleep(10)
        (skipped,) = one.marks(MarkName.CLASS_SKIPPED)
        assert skipped.detail == {"class": "Cluster", "error": "RBAC_PERMISSION_DENIED"}
        assert {chunk.cls for chunk in one.bodies(BaselineChunk)} == {"pool", "vm"}
        assert len(one.marks(MarkName.BASELINE_DONE)) == 1


async def test_class_that_fails_does_not_keep_the_others_from_a_baseline(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A server that stumbles over one class, such as a damaged message, is recorded without it."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        pool.host.methods["message.get_all_records"] = fault("INTERNAL_ERROR", 'Failure("x")')
        async with one.recording():
            await trio.sleep(100)
        assert len(one.marks(MarkName.BASELINE_DONE)) == 1
        assert [mark.detail["class"] for mark in one.marks(MarkName.CLASS_SKIPPED)] == ["message"]


async def test_silent_classes_are_never_read(tmp_path: Path, autojump_clock: Clock) -> None:
    """Secrets and sessions are not part of any baseline."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        for cls in ("secret", "session", "user"):
            pool.add_class(cls)
        async with one.recording():
            await trio.sleep(10)
        for cls in ("secret", "session", "user"):
            assert pool.count(f"{cls}.get_all_records") == 0


async def test_huge_class_is_one_chunk(tmp_path: Path, autojump_clock: Clock) -> None:
    """Ten thousand objects follow their chunk directly, each as an entry of its own."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        pool.records["VM"] = {f"OpaqueRef:{n}": {"uuid": str(n)} for n in range(10_000)}
        async with one.recording():
            await trio.sleep(10)
        bodies = [entry.body for entry in one.entries()]
        start = bodies.index(next(body for body in bodies if getattr(body, "count", 0) == 10_000))
        records = bodies[start + 1 : start + 10_001]
        assert all(isinstance(body, BaselineRecord) and body.cls == "vm" for body in records)
        assert one.marks(MarkName.BASELINE_DONE)[0].detail == {"classes": 2, "objects": 10_001}


async def test_classes_of_few_objects_share_what_is_asked_around_them(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Forty empty classes cost forty calls, not a hundred: the number of the next event is asked
    for before the first class and after the last one, and twice to register."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        for number in range(40):
            pool.add_class(f"empty_{number}")
        async with one.recording():
            await trio.sleep(10)
        assert pool.count("event.get_current_id") == 4
        assert len(one.bodies(BaselineChunk)) == 42


async def test_next_class_is_read_while_a_chunk_waits(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """What a chunk waits for, events or the disk, does not hold up the reading of the others."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        many = {f"OpaqueRef:{n}": {"uuid": str(n)} for n in range(SHARING_RECORDS_MAX + 1)}
        pool.records["VBD"] = many

        def read(_session: str) -> object:
            pool.emit()
            return many

        pool.host.methods |= {"VBD.get_all_records": read, "event.next": never}
        async with one.recording():
            await trio.sleep(10)
            assert pool.count("VM.get_all_records") == 1
        assert one.bodies(BaselineChunk) == []


async def test_connection_lost_in_a_baseline_is_a_gap(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A baseline that breaks off closes nothing: the gap stays open until a whole one is there."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        good = pool.host.methods["VM.get_all_records"]
        pool.host.methods["VM.get_all_records"] = drop
        async with one.recording():
            await trio.sleep(30)
            pool.host.methods["VM.get_all_records"] = good
            await trio.sleep(30)
        opened, closed = one.only_gap()
        assert opened.cause is GapCause.CONNECTION_LOST
        assert closed is not None
        assert len(one.marks(MarkName.BASELINE_DONE)) == 1


async def test_baseline_is_logged_once(
    tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The operator learns that a pool is recorded, and how much there was to read."""
    caplog.set_level("INFO", logger="xentrail")
    async with stage(tmp_path) as one, one.recording():
        await trio.sleep(600)
    assert len(logged(caplog, "recording")) == 1
    assert len(caplog.records) == 2
