"""The stream of all writes: event.register, event.next, and a census beside it."""

import math

import trio

from ... import logs
from ...client.line import Line
from ...client.losses import Loss, ends_session
from ...client.session import Session
from ...errors import XapiFault
from ...model import GapCause, Stream
from ...xapi.census import Mismatch
from ...xapi.subscription import Chunk
from .common import Epoch, Recorded


class EveryWrite(Epoch):
    """Holds every version of every object, in the order of the server."""

    stream = Stream.REGISTER

    def __init__(self, session: Session, recorded: Recorded) -> None:
        super().__init__(session, recorded)
        self._progress = trio.lowlevel.ParkingLot()
        """Who waits here is woken whenever events were received."""
        self._waits_since_s = math.inf
        """Since when an answer of `event.next` is waited for, if one is."""

    async def run(self) -> Loss:
        """Register, then drain and take the baseline side by side."""
        session = self._session
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
        await self._registered(drafts)
        return await self._first_loss(
            self._drain,
            self._read_all,
            self._take_stock,
            self._watch_pressure,
            self._watch_silence,
        )

    async def _drain(self) -> Loss:
        """Read events on a connection of its own, without pause.

        While the events of one answer are worked on, the server makes the next one.
        """
        async with self._session.open_line() as line:
            while True:
                loss = await self._drain_once(line)
                if loss is not None:
                    return loss

    async def _drain_once(self, line: Line) -> Loss | None:
        self._waits_since_s = trio.current_time()
        asked_at_ns = self._now_ns() - int((self._waits_since_s - line.asked_at_s) * 1e9)
        events = await line.next_events(ahead=True)
        self._waits_since_s = math.inf
        hole = await self._batch(line, events, asked_at_ns)
        self._progress.unpark_all()
        return None if hole is None else Loss(GapCause.IDS_MISSING, hole)

    async def _watch_silence(self) -> Loss:
        """Return once an answer was waited for too long.

        This bounds the wait of `_drain_once`, from outside: a scope of its own there took a tenth
        of what an answer with one event takes.
        """
        limit_s = self._limits.silence_s
        left_s = limit_s
        while left_s > 0:
            # Who asks later than now may wait for at least as long.
            await trio.sleep(min(left_s, limit_s))
            left_s = self._waits_since_s + limit_s - trio.current_time()
        return Loss(GapCause.SERVER_SILENT, f"no event and no heartbeat for {limit_s:g} s")

    async def _bracket(self) -> int:
        return await self._session.current_id()

    async def _may_write(self, chunk: Chunk) -> None:
        while not self._subscription.may_write(chunk):
            await self._progress.park()

    async def _catch_up(self) -> None:
        next_id = await self._session.current_id()
        while self._subscription.drained_to < next_id - 1:
            await self._progress.park()

    # -- the census ----------------------------------------------------------------------------

    async def _take_stock(self) -> None:
        """Read the baseline; then compare, again and again, how many objects there are."""
        await self._baseline()
        while True:
            await trio.sleep(self._limits.census_s)
            asked_at_ns = self._now_ns()
            mismatches = await self._mismatches()
            if mismatches is None:
                return
            for mismatch in mismatches:
                await self._correct(mismatch)
            if not mismatches:
                self._agreed_at_ns = asked_at_ns

    async def _mismatches(self) -> list[Mismatch] | None:
        """Ask for the counts of all classes; None from a server that has none for us."""
        self._census.begin()
        try:
            reply = await self._session.events_from([], "", 0.0)
        except XapiFault as fault:
            if ends_session(fault):
                raise
            await self._go_without({"error": fault.code})
            return None
        await self._catch_up()
        return self._census.mismatches(reply.valid_ref_counts)

    async def _correct(self, mismatch: Mismatch) -> None:
        """Read a class again; if it is not what the record says, say so and correct that."""
        asked_at_ns = self._now_ns()
        chunk = await self._reread(mismatch)
        if chunk is None:
            return
        await self._scribe.put(
            self._subscription.doubted(
                str(mismatch), agreed_at_ns=self._agreed_at_ns, at_ns=self._now_ns()
            )
        )
        self._census.read(chunk.cls, chunk.low, chunk.records)
        self._census.all_read()
        await self._scribe.put(self._subscription.chunk(chunk, at_ns=self._now_ns()))
        await self._scribe.gap_is_durable()
        await self._scribe.put(
            self._subscription.reread(chunk, asked_at_ns=asked_at_ns, at_ns=self._now_ns())
        )
        self._vitals.gap = None
        logs.info("gap-closed", pool=self._pool, classes=1, objects=len(chunk.records))
