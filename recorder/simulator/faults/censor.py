"""Events that are never sent although the change happened: a server that lies.

`event.next` has no such event; `event.from` leaves the change out for all who ask, until the
object changes again.
"""

from collections.abc import Callable

from msgspec.structs import replace

from ..calls import Batch, Result
from ..eventrows import EventRow, FromReply
from ..rows import MESSAGE, Rows
from .effects import Swallow

HIDDEN_MAX = 100_000
"""As many hidden events as are remembered; the queue of the server holds far fewer."""


class Censor:
    """Decides event by event, and takes hidden ones out of replies."""

    def __init__(self, rows: Rows, decide: Callable[[str, str, str], Swallow | None]) -> None:
        """`decide` gets class, operation and reference of each change."""
        self._rows = rows
        self._decide = decide
        self._ids: dict[int, None] = {}
        self._stamps: dict[tuple[str, str, int], None] = {}
        self._newest_id = 0

    def hides(self, cls: str, operation: str, ref: str, event_id: int | None) -> bool:
        """Say whether a change stays out of the queue, and remember what replies must not show."""
        if event_id is not None:
            if event_id < self._newest_id:
                self._ids.clear()  # xapi has restarted: ids mean other events now.
            self._newest_id = event_id
        effect = self._decide(cls, operation, ref)
        if effect is None:
            return False
        # The write that made this change took the last stamp; messages carry none in replies.
        stamp = 0 if cls == MESSAGE else self._rows.generation - 1
        self._stamps[cls.lower(), ref, stamp] = None
        if len(self._stamps) > HIDDEN_MAX:
            del self._stamps[next(iter(self._stamps))]
        if effect.leaves_gap and event_id is not None:
            self._ids[event_id] = None
            if len(self._ids) > HIDDEN_MAX:
                del self._ids[next(iter(self._ids))]
            return False
        return True

    def cleaned(self, result: Result) -> Result | None:
        """Return a reply without hidden events; None for an event.next with nothing left."""
        if isinstance(result, Batch) and self._ids:
            rows = [row for row in result.rows if row.id not in self._ids]
            return Batch(rows) if rows else None
        if isinstance(result, FromReply) and self._stamps:
            events = [event for event in result.events if not self._is_hidden(event)]
            return replace(result, events=events)
        return result

    def _is_hidden(self, event: EventRow) -> bool:
        return (event.cls, event.ref, event.id) in self._stamps
