"""The plain questions: which events, which tasks, and whatever SQL can ask."""

from collections import Counter
from datetime import UTC, date, datetime, time
from decimal import Decimal
from difflib import get_close_matches

import msgspec

from recorder.instant import Instant

from .database import History, statement_count
from .errors import BadSql, NoSuchField, NoSuchObject
from .known import Origin
from .objects import Found, check_pool
from .records import Json


class EventRow(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """One event, or one thing that a baseline told; `changed_fields` is [] where nothing did.

    `stream` is that of its epoch: with `from`, states before this one may be missing.
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
        "pool": found.pool if found else wanted.pool,
        "class": found.cls if found else wanted.cls and wanted.cls.lower(),
        "ref": found.ref if found else None,
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
    return history.all(EventRow, sql, params)[::-1]


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


def sql(history: History, statement: str) -> tuple[list[str], list[dict[str, Json]]]:
    """Return the column names and the rows of an answer; nothing can be written. Raises BadSql.

    Times are ISO text, numbers stay numbers, binary data is hexadecimal text.
    """
    check_statement(statement)
    table = history.table(statement)
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise BadSql(f"two columns are called {twice[0]!r}; give each a name with AS")
    rows = [{name: _plain(value) for name, value in row.items()} for row in table.to_pylist()]
    return table.column_names, rows


def check_statement(statement: str) -> None:
    """Raise BadSql for more than one statement: only the last one's answer would be seen."""
    count = statement_count(statement)
    if count > 1:
        raise BadSql(f"{count} statements were given; ask one at a time")


def _plain(value: object) -> Json:
    plain: Json
    match value:
        case None | bool() | int() | float() | str():
            plain = value
        case datetime() if value.tzinfo is not None:
            plain = value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case datetime() | date() | time():
            plain = value.isoformat()
        case Decimal():
            plain = int(value) if value == value.to_integral_value() else float(value)
        case bytes():
            plain = value.hex()
        case list() | tuple():
            plain = [_plain(item) for item in value]
        case dict():
            plain = {str(key): _plain(item) for key, item in value.items()}
        case _:
            plain = str(value)
    return plain


class TableRow(msgspec.Struct, frozen=True):
    """A table or view of the history, what it is, and its columns with their types."""

    name: str
    kind: str
    comment: str | None
    columns: list[str]


def tables(history: History) -> list[TableRow]:
    """Return what SQL can ask: tables and views with their columns."""
    statement = """
        SELECT table_name AS name,
            CASE WHEN table_name IN (SELECT view_name FROM duckdb_views() WHERE NOT internal)
                 THEN 'view' ELSE 'table' END AS kind,
            any_value(c.comment) AS comment,
            list(column_name || ' ' || data_type ORDER BY column_index) AS columns
        FROM duckdb_columns() LEFT JOIN (
            SELECT table_name, comment FROM duckdb_tables()
            UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE NOT internal
        ) c USING (table_name)
        WHERE NOT internal GROUP BY table_name ORDER BY kind, name
    """
    return history.all(TableRow, statement)
