"""The runs of workloads, and the calls that they made, as the marks of the journal tell."""

from datetime import datetime

import msgspec

from recorder.instant import Instant

from ..errors import AmbiguousObject, NoSuchRun
from ..history.database import History
from .objects import check_pool


class RunRow(msgspec.Struct, frozen=True):
    """A run. `status` and `held` are None for one whose end was not recorded.

    One that `died` has no end, and whoever drove it is gone: it can be resumed.
    `calls` were planned, `made` were intended; `other` counts those that did not succeed and were
    not skipped, whose outcome is unknown among them.
    """

    pool: str
    run: str
    script: str
    started: datetime
    ended: datetime | None
    duration_s: float | None
    status: str | None
    held: bool | None
    resumed: int
    died: bool
    seed: int
    calls: int
    made: int
    success: int
    skipped: int
    other: int
    who: str
    login: str
    error: str | None
    first_seq: int
    last_seq: int | None
    replay_of: str | None = None


class StepRow(msgspec.Struct, frozen=True):
    """A call of a run. `outcome` is None if nobody knows it."""

    pool: str
    run: str
    step: int
    part: int
    kind: str
    round: int
    cls: str
    ref: str
    uuid: str
    name: str
    method: str
    task: str | None
    outcome: str | None
    why: str | None
    error: str | None
    duration_s: float | None
    intended: datetime
    ended: datetime | None
    intended_seq: int
    event_seq: int | None
    called: datetime | None = None


_RUNS = """
    SELECT r.* EXCLUDE (text, plan, parts), coalesce(s.made, 0) AS made,
        coalesce(s.success, 0) AS success, coalesce(s.skipped, 0) AS skipped,
        coalesce(s.made - s.success - s.skipped, 0) AS other
    FROM runs r LEFT JOIN (
        SELECT pool, run, count(*) AS made, count(*) FILTER (outcome = 'success') AS success,
            count(*) FILTER (outcome = 'skipped') AS skipped
        FROM steps GROUP BY pool, run
    ) s USING (pool, run)
"""


def runs(
    history: History, *, pool: str | None = None, since: Instant | None = None
) -> list[RunRow]:
    """Return runs in the order in which they began; `since` those that began from then on."""
    check_pool(history, pool)
    terms, params = ["true"], dict[str, object]()
    if pool is not None:
        terms.append("pool = $pool")
        params["pool"] = pool
    if since is not None:
        column = "epoch_us(started)" if since.seq is None else "first_seq"
        terms.append(f"{column} >= $since")
        params["since"] = since.at_us if since.seq is None else since.seq
    sql = f"{_RUNS} WHERE {' AND '.join(terms)} ORDER BY first_seq"
    return history.all(RunRow, sql, params)


def run_called(history: History, name: str) -> RunRow:
    """Return the run of this name, or that begins with it.

    Raises NoSuchRun, AmbiguousObject with the choices.
    """
    found = history.all(RunRow, f"{_RUNS} WHERE starts_with(run, $name)", {"name": name})
    exact = [row for row in found if row.run == name] or found
    if not exact:
        raise NoSuchRun(f"no run is called {name!r}, and no file: see xentrail workload runs")
    if len(exact) > 1:
        choices = [f"{row.run}  {row.script} on {row.pool}" for row in exact]
        raise AmbiguousObject(f"{name!r} is the beginning of several runs:", choices)
    return exact[0]


def steps(history: History, run: RunRow) -> list[StepRow]:
    """Return the calls of a run in the order in which they were intended."""
    sql = """
        SELECT * EXCLUDE (class), class AS cls FROM steps WHERE pool = $pool AND run = $run
        ORDER BY intended_seq
    """
    return history.all(StepRow, sql, {"pool": run.pool, "run": run.run})
