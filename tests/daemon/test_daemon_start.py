"""The daemon at its start, and at the start after that: who is recorded, and what is said."""

import shutil
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.errors import AnotherPool, LoginRefused, TransportError, XentrailError
from recorder.model import GapCause, GapClosed, GapOpened, MarkName
from recorder.service.process import first_of
from recorder.xapi.subscription import TRANSIT_MAX_NS
from tests.watch.scripted import ScriptedPool, Stage, at_s, check_gaps, fault, logged, stage

Clock = trio.testing.MockClock
REFUSE = fault("SESSION_AUTHENTICATION_FAILED", "root", "no")

TRANSIT_S = TRANSIT_MAX_NS / 1e9


async def failure(one: Stage, *names: str) -> XentrailError:
    """Serve until it fails; return the error that the process would end with."""
    with pytest.raises(BaseExceptionGroup) as caught:
        await one.serve(*names)
    foreseen, bugs = caught.value.split(XentrailError)
    assert bugs is None
    assert foreseen is not None
    return first_of(foreseen)


async def test_refused_pool_does_not_keep_the_others_from_being_recorded(
    tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two pools, the one that is refused is marked and told once; the other is recorded."""
    pools = {"bad": ScriptedPool(), "fine": ScriptedPool()}
    pools["bad"].host.methods["session.login_with_password"] = REFUSE
    async with stage(tmp_path, pools) as one:
        async with one.recording():
            await trio.sleep(200)
            pools["fine"].emit()
            await trio.sleep(1)
        assert len(one.marks(MarkName.REFUSED, "bad")) == 1
        assert len(one.marks(MarkName.BASELINE_DONE, "fine")) == 1
        assert one.ids("fine")[-1] == pools["fine"].next_id - 1
        assert one.bodies(GapOpened, "bad") == []
    assert len(logged(caplog, "not-connected")) == 1


async def test_pool_that_was_refused_is_recorded_once_it_lets_us_in(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A user that is granted a role later needs no restart of the recorder."""
    pools = {"bad": ScriptedPool(), "fine": ScriptedPool()}
    good = pools["bad"].host.methods["session.login_with_password"]
    pools["bad"].host.methods["session.login_with_password"] = REFUSE
    async with stage(tmp_path, pools) as one:
        async with one.recording():
            await trio.sleep(100)
            pools["bad"].host.methods["session.login_with_password"] = good
            await trio.sleep(100)
        assert len(one.marks(MarkName.BASELINE_DONE, "bad")) == 1


async def test_start_that_no_pool_accepts_ends_with_the_refusal(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """When every pool refuses us at start, the recorder ends at once with the reason."""
    pools = {"lab": ScriptedPool(), "other": ScriptedPool()}
    for pool in pools.values():
        pool.host.methods["session.login_with_password"] = REFUSE
    async with stage(tmp_path, pools) as one:
        error = await failure(one)
        assert trio.current_time() < 1
    assert isinstance(error, LoginRefused)
    assert error.exit_code == 30
    assert one.recorder_marks() == [MarkName.STARTED, MarkName.STOPPED]


async def test_start_that_is_refused_again_and_again_goes_gently_under_systemd(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Directories lock accounts: with RestartSec=5, too, a password is tried once a minute."""
    async with stage(tmp_path) as one:
        one.managed = True
        one.pools["lab"].host.methods["session.login_with_password"] = REFUSE
        for _ in range(3):
            assert isinstance(await failure(one), LoginRefused)
            await trio.sleep(5)
        assert trio.current_time() == pytest.approx(180, abs=1)
        calls = [method for method, _ in one.pools["lab"].host.calls]
        assert calls == ["session.login_with_password"] * 3


async def test_start_that_is_let_in_after_all_is_a_success_under_systemd(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A pool that is reached while a refusal is rested upon is recorded."""
    async with stage(tmp_path, {"bad": ScriptedPool(), "away": ScriptedPool()}) as one:
        one.managed = True
        one.pools["bad"].host.methods["session.login_with_password"] = REFUSE
        one.cut("away")
        async with one.recording():
            await trio.sleep(30)
            assert one.told == []
            one.mend("away")
            await trio.sleep(30)
        ((ready_s, word), _) = one.told
    assert word == "READY=1"
    assert ready_s == pytest.approx(30, abs=1)


async def test_start_that_reaches_no_pool_ends_after_its_timeout(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Weather is waited out for 15 s; after that the operator, or systemd, is told."""
    async with stage(tmp_path) as one:
        one.cut("lab")
        error = await failure(one)
        assert trio.current_time() == pytest.approx(15, abs=0.1)
    assert isinstance(error, TransportError)
    assert str(error) == (
        "cannot reach http://127.0.0.1:80: connection refused;"
        " check the address and that the host is up"
    )


async def test_start_that_reaches_no_pool_takes_its_time_under_systemd(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Each start begins a segment; and a host that boots may be there a little later."""
    async with stage(tmp_path) as one:
        one.managed = True
        one.cut("lab")
        assert isinstance(await failure(one), TransportError)
        assert trio.current_time() == pytest.approx(15 + 55, abs=0.1)


async def test_start_is_a_success_once_one_pool_was_reached(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Pools that are away at start are waited for, as long as one is there."""
    async with stage(tmp_path, {"away": ScriptedPool(), "here": ScriptedPool()}) as one:
        one.cut("away")
        async with one.recording():
            await trio.sleep(100)
            one.mend("away")
            await trio.sleep(30)
        assert len(one.marks(MarkName.BASELINE_DONE, "away")) == 1


async def test_restart_after_a_clean_stop_closes_the_gap_of_the_stop(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """What happened between stop and start is one gap: from the last event to the registration."""
    async with stage(tmp_path) as one:
        for _ in range(3):
            async with one.recording():
                await trio.sleep(10)
                one.pools["lab"].emit()
                await trio.sleep(5)
            await trio.sleep(85)
        entries = [
            entry for entry in one.entries() if isinstance(entry.body, GapOpened | GapClosed)
        ]
        assert [type(entry.body) for entry in entries] == [GapOpened, GapClosed] * 2 + [GapOpened]
        opened, closed = one.gap_at(entries[0].seq)
        assert opened.cause is GapCause.RECORDER_STOPPED
        assert opened.complete_until_ns is not None
        assert at_s(opened.complete_until_ns) == pytest.approx(10 - TRANSIT_S, abs=0.1)
        assert closed is not None
        assert at_s(closed.blind_until_ns) == pytest.approx(100, abs=0.1)
        check_gaps(one)


async def crashed_copy(one: Stage, to: Path, *names: str) -> None:
    """Record for a while and keep the journal as a power cut would have left it."""
    async with one.recording(*names):
        await trio.sleep(10)
        for pool in one.pools.values():
            pool.emit(3)
        await trio.sleep(5)
        shutil.copytree(one.data, to)
    one.data = to


async def test_restart_after_a_crash_opens_a_gap(tmp_path: Path, autojump_clock: Clock) -> None:
    """A journal that shows a recording without its end is one whose recorder died."""
    async with stage(tmp_path / "first") as one:
        await crashed_copy(one, tmp_path / "second")
        await trio.sleep(100)
        async with one.recording():
            await trio.sleep(10)
        opened, closed = one.only_gap()
        assert opened.cause is GapCause.RECORDER_DIED
        assert opened.last_event_id == 7
        assert opened.complete_until_ns is not None
        assert at_s(opened.complete_until_ns) == pytest.approx(10 - TRANSIT_S, abs=0.1)
        assert closed is not None
        assert at_s(closed.blind_until_ns) == pytest.approx(115, abs=0.5)
        check_gaps(one)


async def test_crash_of_a_start_that_follows_a_crash_is_no_second_gap(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Dying again before the first baseline continues the gap that is open."""
    async with stage(tmp_path / "first") as one:
        await crashed_copy(one, tmp_path / "second")
        one.pools["lab"].host.methods["VM.get_all_records"] = fault("SESSION_INVALID", "x")
        await crashed_copy(one, tmp_path / "third")
        one.pools["lab"].host.methods["VM.get_all_records"] = lambda _session: {}
        async with one.recording():
            await trio.sleep(30)
        assert [body.cause for body in one.bodies(GapOpened)] == [
            GapCause.RECORDER_DIED,
            GapCause.RECORDER_STOPPED,
        ]
        check_gaps(one)


async def test_pool_that_left_the_configuration_in_a_crash_gets_its_gap(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The record of a pool that nobody records any more ends with a gap, not with silence."""
    pools = {"kept": ScriptedPool(), "gone": ScriptedPool()}
    async with stage(tmp_path / "first", pools) as one:
        await crashed_copy(one, tmp_path / "second")
        for _ in range(2):
            async with one.recording("kept"):
                await trio.sleep(10)
        (opened,) = one.bodies(GapOpened, "gone")
        assert opened.cause is GapCause.RECORDER_DIED
        assert opened.last_event_id == 7
        check_gaps(one, "gone")
        async with one.recording():
            await trio.sleep(10)
        check_gaps(one, "gone")
        assert len(one.bodies(GapClosed, "gone")) == 1


async def test_another_pool_under_a_known_name_is_refused(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Another pool behind the address is an error that names both, and no continuation."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(10)
        before = len(one.marks(MarkName.CONNECTED))
        was = pool.uuid
        pool.records["pool"] = {"OpaqueRef:pool": {"uuid": "22222222-0000-4000-8000-000000000002"}}
        error = await failure(one)
        assert isinstance(error, AnotherPool)
        assert str(error) == (
            "pool lab: http://127.0.0.1:80 is pool 22222222-0000-4000-8000-000000000002, but the"
            f" journal holds pool {was} under this name; correct the address or give the other"
            " pool a name of its own"
        )
        assert len(one.marks(MarkName.CONNECTED)) == before
        assert one.marks(MarkName.REFUSED)[0].detail == {"error": str(error)}
        check_gaps(one)


async def test_start_of_two_recorders_on_one_journal_is_refused(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The journal has one writer; the second is told, with the exit code of the journal."""
    async with stage(tmp_path) as one, one.recording():
        await trio.sleep(1)
        with pytest.raises(XentrailError, match="is writing to the journal") as caught:
            await one.serve()
        assert caught.value.exit_code == 40


async def test_start_on_a_damaged_key_of_digests_is_refused_and_leaves_no_lock(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """What would be digested under another key by surprise is not recorded; the folder is free."""
    async with stage(tmp_path) as one:
        async with one.recording():
            await trio.sleep(1)
        key = tmp_path / "keys" / "redaction.key"
        good = key.read_text()
        key.write_text("00\n")
        with pytest.raises(XentrailError, match=f"{key} is damaged") as caught:
            await one.serve()
        assert caught.value.exit_code == 40
        key.write_text(good)
        async with one.recording():
            await trio.sleep(1)
