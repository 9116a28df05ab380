"""Who did it: the calls in the audit trail, what each of them did, and what nobody asked for."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from recorder.instant import Instant

from .database import History
from .objects import Found, check_pool


class CallRow(msgspec.Struct, frozen=True):
    """A line of the audit trail; the columns of the table `audit_lines`, which views.sql explains.

    `originator` is who the session said it was opened for, where a line tells.
    """

    pool: str
    seq: int
    written_at: datetime | None
    host: str
    imported: bool
    username: str | None
    sid: str | None
    client: str | None
    originator: str | None
    call: str | None
    verdict: str | None
    error_code: str | None
    error_params: list[str] | None
    internal: bool | None
    target: str | None
    target_name: str | None
    task: str | None
    trackid: str | None
    line: str | None


class DeedRow(msgspec.Struct, frozen=True):
    """A call, and what it did to what was asked for.

    `confidence` is how sure it is that `fields` were changed by it, by the entries `seqs`; None of
    a call that named the object and changed nothing of it. `how` is as in `event_doers`, `named`
    where it only was among the arguments. `task` is the task by which it is known.
    """

    pool: str
    seq: int
    written_at: datetime | None
    username: str | None
    sid: str | None
    client: str | None
    originator: str | None
    call: str | None
    verdict: str | None
    error_code: str | None
    confidence: str | None
    how: str
    task: str | None
    fields: list[str]
    seqs: list[int]


class UnaskedRow(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """A change that no line of the audit trail and no task explains, and what it may come from."""

    pool: str
    seq: int
    received_at: datetime
    cls: str
    ref: str
    name: str | None
    what: str
    cause: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are asked for; None and False are no condition."""

    pool: str | None = None
    user: str | None = None
    client: str | None = None
    call: str | None = None
    found: Found | None = None
    denied: bool = False
    failed: bool = False
    internal: bool = False
    unread: bool = False
    since: Instant | None = None
    until: Instant | None = None
    limit: int = 100


_ORIGINS = """
    SELECT pool, trackid, any_value(arguments ->> '$[0].value') AS originator FROM audit_lines
    WHERE call LIKE 'session.%' AND arguments ->> '$[0].name' = 'originator' GROUP BY ALL
"""
_CALLS = f"""
SELECT l.pool, l.seq, l.written_at, l.host, l.imported, l.username, l.sid, l.client, s.originator,
    l.call, l.verdict, l.error_code, l.error_params, l.internal, l.target, o.name AS target_name,
    a.ref AS task, l.trackid, l.line
FROM audit_lines l LEFT JOIN ({_ORIGINS}) s USING (pool, trackid)
    LEFT JOIN (SELECT pool, ref, any_value(name) AS name FROM objects GROUP BY ALL) o
        ON o.pool = l.pool AND o.ref = l.target
    LEFT JOIN (
        SELECT pool, line_seq, any_value(ref) AS ref FROM attributions
        WHERE about = 'task' AND confidence = 'exact' GROUP BY ALL
    ) a ON a.pool = l.pool AND a.line_seq = l.seq
"""  # noqa: S608  # constants


def has_trail(history: History) -> bool:
    """Tell whether there is any line of an audit trail."""
    return bool(history.plain("SELECT 1 FROM audit_lines LIMIT 1", {}))


def calls(history: History, wanted: Wanted) -> list[CallRow]:
    """Return the newest lines that fit, oldest first, by when they were written."""
    check_pool(history, wanted.pool)
    terms, params = _conditions(wanted)
    sql = f"""
        SELECT * FROM (
            {_CALLS} WHERE {" AND ".join(terms)}
            ORDER BY coalesce(l.written_at, l.received_at) DESC, l.seq DESC LIMIT $limit
        ) ORDER BY written_at, seq
    """  # noqa: S608  # every value is a parameter
    return history.all(CallRow, sql, {**params, "limit": wanted.limit})


def _conditions(wanted: Wanted) -> tuple[list[str], dict[str, object]]:
    terms, params = ["true"], dict[str, object]()
    found = wanted.found
    pool = found.pool if found else wanted.pool
    if pool is not None:
        terms.append("l.pool = $pool")
        params["pool"] = pool
    if found is not None:
        terms.append("list_contains(l.targets, $ref)")
        params["ref"] = found.ref
    for name, pattern, column in (
        ("user", wanted.user, "username"),
        ("client", wanted.client, "client"),
        ("call", wanted.call, "call"),
    ):
        if pattern is not None:
            terms.append(f"lower(l.{column}) GLOB lower(${name})")
            params[name] = pattern
    if wanted.denied:
        terms.append("l.verdict = 'DENIED'")
    if wanted.failed:
        terms.append("(l.verdict = 'DENIED' OR l.error_code IS NOT NULL)")
    if wanted.unread:
        terms.append("l.written_at IS NULL")
    elif not wanted.internal:
        terms.append("l.internal IS NOT true")
    for name, instant, sign in (("since", wanted.since, ">="), ("until", wanted.until, "<=")):
        if instant is not None:
            at = "epoch_us(coalesce(l.written_at, l.received_at))"
            terms.append(f"{at if instant.seq is None else 'l.seq'} {sign} ${name}")
            params[name] = instant.at_us if instant.seq is None else instant.seq
    return terms, params


# -- who ---------------------------------------------------------------------------------------

_DEED = f"""
SELECT l.pool, l.seq, l.written_at, l.username, l.sid, l.client, s.originator, l.call, l.verdict,
    l.error_code, d.confidence, coalesce(d.how, 'named') AS how, d.task,
    coalesce(d.fields, []) AS fields, coalesce(d.seqs, []) AS seqs
FROM audit_lines l LEFT JOIN ({_ORIGINS}) s USING (pool, trackid)
    LEFT JOIN done d ON d.pool = l.pool AND d.line_seq = l.seq
"""  # noqa: S608  # constants
_DONE = """
WITH done AS (
    SELECT d.pool, d.line_seq, d.confidence, d.how, d.task,
        list(DISTINCT e.seq ORDER BY e.seq) AS seqs,
        list_sort(list_distinct(flatten(list(
            CASE WHEN e.operation = 'mod' THEN coalesce(e.changed_fields, []) ELSE [e.operation] END
        )))) AS fields
    FROM event_doers d JOIN events e ON e.pool = d.pool AND e.seq = d.seq
    WHERE {about} GROUP BY ALL
)
"""


def doers_of_object(
    history: History, found: Found, *, since: Instant | None = None, until: Instant | None = None
) -> list[DeedRow]:
    """Return the calls that named an object, or did something to it, oldest first."""
    terms, params = _conditions(Wanted(found=found, since=since, until=until))
    within = " AND ".join(term.replace("list_contains(l.targets, $ref)", "true") for term in terms)
    about = _DONE.format(about="e.pool = $pool AND e.class = $class AND e.ref = $ref")
    sql = f"""
        {about} {_DEED}
        WHERE {within} AND (list_contains(l.targets, $ref) OR d.line_seq IS NOT NULL)
        ORDER BY l.written_at, l.seq, d.confidence
    """
    return history.all(DeedRow, sql, {**params, "class": found.cls})


def doers_of_task(history: History, found: Found) -> list[DeedRow]:
    """Return the call that made a task, or the task that it is part of; and who cancelled it."""
    sql = f"""
        WITH done AS (
            SELECT pool, line_seq, confidence, how, root AS task, []::BIGINT[] AS seqs,
                []::VARCHAR[] AS fields
            FROM task_doers WHERE pool = $pool AND ref = $ref
            UNION ALL
            SELECT a.pool, a.line_seq, a.confidence, a.how, NULL, list(a.seq),
                list_sort(list_distinct(flatten(list(coalesce(e.changed_fields, [])))))
            FROM attributions a JOIN events e ON e.pool = a.pool AND e.seq = a.seq
            WHERE a.about = 'event' AND a.class = 'task' AND a.pool = $pool AND a.ref = $ref
            GROUP BY ALL
        )
        {_DEED} WHERE d.line_seq IS NOT NULL ORDER BY l.written_at, l.seq
    """  # noqa: S608  # constants
    return history.all(DeedRow, sql, {"pool": found.pool, "ref": found.ref})


def doers_at(history: History, seq: int) -> list[DeedRow]:
    """Return who is behind the event of an entry; of a line of the trail what it did."""
    about = _DONE.format(about="d.seq = $seq OR d.line_seq = $seq")
    sql = f"""
        {about} {_DEED} WHERE l.seq = $seq OR d.line_seq IS NOT NULL ORDER BY l.written_at, l.seq
    """
    return history.all(DeedRow, sql, {"seq": seq})


# -- in other answers --------------------------------------------------------------------------


class _By(msgspec.Struct, array_like=True):
    seq: int
    username: str
    client: str
    confidence: str


_BY_EVENT = """
SELECT DISTINCT d.seq, l.username, l.client, d.confidence
FROM event_doers d JOIN audit_lines l ON l.seq = d.line_seq AND l.pool = d.pool
WHERE d.seq IN $seqs ORDER BY ALL
"""


def by_of_events(history: History, seqs: Iterable[int]) -> dict[int, str]:
    """Return who is behind each of some events, as `root@10.0.0.1`, where anything is known."""
    wanted = list(seqs)
    if not wanted or not has_trail(history):
        return {}
    return _by(history, _BY_EVENT, wanted)


_BY_TASK = """
SELECT DISTINCT t.first_seq, l.username, l.client, d.confidence
FROM task_doers d JOIN tasks t USING (pool, ref) JOIN audit_lines l
    ON l.seq = d.line_seq AND l.pool = d.pool
WHERE t.first_seq IN $seqs ORDER BY ALL
"""


def by_of_tasks(history: History, first_seqs: Iterable[int]) -> dict[int, str]:
    """Return who made each task, by its first entry, as `by_of_events` does."""
    wanted = list(first_seqs)
    if not wanted or not has_trail(history):
        return {}
    return _by(history, _BY_TASK, wanted)


def _by(history: History, sql: str, seqs: list[int]) -> dict[int, str]:
    found: dict[int, list[str]] = {}
    for row in msgspec.convert(history.plain(sql, {"seqs": seqs}), list[_By]):
        doubt = "" if row.confidence == "exact" else f" ({row.confidence})"
        found.setdefault(row.seq, []).append(f"{row.username}@{row.client}{doubt}")
    return {seq: ", ".join(words) for seq, words in found.items()}


# -- what nobody asked for ---------------------------------------------------------------------

# A pool without any line says nothing of who did what; nor does the time before its first one. What
# follows from a change of the power state, in the same second, is not told beside it.
_UNASKED = """
WITH trails AS (SELECT pool, min(written_at) AS since FROM audit_lines GROUP BY pool),
done AS (SELECT DISTINCT pool, seq FROM event_doers),
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
        ELSE 'by the pool itself' END AS cause
FROM strange s LEFT JOIN LATERAL (
    SELECT min(t.operation) AS call FROM tasks t JOIN task_doers d USING (pool, ref)
    WHERE t.pool = s.pool AND s.field IS NULL AND t.created <= s.at_
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
