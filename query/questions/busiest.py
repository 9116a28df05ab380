"""What changed most: objects, classes, fields and pools by the number of their changes."""

from datetime import datetime

import msgspec

from recorder.instant import Instant

from ..choices import By
from ..history.database import History
from .objects import check_pool
from .plain import bound, check_class
from .ranges import Range, range_of


class Busy(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """How often something changed, as far as it was seen: what was found later counts apart.

    `changes` are live events that changed something, `repeats` those that did not (heartbeats,
    fields set to what they were), `inferred` differences found after a gap. `per_minute` is that of
    the changes in the part of the range that is recorded; `field` is the field that changed most.
    Columns that were counted together are None.
    """

    pool: str
    cls: str | None
    ref: str | None
    name: str | None
    field: str | None
    changes: int
    repeats: int
    inferred: int
    per_minute: float | None
    first_at: datetime
    last_at: datetime
    first_seq: int
    last_seq: int


_COLUMNS = {
    By.OBJECT: "pool, class, ref",
    By.CLASS: "pool, class",
    By.POOL: "pool",
    By.FIELD: "pool, class, field",
}


def busiest(
    history: History,
    by: By,
    *,
    pool: str | None = None,
    cls: str | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    limit: int = 20,
) -> list[Busy]:
    """Return what changed most in a range, the busiest first. Raises NoSuchPool, NoSuchObject."""
    check_pool(history, pool)
    check_class(history, cls)
    terms = ["origin <> 'baseline'"]
    params: dict[str, object] = {}
    for name, value in (("pool", pool), ("class", cls and cls.lower())):
        if value is not None:
            terms.append(f"{name} = ${name}")
            params[name] = value
    for name, instant in (("since", since), ("until", until)):
        if instant is not None:
            terms.append(bound(name, instant))
            params[name] = instant.at_us if instant.seq is None else instant.seq
    where = " AND ".join(terms)
    sql = _by_field(where) if by is By.FIELD else _by_event(where, _COLUMNS[by])
    rows = history.all(Busy, f"{sql} LIMIT {int(limit)}", params)
    ranges = {name: range_of(history, name, since, until) for name in {row.pool for row in rows}}
    return [_with_rate(row, ranges[row.pool]) for row in rows]


def _with_rate(row: Busy, within: Range | None) -> Busy:
    if within is None or not within.recorded_us:
        return row
    minutes = within.recorded_us / 60e6
    return msgspec.structs.replace(row, per_minute=row.changes / minutes)


_COUNTS = """
    count(*) FILTER (origin = 'live' AND (operation <> 'mod' OR changed_fields IS NULL
        OR len(changed_fields) > 0)) AS changes,
    count(*) FILTER (origin = 'live' AND operation = 'mod' AND len(changed_fields) = 0) AS repeats,
    count(*) FILTER (origin = 'inferred') AS inferred,
    min(received_at) AS first_at, max(received_at) AS last_at,
    min(seq) AS first_seq, max(seq) AS last_seq
"""
_ORDER = "ORDER BY changes DESC, inferred DESC, repeats DESC, first_seq, ref, field"


def _by_event(where: str, columns: str) -> str:
    """Return SQL that counts events, and finds the field that changed most in each group."""
    by_object = columns.endswith("ref")
    rest = "" if "class" in columns else ", NULL AS class"
    rest += "" if by_object else ", NULL AS ref"
    name = "any_value(o.name)" if by_object else "NULL"
    join = "LEFT JOIN objects o USING (pool, class, ref)" if by_object else ""
    grouped = ", ".join(f"c.{column}" for column in columns.split(", "))
    return f"""
        WITH counted AS (
            SELECT {columns}, {_COUNTS} FROM events WHERE {where} GROUP BY {columns}
        ), fields AS (
            SELECT {columns}, arg_max(field, (times, field)) AS field FROM (
                SELECT {columns}, field, count(*) AS times FROM changes WHERE {where}
                GROUP BY {columns}, field
            ) GROUP BY {columns}
        )
        SELECT {grouped}{rest}, {name} AS name, any_value(f.field) AS field,
            any_value(c.changes) AS changes, any_value(c.repeats) AS repeats,
            any_value(c.inferred) AS inferred, NULL AS per_minute,
            any_value(c.first_at) AS first_at, any_value(c.last_at) AS last_at,
            any_value(c.first_seq) AS first_seq, any_value(c.last_seq) AS last_seq
        FROM counted c LEFT JOIN fields f USING ({columns}) {join}
        GROUP BY {grouped} {_ORDER}
    """  # noqa: S608  # every value is a parameter


def _by_field(where: str) -> str:
    return f"""
        WITH counted AS (
            SELECT pool, class, field, count(*) FILTER (origin = 'live') AS changes,
                count(*) FILTER (origin = 'inferred') AS inferred,
                min(received_at) AS first_at, max(received_at) AS last_at,
                min(seq) AS first_seq, max(seq) AS last_seq
            FROM changes WHERE {where} GROUP BY pool, class, field
        )
        SELECT *, NULL AS ref, NULL AS name, 0 AS repeats, NULL AS per_minute
        FROM counted {_ORDER}
    """  # noqa: S608  # every value is a parameter
