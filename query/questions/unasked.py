"""What nobody asked for: what became of VMs, came and went, without a line of a user."""

from datetime import datetime

import msgspec

from recorder.instant import Instant

from ..history.database import History
from .objects import check_pool


class UnaskedRow(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """A change that no user's line of the audit trail explains, and what it may come from.

    `line_seq` is the entry of the line by which a host says that it did so for itself.
    """

    pool: str
    seq: int
    received_at: datetime
    cls: str
    ref: str
    name: str | None
    what: str
    cause: str
    line_seq: int | None


# A pool without any line says nothing of who did what; nor does the time before its first one. What
# follows from a change of the power state, in the same second, is not told beside it.
_UNASKED = """
WITH trails AS (SELECT pool, min(written_at) AS since FROM audit_lines GROUP BY pool),
done AS (SELECT DISTINCT pool, seq FROM event_doers WHERE NOT internal),
own AS (
    SELECT DISTINCT ON (d.pool, d.seq) d.pool, d.seq, d.line_seq, l.call,
        coalesce(h.name, l.username) AS host
    FROM event_doers d JOIN audit_lines l ON l.seq = d.line_seq AND l.pool = d.pool
        LEFT JOIN objects h ON h.pool = l.pool AND h.class = 'host' AND h.ref = l.username
    WHERE d.internal ORDER BY d.pool, d.seq, d.line_seq
),
told AS (
    SELECT pool, seq, field, old, new FROM changes
    WHERE class = 'vm' AND (
        field = 'power_state'
        OR field = 'resident_on' AND old NOT LIKE '%:NULL"' AND new NOT LIKE '%:NULL"'
        OR field = 'domid' AND TRY_CAST(old AS BIGINT) > 0 AND TRY_CAST(new AS BIGINT) > 0
    )
), strange AS (
    SELECT e.pool, e.seq, e.received_at, coalesce(e.server_at, e.received_at) AS at_, e.class,
        e.ref, e.name, e.operation, c.field, c.old, c.new,
        (SELECT min(operation) FROM carried k WHERE k.pool = e.pool AND k.seq = e.seq) AS carried,
        EXISTS (
            FROM changes m WHERE m.pool = e.pool AND m.class = 'host_metrics' AND m.field = 'live'
                AND m.new = 'false' AND abs(epoch(m.received_at - e.received_at)) < 600
        ) AS failed
    FROM events e JOIN trails t ON t.pool = e.pool
        LEFT JOIN told c ON c.pool = e.pool AND c.seq = e.seq
        ANTI JOIN done d ON d.pool = e.pool AND d.seq = e.seq
    WHERE e.origin = 'live' AND coalesce(e.server_at, e.received_at) >= t.since
        AND (e.class IN ('vm', 'vdi', 'sr', 'host', 'network') AND e.operation <> 'mod'
            OR c.seq IS NOT NULL)
        AND ($pool IS NULL OR e.pool = $pool) AND {within}
)
SELECT s.pool, s.seq, s.received_at, s.class, s.ref, s.name,
    CASE WHEN s.field IS NULL THEN s.operation
        ELSE s.field || ': ' || coalesce(s.old, '-') || ' → ' || coalesce(s.new, '-') END AS what,
    CASE
        WHEN o.line_seq IS NOT NULL THEN 'by host ' || o.host || ' itself, as HA has: ' || o.call
            || ', line @' || o.line_seq
        WHEN s.carried IS NOT NULL THEN 'by a task (' || s.carried
            || ') of the pool itself, as HA has; or its line is missing'
        WHEN s.field IS NULL AND w.call IS NOT NULL THEN 'perhaps part of ' || w.call
            || ', which was under way'
        WHEN s.field IS NULL THEN 'by the pool itself, or a call of which no line tells'
        WHEN s.field = 'domid' THEN 'rebooted from inside the guest, or crashed'
        WHEN s.field = 'resident_on' THEN 'moved by the pool itself'
        WHEN s.new = '"Halted"' AND s.failed THEN 'its host failed, or was declared dead'
        WHEN s.new = '"Halted"' THEN 'shut down from inside the guest, or crashed'
        WHEN s.new = '"Running"' THEN 'started by the pool itself: HA, or after its host came back'
        ELSE 'by the pool itself' END AS cause,
    o.line_seq
FROM strange s LEFT JOIN own o ON o.pool = s.pool AND o.seq = s.seq LEFT JOIN LATERAL (
    SELECT min(t.operation) AS call FROM tasks t JOIN task_doers d USING (pool, ref)
    WHERE NOT d.internal AND t.pool = s.pool AND s.field IS NULL AND t.created <= s.at_
        AND s.at_ <= coalesce(t.finished, s.at_)
) w ON true
ORDER BY s.seq
"""


def unasked(
    history: History,
    *,
    pool: str | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
) -> list[UnaskedRow]:
    """Return what became of VMs, and came and went, without a line or a task that explains it."""
    check_pool(history, pool)
    terms, params = ["true"], dict[str, object]()
    for name, instant, sign in (("since", since, ">="), ("until", until, "<=")):
        if instant is not None:
            column = "epoch_us(e.received_at)" if instant.seq is None else "e.seq"
            terms.append(f"{column} {sign} ${name}")
            params[name] = instant.at_us if instant.seq is None else instant.seq
    sql = _UNASKED.replace("{within}", " AND ".join(terms))
    return history.all(UnaskedRow, sql, {**params, "pool": pool})
