"""The gauge of the server's queue: what it says, and when it warns."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock as Clock

from recorder.model import Event, GapOpened, MarkName, Operation
from recorder.pools.vitals import RATE_S, Rate
from recorder.xapi.pressure import ENVELOPE_BYTES, MEMORY_S, QUEUE_BYTES_MAX, Pressure
from tests.watch.scripted import logged, stage


def events(count: int, size: int) -> list[Event]:
    snapshot = b"x" * (size - ENVELOPE_BYTES)
    return [Event(n, 1.0, "vm", Operation.MOD, "OpaqueRef:1", snapshot) for n in range(count)]


def test_size_of_an_answer_is_how_full_the_queue_was() -> None:
    """4,000 KB in one answer waited for it: two fifths of the queue."""
    pressure = Pressure(now_s=0.0)
    pressure.answered(events(1000, 4000), made_at_s=1.0)
    assert pressure.fill(now_s=1.0) == pytest.approx(0.4)
    assert pressure.warning(now_s=1.0) is None


def test_reader_that_is_held_up_is_warned_before_the_overflow() -> None:
    """At 2 MB a second the queue is half full after 2.5 s without a reading, and full after 5."""
    pressure = Pressure(now_s=0.0)
    for second in range(1, 31):
        pressure.answered(events(500, 4000), made_at_s=float(second))
    assert pressure.warning(now_s=30.5) is None
    warnings = [at for at in range(310, 400) if pressure.warning(now_s=at / 10) is not None]
    assert 32.4 <= warnings[0] / 10 <= 32.7
    assert len(warnings) <= 6
    assert pressure.fill(now_s=40.0) == 1.0


def test_peak_is_forgotten_after_a_minute() -> None:
    """A flood long ago is no pressure now."""
    pressure = Pressure(now_s=0.0)
    pressure.answered(events(1500, 4000), made_at_s=1.0)
    pressure.answered([], made_at_s=2.0)
    assert pressure.fill(now_s=MEMORY_S / 2) >= 0.6
    for second in range(3, 200):
        pressure.answered([], made_at_s=float(second))
    assert pressure.fill(now_s=200.0) < 0.01


def test_same_pressure_is_told_once_a_minute() -> None:
    """A warning is repeated when it grows, or after a minute."""
    pressure = Pressure(now_s=0.0)
    told = []
    for second in range(1, 181):
        pressure.answered(events(1600, 4000), made_at_s=float(second))
        if pressure.warning(now_s=float(second)) is not None:
            told.append(second)
    assert told == [1, 62, 123]


async def test_flood_is_a_mark_and_a_line_of_the_log(
    tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer of more than half the queue is told, with how full it was, and is no gap."""
    caplog.set_level("INFO")
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(10)
            count = int(0.7 * QUEUE_BYTES_MAX / 4000)
            pool.emit(count, padding="x" * (4000 - ENVELOPE_BYTES - 20))
            await trio.sleep(10)
        (mark,) = one.marks(MarkName.QUEUE_PRESSURE)
        percent = mark.detail["percent"]
        assert isinstance(percent, int)
        assert 66 <= percent <= 74
        assert len(one.bodies(GapOpened)) == 1  # the stop's
    assert len(logged(caplog, "queue-pressure")) == 1


async def test_quiet_pool_is_never_warned_of(tmp_path: Path, autojump_clock: Clock) -> None:
    """A day of heartbeats and changes is no pressure."""
    async with stage(tmp_path) as one, one.recording():
        for _ in range(240):
            one.pools["lab"].emit(10)
            await trio.sleep(10)
        assert one.marks(MarkName.QUEUE_PRESSURE) == []


def test_rate_is_an_average_of_the_last_minute() -> None:
    """Quiet seconds count as such; what is older is forgotten."""
    rate = Rate()
    for tenth in range(600):
        rate.add(3, now_s=1000 + tenth / 10)
    assert rate.per_s(now_s=1060.0) == pytest.approx(30.0)
    assert rate.per_s(now_s=1060.0 + RATE_S / 2) == pytest.approx(15.0, rel=0.1)
    assert rate.per_s(now_s=1200.0) == 0.0
