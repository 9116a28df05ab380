"""Asks the history for what a run claims, and for what was recorded while it was on."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from recorder.instant import Instant

from ..errors import NoSuchRun
from ..history.database import History
from ..questions.gaps import gap_spans
from ..questions.lacks import lacks_between
from .beginning import at_start, repeated, unsettled
from .claims import Claims, Mark, claims_in
from .judge import Audit, judge
from .recorded import (
    GapSeen,
    ObjectSeen,
    Recorded,
    TaskRecord,
    TaskSeen,
    Touched,
)
from .scripted import READ_US

K = TypeVar("K")
_MARKS = """
SELECT seq, epoch_us(received_at) AS at_us, name, detail FROM marks
WHERE pool = $pool AND detail ->> '$.run' = $run ORDER BY seq
"""


def audit(history: History, pool: str, run: str) -> Audit:
    """Audit a run. Raises NoSuchRun for one whose beginning cannot be read."""
    marks = history.all(Mark, _MARKS, {"pool": pool, "run": run})
    claims = claims_in(pool, run, marks)
    if claims is None:
        raise NoSuchRun(f"the beginning of run {run} cannot be read: see xentrail workload runs")
    return judge(claims, _recorded(history, claims))


def _recorded(history: History, claims: Claims) -> Recorded:
    own = {step.task for step in claims.steps if step.task is not None}
    subtasks = _subtasks(history, claims.pool, own)
    tasks = _tasks(history, claims.pool, own)
    planned = _planned(claims, tasks.values()) + _unclaimed(history, claims)
    first, last = claims.started.seq, _last(history, claims)
    lacks = lacks_between(history, Instant(seq=first), Instant(seq=last), pool=claims.pool)
    carried = _carried(history, claims.pool, [*own, *subtasks], planned, first, last)
    stepped = _CLOCK, {"pool": claims.pool, "first": first, "last": last}
    return Recorded(
        tasks=tasks,
        objects=_objects(history, claims, planned),
        entries=_entries(history, claims),
        carried=_sets(((one.ref, one.seq), one.task) for one in carried),
        carriers=_sets((one.task, one.ref) for one in carried),
        subtasks=subtasks,
        gaps=_gaps(history, claims.pool),
        touched=_touched(history, claims.pool, first, last),
        named=_named(history, claims.pool, planned, last),
        messages=_messages(history, claims.pool, first, last),
        at_start=at_start(history, claims),
        unsettled=unsettled(history, claims),
        repeated=repeated(history, claims),
        readings=_readings(history, claims.pool),
        last_states=bool(lacks.last_states_only),
        clock_stepped=bool(history.plain(*stepped)),
    )


def _sets(pairs: Iterable[tuple[K, str]]) -> dict[K, frozenset[str]]:
    found: dict[K, set[str]] = {}
    for key, value in pairs:
        found.setdefault(key, set()).add(value)
    return {key: frozenset(values) for key, values in found.items()}


_CLOCK = """
SELECT seq FROM marks
WHERE name IN ('clock-stepped', 'disk-full') AND seq BETWEEN $first AND $last
    AND pool IN ($pool, '')
"""


def _planned(claims: Claims, tasks: Iterable[Sequence[TaskSeen]]) -> list[str]:
    """Return the VMs and hosts of a run: of its plan, those it made, those it says it made."""
    refs = {step.intended.ref for step in claims.steps} | set(claims.made)
    if claims.plan is not None:
        refs |= {*claims.plan.found, *claims.plan.hosts}
        refs |= {lane.ref for part in claims.plan.parts for lane in part.lanes}
    results = (one.record.result for rows in tasks for one in rows if one.record is not None)
    texts = (text.removeprefix("<value>").removesuffix("</value>") for text in results)
    return sorted(refs | {text for text in texts if text.startswith("OpaqueRef:")})


_UNCLAIMED = """
SELECT DISTINCT ref FROM events
WHERE pool = $pool AND class = 'vm' AND operation = 'add' AND seq >= $first
    AND list_contains($names, name)
"""


def _unclaimed(history: History, claims: Claims) -> list[str]:
    """Return VMs that may be clones of calls of which nobody knows how they ended."""
    names = [
        step.params[0]
        for step in claims.steps
        if step.intended.method == "VM.clone" and not step.succeeded and step.params
    ]
    params = {"pool": claims.pool, "names": names, "first": claims.started.seq}
    return [str(ref) for (ref,) in history.plain(_UNCLAIMED, params)] if names else []


class _Last(msgspec.Struct):
    seq: int


_LAST = """
SELECT seq FROM (
    SELECT min(seq) AS seq FROM marks WHERE name IN ('started', 'stopped') AND seq > $last
    UNION ALL SELECT last_seq FROM pools WHERE pool = $pool
) WHERE seq IS NOT NULL ORDER BY seq LIMIT 1
"""


def _last(history: History, claims: Claims) -> int:
    """Return the last entry of a run; of one without an end the last while its recorder lived."""
    if claims.ended is not None:
        return claims.seqs[-1]
    row = history.first(_Last, _LAST, {"pool": claims.pool, "last": claims.seqs[-1]})
    return claims.seqs[-1] if row is None else max(row.seq, claims.seqs[-1])


# -- tasks -----------------------------------------------------------------------------------------


class _Row(msgspec.Struct):
    seq: int
    at_us: int
    ref: str
    operation: str
    origin: str
    snapshot: str | None


_TASKS = """
SELECT seq, epoch_us(received_at) AS at_us, ref, operation, origin, snapshot FROM events
WHERE pool = $pool AND class = 'task' AND list_contains($refs, ref) ORDER BY seq
"""
_ENTRIES = """
SELECT seq, epoch_us(received_at) AS at_us, ref, operation, origin, snapshot FROM events
WHERE pool = $pool AND class = 'task' AND list_contains($seqs, seq) ORDER BY seq
"""


def _tasks(history: History, pool: str, refs: Iterable[str]) -> dict[str, list[TaskSeen]]:
    found: dict[str, list[TaskSeen]] = {}
    for row in history.all(_Row, _TASKS, {"pool": pool, "refs": sorted(refs)}):
        found.setdefault(row.ref, []).append(_seen(row))
    return found


def _entries(history: History, claims: Claims) -> dict[int, TaskSeen]:
    seqs = [step.ended.entry for step in claims.steps if step.ended and step.ended.entry]
    rows = history.all(_Row, _ENTRIES, {"pool": claims.pool, "seqs": seqs})
    return {row.seq: _seen(row) for row in rows}


def _seen(row: _Row) -> TaskSeen:
    record = None
    if row.snapshot is not None:
        try:
            record = msgspec.json.decode(row.snapshot, type=TaskRecord)
        except msgspec.ValidationError:
            record = None  # A task in another shape tells no outcome, which is what is found then.
    return TaskSeen(row.seq, row.at_us, row.ref, row.operation, row.origin, record)


class _Subtask(msgspec.Struct):
    ref: str
    top: str


_SUBTASKS = """
WITH RECURSIVE below AS (
    SELECT ref, subtask_of AS top FROM tasks
    WHERE pool = $pool AND list_contains($refs, subtask_of)
    UNION SELECT t.ref, b.top FROM tasks t JOIN below b ON t.subtask_of = b.ref
    WHERE t.pool = $pool
)
SELECT ref, top FROM below
"""


def _subtasks(history: History, pool: str, refs: Iterable[str]) -> dict[str, str]:
    rows = history.all(_Subtask, _SUBTASKS, {"pool": pool, "refs": sorted(refs)})
    return {row.ref: row.top for row in rows}


_CARRIED = """
SELECT seq, ref, task FROM carried
WHERE pool = $pool AND (list_contains($tasks, task)
    OR (list_contains($refs, ref) AND seq BETWEEN $first AND $last))
ORDER BY seq
"""


class _Carrying(msgspec.Struct):
    seq: int
    ref: str
    task: str


def _carried(
    history: History, pool: str, tasks: Sequence[str], refs: Sequence[str], first: int, last: int
) -> list[_Carrying]:
    params = {"pool": pool, "tasks": tasks, "refs": refs, "first": first, "last": last}
    return history.all(_Carrying, _CARRIED, params)


# -- objects ---------------------------------------------------------------------------------------


_OBJECTS = """
WITH before AS (
    SELECT max(seq) AS seq FROM events
    WHERE pool = $pool AND list_contains($refs, ref) AND received_at < make_timestamptz($from)
    GROUP BY class, ref
)
SELECT seq, epoch_us(received_at) AS at_us, class, ref, uuid, name, operation, origin,
    changed_fields AS changed, snapshot ->> '$.power_state' AS power_state,
    snapshot ->> '$.resident_on' AS resident_on, snapshot ->> '$.enabled' AS enabled
FROM events
WHERE pool = $pool AND list_contains($refs, ref) AND class IN ('vm', 'host')
    AND received_at < make_timestamptz($until)
    AND (received_at >= make_timestamptz($from) OR seq IN (SELECT seq FROM before))
ORDER BY seq
"""
_LATER_US = 60_000_000


def _objects(history: History, claims: Claims, refs: Sequence[str]) -> dict[str, list[ObjectSeen]]:
    params = {
        "pool": claims.pool,
        "refs": refs,
        "from": claims.started.at_us - READ_US,
        "until": claims.ended.at_us + _LATER_US if claims.ended else _FOREVER_US,
    }
    found: dict[str, list[ObjectSeen]] = {}
    for row in history.all(ObjectSeen, _OBJECTS, params):
        found.setdefault(row.ref, []).append(row)
    return found


_FOREVER_US = 253_402_214_400_000_000
"""The year 9999."""


_TOUCHED = """
SELECT class, ref, any_value(name ORDER BY seq DESC) AS name, count(*) AS changes,
    min(seq) AS first_seq, max(seq) AS last_seq, list(DISTINCT operation) AS operations,
    list_sort(list_distinct(flatten(list(coalesce(changed_fields, []))))) AS fields,
    list(DISTINCT origin) AS origins
FROM events
WHERE pool = $pool AND seq BETWEEN $first AND $last AND origin <> 'baseline'
    AND (operation <> 'mod' OR changed_fields IS NULL OR len(changed_fields) > 0)
GROUP BY class, ref ORDER BY first_seq
"""


def _touched(history: History, pool: str, first: int, last: int) -> list[Touched]:
    return history.all(Touched, _TOUCHED, {"pool": pool, "first": first, "last": last})


class _Named(msgspec.Struct):
    ref: str
    owner: str


_NAMED = """
WITH told AS (
    SELECT ref, snapshot AS text FROM events
    WHERE pool = $pool AND class = 'vm' AND list_contains($refs, ref) AND seq <= $last
        AND changed_fields IS NULL AND snapshot IS NOT NULL
    UNION ALL
    SELECT ref, concat(old, ' ', new) FROM changes
    WHERE pool = $pool AND class = 'vm' AND list_contains($refs, ref) AND seq <= $last
), one AS (
    SELECT DISTINCT ref AS owner, unnest(regexp_extract_all(text, 'OpaqueRef:[0-9A-Za-z-]+')) AS ref
    FROM told
), devices AS (
    SELECT DISTINCT owner,
        unnest(regexp_extract_all(snapshot, 'OpaqueRef:[0-9A-Za-z-]+')) AS ref
    FROM events e JOIN one USING (ref)
    WHERE e.pool = $pool AND e.class IN ('vbd', 'vif') AND e.seq <= $last AND snapshot IS NOT NULL
), backs AS (
    SELECT snapshot ->> '$.VM' AS owner, ref FROM events
    WHERE pool = $pool AND class IN ('vbd', 'vif', 'vgpu', 'vusb', 'vtpm', 'console')
        AND list_contains($refs, snapshot ->> '$.VM') AND seq <= $last
)
SELECT ref, min(owner) AS owner FROM (
    SELECT ref, owner FROM one UNION ALL SELECT ref, owner FROM devices
    UNION ALL SELECT ref, owner FROM backs
) WHERE ref <> 'OpaqueRef:NULL' AND ref <> owner GROUP BY ref
"""


def _named(history: History, pool: str, refs: Sequence[str], last: int) -> dict[str, str]:
    rows = history.all(_Named, _NAMED, {"pool": pool, "refs": refs, "last": last})
    return {row.ref: row.owner for row in rows}


class _Message(msgspec.Struct):
    ref: str
    about: str | None


_MESSAGES = """
SELECT ref, any_value(snapshot ->> '$.obj_uuid') AS about FROM events
WHERE pool = $pool AND class = 'message' AND seq BETWEEN $first AND $last GROUP BY ref
"""


def _messages(history: History, pool: str, first: int, last: int) -> dict[str, str]:
    rows = history.all(_Message, _MESSAGES, {"pool": pool, "first": first, "last": last})
    return {row.ref: row.about for row in rows if row.about is not None}


# -- what may have been missed ---------------------------------------------------------------------


def _gaps(history: History, pool: str) -> list[GapSeen]:
    return [GapSeen(gap.seq, gap.since_seq, gap.closed_seq) for gap in gap_spans(history, pool)]


_READINGS = """
SELECT r.seq, min(d.seq) FROM marks r JOIN marks d ON d.pool = r.pool AND d.seq > r.seq
WHERE r.pool = $pool AND r.name = 'registered' AND d.name = 'baseline-done' GROUP BY r.seq
"""


def _readings(history: History, pool: str) -> list[range]:
    rows = msgspec.convert(history.plain(_READINGS, {"pool": pool}), list[tuple[int, int]])
    return [range(first, last) for first, last in rows]
