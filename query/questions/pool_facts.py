"""How a pool was recorded: what every answer about it is judged by, asked once."""

from bisect import bisect_right

import msgspec

from recorder.model import MarkName

from ..history.database import History


class Registration(msgspec.Struct, frozen=True):
    """The begin of an epoch: its entry, when it was written, and how the pool was followed."""

    seq: int
    at_us: int
    stream: str | None


class Skipped(msgspec.Struct, frozen=True):
    """The mark that an epoch could not read a class."""

    seq: int
    epoch: int | None
    cls: str


class Reach(msgspec.Struct, array_like=True, frozen=True):
    """How far the record of a pool goes. `classes` are those that were ever read."""

    last_seq: int
    last_at_us: int
    baselined_seq: int | None
    classes: frozenset[str]


class PoolFacts(msgspec.Struct, frozen=True):
    """What marks tell of a pool, oldest first; `reach` is None of one that was never recorded.

    `redacted` are the entries whose state was taken out of the journal.
    """

    reach: Reach | None
    registrations: list[Registration]
    skipped: list[Skipped]
    redacted: frozenset[int]

    def epoch_at(self, position: int) -> Registration | None:
        """Return the last registration up to an entry."""
        count = bisect_right(self.registrations, position, key=lambda one: one.seq)
        return self.registrations[count - 1] if count else None


class _Mark(msgspec.Struct, array_like=True):
    name: MarkName
    seq: int
    at_us: int
    epoch: int | None
    detail: str | None


_REACH = """
SELECT last_seq, epoch_us(last_at), baselined_seq, classes FROM pools WHERE pool = $pool
"""
_MARKS = """
SELECT name, seq, epoch_us(received_at), epoch,
    CASE name WHEN 'registered' THEN detail ->> '$.stream'
        WHEN 'class-skipped' THEN lower(detail ->> '$.class') ELSE detail ->> '$.seq' END
FROM marks
WHERE pool = $pool AND name IN ('registered', 'class-skipped')
    OR name = 'redacted' AND detail ->> '$.pool' = $pool
"""


def facts_of(history: History, pool: str) -> PoolFacts:
    """Return how a pool was recorded."""
    return history.once(("pool facts", pool), lambda: _facts_of(history, pool))


def _facts_of(history: History, pool: str) -> PoolFacts:
    rows = history.plain(_REACH, {"pool": pool})
    marks = msgspec.convert(history.plain(_MARKS, {"pool": pool}), list[_Mark])
    marks.sort(key=lambda mark: mark.seq)
    return PoolFacts(
        _reach(rows[0]) if rows else None,
        [Registration(m.seq, m.at_us, m.detail) for m in marks if m.name is MarkName.REGISTERED],
        [
            Skipped(m.seq, m.epoch, m.detail or "")
            for m in marks
            if m.name is MarkName.CLASS_SKIPPED
        ],
        frozenset(int(m.detail) for m in marks if m.name is MarkName.REDACTED and m.detail),
    )


def _reach(row: tuple[object, ...]) -> Reach:
    *whence, classes = row
    read = msgspec.json.decode(str(classes), type=frozenset[str])
    return msgspec.convert((*whence, read), Reach)
