"""Following a recorder: all that becomes durable, in order, and nobody waits for a slow client."""

import errno
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.control import endpoint, following, server
from recorder.control.kinds import Kind
from recorder.model import Heartbeat
from tests.daemon.clients import Client, Json, controlled, recorder_status
from tests.daemon.clients import following as following_at
from tests.watch.scripted import drop, stage

Clock = trio.testing.MockClock


async def test_slow_client_holds_up_neither_the_recorder_nor_others(
    tmp_path: Path, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that reads nothing is told later what it missed; the other is told everything."""
    monkeypatch.setattr(following, "ENTRIES_MAX", 500)
    count = 6000
    async with (
        controlled(tmp_path) as one,
        following_at(tmp_path, kinds=["event"]) as slow,
        following_at(tmp_path, kinds=["event"]) as quick,
    ):
        for _ in range(count // 100):
            one.pools["lab"].emit(100)
            for _ in range(100):
                line = await quick.line()
                assert line is not None
                assert line["kind"] == "event"
        assert trio.current_time() < 2
        kept, missed, last_seq = 0, 0, 0
        while kept + missed < count:
            line = await slow.line()
            assert line is not None
            kept += line["kind"] == "event"
            missed += int(str(line.get("count", 0)))
            assert int(str(line.get("first_seq") or line["seq"])) > last_seq
            last_seq = int(str(line.get("last_seq") or line["seq"]))
    assert kept + missed == count
    assert missed > 0


async def test_stop_waits_for_no_client(tmp_path: Path, autojump_clock: Clock) -> None:
    """One that reads nothing has a second to take its leave."""
    async with stage(tmp_path) as one:
        one.listen = endpoint.listen
        ended_s: list[float] = []

        async def serve(task_status: trio.TaskStatus[None]) -> None:
            try:
                await one.serve(task_status=task_status)
            finally:
                ended_s.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            await nursery.start(serve)
            await trio.sleep(1)
            async with following_at(tmp_path):
                one.pools["lab"].emit(5000)
                await trio.sleep(1)
                cancelled_s = trio.current_time()
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await trio.sleep(30)
    assert ended_s[0] - cancelled_s == pytest.approx(server.GOODBYE_S_MAX)


# -- live --------------------------------------------------------------------------------------


async def read_until_end(client: Client) -> list[Json]:
    told = await client.rest()
    assert told[-1] == {"kind": "end", "reason": "the recorder stopped"}
    return told[:-1]


async def test_what_is_told_is_what_the_journal_holds(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Every entry from the first line on, in order, through a gap and up to the last words."""
    async with stage(tmp_path) as one:
        one.listen = endpoint.listen
        async with trio.open_nursery() as nursery:
            await nursery.start(one.serve)
            await trio.sleep(1)
            after = (await recorder_status(tmp_path))["last_seq"]
            async with following_at(tmp_path, kinds=list(Kind)) as client:
                one.pools["lab"].emit(3)
                await trio.sleep(1)
                one.pools["lab"].trouble(drop)
                await trio.sleep(100)
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    lines_told = await read_until_end(client)
        entries = [
            entry
            for name in ("", "lab")
            for entry in one.entries(name)
            if entry.seq > after and not isinstance(entry.body, Heartbeat)
        ]
    assert [line["seq"] for line in lines_told] == sorted(entry.seq for entry in entries)
    assert lines_told[-1]["name"] == "stopped"
    assert {"event", "gap", "mark", "baseline"} == {line["kind"] for line in lines_told}


async def test_nothing_is_told_before_it_is_durable(tmp_path: Path, autojump_clock: Clock) -> None:
    """On a full disk events wait, and are told with the mark of it once they are on the disk."""
    async with controlled(tmp_path) as one, following_at(tmp_path) as client:
        one.disk.write_error = errno.ENOSPC
        one.pools["lab"].emit(2)
        with trio.move_on_after(20):
            raise AssertionError(await client.line())
        one.disk.write_error = None
        told_lines = [await client.line() for _ in range(3)]
        kinds = [(line or {}).get("kind") for line in told_lines]
        assert kinds == ["event", "event", "mark"]
        assert (told_lines[2] or {})["name"] == "disk-full"


async def test_client_that_is_gone_is_forgotten(tmp_path: Path, autojump_clock: Clock) -> None:
    """Also if nothing happens that it could be told."""
    async with controlled(tmp_path):
        async with following_at(tmp_path, kinds=["gap"]):
            assert (await recorder_status(tmp_path))["followers"] == 1
        await trio.sleep(0.1)
        assert (await recorder_status(tmp_path))["followers"] == 0


async def test_client_that_reads_nothing_for_long_makes_room(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A terminal that was stopped and forgotten does not keep its place for ever."""
    async with controlled(tmp_path) as one, following_at(tmp_path):
        one.pools["lab"].emit(10_000)
        await trio.sleep(server.STALL_S_MAX - 10)
        assert (await recorder_status(tmp_path))["followers"] == 1
        await trio.sleep(20)
        assert (await recorder_status(tmp_path))["followers"] == 0
