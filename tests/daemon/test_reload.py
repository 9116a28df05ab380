"""Reloads: pools come, go and change while the recorder runs, and the others do not notice."""

import errno
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from recorder import keeper
from recorder.config import Config, Journal, Limits, Pool, Redaction
from recorder.control import endpoint
from recorder.control.protocol import Action
from recorder.model import GapCause, GapClosed, GapOpened, MarkName, Stream
from recorder.service.reload import needs_restart, plan
from tests.daemon.clients import pool_status, refusal
from tests.daemon.reloads import Written, check_kept, names, reload, reloadable
from tests.watch.scripted import ScriptedPool, check_gaps, fault, stage

Clock = trio.testing.MockClock

REFUSE = fault("SESSION_AUTHENTICATION_FAILED", "root", "no")


# -- what is to be done ------------------------------------------------------------------------


def pool(name: str, address: str = "https://xen1") -> Pool:
    return Pool(name=name, addresses=(address,))


def test_plan_tells_what_is_done_with_each_pool() -> None:
    """The order is that of the file; what left it comes last."""
    watched = [pool("same"), pool("moved"), pool("gone"), pool("refused")]
    wanted = [pool("new"), pool("refused"), pool("moved", "https://xen2"), pool("same")]
    actions = plan(watched, wanted, refused={"refused", "gone", "moved"})
    assert list(actions.items()) == [
        ("new", Action.ADDED),
        ("refused", Action.RETRIED),
        ("moved", Action.CHANGED),
        ("same", Action.KEPT),
        ("gone", Action.REMOVED),
    ]


def test_what_needs_a_restart_is_named_key_by_key() -> None:
    """Whoever changed it reads that it is not in force."""
    before = Config(data=Path("a"))
    after = Config(
        data=Path("b"),
        limits=Limits(census_s=1.0, grace_s=2.0),
        journal=Journal(keep_days=3),
        redaction=Redaction(words=("pin",)),
    )
    assert list(needs_restart(before, before)) == []
    assert list(needs_restart(before, after)) == [
        "data",
        "limits.grace_s",
        "limits.census_s",
        "journal.keep_days",
        "redaction.words",
    ]


# -- what is done ------------------------------------------------------------------------------


async def test_pool_that_was_added_is_recorded(tmp_path: Path, autojump_clock: Clock) -> None:
    """From now on, beside the others."""
    async with reloadable(tmp_path, "kept") as (one, written):
        before = await pool_status(tmp_path, "kept")
        written.config = one.config("other", "kept")
        assert await reload(tmp_path) == ({"other": "added", "kept": "kept"}, [])
        await trio.sleep(5)
        assert (await pool_status(tmp_path, "other"))["state"] == "live"
        one.pools["other"].emit()
        await trio.sleep(1)
        assert one.ids("other") == [5]
        await check_kept(one, before)


async def test_pool_that_was_removed_ends_with_its_last_words(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """It is logged out of, its record ends with a gap; the others do not notice."""
    async with reloadable(tmp_path, "kept", "other") as (one, written):
        before = await pool_status(tmp_path, "kept")
        written.config = one.config("kept")
        assert await reload(tmp_path) == ({"kept": "kept", "other": "removed"}, [])
        assert await names(tmp_path) == ["kept"]
        (opened,) = one.bodies(GapOpened, "other")
        assert opened.cause is GapCause.RECORDER_STOPPED
        assert opened.detail == "the configuration names it no more"
        assert one.pools["other"].count("session.logout") == 1
        calls = len(one.pools["other"].host.calls)
        await trio.sleep(300)
        assert len(one.pools["other"].host.calls) == calls
        check_gaps(one, "other")
        await check_kept(one, before)


async def test_pool_that_was_changed_is_ended_and_begun_anew(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """As it is configured now, with a gap in between; the others do not notice."""
    async with reloadable(tmp_path, "kept", "other") as (one, written):
        before = await pool_status(tmp_path, "kept")
        written.change(
            "other", stream=Stream.FROM, addresses=("http://127.0.0.9", "http://127.0.0.2")
        )
        assert await reload(tmp_path) == ({"kept": "kept", "other": "changed"}, [])
        await trio.sleep(5)
        opened, closed = one.only_gap("other")
        assert opened.cause is GapCause.RECORDER_STOPPED
        assert opened.detail == "its configuration changed"
        assert closed is not None
        assert (await pool_status(tmp_path, "other"))["stream"] == "from"
        assert one.marks(MarkName.REGISTERED, "other")[-1].detail["stream"] == "from"
        await check_kept(one, before)


async def test_pool_that_comes_back_goes_on_where_it_was_left(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The gap of its removal is closed by its new baseline."""
    async with reloadable(tmp_path, "kept", "other") as (one, written):
        written.config = one.config("kept")
        await reload(tmp_path)
        await trio.sleep(100)
        written.config = one.config("kept", "other")
        assert (await reload(tmp_path))[0]["other"] == "added"
        await trio.sleep(5)
        assert len(one.bodies(GapOpened, "other")) == 1
        assert len(one.bodies(GapClosed, "other")) == 1


async def test_every_pool_may_be_exchanged(tmp_path: Path, autojump_clock: Clock) -> None:
    """Also when none stays: the journal and its clients go on."""
    async with reloadable(tmp_path, "kept") as (one, written):
        written.config = one.config("third")
        assert (await reload(tmp_path))[0] == {"third": "added", "kept": "removed"}
        await trio.sleep(5)
        assert (await pool_status(tmp_path, "third"))["state"] == "live"
        assert len(one.recorder_marks()) == 1


async def test_reload_that_changes_nothing_changes_nothing(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Not even an entry is written."""
    async with reloadable(tmp_path, "kept", "other") as (one, _written):
        before = await pool_status(tmp_path, "kept")
        entries = len(one.entries("kept")) + len(one.entries("other"))
        assert await reload(tmp_path) == ({"kept": "kept", "other": "kept"}, [])
        assert len(one.entries("kept")) + len(one.entries("other")) == entries
        await check_kept(one, before)


async def test_refused_pool_is_tried_again_at_once(tmp_path: Path, autojump_clock: Clock) -> None:
    """Whoever has mended a password does not wait for the minute that accounts are spared."""
    async with stage(tmp_path, {"kept": ScriptedPool(), "other": ScriptedPool()}) as one:
        written = Written(one.config())
        one.listen, one.reread = endpoint.listen, written.read
        good = one.pools["other"].host.methods["session.login_with_password"]
        one.pools["other"].host.methods["session.login_with_password"] = REFUSE
        async with one.recording():
            await trio.sleep(2)
            one.pools["other"].host.methods["session.login_with_password"] = good
            assert (await reload(tmp_path))[0] == {"kept": "kept", "other": "retried"}
            await trio.sleep(2)
            assert (await pool_status(tmp_path, "other"))["state"] == "live"
            assert one.bodies(GapOpened, "other") == []


async def test_next_session_uses_the_password_that_was_read_again(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A password that was changed on both sides ends no session, and fails no next one."""
    passwords = {"kept": "correct horse"}
    async with stage(tmp_path, {"kept": ScriptedPool()}) as one:
        one.password = lambda pool: passwords[pool.name]
        written = Written(one.config())
        one.listen, one.reread = endpoint.listen, written.read
        async with one.recording():
            await trio.sleep(5)
            before = await pool_status(tmp_path, "kept")

            good = one.pools["kept"].host.methods["session.login_with_password"]

            def log_in(user: str, password: str, version: str, originator: str) -> object:
                assert password == "battery staple", password
                return good(user, "correct horse", version, originator)

            one.pools["kept"].host.methods["session.login_with_password"] = log_in
            passwords["kept"] = "battery staple"
            assert (await reload(tmp_path))[0] == {"kept": "kept"}
            await check_kept(one, before)
            one.pools["kept"].trouble(fault("SESSION_INVALID", "x"))
            await trio.sleep(5)
            assert (await pool_status(tmp_path, "kept"))["state"] == "live"


# -- what is not done --------------------------------------------------------------------------


async def test_file_with_mistakes_changes_nothing(tmp_path: Path, autojump_clock: Clock) -> None:
    """All mistakes are told at once, those of addresses and passwords, too."""
    async with reloadable(tmp_path, "kept", "other") as (one, written):
        before = await pool_status(tmp_path, "kept")
        written.config = one.config("third")
        written.change("third", addresses=("ftp://nowhere",))
        written.mistakes = ("r.toml: unknown key pols; did you mean 'pools'?", "r.toml: and more")
        name, texts = await refusal(tmp_path, {"command": "reload"})
        assert name == "config-refused"
        assert texts[:2] == list(written.mistakes)
        assert len(texts) == 3
        assert "ftp://nowhere" in texts[2]
        assert await names(tmp_path) == ["kept", "other"]
        await check_kept(one, before)


async def test_sections_that_changed_are_told_and_the_rest_is_done(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """They need a restart, and each reload says so until there was one."""
    async with reloadable(tmp_path, "kept") as (one, written):
        written.config = msgspec.structs.replace(
            one.config("kept", "other"), limits=Limits(silence_s=1.0)
        )
        expected = ({"kept": "kept", "other": "added"}, ["limits.silence_s"])
        assert await reload(tmp_path) == expected
        await trio.sleep(100)
        assert (await pool_status(tmp_path, "other"))["state"] == "live"
        assert await reload(tmp_path) == ({"kept": "kept", "other": "kept"}, ["limits.silence_s"])


async def test_reload_on_a_full_disk_is_refused(tmp_path: Path, autojump_clock: Clock) -> None:
    """Last words would have no room."""
    async with reloadable(tmp_path, "kept", "other") as (one, written):
        one.disk.write_error = errno.ENOSPC
        one.pools["kept"].emit()
        await trio.sleep(1)
        written.config = one.config("kept")
        name, _ = await refusal(tmp_path, {"command": "reload"})
        assert name == "disk-full"
        assert await names(tmp_path) == ["kept", "other"]
        one.disk.write_error = None
        await trio.sleep(2)
        assert (await reload(tmp_path))[0] == {"kept": "kept", "other": "removed"}


async def test_last_words_that_were_lost_are_made_up_for(
    tmp_path: Path, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk without room while a pool is removed leaves no record without an end."""
    monkeypatch.setattr(keeper, "SUBMISSIONS_MAX", 0)
    async with reloadable(tmp_path, "kept", "other") as (one, written):
        written.config = one.config("kept")

        async def fill_the_disk(_session: str) -> object:
            one.disk.write_error = errno.ENOSPC
            one.pools["kept"].emit()
            await trio.sleep(0.5)
            return ""

        one.pools["other"].host.methods["session.logout"] = fill_the_disk
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reload, tmp_path)
            await trio.sleep(60)
            one.disk.write_error = None
        await trio.sleep(2)
        (opened,) = one.bodies(GapOpened, "other")
        assert opened.cause is GapCause.RECORDER_DIED
        check_gaps(one, "other")
        assert await names(tmp_path) == ["kept"]
