"""Which time an answer about a pool is about: the range asked for, and where its record lies."""

import msgspec

from recorder.instant import BadInstant, Instant

from ..history.database import History
from .certainty import moment_of


class Range(msgspec.Struct, frozen=True):
    """The range asked for of a pool, and its record, in microseconds since 1970 UTC.

    The record reaches from the first registration to the last entry of the pool: one that is
    followed no more has entries no more, while the journal goes on.
    """

    begin_us: int
    end_us: int
    record_begin_us: int
    record_end_us: int

    @property
    def recorded_us(self) -> int:
        """How much of the range is recorded, gaps included."""
        begin_us = max(self.begin_us, self.record_begin_us)
        return max(min(self.end_us, self.record_end_us) - begin_us, 0)


class _Record(msgspec.Struct):
    begin_us: int
    end_us: int
    journal_end_us: int


_RECORD = """
SELECT epoch_us(min(e.since)) AS begin_us, epoch_us(max(p.last_at)) AS end_us,
    (SELECT max(last_received_ns) // 1000 FROM loads) AS journal_end_us
FROM epochs e JOIN pools p USING (pool) WHERE pool = $pool HAVING count(*) > 0
"""


def check_order(since: Instant | None, until: Instant | None) -> None:
    """Raise BadInstant for a range that ends before it begins."""
    if since is None or until is None:
        return
    by_time = since.at_us is not None and until.at_us is not None and since.at_us > until.at_us
    by_entry = since.seq is not None and until.seq is not None and since.seq > until.seq
    if by_time or by_entry:
        raise BadInstant(f"the range begins at {since}, after its end at {until}: swap the two")


def range_of(
    history: History, pool: str, since: Instant | None, until: Instant | None
) -> Range | None:
    """Return the range for a pool, None if it was never recorded. Raises BadInstant.

    What is not given is the beginning, or the end, of the record; of the journal, if the record
    ended before `since`.
    """
    record = history.first(_Record, _RECORD, {"pool": pool})
    if record is None:
        return None
    begin_us = record.begin_us if since is None else _us_at(history, since)
    end_us = record.end_us if begin_us < record.end_us else record.journal_end_us
    if until is not None:
        end_us = _us_at(history, until)
    return Range(begin_us, end_us, record.begin_us, record.end_us)


class _At(msgspec.Struct):
    at_us: int | None


def _us_at(history: History, instant: Instant) -> int:
    """Return the time of an instant; that of an entry is when it was received."""
    if instant.at_us is not None:
        return instant.at_us
    seq = moment_of(history, instant, None).seq
    sql = """
        SELECT epoch_us(max(received_at)) AS at_us FROM (
            SELECT received_at FROM events WHERE seq <= $seq
            UNION ALL SELECT received_at FROM marks WHERE seq <= $seq
            UNION ALL SELECT opened_at FROM gap_spans WHERE seq <= $seq
            UNION ALL SELECT closed_at FROM gap_spans WHERE closed_seq <= $seq
        )
    """
    row = history.first(_At, sql, {"seq": seq})
    return 0 if row is None or row.at_us is None else row.at_us
