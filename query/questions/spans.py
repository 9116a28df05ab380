"""Spans: from when to when a VM was in which power state, or on which host, and where nobody knows.

What is between two things that were told is known, but for the gaps of the pool: a state that was
the same before and after a gap is presumed in it, any other is unknown until it was told again.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import accumulate, groupby, pairwise

import msgspec
from msgspec.structs import replace

from recorder.instant import Instant, time_of, us_of

from ..history.database import History
from ..load.known import Origin
from .gaps import gap_spans
from .objects import Found, check_pool, number_of, pools
from .ranges import Range, range_of

POWER = "power_state"
PLACE = "resident_on"
NOWHERE = "OpaqueRef:NULL"


class Sureness(StrEnum):
    """What a span is worth."""

    KNOWN = "known"
    PRESUMED = "presumed"  # as before and after a gap
    UNKNOWN = "unknown"


class Span(msgspec.Struct, frozen=True):
    """A VM, its power state or host for a while. Times are cut to the range asked for.

    `value` is None where it is unknown, or where there was no such VM (`exists` is false then).
    `seq` is the entry that told the value, `gap` the gap for which it is not known.
    """

    pool: str
    ref: str
    uuid: str | None
    name: str | None
    value: str | None
    exists: bool
    since: datetime
    until: datetime
    duration_s: float
    sureness: Sureness
    seq: int | None
    gap: int | None


class Uptime(msgspec.Struct, frozen=True):
    """How long a VM was in which power state in a range, in seconds; `total_s` is its life in it.

    What is unknown or presumed is in `unsure_s` alone: the VM was up between `up_at_least` and
    `up_at_most`, shares from 0 to 1 (None if it did not exist in the range).
    """

    pool: str
    ref: str
    uuid: str | None
    name: str | None
    total_s: float
    running_s: float
    paused_s: float
    suspended_s: float
    halted_s: float
    unsure_s: float
    up_at_least: float | None
    up_at_most: float | None
    changes: int
    first_seq: int | None
    last_seq: int | None


def spans(
    history: History,
    field: str,
    *,
    found: Found | None = None,
    pool: str | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    everything: bool = False,
) -> list[Span]:
    """Return the spans of a field of VMs (POWER or PLACE) in a range, by pool, name and time.

    The range is the whole record unless it is given; after the last entry of a pool nobody knows.
    Templates, snapshots and control domains are left out unless `everything` or one of them is
    asked for, and so is what was never there in the range. Raises NoSuchPool, BadInstant.
    """
    check_pool(history, pool)
    asked = [found.pool] if found else [pool] if pool else pools(history)
    told = []
    for name in asked:
        within = range_of(history, name, since, until)
        if within is None or within.begin_us >= within.end_us:
            continue
        steps = _steps(history, field, name, found, everything=everything)
        silences = _silences(history, name, within)
        for _, own in groupby(steps, key=lambda step: step.ref):
            life = _Life(list(own), silences, within.end_us)
            spans_ = _joined(life.spans(within.begin_us, within.end_us))
            if found or any(span.exists for span in spans_):
                told += spans_
    return told


def uptimes(told: Iterable[Span]) -> list[Uptime]:
    """Add the spans of power states up, VM by VM."""
    return [_uptime(list(own)) for _, own in groupby(told, key=lambda span: (span.pool, span.ref))]


def _uptime(own: Sequence[Span]) -> Uptime:
    seconds = dict.fromkeys(("Running", "Paused", "Suspended", "Halted", None), 0.0)
    for span in own:
        if span.sureness is not Sureness.KNOWN:
            seconds[None] += span.duration_s
        elif span.exists:
            seconds[span.value] = seconds.get(span.value, 0.0) + span.duration_s
    total_s = sum(seconds.values())
    up_s = seconds["Running"]
    known = [span for span in own if span.exists and span.sureness is Sureness.KNOWN]
    seqs = [span.seq for span in own if span.seq is not None]
    first = own[0]
    return Uptime(
        pool=first.pool,
        ref=first.ref,
        uuid=first.uuid,
        name=first.name,
        total_s=total_s,
        running_s=up_s,
        paused_s=seconds["Paused"],
        suspended_s=seconds["Suspended"],
        halted_s=seconds["Halted"],
        unsure_s=seconds[None],
        up_at_least=up_s / total_s if total_s else None,
        up_at_most=(up_s + seconds[None]) / total_s if total_s else None,
        changes=sum(one.value != other.value for one, other in pairwise(known)),
        first_seq=min(seqs, default=None),
        last_seq=max(seqs, default=None),
    )


# -- what was told -----------------------------------------------------------------------------


class _Silence(msgspec.Struct, frozen=True):
    """A time in which nothing, or not enough, was told; `end_us` None while it lasts."""

    begin_us: int
    end_us: int | None
    gap: int | None


def _silences(history: History, pool: str, within: Range) -> list[_Silence]:
    """Return the gaps of a pool, and what lies outside of its record."""
    found = [
        _Silence(
            us_of(gap.since), None if gap.blind_until is None else us_of(gap.blind_until), gap.seq
        )
        for gap in gap_spans(history, pool)
    ]
    before = _Silence(0, within.record_begin_us, None)
    return [before, *found, _Silence(within.record_end_us, None, None)]


class _Step(msgspec.Struct):
    """A value of a VM as an entry told it, None if it was gone; `gap`: it may be as old as that."""

    pool: str
    ref: str
    uuid: str | None
    name: str | None
    seq: int
    at_us: int
    value: str | None
    gone: bool
    operation: str
    origin: Origin
    gap: int | None


# What is asked of events is asked twice, since DuckDB looks into every snapshot for an OR. An event
# that told of an end may have told a last change, too.
_STEPS = """
WITH told AS (
    SELECT object, seq, received_at, new ->> '$' AS value, 'mod' AS operation, origin, gap
    FROM changes WHERE class = 'vm' AND field = $field AND pool = $pool
    UNION ALL
    SELECT object, seq, received_at, json_extract_string(snapshot, '$.' || $field), operation,
        origin, gap
    FROM events WHERE class = 'vm' AND pool = $pool AND operation <> 'del'
        AND changed_fields IS NULL
    UNION ALL
    SELECT object, seq, received_at, NULL, operation, origin, gap
    FROM events WHERE class = 'vm' AND pool = $pool AND operation = 'del'
), kinds AS (
    SELECT o.first_seq AS object, coalesce(
        any_value(s.snapshot), arg_max(e.snapshot, e.seq) FILTER (e.snapshot IS NOT NULL)
    ) AS snapshot
    FROM objects o
        LEFT JOIN current_state s ON s.pool = o.pool AND s.class = 'vm' AND s.ref = o.ref
        LEFT JOIN events e
            ON s.ref IS NULL AND e.object = o.first_seq AND e.operation <> 'mod'
    WHERE o.class = 'vm' AND o.pool = $pool GROUP BY ALL
)
SELECT o.pool, o.ref, o.uuid, o.name, t.seq, epoch_us(t.received_at) AS at_us, t.value,
    t.operation = 'del' AS gone, t.operation, t.origin, t.gap
FROM told t JOIN objects o ON o.first_seq = t.object JOIN kinds k ON k.object = t.object
WHERE ($object IS NULL OR t.object = $object) AND ($everything OR $object IS NOT NULL OR NOT (
    coalesce(k.snapshot ->> '$.is_a_template' = 'true', false)
    OR coalesce(k.snapshot ->> '$.is_a_snapshot' = 'true', false)
    OR coalesce(k.snapshot ->> '$.is_control_domain' = 'true', false)))
ORDER BY o.name, o.ref, t.seq, gone
"""


def _steps(
    history: History, field: str, pool: str, found: Found | None, *, everything: bool
) -> list[_Step]:
    params = {
        "field": field,
        "pool": pool,
        "object": number_of(history, found) if found else None,
        "everything": everything,
    }
    return history.all(_Step, _STEPS, params)


# -- from what was told to spans ---------------------------------------------------------------


class _Blind(msgspec.Struct, frozen=True):
    """Silences that touch each other; `is_over` is false for one that ends with the range only."""

    begin_us: int
    end_us: int
    gap: int | None
    is_over: bool


class _Life:
    """What was told of one VM. Where the clock went back, times stand still."""

    def __init__(self, steps: Sequence[_Step], silences: Sequence[_Silence], end_us: int) -> None:
        self.steps = steps
        self.times = list(accumulate((step.at_us for step in steps), max))
        self.blind = _merged(self._prolonged(silences), end_us)
        self._blind_times = [one.begin_us for one in self.blind]

    def _prolonged(self, silences: Sequence[_Silence]) -> Iterator[_Silence]:
        """What a gap left open is unknown until it was told again."""
        told: dict[int, int] = {}
        for step, at_us in zip(self.steps, self.times, strict=True):
            if step.gap is not None:
                told.setdefault(step.gap, at_us)
        for one in silences:
            again_us = None if one.gap is None else told.get(one.gap)
            if one.end_us is not None and again_us is not None:
                yield replace(one, end_us=max(one.end_us, again_us))
            else:
                yield one

    def spans(self, begin_us: int, end_us: int) -> Iterator[Span]:
        """Yield spans that cover the range without a hole; those without length come first."""
        edges = (edge for one in self.blind for edge in (one.begin_us, one.end_us))
        cuts = sorted({begin_us, end_us, *self.times, *edges})
        for since_us, until_us in pairwise(cuts):
            if begin_us <= since_us and until_us <= end_us:
                last = bisect_right(self.times, since_us) - 1
                for place in range(bisect_left(self.times, since_us), last):
                    yield self._span(place, since_us, since_us)
                yield self._span(last, since_us, until_us)

    def _span(self, place: int, since_us: int, until_us: int) -> Span:
        """Return the span of the step at `place`, or of the time before all steps (-1)."""
        step = self.steps[max(place, 0)]
        # What is gone stays gone, unless the database went back in time: no reference comes twice.
        is_past = place == len(self.steps) - 1 and step.gone
        blind = None if is_past else self._blind_at(since_us)
        exists: bool | None = not step.gone
        if place < 0:
            came_later = step.operation == "add" and step.origin is not Origin.BASELINE
            exists = False if came_later else None
        sureness = Sureness.UNKNOWN if exists is None else Sureness.KNOWN
        if blind is not None:
            sureness = self._sureness_in(blind)
        if place >= 0 and step.value is None and not step.gone:
            sureness = Sureness.UNKNOWN  # what it told was redacted
        told = place >= 0 and sureness is not Sureness.UNKNOWN
        return Span(
            pool=step.pool,
            ref=step.ref,
            uuid=step.uuid,
            name=step.name,
            value=step.value if told else None,
            exists=sureness is Sureness.UNKNOWN or bool(exists),
            since=time_of(since_us),
            until=time_of(until_us),
            duration_s=(until_us - since_us) / 1e6,
            sureness=sureness,
            seq=step.seq if told else None,
            gap=None if blind is None else blind.gap,
        )

    def _blind_at(self, at_us: int) -> _Blind | None:
        place = bisect_right(self._blind_times, at_us) - 1
        return self.blind[place] if place >= 0 and at_us < self.blind[place].end_us else None

    def _sureness_in(self, blind: _Blind) -> Sureness:
        """A value is presumed in gaps that are over if nothing was told in them or of them."""
        before = bisect_right(self.times, blind.begin_us)
        within = bisect_right(self.times, blind.end_us) - before
        is_as_before = before > 0 and within == 0 and blind.is_over and blind.gap is not None
        return Sureness.PRESUMED if is_as_before else Sureness.UNKNOWN


def _merged(silences: Iterable[_Silence], end_us: int) -> list[_Blind]:
    """Return silences that do not touch each other; the gap of the first of several is named."""
    merged: list[_Blind] = []
    for one in sorted(silences, key=lambda one: one.begin_us):
        is_over = one.end_us is not None
        end = max(one.begin_us, end_us if one.end_us is None else one.end_us)
        last = merged[-1] if merged else None
        if last is not None and one.begin_us <= last.end_us:
            merged[-1] = replace(
                last, end_us=max(last.end_us, end), is_over=last.is_over and is_over
            )
        elif end > one.begin_us:
            merged.append(_Blind(one.begin_us, end, one.gap, is_over))
    return merged


def _joined(pieces: Iterable[Span]) -> list[Span]:
    """Join neighbours that say the same."""
    spans_: list[Span] = []
    for piece in pieces:
        last = spans_[-1] if spans_ else None
        if last is not None and _same(last) == _same(piece):
            spans_[-1] = msgspec.structs.replace(
                last, until=piece.until, duration_s=last.duration_s + piece.duration_s
            )
        else:
            spans_.append(piece)
    return spans_


def _same(span: Span) -> tuple[object, ...]:
    return span.value, span.exists, span.sureness, span.seq, span.gap
