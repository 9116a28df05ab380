"""The period of a report: from when to when, in time and in the order of the journal."""

from datetime import datetime

import msgspec

from recorder.instant import BadInstant, Instant, time_text, us_of

from ..errors import NoSuchPool
from ..history.database import History


class Period(msgspec.Struct, frozen=True):
    """From `begin_us` to `end_us`, microseconds since 1970 UTC.

    `last_seq` is the last entry of the period, 0 if it has none.
    """

    begin_us: int
    end_us: int
    last_seq: int

    @property
    def length_us(self) -> int:
        """How long it is."""
        return self.end_us - self.begin_us


class _Ends(msgspec.Struct):
    first_at: datetime | None
    last_at: datetime | None


_ENDS = """
SELECT min(e.since) AS first_at, max(p.last_at) AS last_at
FROM epochs e JOIN pools p USING (pool) WHERE $pool IS NULL OR pool = $pool
"""


class _Place(msgspec.Struct):
    received_at: datetime | None
    seq: int | None


_PLACES = """
SELECT max(seq) AS seq, arg_max(received_at, seq) AS received_at FROM (
    SELECT seq, received_at FROM events
    UNION ALL SELECT seq, received_at FROM marks
) WHERE ($seq IS NULL OR seq <= $seq)
    AND ($until IS NULL OR received_at <= make_timestamptz($until))
"""


def period_of(
    history: History, since: Instant | None, until: Instant | None, *, pool: str | None = None
) -> Period:
    """Return the period between two instants, or what is recorded, of a pool, where one is None.

    Raises NoSuchPool if nothing is recorded, BadInstant for a period that is empty.
    """
    ends = history.first(_Ends, _ENDS, {"pool": pool})
    if ends is None or ends.first_at is None or ends.last_at is None:
        raise NoSuchPool("no pool was recorded yet: there is nothing to report")
    first_us, last_us = us_of(ends.first_at), us_of(ends.last_at)
    begin_us = first_us if since is None else _time_of(history, since, first_us)
    end_us = last_us if until is None else _time_of(history, until, first_us)
    if begin_us >= end_us:
        raise BadInstant(
            f"the period would begin at {time_text(begin_us)} and end at {time_text(end_us)};"
            f" choose --since and --until so that there is time between them"
            f" (the record reaches from {time_text(first_us)} to {time_text(last_us)})"
        )
    last = history.first(_Place, _PLACES, {"seq": until and until.seq, "until": end_us})
    return Period(begin_us, end_us, (last and last.seq) or 0)


def _time_of(history: History, instant: Instant, first_us: int) -> int:
    """Return when an instant was; an entry that left no row was written after the one before it."""
    if instant.at_us is not None:
        return instant.at_us
    place = history.first(_Place, _PLACES, {"seq": instant.seq, "until": None})
    return first_us if place is None or place.received_at is None else us_of(place.received_at)
