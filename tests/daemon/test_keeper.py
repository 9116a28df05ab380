"""The keeper: group commits, acknowledgements, idle heartbeats, a full disk, a failed disk."""

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.clock import WallClock
from recorder.errors import JournalWriteFailed
from recorder.journal.files import Disk
from recorder.journal.scan import scan
from recorder.journal.store import CHECKPOINT_S, DiskFull, Journal, News
from recorder.keeper import (
    GROUP_DRAFTS_MAX,
    IDLE_HEARTBEAT_S,
    Inbox,
    Keeper,
    Pen,
    open_channel,
)
from recorder.model import RECORDER, Draft, Event, Heartbeat, Mark, MarkName, Operation
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
    folder: Path,
    disk: Disk | None = None,
    *,
    now_ns: WallClock = lambda: 7,
    hear: Callable[[News], None] | None = None,
) -> tuple[Keeper, Pen, Inbox, list[range]]:
    groups: list[range] = []
    journal = Journal.open(folder, now_ns=lambda: 0, disk=disk)
    keeper = Keeper(
        journal,
        now_ns=now_ns,
        observers=[lambda seqs, _drafts: groups.append(seqs)],
        hear=hear,
        run_sync=inline,
    )
    pen, inbox = open_channel()
    return keeper, pen, inbox, groups


async def test_every_observer_is_told_every_group(tmp_path: Path) -> None:
    """Each sees what became durable, in the same order, with its sequence numbers."""
    told: list[list[tuple[range, int]]] = [[], []]
    journal = Journal.open(tmp_path, now_ns=lambda: 0)
    observers = [lambda seqs, drafts, to=to: to.append((seqs, len(drafts))) for to in told]
    keeper = Keeper(journal, now_ns=lambda: 7, observers=observers, run_sync=inline)
    pen, inbox = open_channel()
    await pen.put([event(1), event(2)])
    pen.close()
    await keeper.keep(inbox)
    assert told == [[(range(1, 3), 2)]] * 2


def marks_in(folder: Path) -> list[Mark]:
    return [entry.body for entry in scan(folder) if isinstance(entry.body, Mark)]


async def test_what_waits_becomes_one_group(tmp_path: Path) -> None:
    """Everything handed over while the disk was busy is made durable by one sync."""
    keeper, pen, inbox, groups = keeper_of(tmp_path)
    for number in range(10):
        await pen.put([event(number)])
    pen.close()
    await keeper.keep(inbox)
    assert groups == [range(1, 11)]
    assert ids_in(tmp_path) == list(range(10))


async def test_what_came_first_does_not_wait_for_more_than_a_full_group(tmp_path: Path) -> None:
    """Behind a slow disk a group ends with what fills it; the next takes the rest."""
    keeper, pen, inbox, groups = keeper_of(tmp_path)
    half = (GROUP_DRAFTS_MAX + 1) // 2
    for number in range(5):
        await pen.put([event(number)] * half)
    pen.close()
    await keeper.keep(inbox)
    assert [len(group) for group in groups] == [2 * half, 2 * half, half]
    assert ids_in(tmp_path) == [number for number in range(5) for _ in range(half)]


async def test_write_returns_the_sequence_numbers_of_its_own_drafts(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """An acknowledgement names exactly the entries that were handed over with it."""
    keeper, pen, inbox, _ = keeper_of(tmp_path)
    seqs: dict[int, range] = {}

    async def write(number: int, count: int) -> None:
        other = pen.clone()
        seqs[number] = await other.write([event(number)] * count)
        other.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, inbox)
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
    keeper, pen, inbox, _ = keeper_of(tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, inbox)
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
    keeper, pen, inbox, groups = keeper_of(tmp_path, disk)
    disk.refuse_writes = 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, inbox)
        began = trio.current_time()
        seqs = await pen.write([event(number) for number in range(5)])
        assert trio.current_time() - began == pytest.approx(3.0)
        pen.close()
    assert seqs == range(1, 6)
    assert groups == [range(1, 6), range(6, 7)], "of the mark that says so, too, and after it"
    assert ids_in(tmp_path) == list(range(5))


async def test_full_disk_is_told_once_there_is_room(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Whoever writes can see that the disk is full; afterwards a mark says how long it was."""
    disk = FaultyDisk()
    keeper, pen, inbox, _ = keeper_of(tmp_path, disk, now_ns=lambda: int(trio.current_time() * 1e9))
    disk.refuse_writes = 3
    began_ns = int(trio.current_time() * 1e9)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, inbox)
        await pen.put([event(number) for number in range(5)])
        await trio.sleep(0.5)
        full = [pen.disk_is_full]
        await trio.sleep(5.0)
        full.append(pen.disk_is_full)
        pen.close()
    assert full == [True, False]
    (mark,) = marks_in(tmp_path)
    assert mark.name is MarkName.DISK_FULL
    since, until = mark.detail["since_ns"], mark.detail["until_ns"]
    assert isinstance(since, int)
    assert isinstance(until, int)
    assert since == pytest.approx(began_ns, abs=1e6)
    assert (until - since) / 1e9 == pytest.approx(3.0)
    assert mark.detail["waiting"] == 5


async def test_clock_that_goes_back_is_a_mark(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Order is that of the numbers; the mark says that times before and after do not compare."""
    now_ns = [10_000_000_000]
    keeper, pen, inbox, _ = keeper_of(tmp_path, now_ns=lambda: now_ns[0])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, inbox)
        for at_ns in (10_000_000_000, 9_500_000_000, 20_000_000_000, 5_000_000_000):
            now_ns[0] = at_ns
            await pen.write([event(1)])
        pen.close()
    (mark,) = marks_in(tmp_path)
    assert mark.name is MarkName.CLOCK_STEPPED
    assert mark.detail == {"from_ns": 20_000_000_000, "to_ns": 5_000_000_000}


async def test_clock_that_went_back_between_two_runs_is_a_mark(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """What the journal holds was received later than now: the clock was set in between."""
    for at_ns in (50_000_000_000, 20_000_000_000):
        keeper, pen, inbox, _ = keeper_of(tmp_path, now_ns=partial(int, at_ns))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.keep, inbox)
            await pen.write([Draft(at_ns, "lab", event(1).body)])
            pen.close()
    (mark,) = marks_in(tmp_path)
    assert mark.detail == {"from_ns": 50_000_000_000, "to_ns": 20_000_000_000}


async def test_quiet_journal_is_signed_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """What came last does not wait for more: a minute later a checkpoint vouches for it."""
    heard: list[News] = []
    keeper, pen, inbox, _ = keeper_of(tmp_path, hear=heard.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, inbox)
        await pen.write([event(1)])
        await trio.sleep(IDLE_HEARTBEAT_S + CHECKPOINT_S / 2)
        assert heard == []
        await trio.sleep(100 * CHECKPOINT_S)
        (news,) = heard
        (note,) = news.notes
        assert note.splitlines()[1] == "2"  # the event and the heartbeat
        pen.close()
    told = [(len(news.notes), len(news.sealed)) for news in heard]
    assert told == [(1, 0), (1, 1)], "each is told once"


async def test_chore_is_done_between_two_commits(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The journal is nobody's but the keeper's: what else it has to do waits for its turn."""
    keeper, pen, inbox, _ = keeper_of(tmp_path)
    disk_full = DiskFull("no room")

    def refuse(_journal: Journal) -> None:
        raise disk_full

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, inbox)
        assert await pen.write([event(1)]) == range(1, 2)
        assert await pen.ask(lambda journal: journal.next_seq) == 2
        with pytest.raises(DiskFull) as caught:
            await pen.ask(refuse)
        assert caught.value is disk_full
        assert await pen.write([event(2)]) == range(2, 3)
        pen.close()


async def test_failed_sync_ends_the_keeper(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A sync that failed is never retried, and what waited for it is not acknowledged."""
    disk = FaultyDisk()
    keeper, pen, inbox, groups = keeper_of(tmp_path, disk)
    disk.refuse_syncs, disk.code = 1, errno.EIO
    await pen.put([event(1)])
    with pytest.raises(JournalWriteFailed):
        await keeper.keep(inbox)
    assert groups == []
    assert await pen.last_words([event(2)]) is None
