"""A run of the history as its repetition needs it: plan, calls, and the pool when it began."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from recorder.instant import Instant, us_of
from recorder.past.read import Past, image_of
from recorder.workloads.comparison import Pair, is_same, pairs_of
from recorder.workloads.recorded import RecordedRun, RecordedStep, error_in, plan_in

from ..errors import UnknownStart
from ..history.database import History
from . import runs, states
from .certainty import Certainty
from .runs import RunRow, StepRow


class ReplayRow(msgspec.Struct, frozen=True):
    """A call of a run, and the same call in its repetition: how it ended, and how long it took.

    `before` or `after` is None if the call was not made in that run, or nobody knows what came of
    it. `injected` says what a simulated pool was made to do, because nothing recorded explains it.
    """

    step: int | None
    cls: str
    ref: str
    uuid: str
    name: str
    method: str
    round: int
    before: str | None
    before_why: str
    before_s: float | None
    after: str | None
    after_why: str
    after_s: float | None
    is_made: bool
    same: bool
    injected: str | None


class Compared(msgspec.Struct, frozen=True):
    """Two runs of one plan. `doubts` say why a simulated pool may not have been as the real one."""

    pool: str
    replay_of: str
    run: str
    simulated: bool
    same: bool
    status_before: str | None
    status_after: str | None
    held_before: bool | None
    held_after: bool | None
    doubts: Sequence[str]
    rows: list[ReplayRow]


def compared(
    before: RecordedRun,
    after: RecordedRun,
    *,
    injected: Mapping[int, str] | None = None,
    doubts: Sequence[str] = (),
) -> Compared:
    """Compare a run with its repetition; `injected` is None for one on the pool itself."""
    pairs = pairs_of(before.plan, before.steps, after.steps)
    return Compared(
        pool=after.pool,
        replay_of=before.run,
        run=after.run,
        simulated=injected is not None,
        same=is_same(before, after, pairs),
        status_before=before.status,
        status_after=after.status,
        held_before=before.held,
        held_after=after.held,
        doubts=doubts,
        rows=[_row(pair, injected or {}) for pair in pairs],
    )


def _row(pair: Pair, injected: Mapping[int, str]) -> ReplayRow:
    one, other, shown = pair.before, pair.after, pair.shown
    return ReplayRow(
        step=None if one is None else one.step,
        cls=shown.cls.lower(),
        ref=shown.ref,
        uuid=shown.uuid,
        name=shown.name,
        method=shown.method,
        round=shown.round,
        before=None if one is None else one.outcome,
        before_why=_why(one),
        before_s=_took_s(one),
        after=None if other is None else other.outcome,
        after_why=_why(other),
        after_s=_took_s(other),
        is_made=other is not None,
        same=pair.is_same,
        injected=None if one is None else injected.get(one.step),
    )


def _why(step: RecordedStep | None) -> str:
    return "" if step is None else " ".join(step.error) or step.why


def _took_s(step: RecordedStep | None) -> float | None:
    return None if step is None or step.task is None else step.duration_s


class _Texts(msgspec.Struct):
    text: str
    plan: str


def recorded_run(history: History, row: RunRow) -> RecordedRun:
    """Return a run with its plan and calls. Raises WorkloadError for a plan that cannot be read."""
    sql = "SELECT text, plan FROM runs WHERE pool = $pool AND run = $run AND first_seq = $seq"
    params = {"pool": row.pool, "run": row.run, "seq": row.first_seq}
    texts = history.first(_Texts, sql, params)
    assert texts is not None, "its row is there"
    return RecordedRun(
        run=row.run,
        pool=row.pool,
        script=texts.text,
        plan=plan_in(texts.plan),
        began_ns=us_of(row.started) * 1000,
        first_seq=row.first_seq,
        status=row.status,
        held=row.held,
        steps=tuple(map(_step, runs.steps(history, row))),
    )


def pool_at_start(history: History, run: RecordedRun) -> Past:
    """Return a run's pool as it was when it began, with all that is uncertain of it.

    Raises UnknownStart if nobody can know what the pool was like.
    """
    told = states.states_of_pool(history, run.pool, Instant(seq=run.first_seq))
    (verdict,) = told.verdicts
    if verdict.certainty is Certainty.UNKNOWN:
        text = f"nobody knows what pool {run.pool} was like when run {run.run} began"
        raise UnknownStart(f"{text}: {verdict.reason}")
    past = image_of(
        ((one.cls, one.ref, one.fields) for one in told.states if one.fields),
        source=f"pool {run.pool} at {told.at}",
        seq=run.first_seq,
    )
    doubts = {verdict.reason, *(one.reason for one in told.states)} - {None}
    return replace(past, caveats=(*sorted(filter(None, doubts)), *past.caveats))


def _step(row: StepRow) -> RecordedStep:
    return RecordedStep(
        step=row.step,
        part=row.part,
        kind=row.kind,
        round=row.round,
        cls=row.cls,
        ref=row.ref,
        uuid=row.uuid,
        name=row.name,
        method=row.method,
        task=row.task,
        outcome=row.outcome,
        why=row.why or "",
        error=error_in(row.error),
        duration_s=row.duration_s or 0.0,
        called_ns=None if row.called is None else us_of(row.called) * 1000,
        ended_ns=None if row.ended is None else us_of(row.ended) * 1000,
    )
