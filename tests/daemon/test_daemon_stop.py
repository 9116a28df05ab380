"""The daemon at its end: in time, with everything on disk, and with a true last gap."""

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.testing

from recorder import keeper
from recorder.control import endpoint
from recorder.errors import JournalWriteFailed, XentrailError
from recorder.journal.verify import verify
from recorder.model import GapCause, GapOpened, MarkName
from recorder.service.process import first_of
from tests.watch.scripted import ScriptedPool, Stage, check_gaps, drop, fault, never, stage

Clock = trio.testing.MockClock
T = TypeVar("T")
GRACE_S = 10.0
DISK_S = 0.3


async def slowly(call: Callable[[], T], /) -> T:
    """Run a blocking call as a slow disk does: it takes its time, whatever is cancelled."""
    with trio.CancelScope(shield=True):
        await trio.sleep(DISK_S)
    return call()


async def stopped_after_s(one: Stage, prepare: Callable[[], None], *, wait_s: float = 5) -> float:
    """Record, let something happen, wait, stop; return how long the stop took."""
    async with trio.open_nursery() as nursery:
        await nursery.start(one.serve)
        await trio.sleep(10)
        prepare()
        await trio.sleep(wait_s)
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    return trio.current_time() - began


async def test_stop_of_a_live_recorder_is_at_once(tmp_path: Path, autojump_clock: Clock) -> None:
    """A stop logs out, says its last words, seals the journal, and waits for nothing."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        assert await stopped_after_s(one, lambda: pool.emit(7)) < 0.1
        assert pool.count("session.logout") == 1
        assert one.ids() == list(range(5, 12))
        assert one.bodies(GapOpened)[-1].cause is GapCause.RECORDER_STOPPED
        assert one.recorder_marks() == [MarkName.STARTED, MarkName.STOPPED]
        check_gaps(one)
    assert verify(tmp_path / "journal").findings == ()


async def test_stop_while_the_server_is_unreachable(tmp_path: Path, autojump_clock: Clock) -> None:
    """A pool that is away costs a stop nothing, and its gap keeps its first reason."""
    async with stage(tmp_path) as one:

        def away() -> None:
            one.cut("lab")
            one.pools["lab"].trouble(drop)

        assert await stopped_after_s(one, away) < GRACE_S
        assert [gap.cause for gap in one.bodies(GapOpened)] == [GapCause.CONNECTION_LOST]
        check_gaps(one)


async def test_stop_while_the_server_is_silent(tmp_path: Path, autojump_clock: Clock) -> None:
    """A server that answers nothing, the logout included, is left after two seconds."""
    async with stage(tmp_path) as one:

        def silence() -> None:
            methods = one.pools["lab"].host.methods
            methods.update(dict.fromkeys(methods, never))

        assert await stopped_after_s(one, silence) < 2.5
        check_gaps(one)


async def test_stop_while_a_connection_is_being_made(tmp_path: Path, autojump_clock: Clock) -> None:
    """A host that accepts no connection and refuses none does not hold up a stop."""
    async with stage(tmp_path) as one:

        def swallow() -> None:
            one.network.dial = never  # type: ignore[method-assign,assignment]
            one.pools["lab"].trouble(drop)

        assert await stopped_after_s(one, swallow) < GRACE_S
        check_gaps(one)


async def test_stop_in_the_middle_of_a_baseline(tmp_path: Path, autojump_clock: Clock) -> None:
    """A baseline that is under way is left; the gap of the stop follows what it wrote."""
    async with stage(tmp_path) as one:
        one.pools["lab"].host.methods["VM.get_all_records"] = never
        assert await stopped_after_s(one, one.pools["lab"].emit) < 2.5
        assert one.marks(MarkName.BASELINE_DONE) == []
        check_gaps(one)


async def test_stop_while_the_disk_is_full_ends_within_the_grace_period(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A full disk is not waited for longer than the grace period; the next start tells the gap."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]

        def fill() -> None:
            one.disk.write_error = errno.ENOSPC
            pool.emit(3)

        assert await stopped_after_s(one, fill) <= GRACE_S + 0.5
        assert one.ids() == []


async def test_journal_is_unlocked_after_a_stop_on_a_full_disk(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Whatever way a recorder ends, the next one in the same process can begin."""
    async with stage(tmp_path) as one:

        def fill() -> None:
            one.disk.write_error = errno.ENOSPC
            one.pools["lab"].emit(3)

        await stopped_after_s(one, fill)
        one.disk.write_error = None
        async with one.recording():
            await trio.sleep(10)
        opened, closed = one.only_gap()
        assert opened.cause is GapCause.RECORDER_DIED
        assert closed is not None


async def test_disk_that_has_room_again_during_a_stop_loses_nothing(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """What the recorder had received when it was stopped is written if the disk allows it."""
    async with stage(tmp_path) as one:

        def fill() -> None:
            one.disk.write_error = errno.ENOSPC
            one.pools["lab"].emit(3)

            async def make_room() -> None:
                await trio.sleep(6)
                one.disk.write_error = None

            one.network.nursery.start_soon(make_room)

        assert await stopped_after_s(one, fill) < GRACE_S
        assert one.ids() == [5, 6, 7]
        check_gaps(one)


async def test_full_disk_is_recorded_through(tmp_path: Path, autojump_clock: Clock) -> None:
    """A disk that is full for a while delays entries and loses none."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(10)
            one.disk.write_error = errno.ENOSPC
            for _ in range(200):
                await trio.sleep(0.1)
                pool.emit()
            one.disk.write_error = None
            await trio.sleep(5)
        assert one.ids() == list(range(5, pool.next_id))
        assert len(one.bodies(GapOpened)) == 1
        check_gaps(one)


async def fail_sync(one: Stage, *, at_s: float) -> BaseExceptionGroup[BaseException]:
    """Serve, let the disk refuse to sync, and return what serve raises."""

    async def refuse() -> None:
        await trio.sleep(at_s)
        one.disk.sync_error = errno.EIO
        for _ in range(100):
            await trio.sleep(0.01)
            one.pools["lab"].emit()

    one.network.nursery.start_soon(refuse)
    with trio.fail_after(60), pytest.raises(BaseExceptionGroup) as caught:
        await one.serve()

    return caught.value


async def test_failed_sync_ends_the_daemon(tmp_path: Path, autojump_clock: Clock) -> None:
    """What the disk refused once is never retried: the recorder ends, and says why."""
    async with stage(tmp_path) as one:
        group = await fail_sync(one, at_s=10)
        foreseen, bugs = group.split(XentrailError)
        assert bugs is None
        assert foreseen is not None
        error = first_of(foreseen)
        assert isinstance(error, JournalWriteFailed)
        assert error.exit_code == 40
        assert trio.current_time() < 10 + GRACE_S


async def test_failed_sync_is_the_only_error_when_the_socket_cannot_be_removed(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A disk that became read-only keeps the control socket; the reason that is told is its own."""
    async with stage(tmp_path) as one:

        def listen(data: Path) -> socket.socket:
            listener = endpoint.listen(data)
            (data / endpoint.SOCKET_NAME).unlink()
            (data / endpoint.SOCKET_NAME).mkdir()  # which even root cannot unlink
            return listener

        one.listen = listen
        group = await fail_sync(one, at_s=10)
        assert group.split(XentrailError)[1] is None


async def test_failed_sync_is_the_only_error_when_writers_were_waiting(
    tmp_path: Path, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for the keeper when it dies adds no error, and no traceback, of its own."""
    monkeypatch.setattr(keeper, "SUBMISSIONS_MAX", 1)
    async with stage(tmp_path) as one:
        one.run_sync = slowly
        pool = one.pools["lab"]

        async def read_in_the_end(_session: str) -> object:
            await trio.sleep_until(10.1)  # while the commit that will fail is under way
            return pool.records["VM"]

        pool.host.methods["VM.get_all_records"] = read_in_the_end
        pool.host.methods["event.get_current_id"] = lambda _session: 5  # so that no chunk waits
        group = await fail_sync(one, at_s=10)
        assert group.split(XentrailError)[1] is None


async def test_recorder_begins_again_after_a_failed_sync(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The next recorder, in the same process too, repairs the tail and declares the gap."""
    async with stage(tmp_path) as one:
        await fail_sync(one, at_s=10)
        one.disk.sync_error = None
        async with one.recording():
            await trio.sleep(10)
        assert one.bodies(GapOpened)[0].cause is GapCause.RECORDER_DIED
        check_gaps(one)


MOMENTS = [round(10 + 0.2 * step, 1) for step in range(30)]


@pytest.mark.parametrize("trouble", [fault("EVENTS_LOST"), drop], ids=["lost", "dropped"])
async def test_stop_at_any_moment_leaves_a_true_gap(
    trouble: Callable[..., object],
    tmp_path: Path,
    autojump_clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However a stop meets a slow disk and a full channel, the last gap tells what is recorded."""
    monkeypatch.setattr(keeper, "SUBMISSIONS_MAX", 1)
    wrong: dict[float, str] = {}
    for moment_s in MOMENTS:
        async with stage(tmp_path / str(moment_s), {"lab": ScriptedPool()}) as one:
            one.run_sync = slowly
            try:
                await _stop_at(one, moment_s, trouble)
                check_gaps(one)
            except AssertionError as error:
                wrong[moment_s] = str(error).splitlines()[0]
    assert wrong == {}


async def _stop_at(one: Stage, moment_s: float, trouble: Callable[..., object]) -> None:
    pool = one.pools["lab"]

    async def live() -> None:
        while True:
            await trio.sleep(0.07)
            pool.emit()

    async with trio.open_nursery() as nursery:
        await nursery.start(one.serve)
        nursery.start_soon(live)
        await trio.sleep(9)
        pool.trouble(trouble)
        await trio.sleep(moment_s - 9)
        nursery.cancel_scope.cancel()
