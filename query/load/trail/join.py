"""Joins lines of the audit trail to the tasks and the events that they tell of.

A row is a function of the lines, tasks and events within seconds of each other, whenever they were
loaded: after each batch, all that lies near what came is worked out anew (stretches.py).

- A task was made by the call whose line has its mark and its name. A client can choose both: this
  is sure only if no other line has the mark, and if each line of the same call, while the task was
  on, has a task that fits. One that has not hides its own task, which another may claim.
- A field was changed by the only session that set it on this object at about that time, unless the
  server writes it, too (servers.py), or nobody knows when it was changed. A line is later than what
  it tells of, and times in a trail are not sorted.
- A task was cancelled by the call whose mark is in its current_operations.
- What a host says for itself, under its own reference, is no user's doing. By its own socket nobody
  else calls. What comes from the address of another host may be passed on, for a user, too: that is
  never exact, and nothing if a user has made such a call meanwhile.
- A line that is cut may be of anybody: near it nothing is sure that another line could change.
"""

import msgspec

from ...history.database import History
from .servers import OFTEN, SELDOM
from .stretches import HOUR_US, Stretch, stretches_of

NEAR_S = 5
"""What belongs together is no further apart: WRITTEN_S, ENDED_S, and whole seconds."""
WRITTEN_S = 2
"""How long after a change the line of its setter may be written."""
ENDED_S = 3
"""How long after the end of a task its line may be written; it usually is before."""
_CUT_US = 2_000
"""Times in lines are cut to milliseconds: a line may look older than what it tells of."""


_CAME = f"""
SELECT min(at_us), max(at_us) FROM (
    SELECT epoch_us(coalesce(server_at, received_at)) AS at_us FROM events WHERE seq > $after
    UNION ALL
    SELECT epoch_us(written_at) FROM audit_lines WHERE seq > $after AND written_at IS NOT NULL
) GROUP BY at_us // {HOUR_US}
"""  # noqa: S608  # a constant
_WINDOW = f"""
    created - INTERVAL 1 SECOND AS begins, finished + INTERVAL {ENDED_S} SECOND AS ends
"""
_TASKS = f"""
CREATE OR REPLACE TEMP TABLE {{name}} AS
SELECT * FROM (
    SELECT pool, ref, first_seq, name_label,
        regexp_replace(name_label, '^(Internal)?Async[.]', '') AS call,
        substr(ref, 11, 8) || substr(ref, 20, 4) AS mark, {_WINDOW}
    FROM tasks WHERE created IS NOT NULL AND finished IS NOT NULL
) WHERE begins <= make_timestamptz($last) AND ends >= make_timestamptz($first)
"""  # noqa: S608  # constants
_AROUND = """
SELECT least($first, epoch_us(min(begins))) AS first_us,
    greatest($last, epoch_us(max(ends))) AS last_us FROM {name}
"""
# A copy of a line, polled and imported, is the same line.
_LINES = """
CREATE OR REPLACE TEMP TABLE {name} AS
SELECT pool, written_at, thread, client, mark_kind, mark, task_name, call, verdict, result,
    trackid, field, target, lower(split_part(call, '.', 1)) AS class,
    split_part(call, '.', 2) AS deed, min(seq) AS seq
FROM audit_lines
WHERE internal = {internal}
    AND written_at BETWEEN make_timestamptz($first) AND make_timestamptz($last)
GROUP BY ALL
"""
_USERS, _HOSTS = (
    _LINES.format(name="near_lines", internal="false"),
    _LINES.format(name="host_lines", internal="true"),
)
# Lines that are not all there: whose they are, and what they tell of, nobody knows.
_UNREAD = """
CREATE OR REPLACE TEMP TABLE unread_lines AS
SELECT pool, written_at FROM audit_lines
WHERE internal IS NULL
    AND written_at BETWEEN make_timestamptz($first) AND make_timestamptz($last)
"""
_FORGET_TASKS = """
DELETE FROM attributions
WHERE about = 'task' AND (pool, ref) IN (SELECT (pool, ref) FROM near_tasks)
"""
_OWN_TASKS = """
INSERT INTO attributions
WITH pairs AS (
    SELECT t.pool, t.ref, t.call, t.begins, t.ends, t.first_seq, l.seq AS line_seq,
        l.task_name = t.name_label AND l.call = t.call AS fits,
        count(*) OVER (PARTITION BY t.pool, t.ref) AS lines
    FROM far_tasks t JOIN near_lines l
        ON l.pool = t.pool AND l.mark_kind = 'R' AND l.mark = t.mark
        AND l.written_at BETWEEN t.begins AND t.ends
), good AS (SELECT DISTINCT pool, line_seq FROM pairs WHERE fits AND lines = 1),
doubtful AS (
    SELECT pool, call, written_at FROM near_lines l
    WHERE NOT EXISTS (FROM good g WHERE g.pool = l.pool AND g.line_seq = l.seq)
)
SELECT p.pool, 'task', 'task', p.ref, p.first_seq, p.line_seq, 'mark',
    CASE WHEN p.lines > 1 OR NOT p.fits OR EXISTS (
        FROM doubtful d
        WHERE d.pool = p.pool AND d.call = p.call AND d.written_at BETWEEN p.begins AND p.ends
    ) THEN 'suspicious' WHEN EXISTS (
        FROM unread_lines u WHERE u.pool = p.pool AND u.written_at BETWEEN p.begins AND p.ends
    ) THEN 'likely' ELSE 'exact' END, false, p.begins, p.ends
FROM pairs p SEMI JOIN near_tasks n USING (pool, ref)
"""
# A host that lets another do what it does itself has a line by its own socket, too. Calls in the
# background hosts make by that alone.
_HOSTS_TASKS = """
INSERT INTO attributions
WITH pairs AS (
    SELECT t.pool, t.ref, t.name_label, t.call, t.begins, t.ends, t.first_seq, l.seq AS line_seq,
        NOT starts_with(l.client, '/') AS is_passed,
        min(is_passed) OVER (PARTITION BY t.pool, t.ref) AS all_passed,
        count(*) OVER (PARTITION BY t.pool, t.ref, is_passed) AS lines
    FROM near_tasks t JOIN host_lines l
        ON l.pool = t.pool AND l.mark_kind = 'R' AND l.mark = t.mark
        AND l.task_name = t.name_label AND l.call = t.call
        AND l.written_at BETWEEN t.begins AND t.ends
)
SELECT p.pool, 'task', 'task', p.ref, p.first_seq, p.line_seq, 'mark', CASE
    WHEN p.lines > 1 THEN 'several' WHEN p.is_passed THEN 'likely' ELSE 'exact' END, true,
    p.begins, p.ends
FROM pairs p
WHERE p.is_passed = p.all_passed AND NOT (p.is_passed AND p.name_label <> p.call)
AND NOT EXISTS (
    FROM near_lines l
    WHERE p.is_passed AND l.pool = p.pool AND l.call = p.call
        AND l.written_at BETWEEN p.begins AND p.ends
) AND NOT EXISTS (
    FROM unread_lines u
    WHERE p.is_passed AND u.pool = p.pool AND u.written_at BETWEEN p.begins AND p.ends
) AND NOT EXISTS (
    FROM attributions a WHERE a.about = 'task' AND NOT a.internal
        AND a.pool = p.pool AND a.ref = p.ref AND (p.is_passed OR a.confidence = 'exact')
)
"""
_EVENTS = """
CREATE OR REPLACE TEMP TABLE near_events AS
SELECT pool, class, ref, seq, operation, changed_fields, origin, server_at AS since,
    server_at + INTERVAL 1 SECOND AS until
FROM events WHERE server_at BETWEEN make_timestamptz($first) AND make_timestamptz($last)
UNION ALL
SELECT pool, class, ref, seq, operation, changed_fields, origin, received_at, received_at
FROM events WHERE server_at IS NULL
    AND received_at BETWEEN make_timestamptz($first) AND make_timestamptz($last)
"""
_FORGET_EVENTS = """
DELETE FROM attributions WHERE about = 'event' AND seq IN (SELECT seq FROM near_events)
"""
_SETTERS = f"""
INSERT INTO attributions
WITH lines AS (
    SELECT *, false AS internal FROM near_lines
    UNION ALL
    -- What is passed on to another host is told there once more.
    SELECT *, true FROM host_lines h WHERE field IS NOT NULL AND NOT EXISTS (
        FROM near_lines l WHERE l.pool = h.pool AND l.mark = h.mark AND l.call = h.call
    )
), pairs AS (
    SELECT e.pool, e.class, e.ref, e.seq, l.trackid, l.call, l.field, l.internal,
        min(l.seq) AS line_seq, e.since - INTERVAL {_CUT_US} MICROSECOND AS begins,
        e.until + INTERVAL {WRITTEN_S} SECOND AS ends,
        CASE WHEN e.operation = 'del' THEN 'destroy' ELSE 'setter' END AS how
    FROM near_events e JOIN lines l ON l.pool = e.pool AND l.target = e.ref
        AND l.class = e.class AND l.result = 'OK'
        AND l.written_at >= e.since - INTERVAL {_CUT_US} MICROSECOND
        AND l.written_at <= e.until + INTERVAL {WRITTEN_S} SECOND
    WHERE e.origin = 'live' AND (
        e.operation = 'del' AND l.deed = 'destroy'
        OR e.operation = 'mod' AND list_contains(e.changed_fields, l.field)
    )
    GROUP BY ALL
)
SELECT pool, 'event', class, ref, seq, line_seq, how,
    CASE WHEN count(*) OVER (PARTITION BY seq) > 1 OR how = 'setter' AND {OFTEN}
        THEN 'several' WHEN how = 'setter' AND ({SELDOM} OR EXISTS (
        FROM unread_lines u WHERE u.pool = p.pool AND u.written_at BETWEEN p.begins AND p.ends
    )) THEN 'likely' ELSE 'exact' END, internal,
    CASE how WHEN 'setter' THEN begins END, CASE how WHEN 'setter' THEN ends END
FROM pairs p
"""  # noqa: S608  # constants
_DUMMY = "DummyRef:[|]([0-9a-f]{8})-([0-9a-f]{4})"
_CANCELS = f"""
INSERT INTO attributions
WITH keys AS (
    SELECT e.pool, e.ref, e.seq, c.old, unnest(regexp_extract_all(c.new, '{_DUMMY}')) AS key
    FROM near_events e JOIN changes c ON c.seq = e.seq AND c.pool = e.pool
    WHERE e.class = 'task' AND c.class = 'task' AND c.field = 'current_operations'
), pairs AS (
    SELECT k.pool, k.ref, k.seq, l.seq AS line_seq, count(*) OVER (PARTITION BY k.seq) AS lines
    FROM keys k JOIN near_lines l ON l.pool = k.pool AND l.mark_kind = 'D'
        AND l.mark = replace(k.key[11:], '-', '') AND l.call = 'task.cancel' AND l.target = k.ref
    WHERE NOT contains(coalesce(k.old, ''), k.key)
)
SELECT pool, 'event', 'task', ref, seq, line_seq, 'cancel',
    CASE WHEN lines = 1 THEN 'exact' ELSE 'suspicious' END, false, NULL, NULL
FROM pairs
"""  # noqa: S608  # constants
_WORKED_OUT = (_FORGET_TASKS, _OWN_TASKS, _HOSTS_TASKS, _FORGET_EVENTS, _SETTERS, _CANCELS)


def join(history: History, after_seq: int) -> None:
    """Work out anew who did what lies near the entries after `after_seq`, which were just added."""
    if not history.connection.execute("SELECT 1 FROM audit_lines LIMIT 1").fetchall():
        return
    came = history.plain(_CAME, {"after": after_seq})
    for stretch in stretches_of(msgspec.convert(came, list[Stretch])):
        _join_near(history, stretch)


def _join_near(history: History, came: Stretch) -> None:
    near = _wider(came)
    _make(history, _TASKS.format(name="near_tasks"), near)
    far = _wider(_around(history, "near_tasks", near))
    _make(history, _TASKS.format(name="far_tasks"), far)
    lines = _wider(_around(history, "far_tasks", far))
    _make(history, _USERS, lines)
    _make(history, _HOSTS, lines)
    _make(history, _UNREAD, lines)
    _make(history, _EVENTS, near)
    for statement in _WORKED_OUT:
        history.connection.execute(statement)


def _around(history: History, tasks: str, span: dict[str, object]) -> Stretch:
    (bounds,) = history.plain(_AROUND.format(name=tasks), span)
    return msgspec.convert(bounds, Stretch)


def _make(history: History, sql: str, span: dict[str, object]) -> None:
    history.connection.execute(sql, span)


def _wider(stretch: Stretch) -> dict[str, object]:
    return {"first": stretch.first_us - NEAR_S * 10**6, "last": stretch.last_us + NEAR_S * 10**6}
