"""What is recorded: the pools, one by one, with where their record stands."""

from datetime import datetime

import msgspec

from ..history.database import History
from .gaps import blindness, gaps
from .objects import check_pool


class PoolRow(msgspec.Struct, frozen=True):
    """A pool and its record. `master`, `brand` and `version` are the last that were told.

    `events` counts what the server told live, `objects` those that are there now, `epochs` the
    registrations. `seen_share` is the part of the record that no gap covers, from 0 to 1; the state
    is current only if `open_gap` is None. `first_seq` and `last_seq` are its entries.
    """

    pool: str
    pool_uuid: str | None
    master: str | None
    brand: str | None
    version: str | None
    stream: str | None
    recorded_since: datetime | None
    last_at: datetime
    first_seq: int
    last_seq: int
    epochs: int
    events: int
    objects: int
    hosts: int
    vms: int
    gaps: int = 0
    open_gap: int | None = None
    seen_share: float | None = None


_ROWS = """
WITH there AS (
    SELECT pool, count(*) AS objects, count(*) FILTER (class = 'host') AS hosts
    FROM objects WHERE NOT gone GROUP BY pool
), running AS (
    SELECT pool, count(*) AS vms FROM current_state
    WHERE class = 'vm' AND NOT coalesce(snapshot ->> '$.is_a_template' = 'true', false)
        AND NOT coalesce(snapshot ->> '$.is_a_snapshot' = 'true', false)
        AND NOT coalesce(snapshot ->> '$.is_control_domain' = 'true', false)
    GROUP BY pool
), told AS (
    SELECT pool, count(*) AS events FROM events WHERE origin = 'live' GROUP BY pool
), followed AS (
    SELECT pool, min(since) AS recorded_since, count(*) AS epochs FROM epochs GROUP BY pool
), masters AS (
    SELECT p.pool, h.snapshot ->> '$.name_label' AS master,
        h.snapshot ->> '$.software_version.product_brand' AS brand,
        h.snapshot ->> '$.software_version.product_version' AS version
    FROM current_state p JOIN current_state h ON h.pool = p.pool AND h.class = 'host'
        AND h.ref = p.snapshot ->> '$.master'
    WHERE p.class = 'pool'
)
SELECT p.pool, p.pool_uuid, m.master, m.brand, m.version, p.stream, f.recorded_since, p.last_at,
    p.first_seq, p.last_seq, coalesce(f.epochs, 0) AS epochs, coalesce(e.events, 0) AS events,
    coalesce(t.objects, 0) AS objects, coalesce(t.hosts, 0) AS hosts, coalesce(r.vms, 0) AS vms
FROM pools p LEFT JOIN there t USING (pool) LEFT JOIN running r USING (pool)
    LEFT JOIN told e USING (pool) LEFT JOIN followed f USING (pool) LEFT JOIN masters m USING (pool)
WHERE $pool IS NULL OR p.pool = $pool ORDER BY p.pool
"""


def recorded(history: History, *, pool: str | None = None) -> list[PoolRow]:
    """Return the pools that were recorded, by name. Raises NoSuchPool."""
    check_pool(history, pool)
    ledger = gaps(history, pool=pool)
    blind = {one.pool: one for one in blindness(history, ledger, pool=pool)}
    open_gaps = {row.pool: row.seq for row in reversed(ledger) if row.is_blind and row.open}
    return [
        msgspec.structs.replace(
            row,
            gaps=blind[row.pool].gaps if row.pool in blind else 0,
            open_gap=open_gaps.get(row.pool),
            seen_share=1 - blind[row.pool].share if row.pool in blind else None,
        )
        for row in history.all(PoolRow, _ROWS, {"pool": pool})
    ]
