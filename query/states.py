"""What an object was like at an instant, and how certain that is."""

from datetime import datetime
from enum import StrEnum

import msgspec

from recorder.instant import BadInstant, Instant, time_text, us_of

from .database import History
from .gaps import GapSpan, gap_spans
from .known import Origin
from .objects import Found, check_pool, pools
from .questions import check_class
from .records import Json


class Certainty(StrEnum):
    """How much an answer about an instant is worth."""

    KNOWN = "known"  # recorded, and nothing was missed
    UNCERTAIN = "uncertain"  # the last state known before a gap that the instant lies in
    LAST_KNOWN = "last-known"  # the instant is later than all that was recorded of the pool
    UNKNOWN = "unknown"  # nothing was recorded that could tell


class State(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """An object at an instant. `exists` is None where nobody can know.

    `seq`, `told_at` and `origin` are of the entry that told the state; `gap` is the seq of the gap
    that the instant lies in; `reason` says why an answer is not `known`, or which lack it has.
    `stream` is how the pool was followed then: with `from` it may have had another state since.
    """

    pool: str
    cls: str
    ref: str
    uuid: str | None
    name: str | None
    certainty: Certainty
    exists: bool | None
    reason: str | None = None
    gap: int | None = None
    seq: int | None = None
    told_at: datetime | None = None
    origin: Origin | None = None
    stream: str | None = None
    fields: dict[str, Json] = {}


class Verdict(msgspec.Struct, frozen=True):
    """How certain the state of a whole pool is at an instant.

    `complete` is false while the first baseline was still being read. `stream` is how the pool was
    followed: with `from`, states in between were never told.
    """

    pool: str
    certainty: Certainty
    reason: str | None = None
    gap: int | None = None
    complete: bool = True
    stream: str | None = None


class States(msgspec.Struct, frozen=True):
    """All objects of a class at an instant, and a verdict for each pool that was asked."""

    at: str
    verdicts: list[Verdict]
    states: list[State]


def state_of(history: History, found: Found, instant: Instant) -> State:
    """Return the state of one object at an instant. Raises BadInstant beyond the journal."""
    position = _position(history, instant)
    verdict = _verdict(history, found.pool, instant, position)
    rows = _rows(history, found.cls, position, pool=found.pool, ref=found.ref)
    if rows:
        skip = _skip(history, found.pool, found.cls, position)
        return _state(rows[0], _verdict_on(rows[0], verdict, skip))
    return _before_the_first_row(history, found, verdict)


def states_of_class(
    history: History, cls: str, instant: Instant, *, pool: str | None = None
) -> States:
    """Return all objects of a class that existed at an instant, by pool and name.

    Raises NoSuchPool, NoSuchObject for an unknown class, BadInstant beyond the journal.
    """
    check_pool(history, pool)
    check_class(history, cls)
    position = _position(history, instant)
    asked = [pool] if pool is not None else pools(history)
    verdicts = {name: _verdict(history, name, instant, position) for name in asked}
    skips = {name: _skip(history, name, cls.lower(), position) for name in asked}
    rows = _rows(history, cls.lower(), position, pool=pool)
    states = [
        _state(row, _verdict_on(row, verdicts[row.pool], skips[row.pool]))
        for row in rows
        if row.operation != "del"
    ]
    states.sort(key=lambda state: (state.pool, state.name or "", state.ref))
    return States(str(instant), list(verdicts.values()), states)


# -- where an instant lies in the journal ------------------------------------------------------


class _Seq(msgspec.Struct):
    seq: int | None


def _position(history: History, instant: Instant) -> int:
    """Return the last entry that counts at an instant; times are labels, numbers are the order."""
    if instant.seq is not None:
        end = history.first(_Seq, "SELECT max(last_seq) AS seq FROM loads")
        if end is None or end.seq is None or instant.seq > end.seq:
            last = 0 if end is None or end.seq is None else end.seq
            raise BadInstant(f"@{instant.seq} is not recorded: the history ends at @{last}")
        return instant.seq
    sql = """
        SELECT max(seq) AS seq FROM (
            SELECT max(seq) AS seq FROM events WHERE received_at <= make_timestamptz($at)
            UNION ALL
            SELECT max(seq) FROM marks WHERE received_at <= make_timestamptz($at)
            UNION ALL
            SELECT max(seq) FROM gap_spans WHERE opened_at <= make_timestamptz($at)
            UNION ALL
            SELECT max(closed_seq) FROM gap_spans WHERE closed_at <= make_timestamptz($at)
        )
    """
    row = history.first(_Seq, sql, {"at": instant.at_us})
    return 0 if row is None or row.seq is None else row.seq


class _PoolFacts(msgspec.Struct):
    last_seq: int
    last_at: datetime
    baselined_seq: int | None
    registered_seq: int | None
    registered_at: datetime | None


_POOL_FACTS = """
SELECT last_seq, last_at, baselined_seq, r.seq AS registered_seq, r.received_at AS registered_at
FROM pools p LEFT JOIN (
    SELECT pool, min(seq) AS seq, min(received_at) AS received_at
    FROM marks WHERE name = 'registered' GROUP BY pool
) r USING (pool) WHERE pool = $pool
"""


class _Stream(msgspec.Struct):
    stream: str | None


def _verdict(history: History, pool: str, instant: Instant, position: int) -> Verdict:
    sql = """
        SELECT stream FROM epochs WHERE pool = $pool AND epoch <= $position
        ORDER BY epoch DESC LIMIT 1
    """
    epoch = history.first(_Stream, sql, {"pool": pool, "position": position})
    verdict = _certainty(history, pool, instant, position)
    return msgspec.structs.replace(verdict, stream=None if epoch is None else epoch.stream)


def _certainty(history: History, pool: str, instant: Instant, position: int) -> Verdict:
    facts = history.first(_PoolFacts, _POOL_FACTS, {"pool": pool})
    if facts is None or facts.registered_seq is None or facts.registered_at is None:
        return Verdict(pool, Certainty.UNKNOWN, f"pool {pool} was never recorded", complete=False)
    complete = facts.baselined_seq is not None and position >= facts.baselined_seq
    if position < facts.registered_seq:
        since = time_text(us_of(facts.registered_at))
        reason = f"pool {pool} is recorded only since {since} (@{facts.registered_seq})"
        return Verdict(pool, Certainty.UNKNOWN, reason, complete=False)
    for gap in gap_spans(history, pool):
        if _covers(gap, instant, position):
            return Verdict(pool, Certainty.UNCERTAIN, _inside(gap), gap.seq, complete)
    last_at_us = us_of(facts.last_at)
    if position > facts.last_seq or (instant.at_us is not None and instant.at_us > last_at_us):
        reason = f"nothing is recorded of pool {pool} after {time_text(last_at_us)}"
        return Verdict(pool, Certainty.LAST_KNOWN, reason, complete=complete)
    if not complete:
        reason = f"the first baseline of pool {pool} was not complete yet"
        return Verdict(pool, Certainty.KNOWN, reason, complete=False)
    return Verdict(pool, Certainty.KNOWN)


def _covers(gap: GapSpan, instant: Instant, position: int) -> bool:
    """The entry before a gap still tells the state of its own moment, not that of any later."""
    begun = gap.since_seq < position
    if instant.at_us is not None:
        begun = begun or instant.at_us >= us_of(gap.since)
    return begun and (gap.closed_seq is None or position < gap.closed_seq)


def _inside(gap: GapSpan) -> str:
    since = time_text(us_of(gap.since))
    if gap.blind_until is None:
        return f"inside gap @{gap.seq} ({gap.cause}), open since {since}"
    until = time_text(us_of(gap.blind_until))
    return f"inside gap @{gap.seq} ({gap.cause}): events may be missed from {since} to {until}"


# -- rows --------------------------------------------------------------------------------------


class _Row(msgspec.Struct, rename={"cls": "class"}):
    pool: str
    cls: str
    ref: str
    uuid: str | None
    name: str | None
    seq: int
    received_at: datetime
    epoch: int | None
    operation: str
    origin: Origin
    snapshot: str | None


def _rows(
    history: History, cls: str, position: int, *, pool: str | None = None, ref: str | None = None
) -> list[_Row]:
    """Return the last row of each object at a position. Only those snapshots are unpacked."""
    sql = """
        WITH newest AS (
            SELECT pool, ref, max(seq) AS seq FROM events
            WHERE class = $class AND seq <= $position
                AND ($pool IS NULL OR pool = $pool) AND ($ref IS NULL OR ref = $ref)
            GROUP BY pool, ref
        )
        SELECT pool, class, ref, uuid, name, seq, received_at, epoch, operation, origin, snapshot
        FROM events JOIN newest USING (pool, ref, seq) WHERE class = $class
    """
    params = {"class": cls, "position": position, "pool": pool, "ref": ref}
    return history.all(_Row, sql, params)


def _state(row: _Row, verdict: Verdict) -> State:
    exists = row.operation != "del"
    fields: dict[str, Json] = {}
    if exists and row.snapshot is not None:
        fields = msgspec.json.decode(row.snapshot)
    return State(
        pool=row.pool,
        cls=row.cls,
        ref=row.ref,
        uuid=row.uuid,
        name=row.name,
        certainty=verdict.certainty,
        exists=exists,
        reason=verdict.reason if verdict.certainty is not Certainty.KNOWN else None,
        gap=verdict.gap,
        seq=row.seq,
        told_at=row.received_at,
        origin=row.origin,
        stream=verdict.stream,
        fields=fields,
    )


def _before_the_first_row(history: History, found: Found, verdict: Verdict) -> State:
    """An object without a row up to the instant: not there yet, or nobody can know."""
    state = State(
        pool=found.pool,
        cls=found.cls,
        ref=found.ref,
        uuid=found.uuid,
        name=found.name,
        certainty=Certainty.UNKNOWN,
        exists=None,
        reason=verdict.reason,
        gap=verdict.gap,
        stream=verdict.stream,
    )
    if verdict.certainty is not Certainty.KNOWN or not verdict.complete:
        return state
    first = history.first(
        _First,
        "SELECT first_operation, first_origin, first_seq FROM objects"
        " WHERE pool = $pool AND class = $class AND ref = $ref",
        {"pool": found.pool, "class": found.cls, "ref": found.ref},
    )
    assert first is not None, "what was found is an object"
    if first.first_operation == "add" and first.first_origin != Origin.BASELINE:
        reason = f"did not exist before @{first.first_seq}"
        return msgspec.structs.replace(
            state, certainty=Certainty.KNOWN, exists=False, reason=reason
        )
    reason = f"first seen at @{first.first_seq}, when it had existed for an unknown time"
    return msgspec.structs.replace(state, reason=reason)


class _First(msgspec.Struct):
    first_operation: str
    first_origin: str
    first_seq: int


class _Skip(msgspec.Struct):
    seq: int
    epoch: int


def _skip(history: History, pool: str, cls: str, position: int) -> _Skip | None:
    """Return the mark, if there is one, that the newest epoch could not read a class."""
    sql = """
        SELECT seq, epoch FROM marks
        WHERE pool = $pool AND name = 'class-skipped' AND seq <= $position
            AND lower(json_extract_string(detail, '$.class')) = $class
            AND epoch = (SELECT max(seq) FROM marks
                WHERE pool = $pool AND name = 'registered' AND seq <= $position)
        ORDER BY seq LIMIT 1
    """
    return history.first(_Skip, sql, {"pool": pool, "position": position, "class": cls})


def _verdict_on(row: _Row, verdict: Verdict, skip: _Skip | None) -> Verdict:
    """What a baseline could not read stays unconfirmed beyond the end of the gap before it."""
    if row.snapshot is None and row.operation != "del":
        reason = f"what was recorded of it at @{row.seq} was redacted"
        return Verdict(row.pool, Certainty.UNCERTAIN, reason, stream=verdict.stream)
    if verdict.certainty is not Certainty.KNOWN or skip is None or row.seq > skip.epoch:
        return verdict
    reason = f"class {row.cls} could not be read again after a gap (@{skip.seq})"
    return Verdict(row.pool, Certainty.UNCERTAIN, reason, stream=verdict.stream)
