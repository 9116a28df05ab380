"""The life of one object: what changed, from what to what, and where nobody was looking."""

from datetime import datetime

import msgspec

from recorder.instant import Instant

from .database import History
from .gaps import GapRow, gaps
from .known import Origin
from .objects import Found
from .questions import EVENT_ROWS, EventRow, bound
from .records import FieldChange


class Step(msgspec.Struct, frozen=True):
    """One event in the life of an object, with its changed fields (old and new as JSON text).

    With the `stream` `from` it may have had other states since the step before.
    """

    seq: int
    received_at: datetime
    operation: str
    origin: Origin
    gap: int | None
    name: str | None
    stream: str | None
    changes: list[FieldChange]


class Life(msgspec.Struct, frozen=True):
    """An object, its steps and the gaps of its pool while it was followed, by `seq`."""

    object: Found
    steps: list[Step]
    gaps: list[GapRow]


class _Changed(msgspec.Struct):
    seq: int
    field: str
    old: str | None
    new: str | None


_OF_OBJECT = "pool = $pool AND class = $class AND ref = $ref"


def life_of(
    history: History,
    found: Found,
    *,
    since: Instant | None = None,
    until: Instant | None = None,
) -> Life:
    """Return what happened to an object, oldest first; repeats of its state are left out."""
    params: dict[str, object] = {"pool": found.pool, "class": found.cls, "ref": found.ref}
    where = _OF_OBJECT
    for name, instant in (("since", since), ("until", until)):
        if instant is not None:
            where += f" AND {bound(name, instant)}"
            params[name] = instant.at_us if instant.seq is None else instant.seq
    events = history.all(
        EventRow,
        f"""
        SELECT * FROM {EVENT_ROWS} WHERE {where}
            AND (changed_fields IS NULL OR len(changed_fields) > 0 OR operation <> 'mod')
        ORDER BY seq
        """,  # noqa: S608  # every value is a parameter
        params,
    )
    changed: dict[int, list[FieldChange]] = {}
    sql = f"SELECT seq, field, old, new FROM changes WHERE {where} ORDER BY seq, field"  # noqa: S608  # every value is a parameter
    for row in history.all(_Changed, sql, params):
        changed.setdefault(row.seq, []).append(FieldChange(row.field, row.old, row.new))
    steps = [
        Step(
            seq=event.seq,
            received_at=event.received_at,
            operation=event.operation,
            origin=event.origin,
            gap=event.gap,
            name=event.name,
            stream=event.stream,
            changes=changed.get(event.seq, []),
        )
        for event in events
    ]
    return Life(found, steps, _gaps_beside(history, found, steps))


def _gaps_beside(history: History, found: Found, steps: list[Step]) -> list[GapRow]:
    """Return the gaps that touch the life of an object; after its end nobody need look."""
    if not steps:
        return []
    first, last = steps[0].seq, steps[-1].seq
    return [
        gap
        for gap in gaps(history, pool=found.pool)
        if gap.is_blind
        and (gap.closed_seq is None or gap.closed_seq > first)
        and (gap.seq < last or not found.gone)
    ]
