"""What was attempted in a period and how it ended, and which objects changed most."""

from datetime import datetime

import msgspec

from recorder.instant import Instant

from ..history.database import History
from ..load.tasks import PENDING
from ..questions.objects import names_in
from ..questions.tasks_listed import FAILED, TaskRow, Wanted, tasks
from .period import Period

TASKS_MAX = 150
BUSIEST_MAX = 12


class Outcomes(msgspec.Struct, frozen=True):
    """The tasks of a pool: those that failed first, then the unfinished, then the others.

    `counts` is of all by status, `left_out` how many are not in `rows`. `names` are those of the
    objects that errors and results refer to.
    """

    rows: list[TaskRow]
    left_out: int
    counts: dict[str, int]
    names: dict[str, str]

    @property
    def failed(self) -> int:
        """How many failed, were cancelled or vanished."""
        return sum(count for status, count in self.counts.items() if status in FAILED)


def outcomes_of(history: History, pool: str, period: Period) -> Outcomes:
    """Return the tasks that were first seen up to the end of a period, and told of in it."""
    found = tasks(history, Wanted(pool=pool, since=Instant(at_us=period.begin_us)))
    found = [row for row in found if row.first_seq <= period.last_seq]
    counts: dict[str, int] = {}
    for row in found:
        counts[row.status] = counts.get(row.status, 0) + 1
    rows = sorted(found, key=lambda row: (_rank(row), row.first_seq, row.ref))[:TASKS_MAX]
    texts = [text for row in rows for text in (*row.error_params, row.result or "")]
    return Outcomes(
        rows, len(found) - len(rows), dict(sorted(counts.items())), names_in(history, pool, texts)
    )


def _rank(row: TaskRow) -> int:
    if row.status in FAILED:
        return 0
    return 1 if row.status in PENDING else 2


class Busy(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """An object and how often it was seen to change in a period; heartbeats do not count."""

    cls: str
    ref: str
    uuid: str | None
    name: str | None
    changes: int
    first_seq: int
    last_seq: int
    first_at: datetime
    last_at: datetime


_BUSIEST = """
SELECT class, ref, any_value(uuid ORDER BY seq DESC) AS uuid,
    any_value(name ORDER BY seq DESC) AS name, count(*) AS changes,
    min(seq) AS first_seq, max(seq) AS last_seq,
    min(received_at) AS first_at, max(received_at) AS last_at
FROM events
WHERE pool = $pool AND origin = 'live' AND (changed_fields IS NULL OR len(changed_fields) > 0)
    AND class NOT IN ('task', 'message')
    AND received_at BETWEEN make_timestamptz($begin) AND make_timestamptz($end)
GROUP BY class, ref ORDER BY changes DESC, class, ref LIMIT $max
"""


def busiest_of(history: History, pool: str, period: Period) -> list[Busy]:
    """Return the objects that changed most, the busiest first; tasks and messages are left out."""
    params = {"pool": pool, "begin": period.begin_us, "end": period.end_us, "max": BUSIEST_MAX}
    return history.all(Busy, _BUSIEST, params)
