"""The single owner of the journal: takes drafts from everyone, makes them durable in groups."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

import msgspec
import trio

from . import logs
from .clock import WallClock
from .journal.store import CHECKPOINT_S, DiskFull, Journal, News
from .model import RECORDER, Detail, Draft, Heartbeat, Mark, MarkName
from .threads import RunSync, own_thread

T = TypeVar("T")

SUBMISSIONS_MAX = 64
"""Slots of the channel to the keeper. A submission is one reply of `event.next` or one baseline
chunk. A busy pool answers every few milliseconds and a sync takes about one, so 64 slots ride out
a slow disk of some 100 ms. A reply is at most the server's 10 MB queue: in the worst case, which
no server sustains, 640 MB wait here; the usual case is 64 replies of 10 KB."""

GROUP_DRAFTS_MAX = 1_300
"""A group commit takes what is waiting until it has so much: about a frame of 4 MiB.

The journal syncs every frame, so that a larger group saves no sync where events have their usual
3 KB. It only keeps its first entries waiting for the last, and costs a seventh more of the
processor: each step over it finds its bytes gone from the cache.
"""

IDLE_HEARTBEAT_S = 1.0
"""A frame after the last data tells a torn frame from a damaged one (see FORMAT.md)."""

DISK_FULL_RETRY_S = 1.0

CLOCK_STEP_NS = 1_000_000_000
"""A clock that goes back by less is being set right bit by bit, which nobody has to know."""

Observer = Callable[[range, Sequence[Draft]], None]


class Submission(msgspec.Struct):
    """Drafts that become durable together; `durable` is set once `seqs` are known.

    The drafts are given away then: whoever waits for the numbers does not hold 10 MB of events.
    """

    drafts: Sequence[Draft]
    durable: trio.Event = msgspec.field(default_factory=trio.Event)
    seqs: range = range(0)
    durable_at_s: float | None = None
    """On trio's clock."""


class Place(msgspec.Struct, frozen=True):
    """Where an entry is in a submission, and then in the journal."""

    submission: Submission
    offset: int

    @property
    def seq(self) -> int | None:
        """Its sequence number, None until it is durable."""
        seqs = self.submission.seqs
        return seqs[self.offset] if self.submission.durable.is_set() else None


class Chore(msgspec.Struct, Generic[T]):
    """Something that the journal has to do by itself, between two commits."""

    work: Callable[[Journal], T]
    done: trio.Event = msgspec.field(default_factory=trio.Event)
    result: T | None = None
    refused: DiskFull | OSError | None = None

    def run(self, journal: Journal) -> None:
        """Do it; what the disk refuses is for whoever asked to deal with.

        What it could not write of an entry ends the keeper: JournalWriteFailed passes by here.
        """
        try:
            self.result = self.work(journal)
        except (DiskFull, OSError) as error:
            self.refused = error


Handed = Submission | Chore[object]


class Room(msgspec.Struct):
    """Whether there is room on the disk, as all who write want to know."""

    full: bool = False


class Pen:
    """The sending end of the keeper's channel: everyone who writes holds a clone.

    Closing the last clone tells the keeper that nothing more will come.
    """

    def __init__(self, channel: "trio.MemorySendChannel[Handed]", room: Room) -> None:
        self._channel = channel
        self._room = room

    @property
    def disk_is_full(self) -> bool:
        """Whether what is handed over waits for room on the disk."""
        return self._room.full

    def clone(self) -> "Pen":
        """Return another pen for another writer; each is closed on its own."""
        return Pen(self._channel.clone(), self._room)

    async def ask(self, work: Callable[[Journal], T]) -> T:
        """Have the journal do something of its own, in its turn, and return the result.

        Raises DiskFull, OSError. What else fails ends the keeper.
        """
        chore = Chore(work)
        await self._send(chore)  # type: ignore[arg-type]  # a result of any type
        await chore.done.wait()
        if chore.refused is not None:
            raise chore.refused
        return chore.result  # type: ignore[return-value]  # set, unless it was refused

    async def put(self, drafts: Sequence[Draft]) -> Submission:
        """Hand drafts over, waiting while the keeper is behind. Order is kept.

        A put that is cancelled has handed over nothing.
        """
        submission = Submission(drafts)
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            # Where there is room nobody else has a turn for it: the keeper has its own as soon as
            # the writer waits for something, and what it does costs least when all of it is there.
            self._channel.send_nowait(submission)
        except trio.WouldBlock:
            await self._send(submission)
        except trio.BrokenResourceError:
            await self._wait_for_the_end()
        return submission

    async def _send(self, handed: Handed) -> None:
        """Hand something over, waiting while the keeper is behind."""
        try:
            await self._channel.send(handed)
        except trio.BrokenResourceError:
            await self._wait_for_the_end()

    async def _wait_for_the_end(self) -> None:
        """The keeper died of an error of its own, which is on its way to cancel us."""
        await trio.sleep_forever()

    async def write(self, drafts: Sequence[Draft]) -> range:
        """Hand drafts over and wait until they are durable; return their sequence numbers.

        Who begins to write one turn after somebody else is not done in the same turn: calls of a
        run that are written down in an order are made in that order, as far as the disk lets them.
        """
        submission = Submission(drafts)
        await self._send(submission)
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


class Inbox(msgspec.Struct, frozen=True):
    """The end that `Keeper.keep` reads; `room` is what it tells those who write."""

    channel: "trio.MemoryReceiveChannel[Handed]"
    room: Room


def open_channel() -> tuple[Pen, Inbox]:
    """Return the first pen and the end that `Keeper.keep` reads."""
    sender, receiver = trio.open_memory_channel[Handed](SUBMISSIONS_MAX)
    room = Room()
    return Pen(sender, room), Inbox(receiver, room)


class Keeper:
    """Writes group commits: everything that waits goes into one append and one sync.

    Each of `observers` is told of every durable group, on the trio thread, and must be quick;
    `hear` of what happened to the journal beside that, also of what its end brought. `run_sync`
    runs the disk call (a thread, which is one of its own then; inline in simulations, whose virtual
    clock does not wait for threads).
    """

    def __init__(
        self,
        journal: Journal,
        *,
        now_ns: WallClock,
        observers: Sequence[Observer] = (),
        hear: Callable[[News], None] | None = None,
        run_sync: RunSync = trio.to_thread.run_sync,
    ) -> None:
        self._journal = journal
        self._now_ns = now_ns
        self._observers = list(observers)
        self._hear = hear
        self._run_sync = run_sync
        self._room = Room()
        self._disk_since_s: float | None = None
        self._last_ns = max(
            (tail.last_received_at_ns for tail in journal.tails.values()), default=0
        )

    def inform(self, observer: Observer) -> None:
        """Tell one more observer of every durable group from now on."""
        self._observers.append(observer)

    @property
    def on_disk_s(self) -> float:
        """For how long the disk call under way lasts already, 0 if there is none."""
        return 0.0 if self._disk_since_s is None else trio.current_time() - self._disk_since_s

    @property
    def disk_is_full(self) -> bool:
        """Whether what was handed over waits for room on the disk."""
        return self._room.full

    async def keep(self, inbox: Inbox) -> None:
        """Serve until the last pen is closed; then seal and close the journal.

        A JournalWriteFailed other than a full disk ends the recorder: what the disk refused once
        must not be retried on the same file.
        """
        self._room = inbox.room
        with own_thread(self._run_sync) as self._run_sync:
            try:
                async with inbox.channel:
                    await self._keep_until_closed(inbox.channel)
            finally:
                # Also when it is given up or failed: the lock must not outlive the keeper.
                with trio.CancelScope(shield=True):
                    await self._on_disk(self._journal.close)
                self._tell_news()

    async def _keep_until_closed(self, receiver: "trio.MemoryReceiveChannel[Handed]") -> None:
        beaten = True
        while True:
            try:
                group = await self._next_group(receiver, wait_s=self._wait_s(beaten=beaten))
            except trio.EndOfChannel:
                return
            if group:
                await self._serve(group)
            elif beaten:
                await self._on_disk(self._journal.sign)
            else:
                await self._commit([Submission([Draft(self._now_ns(), RECORDER, Heartbeat())])])
            beaten = not group
            self._tell_news()

    def _wait_s(self, *, beaten: bool) -> float:
        """Return after which idleness something is due: a heartbeat, after that a checkpoint."""
        if not beaten:
            return IDLE_HEARTBEAT_S
        return CHECKPOINT_S if self._journal.unsigned else float("inf")

    async def _next_group(
        self, receiver: "trio.MemoryReceiveChannel[Handed]", *, wait_s: float
    ) -> list[Handed]:
        """Return what waits, or nothing if nothing comes for so long."""
        try:
            group = [receiver.receive_nowait()]
        except trio.WouldBlock:
            with trio.move_on_after(wait_s) as waiting:
                group = [await receiver.receive()]
            if waiting.cancelled_caught:
                return []
        drafts = _drafts_in(group[0])
        while drafts < GROUP_DRAFTS_MAX:
            try:
                group.append(receiver.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
            drafts += _drafts_in(group[-1])
        return group

    async def _serve(self, group: Sequence[Handed]) -> None:
        """Write what came, then do the chores that came with it."""
        submissions: list[Submission] = []
        chores: list[Chore[object]] = []
        for handed in group:
            if isinstance(handed, Submission):
                submissions.append(handed)
            else:
                chores.append(handed)
        if submissions:
            await self._commit(submissions)
        for chore in chores:
            await self._on_disk(partial(chore.run, self._journal))
            chore.done.set()

    async def _on_disk(self, call: Callable[[], T]) -> T:
        self._disk_since_s = trio.current_time()
        try:
            return await self._run_sync(call)
        finally:
            self._disk_since_s = None

    def _tell_news(self) -> None:
        news = self._journal.take_news()
        if self._hear is not None and (news.notes or news.sealed):
            self._hear(news)

    async def _commit(self, group: Sequence[Submission]) -> None:
        drafts = [draft for submission in group for draft in submission.drafts]
        drafts += self._clock_mark()
        seqs, full_since_ns = await self._append(drafts)
        start = seqs.start
        for submission in group:
            submission.seqs = range(start, start + len(submission.drafts))
            start = submission.seqs.stop
            submission.drafts = ()
            submission.durable_at_s = trio.current_time()
            submission.durable.set()
        self._tell_observers(seqs, drafts)
        if full_since_ns is not None:
            await self._tell_of_full_disk(full_since_ns, waiting=len(seqs))

    def _tell_observers(self, seqs: range, drafts: Sequence[Draft]) -> None:
        for observer in self._observers:
            observer(seqs, drafts)

    async def _append(self, drafts: Sequence[Draft]) -> tuple[range, int | None]:
        """Append, waiting while the disk is full: intake stops by itself behind the channel.

        Return the sequence numbers, and since when there was no room if there was none.
        """
        start: int | None = None
        since_ns = 0
        while True:
            try:
                seqs = await self._on_disk(partial(self._journal.append, drafts))
            except DiskFull as error:
                if start is None:
                    start, since_ns = self._journal.next_seq - error.written, self._now_ns()
                    self._room.full = True
                    logs.error("disk-full", error=str(error))
                drafts = drafts[error.written :]
                await trio.sleep(DISK_FULL_RETRY_S)
            else:
                if start is None:
                    return seqs, None
                self._room.full = False
                return range(start, seqs.stop), since_ns

    async def _tell_of_full_disk(self, since_ns: int, *, waiting: int) -> None:
        logs.info("disk-has-space")
        until_ns = self._now_ns()
        detail: Detail = {"since_ns": since_ns, "until_ns": until_ns, "waiting": waiting}
        mark = Draft(until_ns, RECORDER, Mark(MarkName.DISK_FULL, detail))
        try:
            seqs = await self._on_disk(partial(self._journal.append, [mark]))
        except DiskFull:
            logs.error("disk-full", error="there was room for the entries that waited, and no more")
        else:
            self._tell_observers(seqs, [mark])

    def _clock_mark(self) -> list[Draft]:
        """Return the mark of a clock that went back since the last commit, if it did."""
        before, now = self._last_ns, self._now_ns()
        self._last_ns = now
        if before - now < CLOCK_STEP_NS:
            return []
        logs.warning("clock-stepped-back", seconds=(before - now) / 1e9)
        detail: Detail = {"from_ns": before, "to_ns": now}
        return [Draft(now, RECORDER, Mark(MarkName.CLOCK_STEPPED, detail))]


def _drafts_in(handed: Handed) -> int:
    return len(handed.drafts) if isinstance(handed, Submission) else 0
