"""The calls of runs that touched one object: about it, with it as a parameter, or that made it."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from recorder.instant import Instant, time_of

from ..history.database import History
from .objects import Found

CLASSES = frozenset({"vm", "host"})
"""What runs work on."""


class Touch(msgspec.Struct, frozen=True):
    """A call of a run; `how` is `about` the object, `with` it as a parameter, or it `made` it.

    `outcome` and `ended_*` are None if no outcome was recorded. `name` is of what it was about.
    """

    run: str
    step: int
    method: str
    name: str
    how: str
    outcome: str | None
    why: str | None
    intended_seq: int
    intended_at: datetime
    ended_seq: int | None
    ended_at: datetime | None


class _Intended(msgspec.Struct):
    run: str
    step: int
    ref: str
    name: str
    method: str
    params: str = ""


class _Ended(msgspec.Struct):
    run: str
    step: int
    outcome: str
    why: str | None = None
    record: str | None = None
    made: str | None = None


class _Record(msgspec.Struct):
    result: str = ""


class _Row(msgspec.Struct, array_like=True):
    seq: int
    at_us: int
    name: str
    detail: str


# Text is looked for as it is: only the few marks that hold the reference are read as JSON.
_TOUCHES = """
SELECT seq, epoch_us(received_at), name, detail FROM marks
WHERE pool = $pool AND name IN ('step-intended', 'step-ended') AND contains(detail, $ref)
ORDER BY seq
"""
_STEPS = """
SELECT seq, epoch_us(received_at), name, detail FROM marks
WHERE pool = $pool AND name IN ('step-intended', 'step-ended')
    AND detail ->> '$.run' || '/' || (detail ->> '$.step') IN $steps
ORDER BY seq
"""


def runs_about(
    history: History, found: Found, since: Instant | None, until: Instant | None
) -> list[Touch]:
    """Return the calls that touched an object in a range, in the order of their intents."""
    if found.cls not in CLASSES:
        return []
    who: dict[str, object] = {"pool": found.pool, "ref": found.ref}
    rows = msgspec.convert(history.plain(_TOUCHES, who), list[_Row])
    steps = sorted({step for row in rows for step in _touching(row, found.ref)})
    if not steps:
        return []
    params: dict[str, object] = {"pool": found.pool, "steps": steps}
    rows = msgspec.convert(history.plain(_STEPS, params), list[_Row])
    touches = _touches(rows, found.ref)
    return [one for one in touches if not _is_outside(one, since, until)]


def _touching(row: _Row, ref: str) -> Iterator[str]:
    if row.name == "step-intended":
        told = msgspec.json.decode(row.detail, type=_Intended)
        if ref == told.ref or ref in told.params:
            yield f"{told.run}/{told.step}"
        return
    ended = msgspec.json.decode(row.detail, type=_Ended)
    if _has_made(ended, ref):
        yield f"{ended.run}/{ended.step}"


def _has_made(ended: _Ended, ref: str) -> bool:
    """The record of a task names other objects, too; what it has made is its result."""
    if ended.made == ref:
        return True
    return (
        ended.record is not None and ref in msgspec.json.decode(ended.record, type=_Record).result
    )


def _touches(rows: list[_Row], ref: str) -> list[Touch]:
    ends: dict[tuple[str, int], tuple[_Row, _Ended]] = {}
    for row in rows:
        if row.name == "step-ended":
            ended = msgspec.json.decode(row.detail, type=_Ended)
            ends[ended.run, ended.step] = row, ended
    touches = []
    for row in rows:
        if row.name == "step-intended":
            told = msgspec.json.decode(row.detail, type=_Intended)
            touches.append(_touch(row, told, ends.get((told.run, told.step)), ref))
    return touches


def _touch(row: _Row, told: _Intended, end: tuple[_Row, _Ended] | None, ref: str) -> Touch:
    return Touch(
        run=told.run,
        step=told.step,
        method=told.method,
        name=told.name,
        how="about" if told.ref == ref else "with" if ref in told.params else "made",
        outcome=None if end is None else end[1].outcome,
        why=None if end is None else end[1].why,
        intended_seq=row.seq,
        intended_at=time_of(row.at_us),
        ended_seq=None if end is None else end[0].seq,
        ended_at=None if end is None else time_of(end[0].at_us),
    )


def _is_outside(one: Touch, since: Instant | None, until: Instant | None) -> bool:
    end_at, end_seq = one.ended_at, one.ended_seq
    if since is not None and end_at is not None and end_seq is not None:
        is_over = end_seq < since.seq if since.seq is not None else end_at < _time_of(since)
        if is_over:
            return True
    if until is None:
        return False
    if until.seq is not None:
        return one.intended_seq > until.seq
    return one.intended_at > _time_of(until)


def _time_of(instant: Instant) -> datetime:
    return time_of(instant.at_us or 0)
