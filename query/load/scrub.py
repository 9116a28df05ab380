"""Taking what an entry told out of a history that was loaded before the entry was redacted."""

from ..history.database import History

# What was told is in the row of the event, in the new values of its changes, in the old values of
# the changes that next went away from them, and in the state of now if nothing came after it. If it
# was taken out before it was loaded, nothing of it is there, and nothing was compared with it.
_STATEMENTS = (
    """
    UPDATE current_state SET snapshot = NULL
    WHERE (pool, class, ref, snapshot) IN
        (SELECT (pool, class, ref, snapshot) FROM events WHERE seq = $seq)
    """,
    """
    UPDATE changes SET old = NULL
    WHERE (pool, class, ref, field, seq) IN (
        SELECT (c.pool, c.class, c.ref, c.field, min(c.seq))
        FROM changes c JOIN events e USING (pool, class, ref)
        WHERE e.seq = $seq AND e.snapshot IS NOT NULL AND c.seq > $seq
        GROUP BY c.pool, c.class, c.ref, c.field
    )
    """,
    "UPDATE changes SET new = NULL WHERE seq = $seq",
    "DELETE FROM carried WHERE seq = $seq",
    # The outcome of a task is what its last entry told; a later one that stays tells it again.
    """
    UPDATE tasks SET result = NULL, error_code = NULL, error_params = [], mentions = []
    WHERE (pool, ref) IN (
        SELECT (e.pool, e.ref) FROM events e
        WHERE e.class = 'task' AND e.seq = $seq AND NOT EXISTS (
            FROM events l WHERE l.pool = e.pool AND l.class = 'task' AND l.ref = e.ref
                AND l.seq > e.seq AND l.snapshot IS NOT NULL
        )
    )
    """,
    "UPDATE events SET snapshot = NULL WHERE seq = $seq",
)


def scrub(history: History, seq: int) -> None:
    """Forget what entry `seq` told of the state of its object, and what was concluded from it.

    That it happened, and which fields changed, stays. The blocks of the file that held it are free
    afterwards, not overwritten.
    """
    for statement in _STATEMENTS:
        history.connection.execute(statement, {"seq": seq})
