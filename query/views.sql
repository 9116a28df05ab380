-- The history: tables first, then the views over them. Times are UTC, cut to microseconds; `seq` is
-- the journal's and orders everything. Classes are in lower case, as events spell them.

-- One row an event, and one for every baseline row that told something new.
-- origin: live (the server told it), baseline (there when first read), inferred (found out later).
-- gap: the seq of the gap that all or part of the difference may have happened in.
-- changed_fields: null where there is nothing to compare with, [] where nothing changed.
CREATE TABLE events (
    seq BIGINT, pool VARCHAR, epoch BIGINT, received_at TIMESTAMPTZ, server_at TIMESTAMPTZ,
    event_id BIGINT, class VARCHAR, operation VARCHAR, ref VARCHAR, uuid VARCHAR, name VARCHAR,
    origin VARCHAR, gap BIGINT, changed_fields VARCHAR[], snapshot VARCHAR USING COMPRESSION zstd
);

-- One row a changed field; old and new are JSON text, null where the field was or is not there.
CREATE TABLE changes (
    seq BIGINT, pool VARCHAR, received_at TIMESTAMPTZ, class VARCHAR, ref VARCHAR, uuid VARCHAR,
    name VARCHAR, field VARCHAR, old VARCHAR USING COMPRESSION zstd,
    new VARCHAR USING COMPRESSION zstd, origin VARCHAR, gap BIGINT
);

-- One row an object that was ever seen, with its last known name.
-- seen_seq: the last entry that told or confirmed its state; chunk_seq: its last row of a baseline;
-- event_seq, event_id: its last event. 0 where there was none; they are the loader's own memory.
CREATE TABLE objects (
    pool VARCHAR, class VARCHAR, ref VARCHAR, uuid VARCHAR, name VARCHAR, first_seq BIGINT,
    first_at TIMESTAMPTZ, first_origin VARCHAR, first_operation VARCHAR, last_seq BIGINT,
    last_at TIMESTAMPTZ, gone BOOLEAN, gone_origin VARCHAR, gap BIGINT,
    seen_seq BIGINT, chunk_seq BIGINT, event_seq BIGINT, event_id BIGINT
);

-- One row an object that is there now: what its next event is compared with.
CREATE TABLE current_state (
    pool VARCHAR, class VARCHAR, ref VARCHAR, snapshot VARCHAR USING COMPRESSION zstd
);

-- One row a pool; the columns from done_seq on are the loader's own memory.
CREATE TABLE pools (
    pool VARCHAR, pool_uuid VARCHAR, first_seq BIGINT, first_at TIMESTAMPTZ, last_seq BIGINT,
    last_at TIMESTAMPTZ, baselined_seq BIGINT, done_seq BIGINT, epoch BIGINT, stream VARCHAR,
    anchor_seq BIGINT, certain_seq BIGINT, certain_at TIMESTAMPTZ, gap BIGINT, facts VARCHAR,
    readings VARCHAR, classes VARCHAR
);

-- One row a gap: events of the pool may have been missed from since to blind_until, and its state
-- is uncertain up to closed_seq. Both ends are null while the gap is open.
-- cause: why; told_cause: what the recorder itself wrote, which cannot see a new master from outside.
-- stream: how the pool was followed before; in a `from` stream there are no ids to count.
-- last_event_*, first_event_*: of the last event recorded before it was opened (null if that epoch
-- had none), and of the first one afterwards.
-- ids_missed: how many events the server told others in between. It numbers only what it tells
-- somebody, so that this is a lower bound where nobody was registered. Null where ids restarted (with
-- the toolstack), where nobody knows whether they did, and in a `from` stream.
-- rolled_back_from, rolled_back_to: generations of the pool's database, if it came back older.
CREATE TABLE gap_spans (
    seq BIGINT, pool VARCHAR, cause VARCHAR, told_cause VARCHAR, detail VARCHAR, stream VARCHAR,
    since TIMESTAMPTZ, since_seq BIGINT, opened_at TIMESTAMPTZ,
    last_event_id BIGINT, last_event_at TIMESTAMPTZ,
    first_event_id BIGINT, first_event_at TIMESTAMPTZ,
    ids_missed BIGINT, rolled_back_from BIGINT, rolled_back_to BIGINT,
    blind_until TIMESTAMPTZ, closed_at TIMESTAMPTZ, closed_seq BIGINT
);

-- The recorder's own life; detail is JSON.
CREATE TABLE marks (
    seq BIGINT, pool VARCHAR, received_at TIMESTAMPTZ, name VARCHAR, epoch BIGINT, detail VARCHAR
);

-- One row a task: its outcome, whether or not the server still knows it.
-- status `vanished`: deleted or lost before it was complete.
CREATE TABLE tasks (
    pool VARCHAR, ref VARCHAR, uuid VARCHAR, name_label VARCHAR, created TIMESTAMPTZ,
    finished TIMESTAMPTZ, duration_s DOUBLE, status VARCHAR, progress DOUBLE, result VARCHAR,
    error_code VARCHAR, error_params VARCHAR[], first_seq BIGINT, last_seq BIGINT,
    subtask_of VARCHAR
);

-- One row a committed piece of loading; the newest says where the history stands.
-- last_seq: the last entry of the piece.
-- last_received_ns: when that was received, in nanoseconds since 1970 UTC.
-- last_pool: the pool that it speaks of.
-- entries: how many entries the piece had.
-- loaded_at: when they were loaded.
-- schema_version: the version of these tables.
-- journal: the id of the journal, as `xentrail verify` prints it; null where nobody knew.
CREATE TABLE loads (
    last_seq BIGINT, last_received_ns BIGINT, last_pool VARCHAR, entries BIGINT,
    loaded_at TIMESTAMPTZ, schema_version INTEGER, journal VARCHAR
);

-- The epochs: registrations, inside which event ids are comparable, and how each was followed.
-- stream `from`: last states only; states in between and the last states of what went are not told.
CREATE VIEW epochs AS
SELECT seq AS epoch, pool, received_at AS since, detail ->> '$.stream' AS stream,
    CAST(detail ->> '$.next_event_id' AS BIGINT) AS next_event_id
FROM marks WHERE name = 'registered';

-- The ledger: where the recorder was blind, and what was found different afterwards; and what is
-- known no more, with the cause `redacted` (one entry, taken out by hand), `dropped` (entries that
-- the rules of retention deleted from the journal; what was loaded before is still in the history)
-- or `damaged` (from the entry after since_seq on the journal cannot be read; what was read again
-- behind it shows in a gap of each pool with the cause `entries-missing`).
-- Its columns are those of gap_spans, and these:
-- duration_s: from since to blind_until; null while the gap is open.
-- objects_differed: how many objects were found changed, new or gone; inferred_*: by how many rows.
CREATE VIEW gaps AS
SELECT g.*, g.closed_seq IS NULL AS open,
    epoch_us(g.blind_until - g.since) / 1e6 AS duration_s,
    coalesce(i.objects, 0) AS objects_differed,
    coalesce(i.adds, 0) AS inferred_adds,
    coalesce(i.mods, 0) AS inferred_mods,
    coalesce(i.dels, 0) AS inferred_dels
FROM gap_spans g LEFT JOIN (
    SELECT pool, gap, count(DISTINCT (class, ref)) AS objects,
        count(*) FILTER (origin = 'inferred' AND operation = 'add') AS adds,
        count(*) FILTER (origin = 'inferred' AND operation = 'mod') AS mods,
        count(*) FILTER (origin = 'inferred' AND operation = 'del') AS dels
    FROM events WHERE gap IS NOT NULL AND (origin = 'inferred' OR len(changed_fields) > 0)
    GROUP BY ALL
) i ON i.pool = g.pool AND i.gap = g.seq
UNION ALL BY NAME
SELECT seq, detail ->> '$.pool' AS pool, name AS cause, name AS told_cause,
    format('entry @{} ({} {}): {}', detail ->> '$.seq', detail ->> '$.class', detail ->> '$.ref',
        detail ->> '$.reason') AS detail,
    make_timestamptz(CAST(detail ->> '$.received_at_ns' AS BIGINT) // 1000) AS since,
    CAST(detail ->> '$.seq' AS BIGINT) AS since_seq, received_at AS opened_at, false AS open
FROM marks WHERE name = 'redacted'
UNION ALL BY NAME
SELECT seq, pool, name AS cause, name AS told_cause,
    format('segments {} to {}, entries up to @{}', detail ->> '$.first_segment',
        detail ->> '$.last_segment', detail ->> '$.last_seq') AS detail,
    received_at AS opened_at, false AS open
FROM marks WHERE name = 'dropped'
UNION ALL BY NAME
SELECT seq, pool, 'dropped' AS cause, 'dropped' AS told_cause,
    'not in the history: ' || (detail ->> '$.text') AS detail, received_at AS opened_at,
    false AS open
FROM marks WHERE name = 'entries-dropped'
UNION ALL BY NAME
SELECT seq, pool, name AS cause, name AS told_cause, detail ->> '$.text' AS detail,
    received_at AS since, seq AS since_seq, received_at AS opened_at, false AS open
FROM marks WHERE name = 'damaged';

-- Which objects a task worked on, as their current_operations told.
CREATE VIEW task_targets AS
SELECT DISTINCT c.pool, t.key AS task, c.class, c.ref, c.name, t.value ->> '$' AS operation
FROM changes c, json_each(c.new) t
WHERE c.field = 'current_operations' AND t.key LIKE 'OpaqueRef:%';

-- How long a VM was in which power state, as if nothing was missed in gaps (`xentrail power` tells
-- what is known); until is null for the last one known.
CREATE VIEW power_spans AS
WITH ends AS (
    SELECT pool, ref, name, seq, received_at AS since, origin, gap, 'gone' AS power_state
    FROM events WHERE class = 'vm' AND operation = 'del'
)
SELECT pool, ref, name, power_state, since, seq, origin, gap,
    lead(since) OVER (PARTITION BY pool, ref ORDER BY seq) AS until
FROM (
    SELECT pool, ref, name, seq, received_at AS since, origin, gap, new ->> '$' AS power_state
    FROM changes ANTI JOIN ends USING (pool, ref, seq)
    WHERE class = 'vm' AND field = 'power_state'
    UNION ALL
    SELECT pool, ref, name, seq, received_at, origin, gap, snapshot ->> '$.power_state'
    FROM events WHERE class = 'vm' AND operation <> 'del' AND changed_fields IS NULL
    UNION ALL
    FROM ends
);

-- From which host to which a running VM went.
CREATE VIEW moves AS
SELECT c.pool, c.ref, c.name, c.seq, c.received_at, c.old ->> '$' AS from_ref,
    f.name AS from_host, c.new ->> '$' AS to_ref, t.name AS to_host, c.origin, c.gap
FROM changes c
    LEFT JOIN objects f ON f.pool = c.pool AND f.class = 'host' AND f.ref = c.old ->> '$'
    LEFT JOIN objects t ON t.pool = c.pool AND t.class = 'host' AND t.ref = c.new ->> '$'
WHERE c.class = 'vm' AND c.field = 'resident_on'
    AND c.old ->> '$' <> 'OpaqueRef:NULL' AND c.new ->> '$' <> 'OpaqueRef:NULL';

-- Which objects changed most often; heartbeats and repeats do not count.
CREATE VIEW busiest AS
SELECT pool, class, ref, any_value(name ORDER BY seq DESC) AS name, count(*) AS changes,
    min(received_at) AS first_at, max(received_at) AS last_at
FROM events WHERE origin = 'live'
    AND (operation <> 'mod' OR changed_fields IS NULL OR len(changed_fields) > 0)
GROUP BY pool, class, ref ORDER BY changes DESC;
