"""The life of one object: what changed, by which task, and where nobody was looking."""

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from typing import cast

import msgspec

from recorder.instant import Instant, time_of

from ..history.database import History
from ..load.known import Origin
from ..records import FieldChange
from .doers import by_of_events
from .gaps import GapRow, gap_spans, gaps
from .objects import Found, number_of
from .plain import bound
from .pool_facts import facts_of
from .undertakings import Undertaking, undertakings_of

DEVICES = {
    "vm": ("vbd", "vif", "vgpu", "vusb", "vtpm", "console", "vm_metrics", "vm_guest_metrics"),
    "host": ("pif", "pbd", "host_metrics"),
    "sr": ("pbd",),
    "network": ("vif", "pif"),
    "vdi": ("vbd",),
}
"""What belongs to an object of a class, and is seldom asked for by itself."""


class Step(msgspec.Struct, frozen=True, gc=False, rename={"cls": "class"}):
    """One event in the life of an object, with its changed fields (old and new as JSON text).

    It is of the object itself, or of one of its devices. `told` is false where nothing says from
    what to what it changed: the state before it was never told, or its own was redacted. With the
    `stream` `from` it may have had other states since the step before. `by` is who is behind it, as
    far as an audit trail tells.
    """

    seq: int
    received_at: datetime
    cls: str
    ref: str
    operation: str
    origin: Origin
    gap: int | None
    name: str | None
    stream: str | None
    told: bool
    changes: list[FieldChange]
    by: str | None = None


class Life(msgspec.Struct, frozen=True):
    """An object, its steps, the tasks that worked on it and the gaps of its pool, by `seq`.

    `omitted` counts older steps that were left out.
    """

    object: Found
    steps: list[Step]
    tasks: list[Undertaking]
    gaps: list[GapRow]
    omitted: int = 0


def life_of(
    history: History,
    found: Found,
    *,
    since: Instant | None = None,
    until: Instant | None = None,
    field: str | None = None,
    with_devices: bool = False,
    limit: int | None = None,
) -> Life:
    """Return what happened to an object, oldest first; repeats of its state are left out.

    `field`, in any case, leaves only the changes of one field, `limit` the newest steps.
    """
    with history.one_answer():
        members = [found, *(_devices(history, found) if with_devices else ())]
        steps = [step for one in members for step in _steps(history, one, since, until)]
        if len(members) > 1:
            steps.sort(key=lambda step: (step.seq, step.cls, step.ref))
        if field is not None:
            steps = _of_field(steps, field.lower())
        omitted = 0 if limit is None else max(len(steps) - limit, 0)
        steps = _with_doers(history, steps[omitted:])
        return Life(
            found,
            steps,
            undertakings_of(
                history, found, Instant(seq=steps[0].seq) if omitted and steps else since, until
            ),
            _gaps_beside(history, found, since, until, steps if omitted else None),
            omitted,
        )


def _with_doers(history: History, steps: list[Step]) -> list[Step]:
    by = by_of_events(history, [step.seq for step in steps])
    return [msgspec.structs.replace(step, by=by.get(step.seq)) for step in steps] if by else steps


def _of_field(steps: Sequence[Step], field: str) -> list[Step]:
    """Keep what came or went, and the changes of one field."""
    kept = []
    for step in steps:
        changes = [change for change in step.changes if change.field.lower() == field]
        if changes or step.operation != "mod":
            kept.append(msgspec.structs.replace(step, changes=changes))
    return kept


# -- steps -------------------------------------------------------------------------------------


_Event = tuple[int, int, str, str, int | None, str | None, int | None]
_EVENTS = "SELECT seq, epoch_us(received_at), operation, origin, gap, name, epoch FROM events"
_Change = tuple[int, str, str | None, str | None]
_CHANGES = "SELECT seq, field, old, new FROM changes"
_ORIGINS = {origin.value: origin for origin in Origin}


def _range(since: Instant | None, until: Instant | None) -> tuple[str, dict[str, object]]:
    """Return the SQL condition of a range and its parameters."""
    where = ""
    params: dict[str, object] = {}
    for name, instant in (("since", since), ("until", until)):
        if instant is not None:
            where += f" AND {bound(name, instant)}"
            params[name] = instant.at_us if instant.seq is None else instant.seq
    return where, params


def _steps(
    history: History, found: Found, since: Instant | None, until: Instant | None
) -> list[Step]:
    """Return the steps of one object, oldest first.

    DuckDB need not sort rows that lie nearly in order, nor unpack the lists of `changed_fields`
    where `changes` tells of the event: that takes a fourth of the time of the two questions.
    """
    within, params = _range(since, until)
    params["object"] = number_of(history, found)
    where = f"WHERE object = $object{within}"
    events = cast(list[_Event], history.plain(f"{_EVENTS} {where}", params))
    events.sort(key=itemgetter(0))
    changed = _changes(history, where, params)
    bare = [seq for seq, _, did, *_ in events if did == "mod" and seq not in changed]
    untold = _untold(history, where, params) if bare else frozenset()
    facts = facts_of(history, found.pool)
    streams: dict[int | None, str | None] = {one.seq: one.stream for one in facts.registrations}
    repeats = set(bare) - untold
    return [
        Step(
            seq,
            time_of(at_us),
            found.cls,
            found.ref,
            operation,
            _ORIGINS[origin],
            gap,
            name,
            streams.get(epoch),
            seq not in untold and seq not in facts.redacted,
            changed.get(seq, []),
        )
        for seq, at_us, operation, origin, gap, name, epoch in events
        if seq not in repeats
    ]


def _changes(
    history: History, where: str, params: dict[str, object]
) -> dict[int, list[FieldChange]]:
    """Return the changed fields of each event that has any, by name."""
    rows = cast(list[_Change], history.plain(f"{_CHANGES} {where}", params))
    rows.sort(key=itemgetter(0, 1))
    changed: dict[int, list[FieldChange]] = {}
    for seq, field, old, new in rows:
        changed.setdefault(seq, []).append(FieldChange(field, old, new))
    return changed


def _untold(history: History, where: str, params: dict[str, object]) -> frozenset[int]:
    """Return the events of which nothing says from what to what they changed the object."""
    sql = f"""
        SELECT seq FROM events {where} AND operation = 'mod' AND changed_fields IS NULL
    """  # noqa: S608  # every value is a parameter
    return frozenset(msgspec.convert(seq, int) for (seq,) in history.plain(sql, params))


def _devices(history: History, found: Found) -> list[Found]:
    """Return what belonged to an object at any time, as its own record named it."""
    sql = """
        WITH told AS (
            SELECT snapshot AS text FROM events
            WHERE object = $object AND changed_fields IS NULL AND snapshot IS NOT NULL
            UNION ALL
            SELECT new FROM changes WHERE object = $object
        ), refs AS (
            SELECT DISTINCT unnest(regexp_extract_all(text, 'OpaqueRef:[0-9A-Za-z-]+')) AS ref
            FROM told
        )
        SELECT pool, class, ref, uuid, name, gone, first_seq FROM objects
        WHERE pool = $pool AND ref IN (SELECT ref FROM refs) AND list_contains($classes, class)
        ORDER BY first_seq
    """
    params = {
        "pool": found.pool,
        "object": number_of(history, found),
        "classes": list(DEVICES.get(found.cls, ())),
    }
    return history.all(Found, sql, params)


# -- gaps --------------------------------------------------------------------------------------


class _Lifetime(msgspec.Struct):
    first_seq: int
    last_seq: int
    gone: bool


def _gaps_beside(
    history: History,
    found: Found,
    since: Instant | None,
    until: Instant | None,
    shown: Sequence[Step] | None,
) -> list[GapRow]:
    """Return the gaps of the range that touch the life of an object, or what is shown of it.

    A gap counts also where no step is near it: that none is, is what the gap makes uncertain. After
    the end of an object nobody need look.
    """
    if not gap_spans(history, found.pool):
        return []
    sql = "SELECT first_seq, last_seq, gone FROM objects WHERE first_seq = $object"
    life = history.first(_Lifetime, sql, {"object": number_of(history, found)})
    assert life is not None, "what was found was recorded"
    first = shown[0].seq if shown else life.first_seq
    return [
        gap
        for gap in gaps(history, pool=found.pool, since=since, until=until)
        if gap.is_blind
        and (gap.closed_seq is None or gap.closed_seq > first)
        and (gap.seq < life.last_seq or not life.gone)
    ]
