"""How the VMs of a pool fared in a period: power states and hosts, and where nobody can know."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby, pairwise

import msgspec

from recorder.instant import Instant, us_of

from ..history.database import History
from ..questions.objects import names_in
from ..questions.spans import NOWHERE, PLACE, POWER, Span, Sureness, spans
from .coverage import Coverage
from .period import Period

_NOWHERE = ("", NOWHERE)


class Doubt(msgspec.Struct, frozen=True):
    """A time in which states of VMs are not known, and the entry that says so."""

    begin_us: int
    end_us: int
    seq: int


class Stay(msgspec.Struct, frozen=True):
    """For how long a VM was in one state, or on one host; `seq` is the entry that told it.

    `value` is None where it is not known, and `seq` then the entry that says why, None where
    nobody recorded, or what was told is redacted. `presumed` is what it was both before and after
    a gap.
    """

    value: str | None
    begin_us: int
    end_us: int
    seq: int | None
    presumed: str | None = None


class VmLife(msgspec.Struct, frozen=True):
    """A VM in a period. What it was not there for, or on no host, is left out of the stays.

    `turns` counts how often power state or host were seen to change, `events` all its changes.
    """

    ref: str
    uuid: str | None
    name: str
    power: list[Stay]
    hosts: list[Stay]
    turns: int
    events: int


class Lives(msgspec.Struct, frozen=True):
    """The busiest VMs of a pool, the busiest first, and how many others there were."""

    vms: list[VmLife]
    left_out: int
    doubts: list[Doubt]


class _Count(msgspec.Struct):
    ref: str
    events: int


_COUNTS = """
SELECT ref, count(*) AS events FROM events
WHERE class = 'vm' AND pool = $pool AND origin = 'live'
    AND (changed_fields IS NULL OR len(changed_fields) > 0)
    AND received_at BETWEEN make_timestamptz($begin) AND make_timestamptz($end)
GROUP BY ref
"""


def lives_of(
    history: History, pool: str, period: Period, coverage: Coverage, *, vms_max: int
) -> Lives:
    """Return the `vms_max` busiest VMs of a pool: no templates, snapshots or control domains."""
    begin, end = Instant(at_us=period.begin_us), Instant(at_us=period.end_us)
    told = spans(history, POWER, pool=pool, since=begin, until=end)
    placed = _by_vm(spans(history, PLACE, pool=pool, since=begin, until=end))
    refs = {span.value or "" for own in placed.values() for span in own}
    names = names_in(history, pool, refs)
    params = {"pool": pool, "begin": period.begin_us, "end": period.end_us}
    counts = {row.ref: row.events for row in history.all(_Count, _COUNTS, params)}
    skips = _skips(history, pool)
    found = []
    for ref, own in _by_vm(told).items():
        if not any(span.exists and span.sureness is not Sureness.UNKNOWN for span in own):
            continue
        places = placed.get(ref, [])
        life = VmLife(
            ref=ref,
            uuid=own[0].uuid,
            name=own[0].name or "",
            power=_stays(own, {}, skips),
            hosts=_stays([one for one in places if one.value not in _NOWHERE], names, skips),
            turns=_turns(own) + _turns(places),
            events=counts.get(ref, 0),
        )
        found.append(life)
    found.sort(key=lambda vm: (-vm.turns, -vm.events, vm.name, vm.ref))
    return Lives(found[:vms_max], max(len(found) - vms_max, 0), _doubts(coverage, period))


def _by_vm(told: Iterable[Span]) -> dict[str, list[Span]]:
    return {ref: list(own) for ref, own in groupby(told, key=lambda span: span.ref)}


def _turns(own: Iterable[Span]) -> int:
    known = [span.value for span in own if span.exists and span.sureness is Sureness.KNOWN]
    return sum(before != after for before, after in pairwise(known))


def _doubts(coverage: Coverage, period: Period) -> list[Doubt]:
    """Return the gaps, as far as they lie in the period."""
    found = []
    for gap in coverage.gaps:
        begin_us = period.begin_us if gap.since is None else us_of(gap.since)
        end_us = period.end_us if gap.blind_until is None else us_of(gap.blind_until)
        begin_us, end_us = max(begin_us, period.begin_us), min(end_us, period.end_us)
        if begin_us <= end_us:
            found.append(Doubt(begin_us, end_us, gap.seq))
    return found


def _stays(own: Sequence[Span], names: Mapping[str, str], skips: Sequence["_Skip"]) -> list[Stay]:
    """Return the spans in which a VM was there, or somewhere."""
    unread = _unread(skips, own)
    found = []
    for span in own:
        if span.exists:
            found += _cut(_stay(span, names), unread)
    return found


def _stay(span: Span, names: Mapping[str, str]) -> Stay:
    value = None if span.value is None else names.get(span.value) or span.value
    begin_us, end_us = us_of(span.since), us_of(span.until)
    if span.sureness is Sureness.KNOWN:
        return Stay(value, begin_us, end_us, span.seq)
    return Stay(None, begin_us, end_us, span.gap, presumed=value)


# -- classes that a baseline could not read ----------------------------------------------------


class _Skip(msgspec.Struct):
    seq: int
    epoch: int
    since: datetime
    until: datetime | None


_SKIPS = """
WITH own AS (
    SELECT epoch, since, lead(since) OVER (ORDER BY epoch) AS until FROM epochs WHERE pool = $pool
)
SELECT min(m.seq) AS seq, m.epoch, any_value(own.since) AS since, any_value(own.until) AS until
FROM marks m JOIN own USING (epoch)
WHERE m.pool = $pool AND m.name = 'class-skipped'
    AND lower(json_extract_string(m.detail, '$.class')) = 'vm'
GROUP BY m.epoch ORDER BY m.epoch
"""
_NEVER_US = 1 << 62


def _skips(history: History, pool: str) -> list[_Skip]:
    """Return the epochs that could not read the VMs."""
    return history.all(_Skip, _SKIPS, {"pool": pool})


def _unread(skips: Iterable[_Skip], own: Sequence[Span]) -> list[Doubt]:
    """Return when a VM was not read again after a gap, until an event told of it anew."""
    found = []
    for skip in skips:
        again = (span.since for span in own if span.seq is not None and span.seq > skip.epoch)
        ends = [us_of(at) for at in (next(again, None), skip.until) if at is not None]
        found.append(Doubt(us_of(skip.since), min(ends, default=_NEVER_US), skip.seq))
    return found


def _cut(stay: Stay, doubts: Sequence[Doubt]) -> list[Stay]:
    """Cut what is known of a stay where it is in doubt."""
    if stay.value is None or not doubts:
        return [stay]
    borders = {stay.begin_us, stay.end_us}
    for doubt in doubts:
        ends = (doubt.begin_us, doubt.end_us)
        borders |= {at_us for at_us in ends if stay.begin_us < at_us < stay.end_us}
    pieces = []
    for begin_us, end_us in pairwise(sorted(borders)):
        over = (doubt for doubt in doubts if doubt.begin_us <= begin_us < doubt.end_us)
        unsure = next(over, None)
        if unsure is None:
            pieces.append(msgspec.structs.replace(stay, begin_us=begin_us, end_us=end_us))
        else:
            pieces.append(Stay(None, begin_us, end_us, unsure.seq, presumed=stay.value))
    return pieces
