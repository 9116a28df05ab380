"""Who did it: the calls in the audit trail, and what each of them did."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from recorder.instant import Instant

from ..history.database import History
from .objects import Found, check_pool, number_of


class CallRow(msgspec.Struct, frozen=True):
    """A line of the audit trail; the columns of the table `audit_lines`, which views.sql explains.

    `originator` is what the client called itself when it opened the session, where a line of the
    session's begin or end tells, as of users from a directory. `caller` is the host that called for
    itself, by its name; None of a user.
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
    caller: str | None
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
    `caller` is the host that called for itself, `internal`ly: its name, None of a user.
    """

    pool: str
    seq: int
    written_at: datetime | None
    username: str | None
    internal: bool | None
    caller: str | None
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


# A session is no object of which events tell, and only those of users from a directory have lines
# of their beginning and end: what clients of root call themselves, nobody but xapi knows.
_ORIGINS = """
    SELECT pool, trackid, arg_min(said ->> '$.value', seq) AS originator FROM (
        SELECT pool, trackid, seq, unnest(CAST(arguments AS JSON[])) AS said
        FROM audit_lines WHERE call IN ('session.create', 'session.destroy')
    ) WHERE said ->> '$.name' = 'originator' GROUP BY ALL
"""
_HOSTS = "SELECT pool, ref, any_value(name) AS name FROM objects WHERE class = 'host' GROUP BY ALL"
_CALLER = "CASE WHEN l.internal THEN coalesce(h.name, l.username) END"
_CALLS = f"""
SELECT l.pool, l.seq, l.written_at, l.host, l.imported, l.username, l.sid, l.client, s.originator,
    l.call, l.verdict, l.error_code, l.error_params, l.internal, {_CALLER} AS caller, l.target,
    o.name AS target_name, a.ref AS task, l.trackid, l.line
FROM audit_lines l LEFT JOIN ({_ORIGINS}) s USING (pool, trackid)
    LEFT JOIN ({_HOSTS}) h ON h.pool = l.pool AND h.ref = l.username
    LEFT JOIN (SELECT pool, ref, any_value(name) AS name FROM objects GROUP BY ALL) o
        ON o.pool = l.pool AND o.ref = l.target
    LEFT JOIN (
        SELECT pool, line_seq, any_value(ref) AS ref FROM attributions
        WHERE about = 'task' AND confidence = 'exact' GROUP BY ALL
    ) a ON a.pool = l.pool AND a.line_seq = l.seq
"""  # noqa: S608  # constants


def has_trail(history: History) -> bool:
    """Tell whether there is any line of an audit trail."""
    return history.once(
        "has a trail", lambda: bool(history.plain("SELECT 1 FROM audit_lines LIMIT 1", {}))
    )


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
        terms.append("l.call IS NULL")
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
SELECT l.pool, l.seq, l.written_at, l.username, l.internal, {_CALLER} AS caller, l.sid, l.client,
    s.originator, l.call, l.verdict, l.error_code, d.confidence, coalesce(d.how, 'named') AS how,
    d.task, coalesce(d.fields, []) AS fields, coalesce(d.seqs, []) AS seqs
FROM audit_lines l LEFT JOIN ({_ORIGINS}) s USING (pool, trackid)
    LEFT JOIN ({_HOSTS}) h ON h.pool = l.pool AND h.ref = l.username
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
    wanted = Wanted(found=found, internal=True, since=since, until=until)
    terms, params = _conditions(wanted)
    within = " AND ".join(term.replace("list_contains(l.targets, $ref)", "true") for term in terms)
    about = _DONE.format(about="e.object = $object")
    sql = f"""
        {about} {_DEED}
        WHERE {within} AND (
            d.line_seq IS NOT NULL OR list_contains(l.targets, $ref) AND l.internal IS NOT true
        )
        ORDER BY l.written_at, l.seq, d.confidence
    """
    return history.all(DeedRow, sql, {**params, "object": number_of(history, found)})


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
    who: str
    confidence: str


_WHO = f"""
    CASE WHEN l.internal THEN 'host ' || {_CALLER} ELSE l.username || '@' || l.client END AS who
"""
_BY_EVENT = f"""
SELECT DISTINCT d.seq, {_WHO}, d.confidence
FROM event_doers d JOIN audit_lines l ON l.seq = d.line_seq AND l.pool = d.pool
    LEFT JOIN ({_HOSTS}) h ON h.pool = l.pool AND h.ref = l.username
WHERE d.seq IN $seqs ORDER BY ALL
"""  # noqa: S608  # constants


def by_of_events(history: History, seqs: Iterable[int]) -> dict[int, str]:
    """Return who is behind each of some events, where anything is known.

    It is `root@10.0.0.1`, or `host lab-1` of what only a host did for itself; how sure that is
    stands behind it unless it is exact.
    """
    wanted = list(seqs)
    if not wanted or not has_trail(history):
        return {}
    return _by(history, _BY_EVENT, wanted)


_BY_TASK = f"""
SELECT DISTINCT t.first_seq, {_WHO}, d.confidence
FROM task_doers d JOIN tasks t USING (pool, ref) JOIN audit_lines l
    ON l.seq = d.line_seq AND l.pool = d.pool
    LEFT JOIN ({_HOSTS}) h ON h.pool = l.pool AND h.ref = l.username
WHERE t.first_seq IN $seqs
QUALIFY NOT d.internal OR bool_and(d.internal) OVER (PARTITION BY t.first_seq)
ORDER BY ALL
"""  # noqa: S608  # constants


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
        found.setdefault(row.seq, []).append(f"{row.who}{doubt}")
    return {seq: ", ".join(words) for seq, words in found.items()}
