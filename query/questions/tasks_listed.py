"""Tasks and how they ended: those that fit a filter, in order or as trees."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from difflib import get_close_matches

import msgspec

from recorder.instant import Instant

from ..errors import NoSuchObject
from ..history.database import History
from .doers import by_of_tasks
from .objects import Found, check_pool

FAILED = ("failure", "cancelled", "vanished")


class Target(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """An object that a task has to do with; a row of the view `task_targets`.

    `cls` and `name` are None if the object itself was never recorded.
    """

    cls: str | None
    ref: str
    name: str | None
    how: str
    operation: str | None
    seq: int

    def __str__(self) -> str:
        return f"{self.cls or 'unknown'}:{self.name or self.ref}"


class Progress(msgspec.Struct, frozen=True):
    """The progress of a task from an entry on; 1 is all."""

    seq: int
    at: datetime
    progress: float


class TaskRow(msgspec.Struct, frozen=True):
    """A task; the columns of the table `tasks`, which views.sql explains, and these.

    `curve` has its progress as it was told, from its first entry on. `ended_seq` and `ended_at` are
    where its end was told, None if the first entry already told it or none did. `departure` is how
    it went away (see `task_departures`), None while it is there. `objects` has the targets as
    `class:name`. `depth` is how far it stands below the first task of its tree. `by` is who made
    it, as far as an audit trail tells.
    """

    pool: str
    ref: str
    uuid: str | None
    name_label: str | None
    operation: str | None
    created: datetime | None
    finished: datetime | None
    duration_s: float | None
    status: str
    progress: float | None
    curve: list[Progress]
    result: str | None
    error_code: str | None
    error_params: list[str]
    first_seq: int
    last_seq: int
    ended_seq: int | None
    ended_at: datetime | None
    departure: str | None
    departure_gap: int | None
    subtask_of: str | None
    objects: list[str]
    targets: list[Target]
    depth: int = 0
    by: str | None = None

    @property
    def is_over(self) -> bool:
        """True if nothing more can be told of it."""
        return self.status != "pending" or self.departure is not None

    @property
    def end_seq(self) -> int | None:
        """The last entry of its work; None if it may still be at work."""
        return (self.ended_seq or self.last_seq) if self.is_over else None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks are asked for; None is no condition.

    `failed` keeps those that failed, were cancelled or vanished; `since` those told of from then
    on, `until` those first told of up to then; `found` those that have to do with an object.
    `subtasks` adds all tasks that are part of those that fit. `limit` keeps the newest of them.
    """

    pool: str | None = None
    failed: bool = False
    status: str | None = None
    operation: str | None = None
    found: Found | None = None
    since: Instant | None = None
    until: Instant | None = None
    refs: Sequence[str] | None = None
    subtasks: bool = False
    limit: int | None = None


def tasks(history: History, wanted: Wanted = Wanted()) -> list[TaskRow]:  # noqa: B008  # frozen
    """Return the tasks that fit, in the order in which they were first told of.

    With `subtasks` each stands beneath the task that it is part of. Raises QueryError for a pool or
    an operation that was never recorded.
    """
    check_pool(history, wanted.pool)
    _check_operation(history, wanted.operation)
    terms, params = _conditions(wanted)
    newest = "" if wanted.limit is None else f"{_NEWEST} LIMIT {int(wanted.limit)}"
    below = _BELOW if wanted.subtasks else ""
    # A list reaches the tables beneath the views; joining with what was picked reads them whole.
    of_them = _FEW if wanted.refs is not None and not below else _PICKED
    sql = f"""
        WITH RECURSIVE chosen AS (
            (SELECT t.pool, t.ref FROM tasks t WHERE {" AND ".join(["true", *terms])} {newest})
            {below}
        ), picked AS MATERIALIZED (SELECT pool, ref AS task FROM chosen)
        {_ROWS.replace("OF_THEM", of_them)}
    """  # noqa: S608  # every value is a parameter
    rows = history.all(TaskRow, sql, params)
    by = by_of_tasks(history, [row.first_seq for row in rows])
    rows = [msgspec.structs.replace(row, by=by.get(row.first_seq)) for row in rows] if by else rows
    return list(as_tree(rows)) if wanted.subtasks else rows


class _Count(msgspec.Struct):
    number: int


def number_of_tasks(history: History, wanted: Wanted) -> int:
    """Return how many tasks fit, without those that are only part of them, and whatever `limit`."""
    terms, params = _conditions(wanted)
    sql = f"SELECT count(*) AS number FROM tasks t WHERE {' AND '.join(['true', *terms])}"  # noqa: S608  # every value is a parameter
    return history.all(_Count, sql, params)[0].number


_NEWEST = "ORDER BY t.first_seq DESC, t.pool DESC, t.ref DESC"
_BELOW = """
UNION SELECT t.pool, t.ref FROM tasks t JOIN chosen c ON t.pool = c.pool AND t.subtask_of = c.ref
"""
_FEW = "WHERE list_contains($refs, task)"
_PICKED = "SEMI JOIN picked USING (pool, task)"
_ROWS = """
SELECT t.*, coalesce(g.targets, []) AS targets, coalesce(g.objects, []) AS objects,
    coalesce(p.curve, []) AS curve, n.ended_seq, n.ended_at, d.departure, d.gap AS departure_gap
FROM tasks t SEMI JOIN picked c ON c.pool = t.pool AND c.task = t.ref
LEFT JOIN (
    SELECT pool, task,
        list({'class': class, 'ref': ref, 'name': name, 'how': how, 'operation': operation,
            'seq': seq} ORDER BY seq, class, ref, how) AS targets,
        list_sort(list(DISTINCT coalesce(class, 'unknown') || ':' || coalesce(name, ref)))
            AS objects
    FROM task_targets OF_THEM GROUP BY pool, task
) g ON g.pool = t.pool AND g.task = t.ref
LEFT JOIN (
    SELECT pool, task, [{'seq': min(first_seq), 'at': min(first_at),
            'progress': coalesce(arg_min(before, seq), 0)}]
        || list({'seq': seq, 'at': received_at, 'progress': progress} ORDER BY seq) AS curve
    FROM (FROM task_progress OF_THEM) JOIN (
        SELECT pool, ref AS task, first_seq, first_at FROM objects WHERE class = 'task'
    ) USING (pool, task)
    GROUP BY pool, task
) p ON p.pool = t.pool AND p.task = t.ref
LEFT JOIN (FROM task_ends OF_THEM) n ON n.pool = t.pool AND n.task = t.ref
LEFT JOIN (FROM task_departures OF_THEM) d ON d.pool = t.pool AND d.task = t.ref
ORDER BY t.first_seq, t.pool, t.ref
"""


def _conditions(wanted: Wanted) -> tuple[list[str], dict[str, object]]:
    found, operation = wanted.found, wanted.operation
    given: tuple[tuple[str, object, str], ...] = (
        ("pool", found.pool if found else wanted.pool, "t.pool = $pool"),
        ("status", wanted.status, "t.status = $status"),
        ("operation", operation and operation.lower(), "lower(t.operation) = $operation"),
        ("refs", wanted.refs, "list_contains($refs, t.ref)"),
        ("found", found and found.ref, _HAS_TO_DO_WITH_IT),
    )
    params = {name: value for name, value, _ in given if value is not None}
    terms = [term for _, value, term in given if value is not None]
    if wanted.failed:
        terms.append(f"t.status IN {FAILED}")
    for name, instant, seq, at in (
        ("since", wanted.since, "o.last_seq >=", "o.last_at >="),
        ("until", wanted.until, "o.first_seq <=", "o.first_at <="),
    ):
        if instant is None:
            continue
        bound = f"{seq} ${name}" if instant.at_us is None else f"{at} make_timestamptz(${name})"
        params[name] = instant.seq if instant.at_us is None else instant.at_us
        terms.append(
            "(t.pool, t.ref) IN (SELECT (o.pool, o.ref) FROM objects o"  # noqa: S608  # names are ours
            f" WHERE o.class = 'task' AND {bound})"
        )
    return terms, params


_HAS_TO_DO_WITH_IT = """
t.ref IN (SELECT task FROM task_targets WHERE pool = $pool AND ref = $found)
"""


class _Operation(msgspec.Struct):
    operation: str


def _check_operation(history: History, operation: str | None) -> None:
    """Raise NoSuchObject unless a task for that call, in any case, was recorded."""
    if operation is None:
        return
    sql = "SELECT DISTINCT operation FROM tasks WHERE operation IS NOT NULL"
    names = [row.operation for row in history.all(_Operation, sql)]
    if operation.lower() not in {name.lower() for name in names}:
        near = get_close_matches(operation, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise NoSuchObject(f"no task for the call {operation!r} was recorded{hint}")


def as_tree(rows: Sequence[TaskRow]) -> Iterator[TaskRow]:
    """Yield tasks, each followed by its sub-tasks one `depth` below.

    A task whose parent is not among them is the first of a tree. So is one of a ring, which no
    server makes, but a pool may tell.
    """
    below: dict[tuple[str, str | None], list[TaskRow]] = {}
    keys = {(row.pool, row.ref) for row in rows}
    for row in rows:
        parent = row.subtask_of if (row.pool, row.subtask_of) in keys else None
        below.setdefault((row.pool, parent), []).append(row)
    shown: set[tuple[str, str]] = set()
    firsts = [row for row in rows if (row.pool, row.subtask_of) not in keys]
    for first in [*firsts, *rows]:
        waiting = [(first, 0)]
        while waiting:
            row, depth = waiting.pop()
            if (row.pool, row.ref) in shown:
                continue
            shown.add((row.pool, row.ref))
            yield msgspec.structs.replace(row, depth=depth)
            waiting += [(one, depth + 1) for one in reversed(below.get((row.pool, row.ref), []))]
