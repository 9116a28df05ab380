"""How certain anything can be that is said of a pool at an instant."""

from enum import StrEnum

import msgspec

from recorder.instant import BadInstant, Instant, time_text, us_of
from recorder.model import Stream

from ..history.database import History, Params
from .gaps import GapSpan, gap_spans, has_gaps
from .pool_facts import PoolFacts, facts_of


class Certainty(StrEnum):
    """How much an answer about an instant is worth."""

    KNOWN = "known"  # recorded, and nothing was missed
    UNCERTAIN = "uncertain"  # the last state known before a gap that the instant lies in
    LAST_KNOWN = "last-known"  # the instant is later than all that was recorded of the pool
    UNKNOWN = "unknown"  # nothing was recorded that could tell


class Verdict(msgspec.Struct, frozen=True):
    """How certain the state of a whole pool is at an instant.

    `complete` is false while the first baseline was still being read, and for a class that could
    not be read. `stream` is how the pool was followed: with `from`, states in between were never
    told.
    """

    pool: str
    certainty: Certainty
    reason: str | None = None
    gap: int | None = None
    complete: bool = True
    stream: str | None = None

    @property
    def is_certain(self) -> bool:
        """True if nothing of the pool can have been missed up to the instant."""
        whole = self.certainty is Certainty.KNOWN and self.complete
        return whole and self.stream != Stream.FROM


class Moment(msgspec.Struct, frozen=True):
    """An instant, the last entry `seq` that counts for it, and the last one known at all."""

    instant: Instant
    seq: int
    known_seq: int | None

    def knows(self, seq: int | None) -> bool:
        """True if an entry was recorded, and before what is known ends."""
        return seq is not None and (self.known_seq is None or seq <= self.known_seq)


def moment_of(history: History, instant: Instant, known: Instant | None) -> Moment:
    """Place an instant in the journal. Raises BadInstant beyond its end."""
    seq = _position(history, instant)
    if known is None:
        return Moment(instant, seq, None)
    known_seq = _position(history, known)
    return Moment(instant, min(seq, known_seq), known_seq)


def _position(history: History, instant: Instant) -> int:
    """Return the last entry that counts at an instant; times are labels, numbers are the order."""
    if instant.seq is not None:
        last = _number(history, "SELECT max(last_seq) FROM loads", {})
        if instant.seq > last:
            raise BadInstant(f"@{instant.seq} is not recorded: the history ends at @{last}")
        return instant.seq
    asked = (*_PLACES, _PLACE_OF_GAPS) if has_gaps(history) else _PLACES
    return max(_number(history, sql, {"at": instant.at_us}) for sql in asked)


# One by one: together they take DuckDB longer to plan.
_PLACES = (
    # From the newest row on, which reads only a few: max(seq) would read them all.
    """
    SELECT max(seq) FROM (
        SELECT seq FROM events WHERE received_at <= make_timestamptz($at) ORDER BY seq DESC LIMIT 1
    )
    """,
    "SELECT max(seq) FROM marks WHERE received_at <= make_timestamptz($at)",
)
_PLACE_OF_GAPS = """
SELECT max(seq) FROM (
    SELECT max(seq) AS seq FROM gap_spans WHERE opened_at <= make_timestamptz($at)
    UNION ALL SELECT max(closed_seq) FROM gap_spans WHERE closed_at <= make_timestamptz($at)
)
"""


def _number(history: History, sql: str, params: Params) -> int:
    """Return the one number of an answer, 0 if there is none."""
    ((number,),) = history.plain(sql, params)
    return 0 if number is None else msgspec.convert(number, int)


def verdict_of(history: History, pool: str, moment: Moment) -> Verdict:
    """Return how certain the state of a whole pool is at a moment."""
    facts = facts_of(history, pool)
    epoch = facts.epoch_at(moment.seq)
    verdict = _certainty(history, pool, facts, moment)
    return verdict if epoch is None else msgspec.structs.replace(verdict, stream=epoch.stream)


def _certainty(history: History, pool: str, facts: PoolFacts, moment: Moment) -> Verdict:
    reach = facts.reach
    if reach is None or not facts.registrations:
        return Verdict(pool, Certainty.UNKNOWN, f"pool {pool} was never recorded", complete=False)
    complete = reach.baselined_seq is not None and moment.seq >= reach.baselined_seq
    first = facts.registrations[0]
    if moment.seq < first.seq:
        since = time_text(min(one.at_us for one in facts.registrations))
        reason = f"pool {pool} is recorded only since {since} (@{first.seq})"
        return Verdict(pool, Certainty.UNKNOWN, reason, complete=False)
    for span in gap_spans(history, pool):
        gap = _as_known(span, moment)
        if gap is not None and _covers(gap, moment):
            return Verdict(pool, Certainty.UNCERTAIN, _inside(gap), gap.seq, complete)
    last = _End(reach.last_seq, reach.last_at_us)
    if not moment.knows(reach.last_seq):
        last = history.first(_End, _LAST_KNOWN, {"pool": pool, "known": moment.known_seq}) or last
    at_us, seq = moment.instant.at_us, moment.instant.seq
    if (seq is not None and seq > last.seq) or (at_us is not None and at_us > last.at_us):
        reason = f"nothing is recorded of pool {pool} after {time_text(last.at_us)}"
        return Verdict(pool, Certainty.LAST_KNOWN, reason, complete=complete)
    if not complete:
        reason = f"the first baseline of pool {pool} was not complete yet"
        return Verdict(pool, Certainty.KNOWN, reason, complete=False)
    return Verdict(pool, Certainty.KNOWN)


class _End(msgspec.Struct):
    seq: int
    at_us: int


_LAST_KNOWN = """
SELECT max(seq) AS seq, epoch_us(max(received_at)) AS at_us FROM (
    SELECT seq, received_at FROM events WHERE pool = $pool AND seq <= $known
    UNION ALL SELECT seq, received_at FROM marks WHERE pool = $pool AND seq <= $known
    UNION ALL SELECT seq, opened_at FROM gap_spans WHERE pool = $pool AND seq <= $known
    UNION ALL SELECT closed_seq, closed_at FROM gap_spans
    WHERE pool = $pool AND closed_seq <= $known
) HAVING count(*) > 0
"""


def _as_known(gap: GapSpan, moment: Moment) -> GapSpan | None:
    """Return a gap as it was known: not at all before it was noticed, open until its end was."""
    if not moment.knows(gap.seq):
        return None
    if gap.closed_seq is None or moment.knows(gap.closed_seq):
        return gap
    return msgspec.structs.replace(gap, cause=gap.told_cause, blind_until=None, closed_seq=None)


def _covers(gap: GapSpan, moment: Moment) -> bool:
    """The entry before a gap still tells the state of its own moment, not that of any later."""
    begun = gap.since_seq < moment.seq
    if moment.instant.at_us is not None:
        begun = begun or moment.instant.at_us >= us_of(gap.since)
    return begun and (gap.closed_seq is None or moment.seq < gap.closed_seq)


def _inside(gap: GapSpan) -> str:
    since = time_text(us_of(gap.since))
    if gap.blind_until is None:
        return f"inside gap @{gap.seq} ({gap.cause}), open since {since}"
    until = time_text(us_of(gap.blind_until))
    return f"inside gap @{gap.seq} ({gap.cause}): events may be missed from {since} to {until}"
