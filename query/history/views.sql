-- The history: tables first, then the views over them. Times are UTC, cut to microseconds; `seq` is
-- the journal's and orders everything. Classes are in lower case, as events spell them.
--
-- The comment above each CREATE is printed by `xentrail sql --schema`: first what a row is, then a line
-- for every column, `-- column: what it says`, whose text goes on in lines that begin with `--   `.
-- `-- table.*` gives the columns of that name the comments that they have in a table further up.

-- One row an event, and one for every baseline row that told something new.
-- seq: number of its entry in the journal
-- pool: name of the pool, as the recorder's configuration has it
-- epoch: seq of the registration that it came by; event ids are comparable inside an epoch only
-- received_at: when the recorder received it
-- server_at: when it happened by the server's clock; null unless the server said so
-- event_id: the server's number; null for a row that a baseline told
-- class: class of the object in lower case, such as vm
-- operation: add, mod or del
-- ref: opaque reference of the object
-- uuid: uuid of the object; null where its class has none or it was never told
-- name: name_label of the object then; null where it has none
-- origin: live (the server told it), baseline (there when first read), inferred (found out later)
-- gap: seq of the gap that all or part of the difference may have happened in
-- changed_fields: names of the fields that changed; null where there is nothing to compare with, []
--   where nothing changed
-- snapshot: the object's whole record after it as JSON; null where none was told, or it was redacted
-- object: first_seq of its object, which no other has: the fastest way to find the rows of one
CREATE TABLE events (
    seq BIGINT, pool VARCHAR, epoch BIGINT, received_at TIMESTAMPTZ, server_at TIMESTAMPTZ,
    event_id BIGINT, class VARCHAR, operation VARCHAR, ref VARCHAR, uuid VARCHAR, name VARCHAR,
    origin VARCHAR, gap BIGINT, changed_fields VARCHAR[], snapshot VARCHAR USING COMPRESSION zstd,
    object BIGINT
);

-- One row a changed field; old and new are JSON text, null where the field was or is not there.
-- events.*
-- field: name of the field, as the object's record spells it
-- old: its value before, as JSON text
-- new: its value after, as JSON text
-- origin: live, or inferred where it may have happened in a gap
CREATE TABLE changes (
    seq BIGINT, pool VARCHAR, received_at TIMESTAMPTZ, class VARCHAR, ref VARCHAR, uuid VARCHAR,
    name VARCHAR, field VARCHAR, old VARCHAR USING COMPRESSION zstd,
    new VARCHAR USING COMPRESSION zstd, origin VARCHAR, gap BIGINT, object BIGINT
);

-- One row a change of an object that carries a task, which is: has it in its current_operations.
-- seq: the entry that told the change
-- pool: the pool's name
-- received_at: when that entry was received
-- task: the task's reference
-- class: the object's class, in lower case
-- ref: the object's reference
-- name: the object's name after the change
-- operation: what the task does to the object, such as start
-- part: `begins` where the change is that it carries the task, `ends` where it does no more, else
--   `during`
-- tasks: how many tasks the object carried before or after the change
-- origin: live, baseline or inferred, as in changes
-- gap: the seq of the gap in which it may have happened, null if it was seen happen
-- object: first_seq of that object, as in events
CREATE TABLE carried (
    seq BIGINT, pool VARCHAR, received_at TIMESTAMPTZ, task VARCHAR, class VARCHAR, ref VARCHAR,
    name VARCHAR, operation VARCHAR, part VARCHAR, tasks INTEGER, origin VARCHAR, gap BIGINT,
    object BIGINT
);

-- One row an object that was ever seen, with its last known name.
-- events.*
-- name: its last known name_label
-- first_seq: seq of the entry that told of it first
-- first_at: when that was received
-- first_origin: origin of that entry: live, baseline or inferred
-- first_operation: operation of that entry; add if it was seen to come
-- last_seq: seq of the last entry that told something of it
-- last_at: when that was received
-- gone: true once it was deleted
-- gone_origin: live if the server told of the deletion, inferred if it was found missing
-- gap: seq of the last gap that something of it may have happened in
-- seen_seq: seq of the last entry that told or confirmed its state (this and the next three are the
--   loader's own memory)
-- chunk_seq: seq of the last baseline row that told of it; 0 for none
-- event_seq: seq of the last event that told of it; 0 for none
-- event_id: the server's number of that event; 0 for none
CREATE TABLE objects (
    pool VARCHAR, class VARCHAR, ref VARCHAR, uuid VARCHAR, name VARCHAR, first_seq BIGINT,
    first_at TIMESTAMPTZ, first_origin VARCHAR, first_operation VARCHAR, last_seq BIGINT,
    last_at TIMESTAMPTZ, gone BOOLEAN, gone_origin VARCHAR, gap BIGINT,
    seen_seq BIGINT, chunk_seq BIGINT, event_seq BIGINT, event_id BIGINT
);

-- One row an object that is there now: what its next event is compared with.
-- events.*
-- snapshot: its last known record as JSON
CREATE TABLE current_state (
    pool VARCHAR, class VARCHAR, ref VARCHAR, snapshot VARCHAR USING COMPRESSION zstd
);

-- One row a pool; the columns from done_seq on are the loader's own memory.
-- events.*
-- pool_uuid: uuid of the pool, from its first connection on
-- first_seq: seq of its first entry
-- first_at: when that was written
-- last_seq: seq of its last entry
-- last_at: when that was written
-- baselined_seq: seq of the end of its first baseline: from there on all its objects are known
-- done_seq: seq of the end of its last baseline
-- epoch: seq of its last registration
-- stream: how it is followed since then: register (every state), from (last states only)
-- anchor_seq: seq of the last registration, or hole in the journal: what was seen before may have
--   changed unseen
-- certain_seq: seq of the last entry up to which nothing had been missed
-- certain_at: when that was written
-- gap: seq of its last gap, which may be over
-- facts: what its next gap is measured by, as JSON
-- readings: classes read since a baseline was last complete, as JSON
-- classes: classes ever read, as JSON
CREATE TABLE pools (
    pool VARCHAR, pool_uuid VARCHAR, first_seq BIGINT, first_at TIMESTAMPTZ, last_seq BIGINT,
    last_at TIMESTAMPTZ, baselined_seq BIGINT, done_seq BIGINT, epoch BIGINT, stream VARCHAR,
    anchor_seq BIGINT, certain_seq BIGINT, certain_at TIMESTAMPTZ, gap BIGINT, facts VARCHAR,
    readings VARCHAR, classes VARCHAR
);

-- One row a gap: events of the pool may have been missed from since to blind_until, and its state
-- is uncertain up to closed_seq. Both ends are null while the gap is open.
-- events.*
-- seq: number of the entry that opened it; what is said to have happened in a gap names it by this
-- cause: why
-- told_cause: why, as the recorder wrote it, which cannot see a new master from outside
-- detail: more about the cause, for people
-- stream: how the pool was followed before; in a `from` stream there are no ids to count
-- since: from when on events may have been missed
-- since_seq: seq of the last entry before it that is certain
-- opened_at: when the recorder noticed
-- last_event_id: id of the last event before it was opened; null if that epoch had none
-- last_event_at: when that was received
-- first_event_id: id of the first event afterwards
-- first_event_at: when that was received
-- ids_missed: how many events the server told others in between. It numbers only what it tells
--   somebody, so that this is a lower bound where nobody was registered. Null where ids restarted
--   (with the toolstack), where nobody knows whether they did, and in a `from` stream
-- rolled_back_from: generation of the pool's database before, if it came back older
-- rolled_back_to: its generation afterwards
-- blind_until: up to when events may have been missed
-- closed_at: when all objects had been read again
-- closed_seq: seq of the entry that closed it
CREATE TABLE gap_spans (
    seq BIGINT, pool VARCHAR, cause VARCHAR, told_cause VARCHAR, detail VARCHAR, stream VARCHAR,
    since TIMESTAMPTZ, since_seq BIGINT, opened_at TIMESTAMPTZ,
    last_event_id BIGINT, last_event_at TIMESTAMPTZ,
    first_event_id BIGINT, first_event_at TIMESTAMPTZ,
    ids_missed BIGINT, rolled_back_from BIGINT, rolled_back_to BIGINT,
    blind_until TIMESTAMPTZ, closed_at TIMESTAMPTZ, closed_seq BIGINT
);

-- The recorder's own life.
-- seq: number of its entry in the journal; of damage in the journal, that of the last good entry
-- pool: the pool that it is about; empty where it is about the recorder itself
-- received_at: when it was written
-- name: what happened: started, connected, registered, baseline-done, stopped, redacted …
-- epoch: seq of the registration of its pool that was in force; null before the first
-- detail: what there is to say of it, as JSON
CREATE TABLE marks (
    seq BIGINT, pool VARCHAR, received_at TIMESTAMPTZ, name VARCHAR, epoch BIGINT, detail VARCHAR
);

-- One row a task: its outcome, whether or not the server still knows it. A client can make tasks of
-- any name, and write any outcome into its own.
-- pool: the pool's name
-- ref: the task's reference
-- uuid: the task's uuid
-- name_label: its name as the server has it, such as Async.VM.start
-- created: when the server made it, in whole seconds
-- finished: when the server completed it, in whole seconds; null until then
-- duration_s: from created to finished, in seconds
-- status: pending, success, failure or cancelled; vanished if it is gone and its end not recorded
-- progress: the last one told; 1 is all, and it can be a little more
-- result: what it returned, read from the XML that the server wraps it in; lists and maps as JSON
-- error_code: why it failed, such as VM_BAD_POWER_STATE
-- error_params: what stands behind the code, as the server sent it
-- first_seq: the first entry that told of it
-- last_seq: the last one
-- subtask_of: the reference of the task that it is part of
-- operation: the call that it was made for, such as VM.start; null if its name is no call
-- mentions: references and uuids in its name, description and other_config, at most 50
CREATE TABLE tasks (
    pool VARCHAR, ref VARCHAR, uuid VARCHAR, name_label VARCHAR, created TIMESTAMPTZ,
    finished TIMESTAMPTZ, duration_s DOUBLE, status VARCHAR, progress DOUBLE, result VARCHAR,
    error_code VARCHAR, error_params VARCHAR[], first_seq BIGINT, last_seq BIGINT,
    subtask_of VARCHAR, operation VARCHAR, mentions VARCHAR[]
);

-- One row a line of the audit trail, as a host of the pool wrote it. Where a line could not be taken
-- apart, all that it would say is null.
-- events.*
-- host: address of the host that was asked for it, or the name that an imported file was given
-- imported: whether it was read from a copy of the file
-- written_at: when it was written, by the clock of the host
-- thread: the thread of xapi
-- client: the address that the call came from, or the socket of the host itself; empty where the server
--   does not say, as of its pages
-- listener: the address that took the call; empty for one in the background
-- task_name: what the header calls the task; clients can choose that
-- mark_kind: R if the header says that the call has a task in the database, D if not
-- mark: the first 12 digits of the reference of that task; clients can choose that, too
-- trackid: MD5 of the reference of the session
-- sid: subject identifier of the user
-- username: name of the user; the reference of a host where that called for itself
-- internal: whether a host called for itself
-- verdict: ALLOWED or DENIED
-- result: OK, ERROR: with code and parameters, or nothing
-- error_code: the code of the error
-- error_params: its parameters
-- api: API or HTTP
-- call: what was called, such as VM.start
-- field: the field that the call sets, if it sets one
-- target: the first object among its arguments, a reference
-- targets: all objects among them
-- arguments: name, value, uuid and reference of each argument, as JSON
-- line: the line itself, but for secrets; what is no UTF-8 is replaced
CREATE TABLE audit_lines (
    seq BIGINT, pool VARCHAR, received_at TIMESTAMPTZ, host VARCHAR, imported BOOLEAN,
    written_at TIMESTAMPTZ, thread VARCHAR, client VARCHAR, listener VARCHAR, task_name VARCHAR,
    mark_kind VARCHAR, mark VARCHAR, trackid VARCHAR, sid VARCHAR, username VARCHAR,
    internal BOOLEAN, verdict VARCHAR, result VARCHAR, error_code VARCHAR, error_params VARCHAR[],
    api VARCHAR, call VARCHAR, field VARCHAR, target VARCHAR, targets VARCHAR[],
    arguments VARCHAR USING COMPRESSION zstd, line VARCHAR USING COMPRESSION zstd
);

-- Who did it: one row a line that a task, or an event, comes from; several lines, several rows.
-- events.*
-- about: task or event
-- ref: reference of the task, or of the object of the event
-- seq: the entry that told the event; of a task the one that told of it first
-- line_seq: the entry of the line
-- how: mark (the line has the mark and the name of the task), cancel (its mark is in the task that
--   it cancelled), setter (it set this field of this object), destroy (it destroyed this object)
-- confidence: exact, likely (near it is a line that is cut, and may be of somebody else; or the line is
--   that of another host, and might be for a user whose line is missing), several (more than one may
--   have done it), or suspicious (a header says what it should not, so that somebody may hide behind
--   another)
-- internal: whether a host did it for itself, so that it is no user's wish as far as this line tells
-- since: between then and until a line might have been written that makes it doubtful; null if none can
-- until: see since
CREATE TABLE attributions (
    pool VARCHAR, about VARCHAR, class VARCHAR, ref VARCHAR, seq BIGINT, line_seq BIGINT,
    how VARCHAR, confidence VARCHAR, internal BOOLEAN, since TIMESTAMPTZ, until TIMESTAMPTZ
);

-- One row a committed piece of loading; the newest says where the history stands.
-- last_seq: seq of the last entry that it loaded
-- last_received_ns: when that was received, in nanoseconds since 1970 UTC
-- last_pool: the pool of that entry
-- entries: how many entries it loaded
-- loaded_at: when
-- schema_version: version of the tables
-- journal: id of the journal, as `xentrail verify` prints it; null where nobody knew
CREATE TABLE loads (
    last_seq BIGINT, last_received_ns BIGINT, last_pool VARCHAR, entries BIGINT,
    loaded_at TIMESTAMPTZ, schema_version INTEGER, journal VARCHAR
);

-- The epochs: registrations, inside which event ids are comparable, and how each was followed.
-- events.*
-- epoch: seq of the registration
-- since: when it was made; the epoch ends where the next one of its pool begins
-- stream: register (every state is told) or from (last states only; states in between and the last
--   states of what went are not told)
-- next_event_id: the id that the next event was to get
CREATE VIEW epochs AS
SELECT seq AS epoch, pool, received_at AS since, detail ->> '$.stream' AS stream,
    CAST(detail ->> '$.next_event_id' AS BIGINT) AS next_event_id
FROM marks WHERE name = 'registered';

-- The ledger: where the recorder was blind, and what was found different afterwards; and what is
-- known no more, with the cause `redacted` (one entry, taken out by hand), `dropped` (entries that
-- the rules of retention deleted from the journal; what was loaded before is still in the history)
-- or `damaged` (from the entry after since_seq on the journal cannot be read; what was read again
-- behind it shows in a gap of each pool with the cause `entries-missing`). With `audit-trail` no event
-- was missed, but lines that say who did what.
-- gap_spans.*
-- open: true while nobody knows how it ends
-- duration_s: from since to blind_until, in seconds; null while the gap is open
-- objects_differed: how many objects were found changed, new or gone afterwards
-- inferred_adds: how many rows say that one is new
-- inferred_mods: how many rows say that one changed
-- inferred_dels: how many rows say that one is gone
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
SELECT seq, pool, name AS cause, name AS told_cause, detail ->> '$.text' AS detail, false AS open,
    make_timestamptz(CAST(detail ->> '$.since_us' AS BIGINT)) AS since, received_at AS opened_at,
    received_at AS blind_until, received_at AS closed_at, seq AS closed_seq,
    (epoch_us(received_at) - CAST(detail ->> '$.since_us' AS BIGINT)) / 1e6 AS duration_s
FROM marks WHERE name = 'audit-trail'
UNION ALL BY NAME
SELECT seq, pool, name AS cause, name AS told_cause, detail ->> '$.text' AS detail,
    received_at AS since, seq AS since_seq, received_at AS opened_at, false AS open
FROM marks WHERE name = 'damaged';

-- From when to when an object carried a task in its current_operations.
-- pool: the pool's name
-- task: the task's reference
-- class: the object's class, in lower case
-- ref: the object's reference
-- name: the object's name when it began
-- operation: what the task does to the object, such as start
-- since: when the entry came that told that it began
-- since_seq: that entry
-- until: when the entry came that told that it ceased; null while nothing told so
-- until_seq: that entry
-- origin: live if both ends were seen happen, else baseline or inferred
-- gap: the seq of a gap that either end may lie in
CREATE VIEW task_spans AS
SELECT pool, task, class, ref, name, operation, received_at AS since, seq AS since_seq, until,
    until_seq, CASE WHEN next_origin <> 'live' THEN next_origin ELSE origin END AS origin,
    coalesce(gap, next_gap) AS gap
FROM (
    SELECT *, lead(received_at) OVER ends AS until, lead(seq) OVER ends AS until_seq,
        lead(origin) OVER ends AS next_origin, lead(gap) OVER ends AS next_gap
    FROM carried WHERE part <> 'during'
    WINDOW ends AS (PARTITION BY pool, task, class, ref ORDER BY seq)
) WHERE part = 'begins';

-- Which objects a task has to do with, and how that is known; several rows where it is in several
-- ways. A task that was refused before it got its lock names its objects only in its error.
-- pool: the pool's name
-- task: the task's reference
-- class: the object's class, in lower case; null if the object itself was never recorded
-- ref: the object's reference
-- name: the object's last known name
-- how: carried (its current_operations named the task), error, result or mentioned (in its name,
--   description or other_config, by reference or uuid)
-- operation: what the task did to an object that carried it, such as start
-- seq: the entry that tells it
CREATE VIEW task_targets AS
SELECT pool, task, class, ref, any_value(name ORDER BY seq DESC) AS name, 'carried' AS how,
    operation, min(seq) AS seq
FROM carried WHERE part = 'begins' GROUP BY pool, task, class, ref, operation
UNION ALL BY NAME
SELECT w.pool, w.task, o.class, w.word AS ref, o.name, w.how, w.seq
FROM (
    SELECT DISTINCT pool, ref AS task, last_seq AS seq, 'error' AS how,
        unnest(regexp_extract_all(array_to_string(error_params, ' '), 'OpaqueRef:[0-9A-Za-z-]+'))
            AS word
    FROM tasks WHERE error_code IS NOT NULL
    UNION ALL
    SELECT DISTINCT pool, ref, last_seq, 'result',
        unnest(regexp_extract_all(result, 'OpaqueRef:[0-9A-Za-z-]+'))
    FROM tasks WHERE contains(result, 'OpaqueRef:')
    UNION ALL
    SELECT pool, ref, first_seq, 'mentioned', unnest(mentions) FROM tasks WHERE len(mentions) > 0
) w LEFT JOIN objects o ON o.pool = w.pool AND o.ref = w.word
WHERE w.word NOT IN (w.task, 'OpaqueRef:NULL') AND o.class IS DISTINCT FROM 'task'
    AND starts_with(w.word, 'OpaqueRef:')
UNION ALL BY NAME
SELECT w.pool, w.task, o.class, o.ref, o.name, 'mentioned' AS how, w.seq
FROM (
    SELECT pool, ref AS task, first_seq AS seq, unnest(mentions) AS word
    FROM tasks WHERE len(mentions) > 0
) w JOIN objects o ON o.pool = w.pool AND o.uuid = w.word AND o.class <> 'task';

-- The progress of tasks, told step by step.
-- pool: the pool's name
-- task: the task's reference
-- seq: the entry that told it
-- received_at: when that entry was received
-- before: the progress until then, from 0 to 1
-- progress: the progress from then on
-- gap: the seq of the gap in which it may have happened
CREATE VIEW task_progress AS
SELECT pool, ref AS task, seq, received_at, TRY_CAST(old AS DOUBLE) AS before,
    TRY_CAST(new AS DOUBLE) AS progress, gap
FROM changes WHERE class = 'task' AND field = 'progress' AND TRY_CAST(new AS DOUBLE) IS NOT NULL;

-- When tasks were seen to be complete: what they do after that entry is not of their work.
-- pool: the pool's name
-- task: the task's reference
-- ended_seq: the first entry that told a status of success, failure or cancelled
-- ended_at: when that entry was received
-- gap: the seq of the gap in which it may have happened
CREATE VIEW task_ends AS
SELECT pool, ref AS task, min(seq) AS ended_seq, min(received_at) AS ended_at,
    arg_min(gap, seq) AS gap
FROM changes WHERE class = 'task' AND field = 'status'
    AND new IN ('"success"', '"failure"', '"cancelled"')
GROUP BY pool, ref;

-- How tasks went away, as far as events can tell. They never tell who destroyed one.
-- pool: the pool's name
-- task: the task's reference
-- seq: the entry that told that it is gone
-- departure: `destroyed after completion` (by the call that it was made for, or by a client);
--   `by the server's garbage collection` (as it does 65 minutes after the end, or if a task stays
--   pending for a day); `deleted before it was complete`; `lost in a gap`, as all are when the
--   toolstack restarts; else `unknown`, also where the pool had more than 200 tasks: then the
--   server deletes completed ones earlier
-- gap: the seq of the gap in which it went
CREATE VIEW task_departures AS
WITH crowded AS (
    SELECT pool, unnest([minute, minute + 1]) AS minute FROM (
        SELECT pool, epoch_us(told_at) // 60_000_000 AS minute, step,
            sum(step) OVER (PARTITION BY pool ORDER BY seq, step) AS there
        FROM (
            SELECT pool, first_seq AS seq, first_at AS told_at, 1 AS step
            FROM objects WHERE class = 'task'
            UNION ALL
            SELECT pool, seq, received_at, -1 FROM events
            WHERE class = 'task' AND operation = 'del'
        )
    ) GROUP BY pool, minute HAVING max(greatest(there, there - step)) > 200
)
SELECT d.pool, d.ref AS task, d.seq, d.gap,
    CASE
        WHEN d.origin <> 'live' THEN 'lost in a gap'
        WHEN t.status = 'vanished' AND p.stream = 'from' THEN 'unknown'
        WHEN t.status = 'vanished' AND d.server_at - t.created >= INTERVAL 86400 SECONDS
            THEN 'by the server''s garbage collection'
        WHEN t.status = 'vanished' THEN 'deleted before it was complete'
        WHEN d.server_at - t.finished BETWEEN INTERVAL 3900 SECONDS AND INTERVAL 4200 SECONDS
            THEN 'by the server''s garbage collection'
        WHEN d.server_at - t.finished < INTERVAL 3900 SECONDS
            AND (d.pool, epoch_us(d.received_at) // 60_000_000) NOT IN
                (SELECT (pool, minute) FROM crowded)
            THEN 'destroyed after completion'
        ELSE 'unknown'
    END AS departure
FROM events d JOIN tasks t ON t.pool = d.pool AND t.ref = d.ref AND t.last_seq = d.seq
    LEFT JOIN epochs p ON p.pool = d.pool AND p.epoch = d.epoch
WHERE d.class = 'task' AND d.operation = 'del';

-- What happened to the objects of a task while it was at work on them, and how the two are joined.
-- pool: the pool's name
-- task: the task's reference
-- seq: the entry that told the change
-- how: `carried it`: the object's current_operations named this task, and no other; `carried it
--   among others`: other tasks, too; `across a gap`: it carried the task, but was not seen to
--   change; `in its time`: only by time, between the first entry of the task and its end, on an
--   object that the task names and that never carried it
-- received_at: when that entry was received
-- class: the object's class, in lower case
-- ref: the object's reference
-- name: the object's name after the change
-- operation: add, mod or del
-- changed_fields: the fields that changed; null where there is nothing to compare with
-- origin: live, baseline or inferred, as in events
-- gap: the seq of the gap in which it may have happened
CREATE VIEW task_changes AS
SELECT c.pool, c.task, c.seq,
    CASE
        WHEN c.origin <> 'live' THEN 'across a gap'
        WHEN c.tasks > 1 THEN 'carried it among others'
        ELSE 'carried it'
    END AS how,
    c.received_at, c.class, c.ref, c.name, e.operation, e.changed_fields, e.origin, e.gap
FROM carried c JOIN events e USING (pool, class, ref, seq)
UNION ALL BY NAME
SELECT t.pool, t.task, e.seq, 'in its time' AS how, e.received_at, e.class, e.ref, e.name,
    e.operation, e.changed_fields, e.origin, e.gap
FROM (
    SELECT DISTINCT g.pool, g.task, g.class, g.ref, t.first_seq,
        coalesce(n.ended_seq, if(t.status = 'pending', NULL, t.last_seq)) AS end_seq
    FROM task_targets g JOIN tasks t ON t.pool = g.pool AND t.ref = g.task
        LEFT JOIN task_ends n ON n.pool = g.pool AND n.task = g.task
        ANTI JOIN carried c ON c.pool = g.pool AND c.task = g.task AND c.ref = g.ref
    WHERE g.how <> 'carried'
) t JOIN events e ON e.pool = t.pool AND e.class = t.class AND e.ref = t.ref
    AND e.seq BETWEEN t.first_seq AND coalesce(t.end_seq, e.seq)
WHERE (e.changed_fields IS NULL OR len(e.changed_fields) > 0 OR e.operation <> 'mod')
    AND e.origin <> 'baseline';

-- How long a VM was in which power state, as if nothing was missed in gaps (`xentrail power` tells
-- what is known).
-- events.*
-- power_state: Running, Halted, Paused or Suspended, as XAPI says; or gone, after its deletion
-- since: when the entry that told it was received
-- seq: number of that entry
-- until: when the next one was received; null for the last one known
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
-- changes.*
-- ref: opaque reference of the VM
-- name: name_label of the VM then
-- from_ref: opaque reference of the host before
-- from_host: last known name of that host
-- to_ref: opaque reference of the host after
-- to_host: last known name of that host
CREATE VIEW moves AS
SELECT c.pool, c.ref, c.name, c.seq, c.received_at, c.old ->> '$' AS from_ref,
    f.name AS from_host, c.new ->> '$' AS to_ref, t.name AS to_host, c.origin, c.gap
FROM changes c
    LEFT JOIN objects f ON f.pool = c.pool AND f.class = 'host' AND f.ref = c.old ->> '$'
    LEFT JOIN objects t ON t.pool = c.pool AND t.class = 'host' AND t.ref = c.new ->> '$'
WHERE c.class = 'vm' AND c.field = 'resident_on'
    AND c.old ->> '$' <> 'OpaqueRef:NULL' AND c.new ->> '$' <> 'OpaqueRef:NULL';

-- Which objects changed most often; heartbeats and repeats do not count.
-- events.*
-- name: its newest name_label
-- changes: how many events changed it
-- first_at: when the first of them was received
-- last_at: when the last of them was received
-- first_seq: seq of the first of them
-- last_seq: seq of the last of them
CREATE VIEW busiest AS
SELECT pool, class, ref, any_value(name ORDER BY seq DESC) AS name, count(*) AS changes,
    min(received_at) AS first_at, max(received_at) AS last_at,
    min(seq) AS first_seq, max(seq) AS last_seq
FROM events WHERE origin = 'live'
    AND (operation <> 'mod' OR changed_fields IS NULL OR len(changed_fields) > 0)
GROUP BY pool, class, ref ORDER BY changes DESC;

-- The attributions with what is not sure because lines of that time are missing, by a gap of the trail.
-- attributions.*
-- confidence: as in attributions; in such a gap exact is likely, but of what a host did by its own
--   socket, and what another host has the line of is several
CREATE VIEW attributions_in_gaps AS
SELECT a.* REPLACE (CASE
    WHEN a.internal AND a.confidence = 'exact' OR a.confidence NOT IN ('exact', 'likely')
        OR h.holes IS NULL OR a.since IS NULL THEN a.confidence
    WHEN len(list_filter(h.holes, lambda hole: hole.since <= a.until AND hole.until >= a.since)) = 0
        THEN a.confidence
    WHEN a.internal THEN 'several' ELSE 'likely' END AS confidence)
FROM attributions a LEFT JOIN (
    SELECT pool, list({'since': coalesce(
        make_timestamptz(CAST(detail ->> '$.since_us' AS BIGINT)), TIMESTAMPTZ '-infinity'
    ), 'until': received_at}) AS holes
    FROM marks WHERE name = 'audit-trail' GROUP BY pool
) h USING (pool);

-- Who made each task: that of its own line, or the one who made the task that it is part of. A host has
-- made the tasks that are parts of what a user has made: such a task has both.
-- attributions.*
-- ref: reference of the task
-- root: reference of the task that the line tells of
-- how: as in attributions, or parent
-- confidence: as in attributions; likely where only the task that it is part of has a line; several if it
--   was not seen to end, or began when that had ended: then somebody else may have made it a part
CREATE VIEW task_doers AS
WITH RECURSIVE made AS (
    SELECT pool, ref, ref AS root, line_seq, how, confidence, internal, 0 AS depth
    FROM attributions_in_gaps WHERE about = 'task'
    UNION ALL
    SELECT t.pool, t.ref, m.root, m.line_seq, 'parent',
        CASE WHEN m.confidence NOT IN ('exact', 'likely') THEN m.confidence
            WHEN t.finished IS NULL OR t.first_seq > x.ended_seq THEN 'several' ELSE 'likely' END,
        m.internal, m.depth + 1
    FROM tasks t JOIN made m ON m.pool = t.pool AND m.ref = t.subtask_of
        LEFT JOIN task_ends x ON x.pool = m.pool AND x.task = m.ref
    WHERE m.depth < 5 AND NOT EXISTS (
        FROM attributions a WHERE a.about = 'task' AND a.pool = t.pool AND a.ref = t.ref
            AND (m.internal OR NOT a.internal)
    )
)
SELECT pool, ref, root, line_seq, how, confidence, internal FROM made;

-- Who is behind each event: by a line of its own; because a task that made the object says so; or,
-- likely, because of the only task that the object carried then, or that the event is of. Guests reboot,
-- and snapshots go, while a task is at work on a VM: what it never does to one is not likely its doing.
-- In a gap there may have been others; and others can lend from a task its name, also when it has ended.
-- A host is behind what no user is known to be behind.
-- attributions.*
-- seq: the entry that told the event
-- task: the task by which that is known; null where the line is of the change itself
-- how: as in attributions, task, or result (the task says that it made this object)
-- confidence: as in attributions, or likely
CREATE VIEW event_doers AS
WITH behind AS (
    SELECT * FROM task_doers
    QUALIFY NOT internal OR bool_and(internal) OVER (PARTITION BY pool, ref)
)
SELECT pool, seq, NULL AS task, line_seq, how, confidence, internal
FROM attributions_in_gaps WHERE about = 'event'
UNION ALL
SELECT c.pool, c.seq, c.task, d.line_seq, 'task', CASE
    WHEN d.confidence = 'suspicious' THEN 'suspicious'
    WHEN c.origin <> 'live' OR c.seq > x.ended_seq THEN 'several'
    WHEN f.of_kin AND c.operation NOT IN ('snapshot', 'snapshot_with_quiesce', 'checkpoint', 'revert',
        'clone', 'copy', 'destroy') THEN 'several'
    WHEN f.of_new_domain AND c.operation NOT IN ('start', 'start_on', 'resume', 'resume_on', 'revert',
        'clean_reboot', 'hard_reboot', 'pool_migrate', 'migrate_send') THEN 'several'
    WHEN c.tasks = 1 AND d.confidence IN ('exact', 'likely') THEN 'likely'
    ELSE 'several' END, d.internal
FROM carried c JOIN behind d ON d.pool = c.pool AND d.ref = c.task
    LEFT JOIN task_ends x ON x.pool = c.pool AND x.task = c.task
    LEFT JOIN (
        SELECT pool, seq, ref, bool_or(field IN ('snapshots', 'parent')) AS of_kin,
            bool_or(field = 'guest_metrics' OR field = 'domid' AND new NOT IN ('-1', '"-1"'))
                AS of_new_domain
        FROM changes
        WHERE class = 'vm' AND field IN ('snapshots', 'parent', 'guest_metrics', 'domid')
        GROUP BY ALL
    ) f ON f.pool = c.pool AND f.seq = c.seq AND f.ref = c.ref
WHERE NOT EXISTS (FROM attributions a WHERE a.about = 'event' AND a.seq = c.seq)
UNION ALL
SELECT e.pool, e.seq, t.ref, d.line_seq, 'result', d.confidence, d.internal
FROM tasks t JOIN behind d ON d.pool = t.pool AND d.ref = t.ref
    JOIN events e ON e.pool = t.pool AND e.ref = t.result AND e.operation = 'add'
WHERE e.origin = 'live' AND NOT EXISTS (FROM carried c WHERE c.pool = e.pool AND c.seq = e.seq)
UNION ALL
SELECT e.pool, e.seq, e.ref, d.line_seq, 'task', CASE
    WHEN d.confidence <> 'suspicious' AND e.operation = 'mod' AND e.seq > x.ended_seq THEN 'several'
    WHEN d.confidence IN ('exact', 'likely') THEN 'likely' ELSE d.confidence END, d.internal
FROM events e JOIN behind d ON d.pool = e.pool AND d.ref = e.ref
    LEFT JOIN task_ends x ON x.pool = e.pool AND x.task = e.ref
WHERE e.class = 'task' AND e.origin = 'live'
    -- Those of calls in the background stay when they are over: the server collects them some time.
    AND NOT (e.operation = 'del' AND e.name LIKE '%Async.%')
    AND NOT EXISTS (FROM attributions a WHERE a.about = 'event' AND a.seq = e.seq);

-- One row a run of a workload.
-- pool: the pool that it was run on.
-- run: its name, the time of its beginning and four digits.
-- script: the name of the script.
-- started: when it began.
-- ended: when it ended; null if it is under way, or the recorder was killed.
-- duration_s: from started to ended.
-- status: completed, stopped, cancelled, interrupted, failed or restored; null without an end.
-- held: whether all that the script expects held; null without an end.
-- resumed: how often it was resumed after its driver had died, or was stopped.
-- died: whether it has no end, and the recorder that drove it is known to be gone.
-- seed: the seed of all that was left to chance.
-- calls: how many calls were planned.
-- who: the user and process that asked for it.
-- login: the user that was logged in for it.
-- error: why it failed, if it did.
-- replay_of: the run that it repeats, if it does.
-- text: the script as it was written.
-- plan: what was planned, and what was found at the start, as JSON.
-- parts: the reports on its steps, as JSON.
-- first_seq: the entry that begins it.
-- last_seq: the entry that ends it.
CREATE VIEW runs AS
WITH told AS (
    SELECT pool, detail ->> '$.run' AS run, count(*) FILTER (name = 'run-resumed') AS resumed,
        max(seq) FILTER (name = 'run-resumed') AS resumed_seq,
        max(seq) FILTER (name = 'run-ended') AS ended_seq
    FROM marks WHERE name IN ('run-resumed', 'run-ended') GROUP BY ALL
)
SELECT s.pool, s.detail ->> '$.run' AS run, s.detail ->> '$.script' AS script,
    s.received_at AS started, e.received_at AS ended,
    epoch_us(e.received_at - s.received_at) / 1e6 AS duration_s, e.detail ->> '$.status' AS status,
    CAST(e.detail ->> '$.held' AS BOOLEAN) AS held, coalesce(t.resumed, 0) AS resumed,
    e.seq IS NULL AND coalesce((SELECT max(seq) FROM marks WHERE name = 'started')
        > greatest(s.seq, coalesce(t.resumed_seq, 0)), false) AS died, CAST(s.detail ->> '$.seed' AS BIGINT) AS seed,
    CAST(s.detail ->> '$.calls' AS BIGINT) AS calls, s.detail ->> '$.who' AS who,
    s.detail ->> '$.user' AS login, e.detail ->> '$.error' AS error,
    s.detail ->> '$.replay_of' AS replay_of, s.detail ->> '$.text' AS text,
    s.detail ->> '$.plan' AS plan, e.detail ->> '$.parts' AS parts, s.seq AS first_seq,
    e.seq AS last_seq
FROM marks s
    LEFT JOIN told t ON t.pool = s.pool AND t.run = s.detail ->> '$.run'
    LEFT JOIN marks e ON e.seq = t.ended_seq AND e.seq > coalesce(t.resumed_seq, 0)
WHERE s.name = 'run-started';

-- One row a call of a run, whether or not it was made.
-- pool: the pool that it was made to.
-- run: the run that it belongs to.
-- step: its number in the run, from 1.
-- part: the place of its step in the script, from 0; one more than the last for what restores VMs.
-- kind: the kind of that step.
-- round: the iteration, from 1; 0 outside of them.
-- class: the class of the object that it is about.
-- ref: the reference of that object.
-- uuid: the uuid of that object.
-- name: the name of that object.
-- method: what was called.
-- params: the other parameters, as JSON.
-- task: the reference of its task; null if it was not made, or nobody knows.
-- outcome: success, failure, cancelled, vanished, interrupted, skipped or changed-by-others; null
--     if the recorder was killed before it was known. The last one, of a call that was left
--     interrupted by a stop and asked about again when the run was resumed.
-- why: why it ended like this, as a sentence.
-- error: code and parameters of XAPI, as JSON.
-- duration_s: from the answer with its task to the end of that.
-- intended: when it was about to be made.
-- called: when it was made.
-- ended: when its outcome was written.
-- source: what told the end of the task, events or record (it was asked for); state: the task is
--     gone, and the state of the object shows that it is as the call was to leave it.
-- event_seq: the event that told the end of the task.
-- intended_seq: the entry that tells of the intent.
-- ended_seq: the entry that tells the outcome.
CREATE VIEW steps AS
SELECT i.pool, i.detail ->> '$.run' AS run, CAST(i.detail ->> '$.step' AS BIGINT) AS step,
    CAST(i.detail ->> '$.part' AS BIGINT) AS part, i.detail ->> '$.kind' AS kind,
    CAST(i.detail ->> '$.round' AS BIGINT) AS round, lower(i.detail ->> '$.class') AS class,
    i.detail ->> '$.ref' AS ref, i.detail ->> '$.uuid' AS uuid, i.detail ->> '$.name' AS name,
    i.detail ->> '$.method' AS method, i.detail ->> '$.params' AS params, c.detail ->> '$.task' AS task,
    e.detail ->> '$.outcome' AS outcome, e.detail ->> '$.why' AS why, e.detail ->> '$.error' AS error,
    CAST(e.detail ->> '$.duration_s' AS DOUBLE) AS duration_s, i.received_at AS intended,
    c.received_at AS called, e.received_at AS ended, e.detail ->> '$.source' AS source,
    CAST(e.detail ->> '$.entry' AS BIGINT) AS event_seq, i.seq AS intended_seq, e.seq AS ended_seq
FROM marks i
    LEFT JOIN marks c ON c.name = 'step-called' AND c.pool = i.pool
        AND c.detail ->> '$.run' = i.detail ->> '$.run'
        AND c.detail ->> '$.step' = i.detail ->> '$.step'
    LEFT JOIN (
        SELECT * FROM marks WHERE name = 'step-ended' QUALIFY seq = max(seq)
            OVER (PARTITION BY pool, detail ->> '$.run', detail ->> '$.step')
    ) e ON e.pool = i.pool
        AND e.detail ->> '$.run' = i.detail ->> '$.run'
        AND e.detail ->> '$.step' = i.detail ->> '$.step'
WHERE i.name = 'step-intended';
