"""What was seen of a pool in a period: the stretches of it, and the rows of the ledger."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

import msgspec

from recorder.instant import us_of

from ..history.database import History
from ..questions.gaps import GapRow, gaps
from .period import Period

_TELLING_US = 1000


class Sight(StrEnum):
    """How much was seen of a stretch of time."""

    SEEN = "seen"
    BLIND = "blind"  # events may have been missed
    UNRECORDED = "unrecorded"  # before the first registration, or after the end of the record


class Stretch(msgspec.Struct, frozen=True):
    """A piece of the period, microseconds since 1970 UTC."""

    sight: Sight
    begin_us: int
    end_us: int


class Coverage(msgspec.Struct, frozen=True):
    """A pool's part of the period: its stretches, one after another, without holes.

    `ledger` has every row that touches the period: gaps, and what is known no more. The record of
    the pool reaches from its first registration to its last entry; both are None if it has none.
    """

    recorded_from_us: int | None
    recorded_to_us: int | None
    stretches: list[Stretch]
    ledger: list[GapRow]

    @property
    def gaps(self) -> list[GapRow]:
        """The rows of the ledger in which events may have been missed."""
        return [row for row in self.ledger if row.is_blind]

    @property
    def blind_us(self) -> int:
        """For how long in all events may have been missed."""
        return self._length_us(Sight.BLIND)

    @property
    def unrecorded_us(self) -> int:
        """For how long in all nobody recorded; less than times are written with is nothing."""
        length_us = self._length_us(Sight.UNRECORDED)
        return length_us if length_us >= _TELLING_US else 0

    @property
    def share_seen(self) -> float:
        """The part of the period that was seen, from 0 to 1."""
        return self._length_us(Sight.SEEN) / sum(map(self._length_us, Sight))

    def _length_us(self, sight: Sight) -> int:
        return sum(one.end_us - one.begin_us for one in self.stretches if one.sight is sight)


class _Record(msgspec.Struct):
    begins: datetime
    ends: datetime


_RECORD = """
SELECT min(e.since) AS begins, max(p.last_at) AS ends
FROM epochs e JOIN pools p USING (pool) WHERE pool = $pool HAVING count(*) > 0
"""


def coverage_of(history: History, pool: str, period: Period) -> Coverage:
    """Return what was seen of a pool. An open gap reaches to the end of the period."""
    record = history.first(_Record, _RECORD, {"pool": pool})
    ledger = [one for one in gaps(history, pool=pool) if _touches(one, period)]
    blind = [
        (us_of(one.since), period.end_us if one.blind_until is None else us_of(one.blind_until))
        for one in ledger
        if one.is_blind and one.since is not None
    ]
    if record is None:
        nothing = Stretch(Sight.UNRECORDED, period.begin_us, period.end_us)
        return Coverage(None, None, [nothing], ledger)
    begin_us, end_us = us_of(record.begins), us_of(record.ends)
    return Coverage(begin_us, end_us, _stretches((begin_us, end_us), blind, period), ledger)


def _touches(row: GapRow, period: Period) -> bool:
    """Say whether a row of the ledger belongs to the period: its time, or that of what it is of."""
    if not row.is_blind:
        at_us = us_of(row.since or row.opened_at)
        return at_us <= period.end_us and us_of(row.opened_at) >= period.begin_us
    begins = row.since is None or us_of(row.since) <= period.end_us
    return begins and (row.closed_at is None or us_of(row.closed_at) >= period.begin_us)


def _stretches(
    recorded: tuple[int, int], blind: Sequence[tuple[int, int]], period: Period
) -> list[Stretch]:
    """Cut the period at every border, and say of each piece what holds in it."""
    borders = {period.begin_us, period.end_us}
    for begin_us, end_us in (recorded, *blind):
        borders |= {at_us for at_us in (begin_us, end_us) if _inside(at_us, period)}
    cuts = sorted(borders)
    found: list[Stretch] = []
    for begin_us, end_us in pairwise(cuts):
        sight = _sight(begin_us, recorded, blind)
        if found and found[-1].sight is sight:
            found[-1] = msgspec.structs.replace(found[-1], end_us=end_us)
        else:
            found.append(Stretch(sight, begin_us, end_us))
    return found


def _inside(at_us: int, period: Period) -> bool:
    return period.begin_us < at_us < period.end_us


def _sight(at_us: int, recorded: tuple[int, int], blind: Sequence[tuple[int, int]]) -> Sight:
    if at_us < recorded[0]:
        return Sight.UNRECORDED
    if any(begin_us <= at_us < end_us for begin_us, end_us in blind):
        return Sight.BLIND
    return Sight.SEEN if at_us < recorded[1] else Sight.UNRECORDED
