"""The tasks that worked on one object, each from when it was first seen to when it was over."""

from datetime import datetime
from typing import TypeVar

import msgspec

from recorder.instant import Instant, time_of

from ..history.database import History
from .objects import Found, number_of

T = TypeVar("T")


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


# The tasks are those that the view task_targets names by `carried` or `error`; asked for it, DuckDB
# would work out those of every object first.
_CARRIED = "SELECT task, operation FROM carried WHERE object = $object AND part = 'begins'"
_REFUSED = "SELECT ref FROM tasks WHERE pool = $pool AND list_contains(error_params, $ref)"
_TOLD = """
SELECT t.ref, t.name_label, t.status, t.error_code, t.duration_s,
    o.first_origin = 'live' AND o.first_operation = 'add', o.first_seq, epoch_us(o.first_at),
    o.last_seq, epoch_us(o.last_at)
FROM tasks t JOIN objects o ON o.first_seq = t.first_seq
WHERE t.pool = $pool AND t.ref IN $refs
ORDER BY t.first_seq, t.ref
"""
# In one question with the other, DuckDB would take longer to plan than to find the answer.
_ENDS = """
SELECT ref, min(seq) FILTER (over), epoch_us(min(received_at) FILTER (over)) FROM (
    SELECT ref, seq, received_at, new NOT IN ('"pending"', '"cancelling"') AS over FROM changes
    WHERE pool = $pool AND class = 'task' AND field = 'status' AND ref IN $refs
) GROUP BY ref
"""


class _Told(msgspec.Struct, array_like=True):
    ref: str
    name: str | None
    status: str
    error_code: str | None
    duration_s: float | None
    seen_begin: bool
    first_seq: int
    first_at_us: int
    last_seq: int
    last_at_us: int


class _Stood(msgspec.Struct, array_like=True):
    """Where a change of a task's status first told that it is over, None if none did."""

    ref: str
    seq: int | None
    at_us: int | None


def undertakings_of(
    history: History, found: Found, since: Instant | None, until: Instant | None
) -> list[Undertaking]:
    """Return the tasks of an object that were under way in a range, the oldest first."""
    carried = history.plain(_CARRIED, {"object": number_of(history, found)})
    operations: dict[str, str | None] = {str(task): str(does) for task, does in carried}
    for (task,) in history.plain(_REFUSED, {"pool": found.pool, "ref": found.ref}):
        operations.setdefault(str(task), None)
    tasks = _told(history, _TOLD, list[_Told], found, list(operations))
    ends = _told(history, _ENDS, list[_Stood], found, [task.ref for task in tasks])
    stood = {end.ref: end for end in ends}
    all_of_them = [_undertaking(one, operations[one.ref], stood.get(one.ref)) for one in tasks]
    return [
        one
        for one in all_of_them
        if not (since is not None and _is_before(one.ended_at, one.ended_seq, since))
        and not (until is not None and _is_after(one.began_at, one.began_seq, until))
    ]


def _told(history: History, sql: str, kind: type[T], found: Found, refs: list[str]) -> T:
    """Ask about tasks, unless there are none. Arrow would take longer than DuckDB does."""
    rows = history.plain(sql, {"pool": found.pool, "refs": refs}) if refs else []
    return msgspec.convert(rows, kind)


def _undertaking(told: _Told, operation: str | None, stood: _Stood | None) -> Undertaking:
    ended_seq, ended_at_us = None, None
    if told.status == "vanished":
        ended_seq, ended_at_us = told.last_seq, told.last_at_us
    elif told.status not in ("pending", "cancelling"):
        ended_seq, ended_at_us = told.first_seq, told.first_at_us
        if stood is not None:
            ended_seq, ended_at_us = stood.seq, stood.at_us
    return Undertaking(
        ref=told.ref,
        name=told.name,
        operation=operation,
        status=told.status,
        error_code=told.error_code,
        duration_s=told.duration_s,
        seen_begin=told.seen_begin,
        began_seq=told.first_seq,
        began_at=time_of(told.first_at_us),
        ended_seq=ended_seq,
        ended_at=None if ended_at_us is None else time_of(ended_at_us),
    )


def _is_before(at: datetime | None, seq: int | None, instant: Instant) -> bool:
    if at is None or seq is None:
        return False
    return seq < instant.seq if instant.seq is not None else at < time_of(instant.at_us or 0)


def _is_after(at: datetime, seq: int, instant: Instant) -> bool:
    return seq > instant.seq if instant.seq is not None else at > time_of(instant.at_us or 0)
