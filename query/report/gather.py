"""All that a report says, as data: one question after another, put to the history."""

import msgspec

from recorder.instant import Instant

from ..history.database import History
from ..questions.objects import check_pool, pools
from .coverage import Coverage, coverage_of
from .lives import Lives, lives_of
from .outcomes import Busy, Outcomes, busiest_of, outcomes_of
from .period import Period, period_of
from .pools import PoolFacts, facts_of
from .runs import Runs, runs_of


class PoolReport(msgspec.Struct, frozen=True):
    """What is reported of one pool."""

    facts: PoolFacts
    coverage: Coverage
    lives: Lives
    outcomes: Outcomes
    busiest: list[Busy]
    runs: Runs


class Report(msgspec.Struct, frozen=True):
    """What is reported of a period."""

    period: Period
    pools: list[PoolReport]


def gather(
    history: History,
    *,
    since: Instant | None = None,
    until: Instant | None = None,
    pool: str | None = None,
    vms_max: int,
) -> Report:
    """Ask the history for all that a report says of a pool, or of all of them.

    Raises NoSuchPool, BadInstant.
    """
    check_pool(history, pool)
    period = period_of(history, since, until, pool=pool)
    asked = pools(history) if pool is None else [pool]
    return Report(period, [_pool_report(history, one, period, vms_max) for one in asked])


def _pool_report(history: History, pool: str, period: Period, vms_max: int) -> PoolReport:
    coverage = coverage_of(history, pool, period)
    return PoolReport(
        facts=facts_of(history, pool, period),
        coverage=coverage,
        lives=lives_of(history, pool, period, coverage, vms_max=vms_max),
        outcomes=outcomes_of(history, pool, period),
        busiest=busiest_of(history, pool, period),
        runs=runs_of(history, pool, period),
    )
