"""The keeper: group commits, acknowledgements, idle heartbeats, a full disk, a failed disk."""

import errno
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.errors import JournalWriteFailed
from recorder.journal.files import Disk
from recorder.journal.scan import scan
from recorder.journal.store import Journal
from recorder.keeper import IDLE_HEARTBEAT_S, Keeper, Pen, Submission, open_channel
from recorder.model import RECORDER, Draft, Event, Heartbeat, Operation
from recorder.threads import inline


def event(number: int, pool: str = "lab") -> Draft:
    return Draft(number, pool, Event(number, 0.0, "vm", Operation.MOD, "OpaqueRef:1", b"{}"))


def ids_in(folder: Path) -> list[int]:
    return [entry.body.id for entry in scan(folder) if isinstance(entry.body, Event)]


class FaultyDisk(Disk):
    """Refuses a number of writes, or syncs, with an error of the operating system."""

    def __init__(self) -> None:
        self.refuse_writes = 0
        self.refuse_syncs = 0
        self.code = errno.ENOSPC

    def write(self, fd: int, data: memoryview) -> int:
        if self.refuse_writes:
            self.refuse_writes -= 1
            raise OSError(self.code, "refused")
        return super().write(fd, data)

    def sync(self, fd: int) -> None:
        if self.refuse_syncs:
            self.refuse_syncs -= 1
            raise OSError(self.code, "refused")
        super().sync(fd)


def keeper_of(
    folder: Path, disk: Disk | None = None
) -> "tuple[Keeper, Pen, trio.MemoryReceiveChannel[Submission], list[range]]":
    groups: list[range] = []
    journal = Journal.open(folder, now_ns=lambda: 0, disk=disk)
    keeper = Keeper(
        journal,
        now_ns=lambda: 7,
        observer=lambda seqs, _drafts: groups.append(seqs),
        run_sync=inline,
    )
    pen, receiver = open_channel()
    return keeper, pen, receiver, groups


async def test_what_waits_becomes_one_group(tmp_path: Path) -> None:
    """Everything handed over while the disk was busy is made durable by one sync."""
    keeper, pen, receiver, groups = keeper_of(tmp_path)
    for number in range(10):
        await pen.put([event(number)])
    pen.close()
    await keeper.keep(receiver)
    assert groups == [range(1, 11)]
    assert ids_in(tmp_path) == list(range(10))


async def test_write_returns_the_sequence_numbers_of_its_own_drafts(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """An acknowledgement names exactly the entries that were handed over with it."""
    keeper, pen, receiver, _ = keeper_of(tmp_path)
    seqs: dict[int, range] = {}

    async def write(number: int, count: int) -> None:
        other = pen.clone()
        seqs[number] = await other.write([event(number)] * count)
        other.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, receiver)
        for number in range(1, 6):
            nursery.start_soon(write, number, number)
        await trio.testing.wait_all_tasks_blocked()
        pen.close()
    entries = {entry.seq: entry.body for entry in scan(tmp_path)}
    for number, of_it in seqs.items():
        bodies = [entries[seq] for seq in of_it]
        assert [body.id for body in bodies if isinstance(body, Event)] == [number] * number


async def test_heartbeat_follows_the_last_data_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """One second after the last data comes one heartbeat, and then silence."""
    keeper, pen, receiver, _ = keeper_of(tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, receiver)
        await pen.put([event(1)])
        await trio.sleep(100 * IDLE_HEARTBEAT_S)
        pen.close()
    bodies = [(entry.pool, entry.body) for entry in scan(tmp_path)]
    assert bodies[1:] == [(RECORDER, Heartbeat())]


async def test_full_disk_pauses_and_loses_nothing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """While the disk is full nothing is acknowledged; then everything is there once."""
    disk = FaultyDisk()
    keeper, pen, receiver, groups = keeper_of(tmp_path, disk)
    disk.refuse_writes = 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, receiver)
        began = trio.current_time()
        seqs = await pen.write([event(number) for number in range(5)])
        assert trio.current_time() - began == pytest.approx(3.0)
        pen.close()
    assert seqs == range(1, 6)
    assert groups == [range(1, 6)]
    assert ids_in(tmp_path) == list(range(5))


async def test_failed_sync_ends_the_keeper(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A sync that failed is never retried, and what waited for it is not acknowledged."""
    disk = FaultyDisk()
    keeper, pen, receiver, groups = keeper_of(tmp_path, disk)
    disk.refuse_syncs, disk.code = 1, errno.EIO
    await pen.put([event(1)])
    with pytest.raises(JournalWriteFailed):
        await keeper.keep(receiver)
    assert groups == []
    assert await pen.last_words([event(2)]) is None
