"""Whatever ends an epoch is a gap with its reason, its beginning and its end."""

import errno
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.keeper import SUBMISSIONS_MAX
from recorder.model import RECORDER, Event, GapCause, GapClosed, GapOpened, Mark, MarkName
from recorder.xapi.subscription import TRANSIT_MAX_NS
from tests.fakes import Method, slave_of
from tests.watch.scripted import POOL, ScriptedPool, at_s, drop, fault, never, stage

Clock = trio.testing.MockClock

BEFORE_S = 10.0
"""When the last event before the trouble is told."""

TRANSIT_S = TRANSIT_MAX_NS / 1e9


EVENTS_LOST = fault("EVENTS_LOST")
SESSION_INVALID = fault("SESSION_INVALID", "OpaqueRef:secret")

TROUBLES = [
    (
        EVENTS_LOST,
        GapCause.EVENTS_LOST,
        "the server's event queue ran over before it was read",
    ),
    (SESSION_INVALID, GapCause.SESSION_LOST, "the server ended the session: SESSION_INVALID"),
    (
        fault("SESSION_NOT_REGISTERED", "trackid=1"),
        GapCause.SESSION_LOST,
        "the server ended the session: SESSION_NOT_REGISTERED",
    ),
    (
        drop,
        GapCause.CONNECTION_LOST,
        "http://127.0.0.1:80 closed the connection without an answer",
    ),
]


@pytest.mark.parametrize(("trouble", "cause", "detail"), TROUBLES)
async def test_loss_is_a_gap_from_the_last_event_to_the_new_registration(
    trouble: Method, cause: GapCause, detail: str, tmp_path: Path, autojump_clock: Clock
) -> None:
    """A gap names its cause, dates from the last event, and ends where the new epoch begins."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(BEFORE_S)
            pool.emit()  # id 5
            await trio.sleep(10)
            pool.trouble(trouble)
            await trio.sleep(50)
            pool.emit()
            await trio.sleep(1)
        opened, closed = one.only_gap()
        assert (opened.cause, opened.detail) == (cause, detail)
        assert opened.last_event_id == 5
        assert opened.complete_until_ns is not None
        assert at_s(opened.complete_until_ns) == pytest.approx(BEFORE_S - TRANSIT_S, abs=0.01)
        assert closed is not None
        assert at_s(closed.blind_until_ns) == pytest.approx(BEFORE_S + 10, abs=1)
        assert len(one.bodies(GapClosed)) == 1
        assert one.ids()[-1] == pool.next_id - 1


async def test_loss_behind_a_full_disk_is_blamed_on_it(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """While events have nowhere to go nobody reads the server's queue, which then runs over."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(BEFORE_S)
            one.disk.write_error = errno.ENOSPC
            for _ in range(2 * SUBMISSIONS_MAX):
                pool.emit()
                await trio.sleep(0.1)
            pool.trouble(EVENTS_LOST)
            one.disk.write_error = None
            await trio.sleep(60)
        opened, closed = one.only_gap()
        assert opened.cause is GapCause.DISK_FULL
        queue = "the server's event queue ran over before it was read"
        assert opened.detail == f"the disk of the recorder was full: {queue}"
        assert closed is not None
        (mark,) = [mark for mark in one.bodies(Mark, RECORDER) if mark.name is MarkName.DISK_FULL]
        waited = mark.detail["waiting"]
        assert isinstance(waited, int)
        assert waited > 0
        assert one.ids()[-1] == pool.next_id - 1


async def test_full_disk_that_lost_nothing_is_no_gap(tmp_path: Path, autojump_clock: Clock) -> None:
    """What waited is written once there is room: nobody missed anything."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(BEFORE_S)
            one.disk.write_error = errno.ENOSPC
            for _ in range(10):
                pool.emit()
                await trio.sleep(1)
            one.disk.write_error = None
            await trio.sleep(5)
            assert one.bodies(GapOpened) == []
        assert one.ids() == list(range(one.ids()[0], pool.next_id))


async def test_lost_events_cost_a_new_session(tmp_path: Path, autojump_clock: Clock) -> None:
    """After a queue that ran over the old session is owed events; a new one has no past."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(BEFORE_S)
            pool.trouble(EVENTS_LOST)
            await trio.sleep(60)
            assert pool.count("session.login_with_password") == 2
            assert pool.count("session.logout") == 1
        assert len(one.marks(MarkName.REGISTERED)) == 2
        assert len(one.marks(MarkName.BASELINE_DONE)) == 2


async def test_silence_of_three_heartbeats_is_a_gap(tmp_path: Path, autojump_clock: Clock) -> None:
    """A server that says nothing for 95 s is taken for dead, since its last event."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(BEFORE_S)
            pool.emit()
            await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            pool.trouble(never)
            await trio.sleep(155)
        opened, closed = one.only_gap()
        assert opened.cause is GapCause.SERVER_SILENT
        assert opened.detail == "no event and no heartbeat for 95 s"
        assert opened.complete_until_ns is not None
        assert at_s(opened.complete_until_ns) == pytest.approx(BEFORE_S - TRANSIT_S, abs=0.01)
        assert closed is not None
        assert at_s(closed.blind_until_ns) == pytest.approx(BEFORE_S + 95, abs=2)


async def test_outage_is_one_gap_and_two_log_lines(
    tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A pool that is away for an hour is lost once, told once, and found again by itself."""
    caplog.set_level("INFO", logger="xentrail")
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(BEFORE_S)
            one.cut("lab")
            pool.trouble(drop)
            await trio.sleep(3600)
            one.mend("lab")
            await trio.sleep(60)
        opened, closed = one.only_gap()
        assert opened.cause is GapCause.CONNECTION_LOST
        assert closed is not None
        assert at_s(closed.blind_until_ns) == pytest.approx(BEFORE_S + 3600, abs=15)
        dialled = len(one.network.dialled)
        assert 1800 < dialled < 2500, "every half second at first, every ten in the end"
    assert [record.getMessage() for record in caplog.records] == [
        "connected",
        "recording",
        "gap-opened",
        "not-connected",
        "connected",
        "gap-closed",
    ]


async def test_hole_in_the_ids_is_a_gap_and_a_new_baseline(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Ids that are skipped are losses: named, and followed by a new baseline."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(BEFORE_S)
            pool.emit(2)  # 5, 6
            pool.next_id += 3
            pool.emit(1)  # 10
            await trio.sleep(60)
        opened, closed = one.only_gap()
        assert opened.cause is GapCause.IDS_MISSING
        assert opened.detail == "events 7 to 9 never came"
        assert opened.last_event_id == 6
        assert closed is not None
        assert len(one.marks(MarkName.BASELINE_DONE)) == 2
        assert 10 not in one.ids()


async def test_host_in_emergency_mode_is_asked_again(
    tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A host that is starting is not a refusal: it is told once and asked until it answers."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        login = pool.host.methods["session.login_with_password"]
        pool.host.methods["session.login_with_password"] = fault("HOST_STILL_BOOTING")
        async with one.recording():
            await trio.sleep(10)
            assert pool.count("session.login_with_password") > 2
            pool.host.methods["session.login_with_password"] = login
            await trio.sleep(20)
        assert one.marks(MarkName.REFUSED) == []
        assert len(one.marks(MarkName.BASELINE_DONE)) == 1
    told = [record for record in caplog.records if record.getMessage() == "not-connected"]
    assert len(told) == 1


async def test_master_that_moves_is_followed(tmp_path: Path, autojump_clock: Clock) -> None:
    """The old master names the new one at the next login; the gap in between is declared."""
    pools = {"lab": ScriptedPool(), "new": ScriptedPool()}
    async with stage(tmp_path, pools) as one:
        old = pools["lab"].host
        async with one.recording("lab"):
            await trio.sleep(BEFORE_S)
            old.methods["session.login_with_password"] = slave_of("127.0.0.2")
            pools["lab"].trouble(drop)
            await trio.sleep(60)
        addresses = [mark.detail["address"] for mark in one.marks(MarkName.CONNECTED)]
        assert addresses == ["http://127.0.0.1:80", "http://127.0.0.2:80"]
        assert one.only_gap()[1] is not None


async def test_login_is_logged_out_when_the_session_is_given_up(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Sessions are a limited good of the server: every one that was opened is closed."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(BEFORE_S)
            pool.trouble(drop)
            await trio.sleep(20)
        assert pool.count("session.login_with_password") == pool.count("session.logout")


async def test_event_of_an_unknown_class_is_recorded(tmp_path: Path, autojump_clock: Clock) -> None:
    """A class that no baseline holds is evidence all the same."""
    async with stage(tmp_path) as one:
        async with one.recording():
            await trio.sleep(BEFORE_S)
            one.pools["lab"].emit(cls="flux_capacitor", ref="OpaqueRef:new")
            await trio.sleep(1)
        assert [event.cls for event in one.bodies(Event)] == ["flux_capacitor"]


async def test_empty_batch_is_a_sign_of_life_and_nothing_else(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A server may answer without an event; that is neither a loss nor an entry."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]

        async def empty(_session: str) -> object:
            await trio.sleep(60)
            return []

        pool.host.methods["event.next"] = empty
        async with one.recording():
            await trio.sleep(1000)
        assert one.ids() == []
        assert len(one.marks(MarkName.REGISTERED)) == 1
        assert one.only_gap()[0].cause is GapCause.RECORDER_STOPPED


async def test_nothing_secret_of_a_lost_session_is_written(
    tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The parameter of SESSION_INVALID is a bearer token: neither journal nor log holds it."""
    caplog.set_level("DEBUG")
    async with stage(tmp_path) as one, one.recording():
        await trio.sleep(BEFORE_S)
        one.pools["lab"].trouble(SESSION_INVALID)
        await trio.sleep(1)
    written = b"".join(path.read_bytes() for path in (tmp_path / "journal").glob("*.*"))
    assert b"session-lost" in written
    assert b"OpaqueRef:secret" not in written
    assert "OpaqueRef:secret" not in caplog.text


# -- the stream of last states ------------------------------------------------------------------


async def test_from_stream_records_the_baseline_first(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """With `stream = "from"` every chunk precedes every event, and the epoch says its stream."""
    async with stage(tmp_path) as one:
        one.follow_states()
        async with one.recording():
            await trio.sleep(1)
            one.pools["lab"].emit(3)
            await trio.sleep(100)
        assert one.marks(MarkName.REGISTERED)[0].detail["stream"] == "from"
        kinds = [type(entry.body).__name__ for entry in one.entries()]
        assert kinds.index("Event") > max(n for n, kind in enumerate(kinds) if "Baseline" in kind)
        assert one.ids()[:3] == [5, 6, 7]


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [(drop, GapCause.CONNECTION_LOST), (SESSION_INVALID, GapCause.SESSION_LOST)],
)
async def test_from_stream_declares_its_gaps_too(
    trouble: Method, cause: GapCause, tmp_path: Path, autojump_clock: Clock
) -> None:
    """A lost `event.from` is a gap that a new baseline closes."""
    async with stage(tmp_path) as one:
        one.follow_states()
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(BEFORE_S)
            pool.emit()
            await trio.sleep(1)
            pool.trouble(trouble)
            await trio.sleep(60)
        opened, closed = one.only_gap()
        assert opened.cause is cause
        assert opened.last_event_id == 5
        assert closed is not None


async def test_pool_record_is_known_from_the_baseline(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The mark of a connection names the pool that was found, its user and its codec."""
    async with stage(tmp_path) as one:
        async with one.recording():
            await trio.sleep(1)
        assert one.marks(MarkName.CONNECTED)[0].detail == {
            "address": "http://127.0.0.1:80",
            "pool_uuid": one.pools["lab"].records["pool"][POOL]["uuid"],
            "user": "root",
            "codec": "json-rpc",
            "tls_verified": None,
            "generation": 7,
        }
