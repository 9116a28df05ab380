"""The gap ledger, asked: where the recorder was blind, why, and for how long in all."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from recorder.instant import Instant, time_of, us_of

from ..history.database import History
from .objects import check_pool


class GapSpan(msgspec.Struct, frozen=True):
    """A time in which events of a pool may have been missed.

    Between `since` and `closed_at` its state is uncertain; nothing was missed after `blind_until`.
    Both ends are None while the gap is open.
    """

    seq: int
    cause: str
    told_cause: str
    since: datetime
    since_seq: int
    blind_until: datetime | None
    closed_seq: int | None


class GapRow(msgspec.Struct, frozen=True):
    """A row of the view `gaps`, whose columns views.sql explains.

    What was redacted or dropped is a row, too: nothing was missed there, but is known no more.
    `since` is None where nobody knows it.
    """

    seq: int
    pool: str
    cause: str
    told_cause: str
    detail: str
    stream: str | None
    open: bool
    since: datetime | None
    since_seq: int | None
    opened_at: datetime
    blind_until: datetime | None
    duration_s: float | None
    closed_at: datetime | None
    closed_seq: int | None
    last_event_id: int | None
    last_event_at: datetime | None
    first_event_id: int | None
    first_event_at: datetime | None
    ids_missed: int | None
    objects_differed: int | None
    inferred_adds: int | None
    inferred_mods: int | None
    inferred_dels: int | None
    rolled_back_from: int | None
    rolled_back_to: int | None

    @property
    def is_blind(self) -> bool:
        """True if events may have been missed."""
        return self.stream is not None


class Blindness(msgspec.Struct, frozen=True):
    """How much of its record a pool has gaps in.

    The record reaches from the first registration to the end of the journal, where an open gap
    ends for now. What several gaps cover counts once.
    """

    pool: str
    gaps: int
    blind_s: float
    recorded_s: float
    open_since: datetime | None

    @property
    def share(self) -> float:
        """The part of the record that is blind, from 0 to 1."""
        return self.blind_s / self.recorded_s if self.recorded_s else 0.0


def gap_spans(history: History, pool: str) -> list[GapSpan]:
    """Return the gaps of a pool, oldest first, without counting what was found after them."""
    return history.once(("gap spans", pool), lambda: _gap_spans(history, pool))


class _Span(msgspec.Struct, array_like=True):
    seq: int
    cause: str
    told_cause: str
    since_us: int
    since_seq: int
    blind_until_us: int | None
    closed_seq: int | None


_SPANS = """
SELECT seq, cause, told_cause, epoch_us(since), since_seq, epoch_us(blind_until), closed_seq
FROM gap_spans WHERE pool = $pool
"""


def _gap_spans(history: History, pool: str) -> list[GapSpan]:
    spans = msgspec.convert(history.plain(_SPANS, {"pool": pool}), list[_Span])
    spans.sort(key=lambda span: span.seq)
    return [
        GapSpan(
            seq=span.seq,
            cause=span.cause,
            told_cause=span.told_cause,
            since=time_of(span.since_us),
            since_seq=span.since_seq,
            blind_until=None if span.blind_until_us is None else time_of(span.blind_until_us),
            closed_seq=span.closed_seq,
        )
        for span in spans
    ]


def has_gaps(history: History) -> bool:
    """Tell whether any pool has a gap."""
    return history.once(
        "has gaps", lambda: bool(history.plain("SELECT 1 FROM gap_spans LIMIT 1", {}))
    )


def gaps(
    history: History,
    *,
    pool: str | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
) -> list[GapRow]:
    """Return the ledger, oldest first; with that of a pool what the recorder dropped for all."""
    check_pool(history, pool)
    sql = "SELECT * FROM gaps WHERE $pool IS NULL OR pool IN ($pool, '') ORDER BY seq, pool"
    rows = history.all(GapRow, sql, {"pool": pool})
    return [row for row in rows if not _ends_before(row, since) and not _begins_after(row, until)]


def gaps_between(
    history: History, since: Instant | None, until: Instant | None, *, pool: str | None
) -> list[GapRow]:
    """Return the gaps that an answer about a range has to be read with, oldest first."""
    rows = gaps(history, pool=pool, since=since, until=until)
    return [row for row in rows if row.is_blind]


def _ends_before(gap: GapRow, since: Instant | None) -> bool:
    if since is None or gap.closed_seq is None or gap.closed_at is None:
        return False
    if since.seq is not None:
        return gap.closed_seq < since.seq
    return us_of(gap.closed_at) < (since.at_us or 0)


def _begins_after(gap: GapRow, until: Instant | None) -> bool:
    if until is None or gap.since is None or gap.since_seq is None:
        return False
    if until.seq is not None:
        return gap.since_seq >= until.seq
    return us_of(gap.since) > (until.at_us or 0)


class _Record(msgspec.Struct):
    pool: str
    begin: datetime
    end: datetime


_RECORDS = """
SELECT pool, min(since) AS begin, max(ended) AS end FROM epochs, (
    SELECT make_timestamptz(last_received_ns // 1000) AS ended FROM loads
    UNION ALL SELECT last_at FROM pools
) GROUP BY pool ORDER BY pool
"""


def blindness(history: History, rows: Sequence[GapRow], *, pool: str | None) -> list[Blindness]:
    """Return how blind each pool is by its gaps in `rows`, or only `pool`."""
    records = history.all(_Record, _RECORDS)
    return [_blindness(one, rows) for one in records if pool in (None, one.pool)]


def _blindness(record: _Record, rows: Iterable[GapRow]) -> Blindness:
    own = [row for row in rows if row.is_blind and row.pool == record.pool]
    begin_us, end_us = us_of(record.begin), us_of(record.end)
    spans = sorted(
        (us_of(row.since), end_us if row.blind_until is None else us_of(row.blind_until))
        for row in own
        if row.since is not None
    )
    blind_us, seen_to_us = 0, begin_us
    for since_us, until_us in spans:
        blind_us += max(min(until_us, end_us) - max(since_us, seen_to_us), 0)
        seen_to_us = max(seen_to_us, until_us)
    open_since = [row.since for row in own if row.open and row.since is not None]
    return Blindness(
        record.pool,
        len(own),
        blind_us / 1e6,
        max(end_us - begin_us, 0) / 1e6,
        min(open_since, default=None),
    )
