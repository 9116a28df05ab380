"""`status` over the control socket: how a recorder and its pools stand."""

import errno
import os
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.control import endpoint
from tests.daemon.clients import Json, controlled, pool_status, status
from tests.watch.scripted import ScriptedPool, drop, fault, never, stage

Clock = trio.testing.MockClock


async def test_status_of_a_live_pool_tells_everything(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Where it is connected, since when, what came last and how it was kept."""
    async with controlled(tmp_path) as one:
        pool = one.pools["lab"]
        pool.emit(6)
        await trio.sleep(10)
        told = await pool_status(tmp_path)
        (registered,) = [
            entry.seq
            for entry in one.entries()
            if getattr(entry.body, "name", None) == "registered"
        ]
    assert told == {
        "pool": "lab",
        "state": "live",
        "stream": "register",
        "master": "http://127.0.0.1:80",
        "codec": "json-rpc",
        "connected_at": "2026-09-21T14:13:20Z",
        "epoch": registered,
        "last_event_id": 10,
        "last_event_at": "2026-09-21T14:13:21Z",
        "last_event_age_s": 10.0,
        "lag_s": 0.0,
        "events": 6,
        "events_per_s": 0.1,
        "pressure_percent": 0.0,
        "gap": None,
        "baseline": told["baseline"],
        "error": None,
        "run": None,
        "schedule": None,
        "last_audit_line_at": None,
        "last_audit_line_age_s": None,
    }
    baseline = told["baseline"]
    assert isinstance(baseline, dict)
    assert (baseline["classes"], baseline["objects"]) == (2, 2)
    assert baseline["age_s"] == 11.0


async def test_status_of_the_recorder_tells_where_its_journal_is(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Entries and their last number agree with the journal, and so does the checkpoint."""
    async with controlled(tmp_path) as one:
        await trio.sleep(0.5)
        last_seq = one.entries("")[-1].seq
        before = (await status(tmp_path))["recorder"]
        await trio.sleep(100)
        after = (await status(tmp_path))["recorder"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert before["entries"] == before["last_seq"] == before["unsigned"]
    assert before["last_seq"] >= last_seq
    assert before["checkpoint"] is None
    assert (before["pid"], before["segment"], before["disk_full"]) == (os.getpid(), 1, False)
    assert (before["uptime_s"], after["uptime_s"]) == (1.5, 101.5)
    assert after["checkpoint"]["seq"] == after["last_seq"] - after["unsigned"]
    assert after["checkpoint"]["seq"] > before["last_seq"]


async def test_state_follows_the_life_of_a_pool(tmp_path: Path, autojump_clock: Clock) -> None:
    """Connecting, reading, live, blind with its gap, and live again with another epoch."""
    async with stage(tmp_path, {"lab": ScriptedPool(), "other": ScriptedPool()}) as one:
        one.listen = endpoint.listen
        lab = one.pools["lab"]
        read = lab.host.methods["VM.get_all_records"]
        lab.host.methods["VM.get_all_records"] = never
        one.cut("lab")
        states = []
        async with one.recording():

            async def look() -> Json:
                told = await pool_status(tmp_path)
                states.append(told["state"])
                return told

            await trio.sleep(1)
            assert "connection refused" in str((await look())["error"])
            one.mend("lab")
            await trio.sleep(1)
            first = await look()
            lab.host.methods["VM.get_all_records"] = read
            await trio.sleep(200)
            await look()
            one.cut("lab")
            lab.trouble(drop)
            await trio.sleep(1)
            blind = await look()
            gap = blind["gap"]
            assert isinstance(gap, dict)
            assert gap["cause"] == "connection-lost"
            assert one.gap_at(gap["seq"])[0].cause == "connection-lost"
            assert (blind["master"], blind["epoch"]) == (None, None)
            one.mend("lab")
            await trio.sleep(2)
            again = await look()
            assert again["gap"] is None
            assert isinstance(first["epoch"], int)
            assert isinstance(again["epoch"], int)
            assert again["epoch"] > gap["seq"] > first["epoch"]
    assert states == ["connecting", "baseline", "live", "blind", "live"]


async def test_state_of_a_pool_that_refuses_us_is_refused(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Only a person can mend it, and is told what."""
    async with stage(tmp_path, {"lab": ScriptedPool(), "other": ScriptedPool()}) as one:
        one.listen = endpoint.listen
        refuse = fault("SESSION_AUTHENTICATION_FAILED", "root", "no")
        one.pools["lab"].host.methods["session.login_with_password"] = refuse
        async with one.recording():
            await trio.sleep(1)
            told = await pool_status(tmp_path)
            assert (await pool_status(tmp_path, "other"))["state"] == "live"
    assert told["state"] == "refused"
    assert "refuses user 'root'" in str(told["error"])


async def test_status_is_answered_while_the_disk_is_full(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Just then it is asked for: every pool says so, and the lag grows until there is room."""
    async with controlled(tmp_path) as one:
        one.disk.write_error = errno.ENOSPC
        one.pools["lab"].emit()
        await trio.sleep(20)
        told, recorder = await pool_status(tmp_path), (await status(tmp_path))["recorder"]
        one.disk.write_error = None
        await trio.sleep(2)
        after = await pool_status(tmp_path)
    assert isinstance(recorder, dict)
    assert recorder["disk_full"]
    assert told["state"] == "disk-full"
    assert told["lag_s"] == pytest.approx(20)
    assert after["state"] == "live"


async def test_gap_from_before_the_start_is_shown_without_a_cause(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A recorder that was stopped and does not reach its pool yet is blind, not just connecting."""
    async with stage(tmp_path, {"lab": ScriptedPool(), "other": ScriptedPool()}) as one:
        one.listen = endpoint.listen
        async with one.recording():
            await trio.sleep(1)
        one.cut("lab")
        async with one.recording():
            await trio.sleep(1)
            told = await pool_status(tmp_path)
    gap = told["gap"]
    assert told["state"] == "blind"
    assert isinstance(gap, dict)
    assert gap["cause"] is None
