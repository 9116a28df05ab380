"""The plain question: which events there were."""

from datetime import datetime
from difflib import get_close_matches

import msgspec

from recorder.instant import Instant

from ..errors import NoSuchField, NoSuchObject
from ..history.database import History
from ..load.known import Origin
from .doers import by_of_events
from .objects import Found, check_pool, number_of


class EventRow(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """One event, or one thing that a baseline told; `changed_fields` is [] where nothing did.

    `stream` is that of its epoch: with `from`, states before this one may be missing. `by` is who
    is behind it, as far as an audit trail tells.
    """

    seq: int
    pool: str
    epoch: int | None
    received_at: datetime
    server_at: datetime | None
    event_id: int | None
    cls: str
    operation: str
    ref: str
    uuid: str | None
    name: str | None
    origin: Origin
    gap: int | None
    changed_fields: list[str] | None
    stream: str | None
    by: str | None = None


EVENT_ROWS = """(
    SELECT e.* EXCLUDE (snapshot), p.stream FROM events e LEFT JOIN epochs p USING (pool, epoch)
)"""
"""What an EventRow is read from."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are asked for; None is no condition."""

    found: Found | None = None
    pool: str | None = None
    cls: str | None = None
    operation: str | None = None
    origin: str | None = None
    field: str | None = None
    changed: bool = False
    since: Instant | None = None
    until: Instant | None = None
    limit: int = 100


def events(history: History, wanted: Filter) -> list[EventRow]:
    """Return the newest events that fit, oldest first. Raises QueryError for an unknown name."""
    check_pool(history, wanted.pool)
    check_class(history, wanted.cls)
    found = wanted.found
    conditions = {
        "object": number_of(history, found) if found else None,
        "pool": None if found else wanted.pool,
        "class": None if found else wanted.cls and wanted.cls.lower(),
        "operation": wanted.operation,
        "origin": wanted.origin,
    }
    params: dict[str, object] = {k: v for k, v in conditions.items() if v is not None}
    terms = [f"{name} = ${name}" for name in params]
    for name, instant in (("since", wanted.since), ("until", wanted.until)):
        if instant is not None:
            terms.append(bound(name, instant))
            params[name] = instant.at_us if instant.seq is None else instant.seq
    if wanted.field is not None:
        check_field(history, wanted.field)
        terms.append("list_contains(list_transform(changed_fields, lambda f: lower(f)), $field)")
        params["field"] = wanted.field.lower()
    if wanted.changed:
        terms.append("(operation <> 'mod' OR changed_fields IS NULL OR len(changed_fields) > 0)")
    where = f"WHERE {' AND '.join(terms)}" if terms else ""
    sql = f"""
        SELECT * FROM {EVENT_ROWS} {where}
        ORDER BY seq DESC, class DESC, ref DESC LIMIT {int(wanted.limit)}
    """  # noqa: S608  # every value is a parameter
    rows = history.all(EventRow, sql, params)[::-1]
    by = by_of_events(history, [row.seq for row in rows])
    return [msgspec.structs.replace(row, by=by[row.seq]) if row.seq in by else row for row in rows]


def bound(name: str, instant: Instant) -> str:
    """Return the SQL condition of `--since` or `--until`, with a parameter of that name."""
    comparison = ">=" if name == "since" else "<="
    if instant.seq is not None:
        return f"seq {comparison} ${name}"
    return f"received_at {comparison} make_timestamptz(${name})"


class _Class(msgspec.Struct, rename={"cls": "class"}):
    cls: str


def check_class(history: History, cls: str | None) -> None:
    """Raise NoSuchObject unless `cls` is None or objects of it were recorded."""
    if cls is None:
        return
    names = [
        row.cls for row in history.all(_Class, "SELECT DISTINCT class FROM objects ORDER BY class")
    ]
    if cls.lower() not in names:
        known = f"the history has {', '.join(names)}" if names else "the history is empty"
        raise NoSuchObject(f"no object of class {cls!r} was recorded; {known}")


class _Field(msgspec.Struct):
    field: str


def check_field(history: History, field: str) -> None:
    """Raise NoSuchField unless a change of a field of that name, in any case, was recorded."""
    names = [row.field for row in history.all(_Field, "SELECT DISTINCT field FROM changes")]
    if field.lower() not in {name.lower() for name in names}:
        near = get_close_matches(field, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise NoSuchField(f"no change of a field {field!r} was recorded{hint}")
