"""How the recording of one pool goes just now, for whoever asks: `xentrail status` and the log.

Filled by those who record the pool, read by everybody; nothing is decided by it. Times are the wall
clock's in ns since 1970, spans those of trio's clock in seconds.
"""

from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from math import ceil

import msgspec

from ..keeper import Place, Submission
from ..model import Event

RATE_S = 60
"""A rate is an average over so many seconds."""


class Standing(StrEnum):
    """What can be said of a pool in a word."""

    CONNECTING = "connecting"  # no session yet, or not any more
    REFUSED = "refused"  # only its operator, or ours, can mend it: a password, another pool
    READING = "reading"  # events are recorded, the state of its objects is being read
    LIVE = "live"  # everything is known and recorded


class OpenGap(msgspec.Struct, frozen=True):
    """A gap that nothing closed yet. `cause` is "" for one from before the recorder was started."""

    cause: str
    since_ns: int
    at: Place | int

    @property
    def seq(self) -> int | None:
        """The seq of its entry, None until that is durable."""
        return self.at if isinstance(self.at, int) else self.at.seq


class LastBaseline(msgspec.Struct, frozen=True):
    """The last complete reading of a pool."""

    at_ns: int
    classes: int
    objects: int


class Rate:
    """Counts what happens, second by second, over the last RATE_S seconds."""

    def __init__(self) -> None:
        self._counts: deque[tuple[int, int]] = deque(maxlen=RATE_S)

    def add(self, count: int, *, now_s: float) -> None:
        """So much happened just now."""
        second = int(now_s)
        if self._counts and self._counts[-1][0] == second:
            count += self._counts.pop()[1]
        self._counts.append((second, count))

    def per_s(self, *, now_s: float) -> float:
        """Return the average of the last RATE_S seconds, a quiet time counted as such."""
        since = ceil(now_s) - RATE_S
        return sum(count for second, count in self._counts if second >= since) / RATE_S


class Vitals(msgspec.Struct):
    """The vitals of one pool.

    `address`, `codec` and `connected_at_ns` are of the session under way. `pressure` is an
    estimate of how full the server's queue of events got in the last minute, as a fraction of its
    10 MB. `error` is why there is no session.
    """

    pool: str
    stream: str = ""
    standing: Standing = Standing.CONNECTING
    address: str | None = None
    codec: str | None = None
    connected_at_ns: int | None = None
    last_event_id: int | None = None
    last_event_at_ns: int | None = None
    events: int = 0
    pressure: float = 0.0
    gap: OpenGap | None = None
    baseline: LastBaseline | None = None
    error: str | None = None
    audit_line_at_ns: int | None = None
    """The time in the newest line of the audit trail, by the pool's clock."""
    rate: Rate = msgspec.field(default_factory=Rate)
    _epoch: Place | None = None
    _answer: tuple[Submission, float] | None = None

    @property
    def epoch(self) -> int | None:
        """The seq of the REGISTERED mark of the epoch under way, None until it is durable."""
        return None if self._epoch is None else self._epoch.seq

    def lag_s(self, *, now_s: float) -> float | None:
        """Return how long the last answer with events took, or takes, from its arrival until it
        was durable; None before the first one."""
        if self._answer is None:
            return None
        submission, arrived_at_s = self._answer
        return (submission.durable_at_s or now_s) - arrived_at_s

    def connected(self, address: str, codec: str, *, at_ns: int) -> None:
        """There is a session."""
        self.address, self.codec, self.connected_at_ns = address, codec, at_ns
        self.error = None

    def registered(self, submission: Submission) -> None:
        """The session is registered for events, as the only draft of a submission says."""
        self.standing, self._epoch = Standing.READING, Place(submission, 0)

    def took(
        self, events: Sequence[Event], submission: Submission, *, arrived_at_s: float, at_ns: int
    ) -> None:
        """An answer with events arrived."""
        self.events += len(events)
        self.rate.add(len(events), now_s=arrived_at_s)
        self.last_event_id, self.last_event_at_ns = events[-1].id, at_ns
        self._answer = submission, arrived_at_s

    def took_line(self, *, at_ns: int) -> None:
        """A line of the audit trail of that time came."""
        self.audit_line_at_ns = max(at_ns, self.audit_line_at_ns or 0)

    def live(self, baseline: LastBaseline) -> None:
        """The pool was read completely."""
        self.standing, self.baseline, self.gap = Standing.LIVE, baseline, None

    def away(self, error: str | None = None, *, refused: bool = False) -> None:
        """There is no session, or not any more."""
        self.standing = Standing.REFUSED if refused else Standing.CONNECTING
        self.address = self.codec = self.connected_at_ns = self._epoch = None
        self.error = error
        self.pressure = 0.0
