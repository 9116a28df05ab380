"""Moves: from which host to which a VM went, and how long its migration took."""

from datetime import datetime

import msgspec

from recorder.instant import Instant

from ..history.database import History
from .objects import Found, check_pool
from .plain import bound


class Move(msgspec.Struct, frozen=True):
    """A VM that was on one host and then on another.

    `task` is the migration that it was done by, if one was under way, `duration_s` how long that
    took; both are None where no task is known. `origin` and `gap` are as for any change.
    """

    seq: int
    received_at: datetime
    pool: str
    ref: str
    name: str | None
    from_ref: str
    from_host: str | None
    to_ref: str
    to_host: str | None
    task: str | None
    duration_s: float | None
    origin: str
    gap: int | None


class Route(msgspec.Struct, frozen=True):
    """How often VMs went from one host to another, and how long it took them, in seconds."""

    pool: str
    from_ref: str
    from_host: str | None
    to_ref: str
    to_host: str | None
    moves: int
    vms: int
    median_s: float | None
    longest_s: float | None
    first_seq: int
    last_seq: int


# A task may be there long after its end: a move then was not its work. Across a gap nobody saw
# which of the two came first.
_MOVES = """
WITH ends AS (
    SELECT pool, ref, min(seq) AS seq, arg_min(gap, seq) AS gap FROM changes
    WHERE class = 'task' AND field = 'status' AND new NOT IN ('"pending"', '"cancelling"')
    GROUP BY pool, ref
), migrations AS (
    SELECT g.pool, g.ref, t.ref AS task, t.duration_s, t.first_seq, e.gap AS end_gap,
        CASE WHEN e.seq IS NOT NULL THEN e.seq
             WHEN t.status NOT IN ('pending', 'cancelling') THEN t.last_seq END AS end_seq
    FROM task_targets g JOIN tasks t ON t.pool = g.pool AND t.ref = g.task
        LEFT JOIN ends e ON e.pool = g.pool AND e.ref = g.task
    WHERE g.class = 'vm' AND contains(g.operation, 'migrate')
)
SELECT m.seq, m.received_at, m.pool, m.ref, m.name, m.from_ref, m.from_host, m.to_ref, m.to_host,
    arg_max(t.task, t.first_seq) AS task, arg_max(t.duration_s, t.first_seq) AS duration_s,
    m.origin, m.gap
FROM ({moves}) m
    LEFT JOIN migrations t ON t.pool = m.pool AND t.ref = m.ref AND t.first_seq <= m.seq
        AND (t.end_seq IS NULL OR t.end_seq >= m.seq OR t.end_gap = m.gap)
GROUP BY ALL ORDER BY m.seq, m.ref
"""


def moves(
    history: History,
    *,
    found: Found | None = None,
    pool: str | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
) -> list[Move]:
    """Return the moves of a VM, a pool or all, oldest first. Raises NoSuchPool."""
    sql, params = _asked(history, found, pool, since, until)
    return history.all(Move, _MOVES.format(moves=sql), params)


def routes(
    history: History,
    *,
    found: Found | None = None,
    pool: str | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
) -> list[Route]:
    """Return how often VMs went from where to where, the most used way first."""
    sql, params = _asked(history, found, pool, since, until)
    summary = f"""
        SELECT pool, from_ref, any_value(from_host) AS from_host, to_ref,
            any_value(to_host) AS to_host, count(*) AS moves, count(DISTINCT ref) AS vms,
            median(duration_s) AS median_s, max(duration_s) AS longest_s,
            min(seq) AS first_seq, max(seq) AS last_seq
        FROM ({_MOVES.format(moves=sql)})
        GROUP BY pool, from_ref, to_ref ORDER BY moves DESC, pool, from_host, to_host
    """  # noqa: S608  # every value is a parameter
    return history.all(Route, summary, params)


def _asked(
    history: History,
    found: Found | None,
    pool: str | None,
    since: Instant | None,
    until: Instant | None,
) -> tuple[str, dict[str, object]]:
    """Return the SQL of the moves that are asked for, and its parameters."""
    check_pool(history, pool)
    terms = ["true"]
    params: dict[str, object] = {}
    if found is not None:
        terms += ["pool = $pool", "ref = $ref"]
        params |= {"pool": found.pool, "ref": found.ref}
    elif pool is not None:
        terms.append("pool = $pool")
        params["pool"] = pool
    for name, instant in (("since", since), ("until", until)):
        if instant is not None:
            terms.append(bound(name, instant))
            params[name] = instant.at_us if instant.seq is None else instant.seq
    return f"SELECT * FROM moves WHERE {' AND '.join(terms)}", params  # noqa: S608  # as above
