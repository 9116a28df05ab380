"""A recorder that runs for days needs no more memory than one that has run for hours."""

import gc
import tracemalloc
from fnmatch import fnmatch

import pytest
import trio
import trio.testing

from tests.truth.machine import DATA
from tests.truth.scene import Shape, open_scene
from tests.truth.world import deterministic_scheduling

GROWTH_BYTES_MAX = 50_000
"""How full queues, rates and the segment in the making are changes by so much from hour to hour."""


def recorder_bytes() -> int:
    """Return how much of what the recorder has asked for is still there."""
    gc.collect()
    traces = tracemalloc.take_snapshot().statistics("filename")
    return sum(trace.size for trace in traces if _is_recorder(trace.traceback[0].filename))


def _is_recorder(filename: str) -> bool:
    return fnmatch(filename, "*/recorder/*") and not fnmatch(filename, "*/recorder/simulator/*")


async def hours_of_recording(hours: int) -> list[int]:
    """Record a busy pool that loses a connection and a session each hour; return the bytes held."""
    sizes = []
    async with open_scene(1, Shape(per_minute=0.3, lasts=True)) as scene:
        front = scene.sites[0].front
        for _ in range(hours):
            await trio.sleep(1200)
            front.drop_connections()
            await trio.sleep(1200)
            front.sessions.expire_all()
            await trio.sleep(1200)
            sizes.append(recorder_bytes())
        segments = scene.machine.disk.listing(DATA / "journal")
        await scene.machine.stop()
    assert scene.chronicle.calls["event.register"] > 2 * hours
    assert len(segments) < 20, segments
    return sizes


@pytest.mark.parametrize("hours", [4, pytest.param(24, marks=pytest.mark.soak)])
def test_recorder_does_not_grow(hours: int) -> None:
    """After the first hours of virtual time, the recorder holds as much as it did then."""
    tracemalloc.start()
    try:
        with deterministic_scheduling(1):
            clock = trio.testing.MockClock(autojump_threshold=0)
            sizes = trio.run(hours_of_recording, hours, clock=clock)
    finally:
        tracemalloc.stop()
    assert sizes[0] > 100_000
    assert max(sizes[2:]) < sizes[1] + GROWTH_BYTES_MAX, sizes
