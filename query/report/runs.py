"""The runs of workloads that a period touches: their calls, and the audit of each."""

from datetime import datetime

import msgspec

from recorder.instant import us_of

from ..audit.finding import Finding
from ..audit.gather import audit
from ..audit.judge import Audit, StepVerdict, Verdict
from ..audit.radius import Change
from ..history.database import History
from ..questions import runs as history_runs
from ..questions.runs import RunRow, StepRow
from .period import Period

RUNS_MAX = 12
"""Each is audited, which takes a good part of a second."""


class Call(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """A call of a run; `end_us` is None, and `outcome`, if no outcome was recorded.

    `begin_us` is when its task began, or it was intended. `verdict` is that of the audit.
    """

    step: int
    round: int
    cls: str
    ref: str
    name: str
    method: str
    outcome: str | None
    why: str | None
    error: str | None
    begin_us: int
    end_us: int | None
    verdict: Verdict
    rules: list[str]
    seqs: list[int]


class RunTold(msgspec.Struct, frozen=True):
    """A run: how it went by its own account, and what the audit comes to.

    `strangers` are the objects that others changed meanwhile, `followed` counts those that changed
    because of the run.
    """

    run: str
    script: str
    seed: int
    who: str
    started: datetime
    ended: datetime | None
    status: str | None
    held: bool | None
    planned: int
    verdict: Verdict
    why: str
    calls: list[Call]
    findings: list[Finding]
    strangers: list[Change]
    followed: int
    first_seq: int
    last_seq: int | None


class Runs(msgspec.Struct, frozen=True):
    """The newest runs of a period, the oldest of them first; `left_out` are older ones."""

    rows: list[RunTold]
    left_out: int


def runs_of(history: History, pool: str, period: Period) -> Runs:
    """Return the runs of a pool that a period touches."""
    found = [
        row
        for row in history_runs.runs(history, pool=pool)
        if row.first_seq <= period.last_seq
        and (row.ended is None or us_of(row.ended) >= period.begin_us)
    ]
    kept = found[-RUNS_MAX:]
    return Runs([_told(history, row) for row in kept], len(found) - len(kept))


def _told(history: History, row: RunRow) -> RunTold:
    judged: Audit = audit(history, row.pool, row.run)
    verdicts = {one.step: one for one in judged.steps}
    steps = history_runs.steps(history, row)
    return RunTold(
        row.run,
        row.script,
        row.seed,
        row.who,
        row.started,
        row.ended,
        row.status,
        row.held,
        row.calls,
        judged.verdict,
        judged.why,
        [_call(step, verdicts[step.step]) for step in steps if step.step in verdicts],
        judged.findings,
        [change for change in judged.changes if change.chain is None],
        sum(change.chain is not None for change in judged.changes),
        row.first_seq,
        row.last_seq,
    )


def _call(step: StepRow, judged: StepVerdict) -> Call:
    intended_us = us_of(step.intended)
    end_us = None if step.ended is None else us_of(step.ended)
    begin_us = intended_us
    if end_us is not None and step.duration_s:
        begin_us = max(intended_us, end_us - round(step.duration_s * 1e6))
    return Call(
        step.step,
        step.round,
        step.cls,
        step.ref,
        step.name,
        step.method,
        step.outcome,
        step.why,
        step.error,
        begin_us,
        end_us,
        judged.verdict,
        [rule.value for rule in judged.rules],
        judged.seqs,
    )
