"""One pool that is broken, whichever way, and one that is not: it is as if it were alone."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.model import Event, MarkName
from tests.fakes import FakeHost, Method, login
from tests.watch.scripted import ScriptedPool, Stage, at_s, drop, fault, never, stage

Clock = trio.testing.MockClock

HOUR_S = 3600.0
MINUTE_S = 60.0
REFUSED = fault("SESSION_AUTHENTICATION_FAILED", "root", "Authentication failure")
MEMBER = "127.0.0.9"


@dataclass
class Door:
    """Answers the logins of a host, and notes when they came."""

    answer: Method = login

    def __post_init__(self) -> None:
        self.at_s: list[float] = []

    def __call__(self, *params: object) -> object:
        self.at_s.append(trio.current_time())
        return self.answer(*params)


def two_hosts(pool: ScriptedPool, one: Stage) -> tuple[Door, Door]:
    """Let a pool tell of a second host; return the doors of both, which let in for now."""
    doors = Door(pool.host.methods["session.login_with_password"]), Door()
    pool.host.methods["session.login_with_password"] = doors[0]
    pool.records["pool"]["OpaqueRef:pool"]["master"] = "OpaqueRef:first"
    pool.records["host"] = {
        "OpaqueRef:first": {"address": one.address("bad")},
        "OpaqueRef:second": {"address": MEMBER},
    }
    pool.add_class("host")
    one.network.hosts[MEMBER] = FakeHost({"session.login_with_password": doors[1]})
    return doors


async def live_on(one: Stage, *, for_s: float) -> None:
    """Have the fine pool change every 7 s; each change is on disk before any time has passed."""
    fine = one.pools["fine"]
    until_s = trio.current_time() + for_s
    looks = 0
    while trio.current_time() < until_s:
        await trio.sleep(7.0)
        emitted_at_s = trio.current_time()
        fine.emit()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == emitted_at_s
        looks += 1
        if looks % 10 == 0 or looks < 5:
            newest = [entry for entry in one.entries("fine") if isinstance(entry.body, Event)][-1]
            assert isinstance(newest.body, Event)
            assert newest.body.id == fine.next_id - 1, "the event is not on disk yet"
            assert at_s(newest.received_at_ns) == pytest.approx(emitted_at_s, abs=1e-6)


def check_undisturbed(one: Stage) -> None:
    """The fine pool has one epoch, and every event the moment it was made."""
    assert one.ids("fine") == list(range(5, one.pools["fine"].next_id))
    assert len(one.marks(MarkName.REGISTERED, "fine")) == 1


async def test_refused_password_is_tried_once_a_minute_at_one_address(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """In an hour each host gets the password once, and then one of them once a minute."""
    async with stage(tmp_path, {"bad": ScriptedPool(), "fine": ScriptedPool()}) as one:
        first, second = two_hosts(one.pools["bad"], one)
        async with one.recording():
            await trio.sleep(5)
            assert len(one.marks(MarkName.MEMBERS, "bad")) == 1
            first.answer = second.answer = REFUSED
            one.pools["bad"].trouble(drop)
            await live_on(one, for_s=HOUR_S)
        check_undisturbed(one)
        # One an address: which of the two refuses first is chance.
        assert 1 <= len(one.marks(MarkName.REFUSED, "bad")) <= 2
    attempts = first.at_s[1:]
    assert len(attempts) == pytest.approx(HOUR_S / MINUTE_S, abs=1)
    assert min(later - before for before, later in pairwise(attempts)) > MINUTE_S - 1
    assert len(second.at_s) <= 1, "a second address gets the wrong password again and again"


async def test_refused_password_is_taken_once_it_is_right(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The pool that was given up for the minute is recorded within it."""
    async with stage(tmp_path, {"bad": ScriptedPool(), "fine": ScriptedPool()}) as one:
        first, _ = two_hosts(one.pools["bad"], one)
        let_in, first.answer = first.answer, REFUSED
        async with one.recording():
            await live_on(one, for_s=600)
            first.answer = let_in
            await trio.sleep(MINUTE_S + 1)
            one.pools["bad"].emit()
            await trio.sleep(1)
        assert one.ids("bad")[-1] == one.pools["bad"].next_id - 1
        check_undisturbed(one)


def black_hole(one: Stage) -> None:
    one.network.silent.add(one.address("bad"))


def silent_login(one: Stage) -> None:
    one.pools["bad"].host.methods["session.login_with_password"] = never


def stalled_greeting(one: Stage) -> None:
    one.pools["bad"].host.methods["pool.get_all_records"] = never


def stalled_registration(one: Stage) -> None:
    one.pools["bad"].host.methods["event.register"] = never


def stalled_events(one: Stage) -> None:
    one.pools["bad"].host.methods["event.next"] = never


def garbage_login(one: Stage) -> None:
    one.pools["bad"].host.methods["session.login_with_password"] = lambda *_: {}


def garbage_greeting(one: Stage) -> None:
    one.pools["bad"].host.methods["pool.get_all_records"] = lambda *_: 7


def faulty_greeting(one: Stage) -> None:
    one.pools["bad"].host.methods["pool.get_all_records"] = fault("HOST_STILL_BOOTING")


BROKEN: dict[str, tuple[Callable[[Stage], None], float]] = {
    "black-hole": (black_hole, 10.5),  # the time to connect, and half a second
    "silent-login": (silent_login, 20.5),
    "stalled-greeting": (stalled_greeting, 122.5),  # a call has 120 s, a logout 2
    "stalled-registration": (stalled_registration, 122.5),
    "stalled-events": (stalled_events, 97.5),  # silence is noticed after 95 s
    "garbage-login": (garbage_login, 5.0),  # every 10 s, by either codec
    "garbage-greeting": (garbage_greeting, 10.0),
    "faulty-greeting": (faulty_greeting, 10.0),
}
"""What is broken, and how many seconds pass between two attempts."""


@pytest.mark.parametrize(("broken", "every_s"), BROKEN.values(), ids=list(BROKEN))
async def test_broken_pool_delays_no_other(
    broken: Callable[[Stage], None], every_s: float, tmp_path: Path, autojump_clock: Clock
) -> None:
    """The fine pool's events are on disk in the instant in which they are made; the broken one is
    tried again at the pace of its limits."""
    async with stage(tmp_path, {"bad": ScriptedPool(), "fine": ScriptedPool()}) as one:
        bad = one.pools["bad"]
        broken(one)
        async with one.recording():
            await live_on(one, for_s=HOUR_S / 6)
            logins = bad.count("session.login_with_password")
            attempts = logins or len(one.network.dialled)
        check_undisturbed(one)
    assert attempts == pytest.approx(HOUR_S / 6 / every_s, rel=0.1, abs=2)


async def test_flooding_pool_delays_no_other(tmp_path: Path, autojump_clock: Clock) -> None:
    """1,000 events a second of one pool leave the other's where they were: first in, first out."""
    async with stage(tmp_path, {"bad": ScriptedPool(reply_s=0.1), "fine": ScriptedPool()}) as one:

        async def flood() -> None:
            while True:
                one.pools["bad"].emit(100)
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            async with one.recording():
                nursery.start_soon(flood)
                await live_on(one, for_s=20)
            nursery.cancel_scope.cancel()
        check_undisturbed(one)
        assert len(one.ids("bad")) > 15_000


async def test_pool_that_was_away_for_long_is_looked_for_as_often_the_next_time(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Once it was recorded again, twice a second is right again: it is back within one."""
    async with stage(tmp_path) as one, one.recording():
        for away_s, found_within_s in [(HOUR_S, 20), (35, 1)]:
            await trio.sleep(1)
            one.cut("lab")
            one.pools["lab"].trouble(drop)
            await trio.sleep(away_s)
            before = len(one.marks(MarkName.REGISTERED))
            one.mend("lab")
            await trio.sleep(found_within_s)
            assert len(one.marks(MarkName.REGISTERED)) == before + 1
