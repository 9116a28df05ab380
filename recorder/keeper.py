"""The single owner of the journal: takes drafts from everyone, makes them durable in groups."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import trio

from . import logs
from .clock import WallClock
from .journal.store import DiskFull, Journal
from .model import RECORDER, Draft, Heartbeat
from .threads import RunSync

SUBMISSIONS_MAX = 64
"""Slots of the channel to the keeper. A submission is one reply of `event.next` or one baseline
chunk. A busy pool answers every few milliseconds and a sync takes about one, so 64 slots ride out
a slow disk of some 100 ms. A reply is at most the server's 10 MB queue: in the worst case, which
no server sustains, 640 MB wait here; the usual case is 64 replies of 10 KB."""

GROUP_DRAFTS_MAX = 20_000
"""A group commit takes what is waiting up to here: about 60 MB, a fraction of a second of disk."""

IDLE_HEARTBEAT_S = 1.0
"""A frame after the last data tells a torn frame from a damaged one (see FORMAT.md)."""

DISK_FULL_RETRY_S = 1.0


Observer = Callable[[range, Sequence[Draft]], None]


@dataclass(slots=True)
class Submission:
    """Drafts that become durable together; `durable` is set once `seqs` are known."""

    drafts: Sequence[Draft]
    durable: trio.Event = field(default_factory=trio.Event)
    seqs: range = range(0)


class Pen:
    """The sending end of the keeper's channel: everyone who writes holds a clone.

    Closing the last clone tells the keeper that nothing more will come.
    """

    def __init__(self, channel: "trio.MemorySendChannel[Submission]") -> None:
        self._channel = channel

    def clone(self) -> "Pen":
        """Return another pen for another writer; each is closed on its own."""
        return Pen(self._channel.clone())

    async def put(self, drafts: Sequence[Draft]) -> Submission:
        """Hand drafts over, waiting while the keeper is behind. Order is kept.

        A put that is cancelled has handed over nothing.
        """
        submission = Submission(drafts)
        try:
            await self._channel.send(submission)
        except trio.BrokenResourceError:
            # The keeper died of an error of its own, which is on its way to cancel us.
            await trio.sleep_forever()
        return submission

    async def write(self, drafts: Sequence[Draft]) -> range:
        """Hand drafts over and wait until they are durable; return their sequence numbers."""
        submission = await self.put(drafts)
        await submission.durable.wait()
        return submission.seqs

    async def last_words(self, drafts: Sequence[Draft]) -> range | None:
        """Like `write`, for the end of a writer: None if the keeper has died before it."""
        submission = Submission(drafts)
        try:
            await self._channel.send(submission)
        except trio.BrokenResourceError:
            logs.error("last-words-lost", entries=len(drafts))
            return None
        await submission.durable.wait()
        return submission.seqs

    def close(self) -> None:
        """Say that this writer is done."""
        self._channel.close()


def open_channel() -> "tuple[Pen, trio.MemoryReceiveChannel[Submission]]":
    """Return the first pen and the end that `Keeper.keep` reads."""
    sender, receiver = trio.open_memory_channel[Submission](SUBMISSIONS_MAX)
    return Pen(sender), receiver


class Keeper:
    """Writes group commits: everything that waits goes into one append and one sync.

    `observer` is told of every durable group, on the trio thread. `run_sync` runs the disk call
    (a thread; inline in simulations, whose virtual clock does not wait for threads).
    """

    def __init__(
        self,
        journal: Journal,
        *,
        now_ns: WallClock,
        observer: Observer | None = None,
        run_sync: RunSync = trio.to_thread.run_sync,
    ) -> None:
        self._journal = journal
        self._now_ns = now_ns
        self._observer = observer
        self._run_sync = run_sync

    async def keep(self, receiver: "trio.MemoryReceiveChannel[Submission]") -> None:
        """Serve until the last pen is closed; then seal and close the journal.

        A JournalWriteFailed other than a full disk ends the recorder: what the disk refused once
        must not be retried on the same file.
        """
        try:
            async with receiver:
                await self._keep_until_closed(receiver)
        finally:
            # Also when it is given up or failed: the lock must not outlive the keeper.
            with trio.CancelScope(shield=True):
                await self._run_sync(self._journal.close)

    async def _keep_until_closed(self, receiver: "trio.MemoryReceiveChannel[Submission]") -> None:
        idle = True
        while True:
            try:
                group = await self._next_group(receiver, heartbeat_due=not idle)
            except trio.EndOfChannel:
                return
            idle = not group
            submissions = group or [
                Submission([Draft(self._now_ns(), RECORDER, Heartbeat())]),
            ]
            await self._commit(submissions)

    async def _next_group(
        self, receiver: "trio.MemoryReceiveChannel[Submission]", *, heartbeat_due: bool
    ) -> list[Submission]:
        """Return what waits, or nothing if a heartbeat is due first."""
        with trio.move_on_after(IDLE_HEARTBEAT_S if heartbeat_due else float("inf")):
            group = [await receiver.receive()]
            drafts = len(group[0].drafts)
            while drafts < GROUP_DRAFTS_MAX:
                try:
                    group.append(receiver.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
                drafts += len(group[-1].drafts)
            return group
        return []

    async def _commit(self, group: Sequence[Submission]) -> None:
        drafts = [draft for submission in group for draft in submission.drafts]
        seqs = await self._append(drafts)
        start = seqs.start
        for submission in group:
            submission.seqs = range(start, start + len(submission.drafts))
            start = submission.seqs.stop
            submission.durable.set()
        if self._observer is not None:
            self._observer(seqs, drafts)

    async def _append(self, drafts: Sequence[Draft]) -> range:
        """Append, waiting while the disk is full: intake stops by itself behind the channel."""
        start: int | None = None
        while True:
            try:
                seqs = await self._run_sync(partial(self._journal.append, drafts))
            except DiskFull as error:
                if start is None:
                    start = self._journal.next_seq - error.written
                    logs.error("disk-full", error=str(error))
                drafts = drafts[error.written :]
                await trio.sleep(DISK_FULL_RETRY_S)
            else:
                if start is not None:
                    logs.info("disk-has-space")
                return seqs if start is None else range(start, seqs.stop)
