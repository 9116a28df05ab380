"""What both kinds of epochs do: read baselines, follow the members, take stock of objects.

An epoch has a session of its own, even after EVENTS_LOST, which leaves the session good: a session
that was registered before is still owed events from before the new registration, and on a quiet
pool nobody can tell whether there are any.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import trio
from msgspec.structs import replace

from ... import logs
from ...client.line import Line
from ...client.losses import Loss, ends_session, loss_of
from ...client.session import Session
from ...config import Limits
from ...errors import ProtocolError, TransportError, XapiFault
from ...model import Detail, Draft, Event, Stream
from ...xapi.baseline import classes_with_records
from ...xapi.census import Census, Mismatch
from ...xapi.pressure import Pressure
from ...xapi.subscription import Chunk
from ..identity import Identity
from ..scribe import Scribe
from ..vitals import LastBaseline

Expected = (TransportError, ProtocolError, XapiFault)

EMPTY_PAUSE_S = 0.1
"""A server that answers with nothing at once is not asked in a loop without end."""

PRESSURE_LOOK_S = 1.0
"""How often it is estimated how full the server's queue is."""

RECORD_BYTES_MAX = 16 * 1024 * 1024
"""The server's queue of events holds 10 MB; an entry of the journal may have 32 MiB, and one that
is larger would end the recording of all pools."""

SHARING_RECORDS_MAX = 100
"""Classes share what is asked before and after them until they have more records than this. Most
have none or a few, and to ask for the number of the next event takes as long as to read them."""

RECORDS_AT_ONCE = 100
"""So many records are redacted in about 1 ms, during which nobody else has a turn, such as what
reads the next class meanwhile."""


class Recorded(msgspec.Struct, frozen=True):
    """The pool that an epoch records, and how."""

    pool: str
    scribe: Scribe
    identity: Identity
    limits: Limits
    succeeded: Callable[[], None]
    """Told once the session is registered for events."""


class Epoch(ABC):
    """Records one pool with one session, until it is of no more use."""

    stream: Stream

    def __init__(self, session: Session, recorded: Recorded) -> None:
        self._session = session
        self._recorded = recorded
        self._pool = recorded.pool
        self._scribe = recorded.scribe
        self._subscription = recorded.scribe.subscription
        self._vitals = recorded.scribe.vitals
        self._limits = recorded.limits
        self._spelling: dict[str, str] = {}
        """The names of the classes that were read, by what events call them."""
        self._census = Census()
        self._to_write, self._to_be_written = trio.open_memory_channel[Chunk | None](0)
        """Classes as they were read, then None. What is read is in memory: none waits here."""
        self._agreed_at_ns = 0
        """When the record was known to hold the objects that there were."""
        self._pressure = Pressure(now_s=trio.current_time())

    @abstractmethod
    async def run(self) -> Loss:
        """Record until the epoch is lost; return why. Raises what the registration raises."""

    def _now_ns(self) -> int:
        return self._scribe.now_ns()

    async def _registered(self, drafts: Sequence[Draft]) -> None:
        submission = await self._scribe.put(drafts)
        assert submission is not None
        self._vitals.registered(submission)
        self._recorded.succeeded()
        session = self._session
        logs.info("connected", pool=self._pool, address=session.address, codec=session.codec)

    async def _first_loss(self, *jobs: Callable[[], Awaitable[Loss | None]]) -> Loss:
        """Run the jobs side by side; the first that returns a loss, or fails, ends them all.

        In the nursery: one that never ends by itself, and others, which may.
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

    # -- events --------------------------------------------------------------------------------

    async def _batch(self, line: Line, told: Sequence[Event], asked_at_ns: int) -> str | None:
        """Journal the events of one answer; return which are missing, if ids are."""
        events = await self._redacted_events(told)
        answered_at_s = line.answered_at_s
        answered_at_ns = self._now_ns() - int((trio.current_time() - answered_at_s) * 1e9)
        self._pressure.answered(events, made_at_s=answered_at_s)
        drafts, hole = self._subscription.batch(
            events, asked_at_ns=asked_at_ns, answered_at_ns=answered_at_ns, at_ns=self._now_ns()
        )
        self._census.take(events)
        submission = await self._scribe.put(drafts)
        if submission is not None:
            self._vitals.took(events, submission, arrived_at_s=answered_at_s, at_ns=answered_at_ns)
        await self._tell_members(events)
        if not events:
            await trio.sleep(EMPTY_PAUSE_S)
        return hole

    async def _tell_members(self, events: Sequence[Event] = ()) -> None:
        """Write down which hosts the pool has, if they are others than before."""
        addresses = self._recorded.identity.news_of_members(events)
        if addresses is not None:
            await self._scribe.put(self._subscription.members(addresses, at_ns=self._now_ns()))

    async def _watch_pressure(self) -> None:
        """Warn, in time, of a queue that fills faster than it is read."""
        while True:
            await trio.sleep(PRESSURE_LOOK_S)
            now_s = trio.current_time()
            self._vitals.pressure = self._pressure.fill(now_s=now_s)
            fill = self._pressure.warning(now_s=now_s)
            if fill is not None:
                logs.warning("queue-pressure", pool=self._pool, percent=round(100 * fill))
                await self._scribe.put(self._subscription.pressed(fill, at_ns=self._now_ns()))

    # -- baselines -----------------------------------------------------------------------------

    async def _read_all(self) -> None:
        """Read every class once, each while those before it are written by `_baseline`."""
        self._agreed_at_ns = self._now_ns()
        classes = classes_with_records(await self._session.list_methods())
        self._spelling = {cls.lower(): cls for cls in classes}
        low, read = await self._bracket(), dict[str, Mapping[str, bytes]]()
        for cls in classes:
            read |= await self._read_class(cls)
            if cls == classes[-1] or sum(map(len, read.values())) > SHARING_RECORDS_MAX:
                low = await self._hand_over(low, read)
                read = {}
        await self._to_write.send(None)

    async def _hand_over(self, low: int, read: Mapping[str, Mapping[str, bytes]]) -> int:
        """Have classes written that were read after `low`; return the same for the next ones."""
        high = await self._bracket()
        for cls, records in read.items():
            await self._to_write.send(Chunk(cls, low, high, records))
        return high

    async def _baseline(self) -> None:
        """Write down every class that `_read_all` reads."""
        objects = 0
        while (chunk := await self._to_be_written.receive()) is not None:
            chunk = await self._redacted(chunk)
            await self._may_write(chunk)
            self._census.read(chunk.cls, chunk.low, chunk.records)
            await self._scribe.put(self._subscription.chunk(chunk, at_ns=self._now_ns()))
            objects += len(chunk.records)
            self._recorded.identity.members.read(chunk.cls, chunk.records)
        classes = self._spelling
        self._census.all_read()
        await self._tell_members()
        await self._scribe.gap_is_durable()
        was_blind = self._subscription.gap_is_open
        drafts = self._subscription.baselined(
            classes=len(classes), objects=objects, at_ns=self._now_ns()
        )
        await self._scribe.put(drafts)
        self._vitals.live(LastBaseline(self._now_ns(), len(classes), objects))
        name = "gap-closed" if was_blind else "recording"
        logs.info(name, pool=self._pool, classes=len(classes), objects=objects)

    async def _read_class(self, cls: str) -> dict[str, Mapping[str, bytes]]:
        """Return the records of a class by its name, secrets and all; nothing if it is refused."""
        try:
            return {cls.lower(): await self._session.get_all_records(cls)}
        except XapiFault as fault:
            if ends_session(fault):
                raise
            drafts = self._subscription.class_skipped(cls, fault.code, at_ns=self._now_ns())
            await self._scribe.put(drafts)
            return {}

    async def _reread(self, mismatch: Mismatch) -> Chunk | None:
        """Read a class again; return what was read if the record says something else."""
        self._census.reading(mismatch.cls)
        low = await self._bracket()
        read = await self._read_class(self._spelling[mismatch.cls])
        high = await self._bracket()
        if read:
            chunk = await self._redacted(Chunk(mismatch.cls, low, high, read[mismatch.cls]))
            await self._catch_up()
            if self._census.differs(chunk.cls, chunk.low, chunk.records):
                return chunk
            if self._census.unfounded(mismatch.cls):
                numbers = {"recorded": mismatch.recorded, "counted": mismatch.counted}
                await self._go_without({"class": mismatch.cls, **numbers})
        self._census.all_read()
        return None

    async def _go_without(self, detail: Detail) -> None:
        logs.warning("uncounted", pool=self._pool, **detail)
        await self._scribe.put(self._subscription.uncounted(detail, at_ns=self._now_ns()))

    @abstractmethod
    async def _bracket(self) -> int:
        """Return the id that the next event gets, or 0 in a stream without dense ids."""

    @abstractmethod
    async def _may_write(self, chunk: Chunk) -> None:
        """Wait until the chunk may be journaled."""

    @abstractmethod
    async def _catch_up(self) -> None:
        """Wait until every event up to now was received."""

    async def _redacted(self, chunk: Chunk) -> Chunk:
        redacted: dict[str, bytes] = {}
        for number, (ref, record) in enumerate(chunk.records.items(), 1):
            _check_size(chunk.cls, ref, record)
            new_ref, redacted[new_ref] = self._scribe.redactor.record(chunk.cls, ref, record)
            _check_size(chunk.cls, ref, redacted[new_ref])
            if number % RECORDS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        return replace(chunk, records=redacted)

    async def _redacted_events(self, told: Sequence[Event]) -> Sequence[Event]:
        redacted: list[Event] = []
        for start in range(0, len(told), RECORDS_AT_ONCE):
            if start:
                await trio.lowlevel.checkpoint()
            some = told[start : start + RECORDS_AT_ONCE]
            _check_sizes(some)
            redacted += self._scribe.redactor.events(some)
            _check_sizes(redacted[start:])
        return redacted


def _check_sizes(events: Sequence[Event]) -> None:
    for event in events:
        snapshot = event.snapshot
        if snapshot is not None and len(snapshot) > RECORD_BYTES_MAX:
            _check_size(event.cls, event.ref, snapshot)


def _check_size(cls: str, ref: str, record: bytes) -> None:
    if len(record) > RECORD_BYTES_MAX:
        raise ProtocolError(
            f"a record of class {cls:.80} ({ref:.80}) has {len(record)} bytes; up to"
            f" {RECORD_BYTES_MAX} can be recorded"
        )
