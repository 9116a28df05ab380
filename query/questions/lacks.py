"""What an answer may lack: gaps that it touches, times nobody recorded, states never told."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from recorder.instant import Instant, us_of

from ..history.database import History
from .gaps import GapRow, gaps_between


class Unrecorded(msgspec.Struct, frozen=True):
    """A part of the time asked for that is not in the record of a pool at all.

    `before` is when its record begins, `after` when it ends; None where that lies outside.
    """

    pool: str
    before: datetime | None = None
    after: datetime | None = None


class Lacks(msgspec.Struct, frozen=True):
    """What the reader of an answer must know of its range.

    `last_states_only` are pools that were followed by `stream = "from"` in it: states in between
    may be missing.
    """

    gaps: Sequence[GapRow] = ()
    last_states_only: Sequence[str] = ()
    unrecorded: Sequence[Unrecorded] = ()

    def __bool__(self) -> bool:
        return bool(self.gaps or self.last_states_only or self.unrecorded)

    def gaps_of(self, pool: object) -> list[int]:
        """Return the gaps of a pool that the range touches, by `seq`."""
        return [gap.seq for gap in self.gaps if gap.pool == pool]


def lacks_between(
    history: History, since: Instant | None, until: Instant | None, *, pool: str | None = None
) -> Lacks:
    """Return what an answer about a range may lack, of one pool or of all.

    None is the beginning, or the end, of what was recorded.
    """
    spans = [span for span in history.all(_Span, _SPANS) if pool in (None, span.pool)]
    touched = [span for span in spans if _touches(span, since, until)]
    return Lacks(
        gaps_between(history, since, until, pool=pool),
        sorted({span.pool for span in touched if span.stream == "from"}),
        _unrecorded(spans, since, until),
    )


class _Span(msgspec.Struct):
    """An epoch and where the next one begins; `record_*` are the ends of its pool's record."""

    pool: str
    stream: str | None
    first_seq: int
    begin: datetime
    next_seq: int | None
    end: datetime | None
    record_begin: datetime
    record_end: datetime


_SPANS = """
SELECT e.pool, e.stream, e.epoch AS first_seq, e.since AS begin,
    lead(e.epoch) OVER in_order AS next_seq, lead(e.since) OVER in_order AS end,
    min(e.since) OVER (PARTITION BY e.pool) AS record_begin, p.last_at AS record_end
FROM epochs e JOIN pools p ON p.pool = e.pool
WINDOW in_order AS (PARTITION BY e.pool ORDER BY e.epoch)
ORDER BY e.pool, e.epoch
"""


def _touches(span: _Span, since: Instant | None, until: Instant | None) -> bool:
    return not (
        (since is not None and _is_before(span.end, span.next_seq, since))
        or (until is not None and _is_after(span.begin, span.first_seq, until))
    )


def _is_before(at: datetime | None, seq: int | None, instant: Instant) -> bool:
    if instant.seq is not None:
        return seq is not None and seq <= instant.seq
    return at is not None and us_of(at) <= (instant.at_us or 0)


def _is_after(at: datetime, seq: int, instant: Instant) -> bool:
    if instant.seq is not None:
        return seq > instant.seq
    return us_of(at) > (instant.at_us or 0)


def _unrecorded(
    spans: Sequence[_Span], since: Instant | None, until: Instant | None
) -> list[Unrecorded]:
    """Compare the times that were asked for with the ends of each pool's record."""
    found = []
    for span in {span.pool: span for span in spans}.values():
        begin, end = span.record_begin, span.record_end
        first, last = since or until, until or since
        early = first is not None and first.at_us is not None and us_of(begin) > first.at_us
        late = last is not None and last.at_us is not None and us_of(end) < last.at_us
        if early or late:
            found.append(Unrecorded(span.pool, begin if early else None, end if late else None))
    return found
