"""Reloads at the same time, in a start, beside a stop, and by signal."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from recorder.control import endpoint
from recorder.model import GapOpened, MarkName
from tests.daemon.clients import Json, connected, pool_status
from tests.daemon.reloads import Written, check_kept, names, reload, reloadable
from tests.watch.scripted import ScriptedPool, check_gaps, logged, never, stage

Clock = trio.testing.MockClock


# -- one after the other -----------------------------------------------------------------------


async def test_reloads_at_the_same_time_are_done_one_by_one(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The second sees what the first has done."""
    async with reloadable(tmp_path, "kept", "other") as (one, written):
        written.config = one.config("kept")
        told: list[dict[str, str]] = []

        async def once() -> None:
            told.append((await reload(tmp_path))[0])

        async def slow_logout(_session: str) -> object:
            await trio.sleep(0.5)
            return ""

        one.pools["other"].host.methods["session.logout"] = slow_logout
        async with trio.open_nursery() as nursery:
            nursery.start_soon(once)
            await trio.sleep(0.1)
            nursery.start_soon(once)
        assert told == [{"kept": "kept", "other": "removed"}, {"kept": "kept"}]
        assert written.reads[1] - written.reads[0] == pytest.approx(0.5, abs=0.1)


async def test_reload_goes_on_without_the_client_that_wanted_it(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Half a reload is what nobody wants."""
    async with reloadable(tmp_path, "kept", "other") as (one, written):
        written.change("other", user="reader")
        async with connected(tmp_path) as client:
            await client.send({"command": "reload"})
        await trio.sleep(5)
        assert await names(tmp_path) == ["kept", "other"]
        assert one.marks(MarkName.CONNECTED, "other") != []
        assert len(one.bodies(GapOpened, "other")) == 1


async def test_reload_in_a_start_waits_for_its_end(tmp_path: Path, autojump_clock: Clock) -> None:
    """Until it is known whether the recorder stays, there is nothing to change."""
    async with stage(tmp_path, {"kept": ScriptedPool(), "other": ScriptedPool()}) as one:
        written = Written(one.config("kept", "other"))
        one.listen, one.reread = endpoint.listen, written.read
        login = one.pools["kept"].host.methods["session.login_with_password"]

        async def late(*params: object) -> object:
            await trio.sleep(3)
            return login(*params)

        one.pools["kept"].host.methods["session.login_with_password"] = late
        async with one.recording("kept"):
            await trio.sleep(0.1)
            assert (await reload(tmp_path))[0] == {"kept": "kept", "other": "added"}
            assert written.reads == [pytest.approx(3, abs=0.1)]


async def test_reload_that_meets_a_stop_is_told_so(tmp_path: Path, autojump_clock: Clock) -> None:
    """The stop goes first; who asked is not left without an answer."""
    async with stage(tmp_path, {"kept": ScriptedPool(), "other": ScriptedPool()}) as one:
        written = Written(one.config("kept"))
        one.listen, one.reread = endpoint.listen, written.read
        one.pools["other"].host.methods["session.logout"] = never
        async with trio.open_nursery() as nursery:
            await nursery.start(one.serve)
            await trio.sleep(5)
            async with connected(tmp_path) as first, connected(tmp_path) as second:
                await first.send({"command": "reload"})
                await second.send({"command": "reload"})
                await trio.sleep(0.5)
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    answers = [await client.rest() for client in (first, second)]
    for (answer,) in answers:
        error = answer["error"]
        assert isinstance(error, dict)
        assert error["name"] == "stopping"
    check_gaps(one, "other")


# -- signals -----------------------------------------------------------------------------------


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a signal, which comes from outside of the virtual time."""
    for _ in range(1000):
        if condition():
            return
        await trio.sleep(0.01)
    raise AssertionError


async def test_sighup_reloads_and_the_log_tells(
    tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The same as by the socket, told in one line; mistakes end neither it nor the recorder."""
    caplog.set_level("INFO", logger="xentrail")
    async with reloadable(tmp_path, "kept", "other") as (one, written):
        before = await pool_status(tmp_path, "kept")
        written.config = msgspec.structs.replace(one.config("kept", "third"), data=Path("x"))
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: bool(logged(caplog, "reloaded")))
        (line,) = logged(caplog, "reloaded")
        fields: Json = line.__dict__["fields"]
        assert {key: value for key, value in fields.items() if value is not None} == {
            "added": "third",
            "removed": "other",
            "kept": "kept",
            "needs_restart": "data",
        }
        assert await names(tmp_path) == ["kept", "third"]
        written.mistakes = ("a mistake",)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: bool(logged(caplog, "reload-refused")))
        written.mistakes = ()
        written.config = one.config("kept")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: len(logged(caplog, "reloaded")) == 2)
        assert await names(tmp_path) == ["kept"]
        await check_kept(one, before)
