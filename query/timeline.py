"""The life of one object: what changed, by which task, and where nobody was looking."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from recorder.instant import Instant

from .database import History
from .gaps import GapRow, gap_spans, gaps
from .known import Origin
from .objects import Found
from .questions import bound
from .records import FieldChange

DEVICES = {
    "vm": ("vbd", "vif", "vgpu", "vusb", "vtpm", "console", "vm_metrics", "vm_guest_metrics"),
    "host": ("pif", "pbd", "host_metrics"),
    "sr": ("pbd",),
    "network": ("vif", "pif"),
    "vdi": ("vbd",),
}
"""What belongs to an object of a class, and is seldom asked for by itself."""


class Step(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """One event in the life of an object, with its changed fields (old and new as JSON text).

    It is of the object itself, or of one of its devices. `told` is false where nothing says from
    what to what it changed: the state before it was never told, or its own was redacted. With the
    `stream` `from` it may have had other states since the step before.
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


class Undertaking(msgspec.Struct, frozen=True):
    """A task that worked on the object: when it was first seen, when it was seen to be over.

    `seen_begin` is false if it was under way, or over, when it was first seen. `ended_*` are None
    while it is not over; of a task that vanished they are where it was seen to be gone.
    `duration_s` is by the server's clock. `status` is as in the table `tasks`.
    """

    ref: str
    name: str | None
    operation: str | None
    status: str
    error_code: str | None
    duration_s: float | None
    seen_begin: bool
    began_seq: int
    began_at: datetime
    ended_seq: int | None
    ended_at: datetime | None


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
    members = [found, *(_devices(history, found) if with_devices else ())]
    steps = sorted(
        (step for one in members for step in _steps(history, one, since, until)),
        key=lambda step: (step.seq, step.cls, step.ref),
    )
    if field is not None:
        steps = _of_field(steps, field.lower())
    omitted = 0 if limit is None else max(len(steps) - limit, 0)
    steps = steps[omitted:]
    return Life(
        found,
        steps,
        _undertakings(history, found, since, until, steps if omitted else None),
        _gaps_beside(history, found, since, until, steps if omitted else None),
        omitted,
    )


def _of_field(steps: Sequence[Step], field: str) -> list[Step]:
    """Keep what came or went, and the changes of one field."""
    kept = []
    for step in steps:
        changes = [change for change in step.changes if change.field.lower() == field]
        if changes or step.operation != "mod":
            kept.append(msgspec.structs.replace(step, changes=changes))
    return kept


# -- steps -------------------------------------------------------------------------------------


class _Told(msgspec.Struct, array_like=True):
    seq: int
    at_us: int
    operation: str
    origin: Origin
    gap: int | None
    name: str | None
    stream: str | None
    told: bool


class _Changed(msgspec.Struct, array_like=True):
    seq: int
    field: str
    old: str | None
    new: str | None


_OF_OBJECT = "pool = $pool AND class = $class AND ref = $ref"


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
    within, params = _range(since, until)
    params |= {"pool": found.pool, "class": found.cls, "ref": found.ref}
    where = _OF_OBJECT + within
    # Plain rows: Arrow would take longer to become Python's than DuckDB takes to find them.
    told = history.plain(
        f"""
        SELECT seq, epoch_us(received_at), operation, origin, gap, name, stream,
            operation <> 'mod' OR changed_fields IS NOT NULL
        FROM events LEFT JOIN (SELECT pool, epoch, stream FROM epochs) USING (pool, epoch)
        WHERE {where}
            AND (changed_fields IS NULL OR len(changed_fields) > 0 OR operation <> 'mod')
        ORDER BY seq
        """,  # noqa: S608  # every value is a parameter
        params,
    )
    redacted = _redacted(history, found.pool)
    changed: dict[int, list[FieldChange]] = {}
    sql = f"SELECT seq, field, old, new FROM changes WHERE {where} ORDER BY seq, field"  # noqa: S608  # every value is a parameter
    for row in msgspec.convert(history.plain(sql, params), list[_Changed]):
        changed.setdefault(row.seq, []).append(FieldChange(row.field, row.old, row.new))
    return [
        Step(
            seq=event.seq,
            received_at=_at(event.at_us),
            cls=found.cls,
            ref=found.ref,
            operation=event.operation,
            origin=event.origin,
            gap=event.gap,
            name=event.name,
            stream=event.stream,
            told=event.told and event.seq not in redacted,
            changes=changed.get(event.seq, []),
        )
        for event in msgspec.convert(told, list[_Told])
    ]


class _Seq(msgspec.Struct):
    seq: int


def _redacted(history: History, pool: str) -> set[int]:
    """Return the entries whose state was taken out of the journal."""
    sql = """
        SELECT CAST(detail ->> '$.seq' AS BIGINT) AS seq FROM marks
        WHERE name = 'redacted' AND detail ->> '$.pool' = $pool
    """
    return {row.seq for row in history.all(_Seq, sql, {"pool": pool})}


def _devices(history: History, found: Found) -> list[Found]:
    """Return what belonged to an object at any time, as its own record named it."""
    sql = """
        WITH told AS (
            SELECT snapshot AS text FROM events WHERE pool = $pool AND class = $class
                AND ref = $ref AND changed_fields IS NULL AND snapshot IS NOT NULL
            UNION ALL
            SELECT new FROM changes WHERE pool = $pool AND class = $class AND ref = $ref
        ), refs AS (
            SELECT DISTINCT unnest(regexp_extract_all(text, 'OpaqueRef:[0-9A-Za-z-]+')) AS ref
            FROM told
        )
        SELECT pool, class, ref, uuid, name, gone FROM objects
        WHERE pool = $pool AND ref IN (SELECT ref FROM refs) AND list_contains($classes, class)
        ORDER BY first_seq
    """
    params = {
        "pool": found.pool,
        "class": found.cls,
        "ref": found.ref,
        "classes": list(DEVICES.get(found.cls, ())),
    }
    return history.all(Found, sql, params)


# -- tasks and gaps ----------------------------------------------------------------------------


# The tasks are those that the view task_targets names by `carried` or `error`; asked for it, DuckDB
# would work out those of every object first.
_TASKS = """
SELECT task, any_value(operation) FROM (
    SELECT task, operation FROM carried
    WHERE pool = $pool AND class = $class AND ref = $ref AND part = 'begins'
    UNION ALL
    SELECT ref, NULL FROM tasks WHERE pool = $pool AND list_contains(error_params, $ref)
) GROUP BY task
"""
_UNDERTAKINGS = """
WITH ends AS (
    SELECT ref, min(seq) FILTER (over) AS seq, min(received_at) FILTER (over) AS at FROM (
        SELECT ref, seq, received_at, new NOT IN ('"pending"', '"cancelling"') AS over FROM changes
        WHERE pool = $pool AND class = 'task' AND field = 'status' AND list_contains($refs, ref)
    ) GROUP BY ref
)
SELECT t.ref, t.name_label AS name, NULL AS operation, t.status, t.error_code, t.duration_s,
    o.first_origin = 'live' AND o.first_operation = 'add' AS seen_begin,
    o.first_seq AS began_seq, o.first_at AS began_at,
    CASE WHEN t.status = 'vanished' THEN o.last_seq
         WHEN t.status IN ('pending', 'cancelling') THEN NULL
         WHEN e.ref IS NULL THEN o.first_seq
         ELSE e.seq END AS ended_seq,
    CASE WHEN t.status = 'vanished' THEN o.last_at
         WHEN t.status IN ('pending', 'cancelling') THEN NULL
         WHEN e.ref IS NULL THEN o.first_at
         ELSE e.at END AS ended_at
FROM tasks t JOIN objects o ON o.pool = t.pool AND o.class = 'task' AND o.ref = t.ref
    LEFT JOIN ends e ON e.ref = t.ref
WHERE t.pool = $pool AND list_contains($refs, t.ref)
ORDER BY t.first_seq, t.ref
"""


def _undertakings(
    history: History,
    found: Found,
    since: Instant | None,
    until: Instant | None,
    shown: Sequence[Step] | None,
) -> list[Undertaking]:
    """Return the tasks of an object that were under way in the range, or since the first shown."""
    who = {"pool": found.pool, "class": found.cls, "ref": found.ref}
    operations = {
        str(task): None if operation is None else str(operation)
        for task, operation in history.plain(_TASKS, who)
    }
    if not operations:
        return []
    if shown:
        since = Instant(seq=shown[0].seq)
    tasks = history.all(Undertaking, _UNDERTAKINGS, {"pool": found.pool, "refs": list(operations)})
    return [
        msgspec.structs.replace(one, operation=operations[one.ref])
        for one in tasks
        if not (since is not None and _is_before(one.ended_at, one.ended_seq, since))
        and not (until is not None and _is_after(one.began_at, one.began_seq, until))
    ]


def _is_before(at: datetime | None, seq: int | None, instant: Instant) -> bool:
    if at is None or seq is None:
        return False
    return seq < instant.seq if instant.seq is not None else at < _time_of(instant)


def _is_after(at: datetime, seq: int, instant: Instant) -> bool:
    return seq > instant.seq if instant.seq is not None else at > _time_of(instant)


def _time_of(instant: Instant) -> datetime:
    return _at(instant.at_us or 0)


def _at(at_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)


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
    sql = f"SELECT first_seq, last_seq, gone FROM objects WHERE {_OF_OBJECT}"  # noqa: S608  # a constant
    params = {"pool": found.pool, "class": found.cls, "ref": found.ref}
    life = history.first(_Lifetime, sql, params)
    assert life is not None, "what was found was recorded"
    first = shown[0].seq if shown else life.first_seq
    return [
        gap
        for gap in gaps(history, pool=found.pool, since=since, until=until)
        if gap.is_blind
        and (gap.closed_seq is None or gap.closed_seq > first)
        and (gap.seq < life.last_seq or not life.gone)
    ]
