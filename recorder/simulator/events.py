"""Who hears of a change: `event.register`/`next` (a queue) and `event.from` (a comparison).

The queue is one for all sessions, bounded by bytes; a reader that falls behind gets EVENTS_LOST
once and goes on from the head. Blocked calls are woken by what they wait for, never by a timer.
"""

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import msgspec
import trio

from .comparison import Token, compare, parse_token
from .datamodel import SILENT
from .doings import under_way
from .eventrows import EventRow, FromReply, event_row
from .rows import MESSAGE, Row, Rows
from .subscriptions import Interest, interest_in
from .truth import Change, Truth
from .values import Fault

__all__ = ["QUEUE_BYTES_MAX", "EventHub", "EventRow", "FromReply"]

QUEUE_BYTES_MAX = 10_000_000
"""xapi's bound: the JSON texts of all queued events together, read or not."""
FROM_TIMEOUT_MAX_S = 86400.0
"""What xapi makes of a timeout that is no sensible number."""


class _Registration(msgspec.Struct):
    """`position` is the id of the first event that the session has not been given."""

    position: int
    strings: dict[str, None] = msgspec.field(default_factory=dict)
    interest: Interest = msgspec.field(default_factory=lambda: interest_in([]))


class _Call(msgspec.Struct, eq=False):
    """A call that is waiting; `ended` once its session is gone. No two are the same."""

    ended: bool = False


class EventHub:
    """Gives every change to those that registered for it."""

    def __init__(
        self,
        *,
        now_s: Callable[[], float],
        queue_bytes_max: int = QUEUE_BYTES_MAX,
        truth: Truth | None = None,
    ) -> None:
        """`now_s` stamps the events: seconds since 1970 UTC.

        `beating` lets the heartbeat through; `censor` hides a change (class, operation, reference,
        id to come) from the queue if it says so. Both are there for faults.
        """
        self.beating = True
        self.censor: Callable[[str, str, str, int | None], bool] | None = None
        self.rows = Rows()
        self.truth = Truth() if truth is None else truth
        self._now_s = now_s
        self._queue: deque[EventRow] = deque()
        self._queue_bytes = 0
        self._queue_bytes_max = queue_bytes_max
        self._next_id = 0
        self._registrations: dict[str, _Registration] = {}
        self._calls: dict[str, list[_Call]] = {}
        self._waiting = trio.lowlevel.ParkingLot()

    def register(self, session: str, classes: Sequence[str]) -> None:
        """Add to what a session hears of; the first time fixes where it starts."""
        registration = self._registration(session)
        registration.strings.update(dict.fromkeys(classes))
        registration.interest = interest_in(registration.strings)

    def unregister(self, session: str, classes: Sequence[str]) -> None:
        """Take the same strings away again (the session stays registered)."""
        registration = self._registration(session)
        for text in classes:
            registration.strings.pop(text, None)
        registration.interest = interest_in(registration.strings)

    async def next(self, session: str) -> list[EventRow]:
        """Wait for events and return them; never an empty list.

        Raises Fault SESSION_NOT_REGISTERED, EVENTS_LOST, SESSION_INVALID (forgotten meanwhile).
        """
        if session not in self._registrations:
            trackid = hashlib.md5(session.encode(), usedforsecurity=False).hexdigest()
            raise Fault("SESSION_NOT_REGISTERED", f"trackid={trackid}")
        # From here on the call ends with its session, which another task may take away meanwhile.
        with self._call_of(session) as call:
            await trio.lowlevel.checkpoint()
            while not call.ended:
                if events := self._take(self._registrations[session]):
                    return events
                await self._waiting.park()
        raise Fault("SESSION_INVALID", session)

    async def from_(
        self, session: str, classes: Sequence[str], token: str, timeout_s: float
    ) -> FromReply:
        """Return what changed since the token, waiting for at most `timeout_s`.

        Raises Fault EVENT_FROM_TOKEN_PARSE_FAILURE, SESSION_INVALID (forgotten meanwhile).
        """
        since, interest = parse_token(token), interest_in(classes)
        with self._call_of(session) as call:
            await trio.lowlevel.checkpoint()
            found, newest = compare(self.rows, interest, since)
            with trio.move_on_after(_patience_s(timeout_s)):
                while not found and not call.ended:
                    await self._waiting.park()
                    found, newest = compare(self.rows, interest, since)
            if call.ended:
                raise Fault("SESSION_INVALID", session)
        return FromReply(found, self.rows.counts(), str(newest if found else since))

    def inject(self, cls: str, ref: str) -> str:
        """Touch a row (exact class name) and return a token from before; Fault HANDLE_INVALID."""
        row = self.rows.row(cls, ref)
        stamp = self.rows.stamp()
        newest = next((made.created for _ref, made in self.rows.changed_since(MESSAGE, 0)), 0)
        if cls != MESSAGE:
            self.rows.touch(cls, ref, stamp)
        self.publish(cls, "mod", ref, row)
        return str(Token(stamp - 1, newest))

    def current_id(self) -> int:
        """Return the id that the next event of the queue will get."""
        return self._next_id

    def forget_session(self, session: str) -> None:
        """Drop its registration and end its blocked calls with SESSION_INVALID [session]."""
        self._registrations.pop(session, None)
        for call in self._calls.get(session, ()):
            call.ended = True
        self._waiting.unpark_all()

    def heartbeat(self) -> None:
        """Publish the fake `mod` of the pool that wakes subscribers every 30 s."""
        if not self.beating:
            return
        for ref, row in self.rows.tables["pool"].rows.items():
            self.publish("pool", "mod", ref, row)

    def drop_queue(self) -> None:
        """Lose the events that are queued: whoever has not read them all gets EVENTS_LOST."""
        self._queue.clear()
        self._queue_bytes = 0

    def restart(self) -> None:
        """Forget all sessions and the queue and count from 0 again, as a restart of xapi does."""
        for session in {*self._registrations, *self._calls}:
            self.forget_session(session)
        self.drop_queue()
        self._next_id = 0

    def publish(self, cls: str, operation: str, ref: str, row: Row) -> None:
        """Tell everybody of one change; `row` is the state to show. Used by the database only."""
        if cls in SILENT:
            return
        name, now_s = cls.lower(), self._now_s()
        wanted = any(
            registration.interest.matches(name, ref)
            for registration in self._registrations.values()
        )
        event_id = self._next_id if wanted else None
        if self.censor is not None and self.censor(cls, operation, ref, event_id):
            wanted, event_id = False, None
        if wanted:
            timestamp = f"{int(now_s)}."
            self._enqueue(
                event_row(self._next_id, timestamp, name, operation, ref, row.record, row.json)
            )
        if self.truth.kept:
            self.truth.append(Change(now_s, event_id, name, operation, ref, row.json, under_way()))
        self._waiting.unpark_all()

    def _enqueue(self, event: EventRow) -> None:
        self._queue.append(event)
        self._queue_bytes += len(event.json)
        self._next_id += 1
        while self._queue_bytes > self._queue_bytes_max:
            self._queue_bytes -= len(self._queue.popleft().json)

    def _take(self, registration: _Registration) -> list[EventRow]:
        behind = self._next_id - registration.position
        registration.position = self._next_id
        if behind > len(self._queue):
            raise Fault("EVENTS_LOST")
        if behind == 0:
            return []
        newest_first = list(islice(reversed(self._queue), behind))
        matches = registration.interest.matches
        return [event for event in reversed(newest_first) if matches(event.cls, event.ref)]

    def _registration(self, session: str) -> _Registration:
        return self._registrations.setdefault(session, _Registration(self._next_id))

    @contextmanager
    def _call_of(self, session: str) -> Iterator[_Call]:
        call = _Call()
        calls = self._calls.setdefault(session, [])
        calls.append(call)
        try:
            yield call
        finally:
            calls.remove(call)
            if not calls:
                del self._calls[session]


def _patience_s(timeout_s: float) -> float:
    if math.isnan(timeout_s) or timeout_s > FROM_TIMEOUT_MAX_S:
        return FROM_TIMEOUT_MAX_S
    return max(timeout_s, 0.0)
