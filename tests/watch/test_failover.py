"""The master is gone: another host of the pool is found at once, and the record goes on."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.client.address import Address, with_members
from recorder.journal.store import Journal
from recorder.model import GapCause, GapClosed, MarkName
from tests.fakes import FakeHost, slave_of
from tests.watch.scripted import (
    POOL,
    ScriptedPool,
    Stage,
    at_s,
    drop,
    fault,
    logged,
    never,
    stage,
)

Clock = trio.testing.MockClock

MASTER, MEMBER, OTHER = "127.0.0.1", "127.0.0.5", "127.0.0.6"
HOSTS = {"OpaqueRef:h1": MASTER, "OpaqueRef:h5": MEMBER, "OpaqueRef:h6": OTHER}


def a_pool() -> ScriptedPool:
    """A pool of three hosts, the first of which is the master."""
    hosts = {ref: {"uuid": ref, "address": address} for ref, address in HOSTS.items()}
    pool = ScriptedPool(records={"host": hosts})
    pool.records["pool"][POOL]["master"] = "OpaqueRef:h1"
    return pool


@asynccontextmanager
async def three_hosts(folder: Path) -> AsyncIterator[Stage]:
    """The pool on its network; only the master is configured."""
    async with stage(folder, {"lab": a_pool()}) as one:
        for address in (MEMBER, OTHER):
            member = FakeHost({"session.login_with_password": slave_of(MASTER)})
            one.network.hosts[address] = member
        yield one


def move_master(one: Stage, address: str) -> None:
    """Let another host be the master, and the other members say so."""
    pool = one.pools["lab"]
    pool.records["pool"][POOL]["master"] = next(ref for ref, at in HOSTS.items() if at == address)
    for other in (MEMBER, OTHER):
        if other == address:
            one.network.hosts[other] = pool.host
        else:
            one.network.hosts[other] = FakeHost({"session.login_with_password": slave_of(address)})


def answers_never(one: Stage, address: str) -> None:
    one.network.silent.add(address)


def refuses(one: Stage, address: str) -> None:
    one.network.hosts.pop(address, None)


async def test_members_are_in_the_journal(tmp_path: Path, autojump_clock: Clock) -> None:
    """The master first; and whoever opens the journal again knows them."""
    async with three_hosts(tmp_path) as one:
        async with one.recording():
            await trio.sleep(5)
        (mark,) = one.marks(MarkName.MEMBERS)
        assert mark.detail == {"addresses": f"{MASTER} {MEMBER} {OTHER}"}
        with Journal.open(tmp_path / "journal", now_ns=lambda: 0) as journal:
            assert journal.tails["lab"].members == f"{MASTER} {MEMBER} {OTHER}"


@pytest.mark.parametrize("end", [refuses, answers_never])
@pytest.mark.parametrize("after_s", [0.0, 1.0, 7.3, 40.0, 300.0])
async def test_recording_goes_on_within_a_second_of_the_new_master(
    tmp_path: Path, autojump_clock: Clock, end: Callable[[Stage, str], None], after_s: float
) -> None:
    """However long it takes until there is one, and whether the old one refuses or is silent."""
    async with three_hosts(tmp_path) as one:
        async with one.recording():
            await trio.sleep(10)
            end(one, MASTER)
            one.pools["lab"].trouble(drop)
            await trio.sleep(after_s)
            move_master(one, OTHER)
            began_s = trio.current_time()
            await trio.sleep(30)
        opened, closed = one.only_gap()
        assert opened.cause is GapCause.CONNECTION_LOST
        assert closed is not None
        assert at_s(closed.blind_until_ns) - began_s < 1.0
        addresses = [mark.detail["address"] for mark in one.marks(MarkName.CONNECTED)]
        assert addresses == [f"http://{MASTER}:80", f"http://{OTHER}:80"]
        assert one.marks(MarkName.MEMBERS)[-1].detail == {"addresses": f"{OTHER} {MASTER} {MEMBER}"}


async def test_restarted_recorder_finds_a_pool_whose_configured_address_is_gone(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The journal remembers the members; the configuration need not name them."""
    async with three_hosts(tmp_path) as one:
        async with one.recording():
            await trio.sleep(5)
        refuses(one, MASTER)
        move_master(one, MEMBER)
        async with one.recording():
            await trio.sleep(5)
        assert len(one.marks(MarkName.CONNECTED)) == 2
        assert len(one.bodies(GapClosed)) == 1


async def test_stalled_member_does_not_hold_up_the_others(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A host that takes the connection and never answers the login costs nothing."""
    async with three_hosts(tmp_path) as one:
        async with one.recording():
            await trio.sleep(5)
            one.network.hosts[MEMBER] = FakeHost({"session.login_with_password": never})
            refuses(one, MASTER)
            one.network.hosts[OTHER] = one.pools["lab"].host
            one.pools["lab"].trouble(drop)
            began_s = trio.current_time()
            await trio.sleep(60)
        _, closed = one.only_gap()
        assert closed is not None
        assert at_s(closed.blind_until_ns) - began_s < 1.5


async def test_late_login_is_logged_out_again(tmp_path: Path, autojump_clock: Clock) -> None:
    """Two addresses of one host: the slower login leaves no session behind."""
    async with three_hosts(tmp_path) as one:
        pool = one.pools["lab"]
        log_in = pool.host.methods["session.login_with_password"]

        async def slowly(*params: object) -> object:
            await trio.sleep(0.2)
            return log_in(*params)

        late = FakeHost({"session.login_with_password": slowly})
        async with one.recording():
            await trio.sleep(5)
            one.network.hosts[MEMBER] = late
            pool.trouble(drop)
            await trio.sleep(5)
        assert [method for method, _ in late.calls] == [
            "session.login_with_password",
            "session.logout",
        ]


@pytest.mark.parametrize(
    "code",
    ["HOST_STILL_BOOTING", "HOST_HAS_NO_MANAGEMENT_IP", "HOST_UNKNOWN_TO_MASTER", "HOST_BROKEN"],
)
async def test_host_in_an_emergency_is_waited_for(
    tmp_path: Path, autojump_clock: Clock, code: str
) -> None:
    """It answers everything with its trouble, and may come back as it is."""
    async with three_hosts(tmp_path) as one:
        pool = one.pools["lab"]
        log_in = pool.host.methods["session.login_with_password"]
        async with one.recording():
            await trio.sleep(5)
            pool.host.methods["session.login_with_password"] = fault(code)
            pool.trouble(drop)
            await trio.sleep(100)
            pool.host.methods["session.login_with_password"] = log_in
            began_s = trio.current_time()
            await trio.sleep(10)
        _, closed = one.only_gap()
        assert closed is not None
        assert at_s(closed.blind_until_ns) - began_s < 1.0


async def test_refused_password_is_tried_at_one_address_at_a_time(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Several addresses of one master would each count as one more wrong password."""
    async with three_hosts(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(5)
            refuse = fault("SESSION_AUTHENTICATION_FAILED", "root", "no")
            pool.host.methods["session.login_with_password"] = refuse
            one.network.hosts[MEMBER] = one.network.hosts[OTHER] = pool.host
            pool.trouble(drop)
            await trio.sleep(1)
            before = pool.count("session.login_with_password")
            await trio.sleep(600)
        assert pool.count("session.login_with_password") - before == 10


async def test_ejected_host_does_not_stand_in_the_way(
    tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes the same password, quicker than the new master, and belongs to another pool now."""
    async with three_hosts(tmp_path) as one:
        pool = one.pools["lab"]
        stranger = ScriptedPool(uuid="22222222-0000-4000-8000-000000000002")
        log_in = pool.host.methods["session.login_with_password"]

        async def log_in_later(*params: str) -> object:
            await trio.sleep(0.3)
            return log_in(*params)

        async with one.recording():
            await trio.sleep(5)
            move_master(one, MEMBER)
            one.network.hosts[MASTER] = stranger.host
            pool.host.methods["session.login_with_password"] = log_in_later
            pool.trouble(drop)
            await trio.sleep(3)
            assert [mark.detail["address"] for mark in one.marks(MarkName.CONNECTED)] == [
                f"http://{MASTER}:80",
                f"http://{MEMBER}:80",
            ]
            await trio.sleep(600)
        opened, closed = one.only_gap()
        assert closed is not None
        assert opened.complete_until_ns is not None
        assert closed.blind_until_ns - opened.complete_until_ns < 7e9
        assert stranger.count("session.login_with_password") == 1
    assert len(logged(caplog, "not-connected")) == 1


async def test_pool_that_is_another_one_is_asked_once_a_minute(
    tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing else answers it is told once, and found when it is itself again."""
    async with three_hosts(tmp_path) as one:
        pool = one.pools["lab"]
        stranger = ScriptedPool(uuid="22222222-0000-4000-8000-000000000002")
        async with one.recording():
            await trio.sleep(5)
            one.network.hosts = {MASTER: stranger.host}
            pool.trouble(drop)
            await trio.sleep(600)
            assert 9 <= stranger.count("session.login_with_password") <= 11
            assert len(one.marks(MarkName.REFUSED)) == 1
            one.network.hosts[MASTER] = pool.host
            await trio.sleep(65)
            assert one.only_gap()[1] is not None
    assert len(logged(caplog, "not-connected")) <= 2


async def test_older_database_is_told(tmp_path: Path, autojump_clock: Clock) -> None:
    """A pool that came back from an older copy of its database says so by its generation."""
    async with three_hosts(tmp_path) as one:
        pool = one.pools["lab"]
        generations = iter([5000, 4000, 4100])
        pool.host.methods["event.inject"] = lambda *_: f"{next(generations):020d},{0:020d}"
        async with one.recording():
            for _ in range(2):
                await trio.sleep(5)
                pool.trouble(drop)
            await trio.sleep(5)
        assert [mark.detail["generation"] for mark in one.marks(MarkName.CONNECTED)] == [
            5000,
            4000,
            4100,
        ]
        (mark,) = one.marks(MarkName.ROLLED_BACK)
        assert mark.detail == {"generation": 4000, "before": 5000}


async def test_stream_of_last_states_tells_how_new_the_database_is(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A database that went back, but not behind the last login, is noticed by the tokens since."""
    async with three_hosts(tmp_path) as one:
        one.follow_states()
        pool = one.pools["lab"]
        generations = iter([5000, 5000, 7000, 7000])  # a greeting, then the token to start from
        pool.host.methods["event.inject"] = lambda *_: f"{next(generations):020d},{0:020d}"

        async def answer(session: str, classes: object, _token: str, wait_s: float) -> object:
            return await pool.answer_from(session, classes, f"{9000:020d},{0:020d}", wait_s)

        pool.host.methods["event.from"] = answer
        async with one.recording():
            await trio.sleep(5)
            pool.emit()
            await trio.sleep(5)
            pool.trouble(drop)
            await trio.sleep(5)
        (mark,) = one.marks(MarkName.ROLLED_BACK)
        assert mark.detail == {"generation": 7000, "before": 9000}


async def test_older_database_is_told_after_a_restart(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The journal remembers how new the database was."""
    async with three_hosts(tmp_path) as one:
        pool = one.pools["lab"]
        for generation in (5000, 4999):
            text = f"{generation:020d},{0:020d}"
            pool.host.methods["event.inject"] = lambda *_, text=text: text
            async with one.recording():
                await trio.sleep(5)
        (mark,) = one.marks(MarkName.ROLLED_BACK)
        assert mark.detail == {"generation": 4999, "before": 5000}


async def test_user_who_may_not_ask_for_the_generation_can_record(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Then a rollback shows only in what the baseline finds changed."""
    async with three_hosts(tmp_path) as one:
        refuse = fault("RBAC_PERMISSION_DENIED", "event.inject")
        one.pools["lab"].host.methods["event.inject"] = refuse
        async with one.recording():
            await trio.sleep(5)
        assert one.marks(MarkName.CONNECTED)[0].detail["generation"] is None
        assert len(one.marks(MarkName.BASELINE_DONE)) == 1


@pytest.mark.parametrize(
    ("configured", "members", "found"),
    [
        (["https://xen1:8443"], ["10.0.0.2"], ["https://xen1:8443", "https://10.0.0.2:8443"]),
        (["https://10.0.0.2"], ["10.0.0.2", "fe80::1"], ["https://10.0.0.2", "https://[fe80::1]"]),
        (
            ["http://127.0.0.1:80"],
            ["127.0.0.2", "10.0.0.2"],
            ["http://127.0.0.1", "http://127.0.0.2"],
        ),
        (["https://127.0.0.1"], ["10.0.0.2"], ["https://127.0.0.1"]),
        (["unix:/var/lib/xcp/xapi"], ["10.0.0.2"], ["unix:/var/lib/xcp/xapi"]),
        (["https://xen1"], ["no host", "-"], ["https://xen1"]),
    ],
)
def test_members_are_spoken_to_as_the_configured_host_is(
    configured: list[str], members: list[str], found: list[str]
) -> None:
    """By the same scheme and port; nothing that a pool says leads off this machine."""
    addresses = [Address.parse(text) for text in configured]
    assert with_members(addresses, members) == [Address.parse(text) for text in found]
