"""How full the server's queue of events gets between two readings: the warning before EVENTS_LOST.

The server keeps the newest 10,000,000 bytes of events, in JSON, for all of its subscribers
(XAPI's xapi_event.ml, `max_queue_size`). A subscriber loses events when what it has not read yet no
longer fits. One answer of `event.next` holds all that was unread, so its size is how full the queue
was for us; between two answers the rate of the last ones tells how it fills.
"""

from collections.abc import Sequence

from ..model import Event

QUEUE_BYTES_MAX = 10_000_000
ENVELOPE_BYTES = 170
"""What the server's JSON of an event has beside its snapshot: six keys, id, time, class, ref."""
WARN_FROM = 0.5
"""Half full: at a steady rate there is as much time left as went by since the last reading."""
REMIND_S = 60.0
MEMORY_S = 60.0
"""A peak is told for so long."""
RATE_S = 5.0
"""Answers of about so long ago still count in the rate at which the queue fills."""


class Pressure:
    """Estimates how full the queue is, from the answers of one epoch. Times are of one clock."""

    def __init__(self, *, now_s: float) -> None:
        self._read_at_s = now_s
        self._bytes_per_s = 0.0
        self._peak = 0.0
        self._peak_at_s = now_s
        self._told = 0.0
        self._told_at_s = float("-inf")

    def answered(self, events: Sequence[Event], *, made_at_s: float) -> None:
        """An answer came that the server made at `made_at_s`: the queue was empty for us then."""
        size = sum(len(event.snapshot or b"") for event in events) + ENVELOPE_BYTES * len(events)
        took_s = max(made_at_s - self._read_at_s, 0.001)
        weight = min(took_s / RATE_S, 1.0)
        self._bytes_per_s += weight * (size / took_s - self._bytes_per_s)
        self._read_at_s = max(made_at_s, self._read_at_s)
        self._note(size / QUEUE_BYTES_MAX, made_at_s)

    def fill(self, *, now_s: float) -> float:
        """Return how full the queue got lately or is by now, as a fraction; 1 is the overflow."""
        unread = self._bytes_per_s * (now_s - self._read_at_s) / QUEUE_BYTES_MAX
        if now_s - self._peak_at_s > MEMORY_S:
            self._peak = 0.0
        self._note(unread, now_s)
        return self._peak

    def warning(self, *, now_s: float) -> float | None:
        """Return the fill if it is high enough to be told, and was not told just before."""
        fill = self.fill(now_s=now_s)
        risen = fill >= self._told + 0.1
        if fill < WARN_FROM or not (risen or now_s - self._told_at_s > REMIND_S):
            return None
        self._told, self._told_at_s = fill, now_s
        return fill

    def _note(self, fill: float, at_s: float) -> None:
        if fill >= self._peak:
            self._peak, self._peak_at_s = min(fill, 1.0), at_s
