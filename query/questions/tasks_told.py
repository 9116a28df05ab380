"""Everything of one task: its tree, its objects, and what happened to them under it."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from recorder.instant import Instant

from ..errors import AmbiguousObject, NoSuchObject
from ..history.database import History
from ..load.known import Origin
from ..records import FieldChange
from .objects import CHOICES_MAX, Found, check_pool, find
from .tasks_listed import TaskRow, Wanted, as_tree, tasks


class Span(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """From when to when an object carried a task; a row of the view `task_spans`."""

    task: str
    cls: str
    ref: str
    name: str | None
    operation: str
    since_seq: int
    since: datetime
    until_seq: int | None
    until: datetime | None
    origin: Origin
    gap: int | None


class TaskChange(msgspec.Struct, frozen=True, kw_only=True, rename={"cls": "class"}):
    """What happened to an object of a task; a row of the view `task_changes`, which says how the
    two are joined. `changes` are the changed fields (old and new as JSON text)."""

    seq: int
    task: str
    how: str
    received_at: datetime
    cls: str
    ref: str
    name: str | None
    operation: str
    origin: Origin
    gap: int | None
    changes: list[FieldChange] = []


class TaskStory(msgspec.Struct, frozen=True):
    """A task, the tree that it stands in, and what happened under it and its sub-tasks, by `seq`.

    `tree` begins with the first of its parents; of theirs it has no other sub-tasks.
    """

    task: TaskRow
    tree: list[TaskRow]
    spans: list[Span]
    changes: list[TaskChange]

    @property
    def life(self) -> tuple[Instant, Instant | None]:
        """The first entry that told of the task, and the last; None if more may come."""
        end = self.task.end_seq
        return Instant(seq=self.task.first_seq), None if end is None else Instant(seq=end)


def find_task(history: History, word: str, *, pool: str | None = None) -> Found:
    """Return the one task that a word means: a reference, a uuid, the beginning of one, a name, or
    `@SEQ`, the entry that told of the task or of a change under it.

    Raises NoSuchObject, or AmbiguousObject with the choices.
    """
    if word.startswith("@") and word[1:].isdecimal():
        return _task_at(history, int(word[1:]), pool)
    try:
        found = find(history, word, pool=pool, cls="task")
    except NoSuchObject:
        raise NoSuchObject(f"no task answers to {word!r}; xentrail tasks lists them") from None
    if found.cls != "task":
        raise NoSuchObject(f"{found} is no task; xentrail tasks --object shows those of an object")
    return found


_AT = """
SELECT o.pool, o.class, o.ref, o.uuid, o.name, o.gone FROM objects o JOIN (
    SELECT pool, ref FROM events WHERE seq = $seq AND class = 'task'
    UNION SELECT pool, task FROM task_changes WHERE seq = $seq
) c ON o.pool = c.pool AND o.ref = c.ref AND o.class = 'task'
WHERE $pool IS NULL OR o.pool = $pool ORDER BY o.pool, o.ref
"""


def _task_at(history: History, seq: int, pool: str | None) -> Found:
    check_pool(history, pool)
    found = history.all(Found, _AT, {"seq": seq, "pool": pool})
    if not found:
        raise NoSuchObject(f"@{seq} tells of no task, and of no change under one")
    if len(found) > 1:
        text = f"{len(found)} tasks were at work on what @{seq} tells of; name one by its uuid:"
        raise AmbiguousObject(text, [str(one) for one in found[:CHOICES_MAX]])
    return found[0]


_FAMILY = """
WITH RECURSIVE above AS (
    SELECT pool, ref, subtask_of FROM tasks WHERE pool = $pool AND ref = $ref
    UNION SELECT t.pool, t.ref, t.subtask_of
    FROM tasks t JOIN above a ON t.pool = a.pool AND t.ref = a.subtask_of
), below AS (
    SELECT pool, ref FROM tasks WHERE pool = $pool AND ref = $ref
    UNION SELECT t.pool, t.ref FROM tasks t JOIN below b ON t.pool = b.pool AND t.subtask_of = b.ref
)
SELECT ref, true AS below FROM below UNION ALL SELECT ref, false FROM above
"""


class _Kin(msgspec.Struct):
    ref: str
    below: bool


def story_of(history: History, found: Found) -> TaskStory:
    """Return everything of one task."""
    kin = history.all(_Kin, _FAMILY, {"pool": found.pool, "ref": found.ref})
    rows = tasks(history, Wanted(pool=found.pool, refs=[one.ref for one in kin]))
    own = next(row for row in rows if row.ref == found.ref)
    params: dict[str, object] = {
        "pool": found.pool,
        "tasks": [one.ref for one in kin if one.below],
    }
    spans = history.all(Span, _SPANS, params)
    return TaskStory(own, list(as_tree(rows)), spans, _changes(history, params))


_SPANS = """
SELECT * FROM task_spans WHERE pool = $pool AND list_contains($tasks, task)
ORDER BY since_seq, class, ref, task
"""
_CHANGES = """
SELECT * FROM task_changes WHERE pool = $pool AND list_contains($tasks, task)
ORDER BY seq, class, ref, task
"""
_FIELDS = """
SELECT seq, class AS cls, ref, field, old, new FROM changes
WHERE pool = $pool AND list_contains($seqs, seq) ORDER BY seq, field
"""


class _Field(msgspec.Struct):
    seq: int
    cls: str
    ref: str
    field: str
    old: str | None
    new: str | None


def _changes(history: History, params: dict[str, object]) -> list[TaskChange]:
    rows = history.all(TaskChange, _CHANGES, params)
    seqs = {"pool": params["pool"], "seqs": sorted({row.seq for row in rows})}
    fields: dict[tuple[int, str, str], list[FieldChange]] = {}
    for one in history.all(_Field, _FIELDS, seqs) if rows else []:
        change = FieldChange(one.field, one.old, one.new)
        fields.setdefault((one.seq, one.cls, one.ref), []).append(change)
    return [
        msgspec.structs.replace(row, changes=fields.get((row.seq, row.cls, row.ref), []))
        for row in rows
    ]


def texts_of(story: TaskStory) -> Iterable[str]:
    """Yield the texts of a story that may hold references."""
    for row in story.tree:
        yield from (row.result or "", *row.error_params)
    for change in story.changes:
        for field in change.changes:
            yield from (field.old or "", field.new or "")
