"""One pool, for as long as the recorder runs: register, drain, take baselines, declare gaps.

Everything expected to go wrong ends inside `Watch.run`; what leaves it is a bug or a cancellation.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

import trio

from . import logs
from .clock import WallClock
from .config import Limits, Pool
from .errors import LoginRefused, ProtocolError, TransportError, XapiFault, XentrailError
from .identity import Identity, generation_of
from .keeper import Pen
from .line import Failure, retold
from .losses import Loss, ends_session, is_permanent, loss_of
from .model import Draft, Event, GapCause, GapOpened, PoolTail, Stream
from .redact import PoolRedactor, Redactor
from .session import Line, Session
from .xapi.backoff import Backoff
from .xapi.baseline import classes_with_records, uuid_of_pool
from .xapi.subscription import Chunk, Subscription

OpenSession = Callable[[Sequence[str], bool], AbstractAsyncContextManager[Session]]
Expected = (TransportError, ProtocolError, XapiFault)

REFUSED_RETRY_S = 60.0
"""A refused password is not hammered on: directories lock accounts."""

PROBE_WAIT_MAX_S = 0.5
"""A new master answers tens of seconds after the old one died; half a second later it is found."""

PROBE_SOON_S = 900.0
"""For so long a pool is looked for that often: a reboot of a large host takes some minutes."""

FROM_TIMEOUT_S = 30.0
"""How long the server holds an `event.from` with nothing to say: xe's own value."""

EMPTY_PAUSE_S = 0.1
"""A server that answers with nothing at once is not asked in a loop without end."""

STEADY_S = 60.0
"""An epoch that lasted this long was a success: the waits begin again from the shortest."""

HELD_UP_S = 1.0
"""Who waits longer than this for a full disk leaves the server's queue unread meanwhile."""

STOP_WRITE_S = 2.0
"""The last words of a watch wait at most this long for the keeper."""


RECORDS_AT_ONCE = 1000
"""So many records are redacted in about 10 ms, during which nobody else has a turn."""


class Watch:
    """Records one pool.

    `open_session` is told which hosts the pool has besides those in the configuration, and whether
    to go gently because the password was refused; its context logs in and, when left, logs out.
    `report` is told the outcome of every attempt to connect: None, or the error.
    """

    def __init__(
        self,
        pool: Pool,
        pen: Pen,
        tail: PoolTail,
        *,
        open_session: OpenSession,
        redactor: Redactor,
        limits: Limits,
        now_ns: WallClock,
        uniform: Callable[[float, float], float],
        report: Callable[[str, XentrailError | None], None],
    ) -> None:
        self._pool = pool
        self._pen = pen
        self._identity = Identity(pool, tail)
        self._refused = False
        self._open_session = open_session
        self._redactor = PoolRedactor(redactor)
        self._limits = limits
        self._now_ns = now_ns
        self._report = report
        self._backoff = Backoff(cap_s=limits.retry_wait_max_s, uniform=uniform)
        self._probing = Backoff(
            cap_s=min(PROBE_WAIT_MAX_S, limits.retry_wait_max_s), uniform=uniform
        )
        self._away_since_s: float | None = None
        self._subscription = Subscription(pool.name, tail)
        self._progress = trio.Event()
        self._told = ""
        self._unwritten: deque[Sequence[Draft]] = deque()
        self._held_up = False

    async def run(self) -> NoReturn:
        """Record until cancelled; then say in the journal that the record ends here."""
        try:
            await self._write_gap(self._subscription.died(at_ns=self._now_ns()))
            while True:
                await self._connect_once()
        finally:
            with trio.move_on_after(STOP_WRITE_S, shield=True) as scope:
                stopped = self._subscription.lost(
                    GapCause.RECORDER_STOPPED, "the recorder was stopped", at_ns=self._now_ns()
                )
                words = [*self._left_unwritten(), *stopped]
                if words:
                    await self._pen.last_words(words)
            if scope.cancelled_caught:
                logs.error("last-words-lost", pool=self._pool.name)
            self._pen.close()

    async def _connect_once(self) -> None:
        """Log in and record until the session is of no use any more; then wait a little."""
        try:
            known = self._identity.members.addresses
            async with self._open_session(known, self._refused) as session:
                self._redactor.learn(session.token)
                self._refused, self._away_since_s = False, None
                self._probing.reset()
                await self._greet(session)
                await self._record(session)
            wait_s = self._backoff.next_s()
        except Expected as error:
            permanent = is_permanent(error)
            self._refused = isinstance(error, LoginRefused)
            await self._failed(error, permanent=permanent)
            wait_s = REFUSED_RETRY_S if permanent else self._next_probe_s()
        await trio.sleep(wait_s)

    def _next_probe_s(self) -> float:
        """Return how long to wait until the pool is looked for again.

        Looking is cheap, and a master that has moved is to be found at once; a pool that is away
        for longer is not about to come back in this very second.
        """
        now_s = trio.current_time()
        if self._away_since_s is None:
            self._away_since_s = now_s
        soon = now_s - self._away_since_s < PROBE_SOON_S
        return (self._probing if soon else self._backoff).next_s()

    async def _failed(self, error: Failure, *, permanent: bool) -> None:
        """Tell an error once, however often the attempts end in it."""
        text = self._redactor.text(str(error))
        self._report(self._pool.name, error if text == str(error) else retold(error, text))
        if text == self._told:
            return
        self._told = text
        logs.warning("not-connected", pool=self._pool.name, error=text)
        if permanent:
            await self._put(self._subscription.refused(text, at_ns=self._now_ns()))

    async def _greet(self, session: Session) -> None:
        """Refuse another pool behind a known address; say where we are connected."""
        greeting = await self._identity.greet(session)
        await self._put(self._subscription.connected(greeting.detail, at_ns=self._now_ns()))
        generation, before = greeting.generation, greeting.rolled_back_from
        if generation is not None and before is not None:
            await self._put(
                self._subscription.rolled_back(generation, before, at_ns=self._now_ns())
            )

    async def _record(self, session: Session) -> None:
        """Record one epoch, and declare it lost when it ends.

        Each epoch has a session of its own, even after EVENTS_LOST, which leaves the session good:
        a session that was registered before is still owed events from before the new
        registration, and on a quiet pool nobody can tell whether there are any.
        """
        began_s = trio.current_time()
        self._held_up = False
        self._identity.members.begin()
        if self._pool.stream is Stream.FROM:
            loss = await self._epoch_of_last_states(session)
        else:
            loss = await self._epoch_of_all_writes(session)
        await self._lose(loss)
        if trio.current_time() - began_s >= STEADY_S:
            self._backoff.reset()

    async def _registered(self, session: Session, drafts: Sequence[Draft]) -> None:
        await self._put(drafts)
        self._report(self._pool.name, None)
        self._told = ""
        logs.info("connected", pool=self._pool.name, address=session.address, codec=session.codec)

    # -- the stream of all writes: event.register, event.next ---------------------------------

    async def _epoch_of_all_writes(self, session: Session) -> Loss:
        """Register, then drain and take the baseline side by side, until the epoch is lost.

        Raises what the registration raises.
        """
        before = await session.current_id()
        asked_at_ns = self._now_ns()
        await session.register(["*"])
        after = await session.current_id()
        drafts = self._subscription.registered(
            Stream.REGISTER,
            id_before=before,
            id_after=after,
            asked_at_ns=asked_at_ns,
            at_ns=self._now_ns(),
        )
        await self._registered(session, drafts)
        return await self._first_loss(lambda: self._drain(session), lambda: self._baseline(session))

    async def _first_loss(self, *jobs: Callable[[], Awaitable[Loss | None]]) -> Loss:
        """Run the jobs side by side; the first that returns a loss, or fails, ends them all.

        In the nursery: the drain, which never ends by itself, and the baseline, which does.
        """
        losses: list[Loss] = []
        async with trio.open_nursery() as nursery:

            async def run(job: Callable[[], Awaitable[Loss | None]]) -> None:
                try:
                    loss = await job()
                except Expected as error:
                    loss = loss_of(error)
                if loss is not None:
                    losses.append(loss)
                    nursery.cancel_scope.cancel()

            for job in jobs:
                nursery.start_soon(run, job)
        return losses[0]

    async def _drain(self, session: Session) -> Loss:
        """Read events on a connection of its own, without pause."""
        async with session.open_line() as line:
            while True:
                loss = await self._drain_once(line)
                if loss is not None:
                    return loss

    async def _drain_once(self, line: Line) -> Loss | None:
        asked_at_ns = self._now_ns()
        with trio.move_on_after(self._limits.silence_s) as silence:
            events = self._redactor.events(await line.next_events())
        if silence.cancelled_caught:
            silent = f"no event and no heartbeat for {self._limits.silence_s:g} s"
            return Loss(GapCause.SERVER_SILENT, silent)
        drafts, hole = self._subscription.batch(
            events,
            asked_at_ns=asked_at_ns,
            answered_at_ns=self._answered_at_ns(line),
            at_ns=self._now_ns(),
        )
        await self._put(drafts)
        await self._tell_members(events)
        self._progress.set()
        self._progress = trio.Event()
        if not events:
            await trio.sleep(EMPTY_PAUSE_S)
        return None if hole is None else Loss(GapCause.IDS_MISSING, hole)

    def _answered_at_ns(self, line: Line) -> int:
        """Return when the last answer began to come, on the wall clock."""
        ago_s = trio.current_time() - line.answered_at_s
        return self._now_ns() - int(ago_s * 1e9)

    # -- the stream of last states: event.from -------------------------------------------------

    async def _epoch_of_last_states(self, session: Session) -> Loss:
        """Take a token, then the baseline, then follow `event.from`; a change is never missed
        between the two, only told twice."""
        pools = await session.get_all_records("pool")
        uuid_of_pool(pools)  # there is exactly one
        asked_at_ns = self._now_ns()
        token = await session.inject("pool", next(iter(pools)))
        generation = generation_of(token)
        drafts = self._subscription.registered(
            Stream.FROM,
            id_before=generation,
            id_after=generation,
            asked_at_ns=asked_at_ns,
            at_ns=self._now_ns(),
        )
        await self._registered(session, drafts)
        try:
            await self._baseline(session)
            while True:
                token = await self._poll_once(session, token)
        except Expected as error:
            return loss_of(error)

    async def _poll_once(self, session: Session, token: str) -> str:
        asked_at_ns = self._now_ns()
        reply = await session.events_from(["*"], token, FROM_TIMEOUT_S)
        events = self._redactor.events(reply.events)
        drafts, _ = self._subscription.batch(
            events,
            asked_at_ns=asked_at_ns,
            answered_at_ns=self._answered_at_ns(session),
            at_ns=self._now_ns(),
        )
        await self._put(drafts)
        await self._tell_members(events)
        if not events:
            await trio.sleep(EMPTY_PAUSE_S)
        return reply.token

    # -- baselines -----------------------------------------------------------------------------

    async def _baseline(self, session: Session) -> None:
        """Read every class once, each chunk bracketed by two readings of the current id."""
        objects = 0
        classes = classes_with_records(await session.list_methods())
        for cls in classes:
            chunk = await self._read_class(session, cls)
            if chunk is None:
                continue
            while not self._subscription.may_write(chunk):
                await self._progress.wait()
            await self._put(self._subscription.chunk(chunk, at_ns=self._now_ns()))
            objects += len(chunk.records)
            self._identity.members.read(cls, chunk.records)
        await self._tell_members()
        was_blind = self._subscription.gap_is_open
        drafts = self._subscription.baselined(
            classes=len(classes), objects=objects, at_ns=self._now_ns()
        )
        await self._put(drafts)
        name = "gap-closed" if was_blind else "recording"
        logs.info(name, pool=self._pool.name, classes=len(classes), objects=objects)

    async def _read_class(self, session: Session, cls: str) -> Chunk | None:
        bracketed = self._pool.stream is Stream.REGISTER
        low = await session.current_id() if bracketed else 0
        try:
            records = await session.get_all_records(cls)
        except XapiFault as fault:
            if ends_session(fault):
                raise
            await self._put(self._subscription.class_skipped(cls, fault.code, at_ns=self._now_ns()))
            return None
        high = await session.current_id() if bracketed else 0
        return Chunk(cls.lower(), low, high, await self._redacted(cls.lower(), records))

    async def _redacted(self, cls: str, records: Mapping[str, bytes]) -> dict[str, bytes]:
        redacted: dict[str, bytes] = {}
        for record in records.items():
            redacted.update([self._redactor.record(cls, *record)])
            if len(redacted) % RECORDS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        return redacted

    # -- what is written ------------------------------------------------------------------------

    async def _tell_members(self, events: Sequence[Event] = ()) -> None:
        """Write down which hosts the pool has, if they are others than before."""
        addresses = self._identity.news_of_members(events)
        if addresses is not None:
            await self._put(self._subscription.members(addresses, at_ns=self._now_ns()))

    async def _put(self, drafts: Sequence[Draft]) -> None:
        """Hand drafts to the keeper. What the subscription said counts as said: if a cancellation
        holds the drafts back, they go in front of what is written next."""
        if drafts:
            began_s, full = trio.current_time(), self._pen.disk_is_full
            self._unwritten.append(drafts)
            await self._pen.put(drafts)
            self._unwritten.popleft()
            self._held_up |= full and trio.current_time() - began_s > HELD_UP_S

    def _left_unwritten(self) -> list[Draft]:
        return [draft for drafts in self._unwritten for draft in drafts]

    async def _lose(self, loss: Loss) -> None:
        if self._held_up:
            # Nobody read the server's queue while its events had nowhere to go.
            loss = Loss(GapCause.DISK_FULL, f"the disk of the recorder was full: {loss.detail}")
        detail = self._redactor.text(loss.detail)
        await self._write_gap(self._subscription.lost(loss.cause, detail, at_ns=self._now_ns()))

    async def _write_gap(self, drafts: list[Draft]) -> None:
        """Write a GapOpened, if there is one, and remember where the journal put it."""
        words = [*self._left_unwritten(), *drafts]
        if not words:
            return
        self._unwritten = deque([words])
        submission = await self._pen.put(words)
        self._unwritten.clear()
        if not drafts:
            return
        await submission.durable.wait()
        self._subscription.gap_opened(submission.seqs.stop - 1)
        opened = drafts[0].body
        assert isinstance(opened, GapOpened)
        logs.warning(
            "gap-opened", pool=self._pool.name, cause=opened.cause.value, detail=opened.detail
        )
