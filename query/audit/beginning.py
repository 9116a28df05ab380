"""What was recorded of the beginning of a run: the pool as it was, and the run that is repeated."""

import msgspec

from recorder.instant import Instant
from recorder.workloads.inventory import HostRecord, Inventory, VmRecord

from ..history.database import History
from ..load.known import Origin
from ..questions.states import states_of_class
from .claims import Claims
from .recorded import Repeated


def at_start(history: History, claims: Claims) -> Inventory | None:
    """Return what the pool consisted of when the run began, None if that is not certain."""
    at = Instant(seq=claims.started.seq)
    records: dict[str, dict[str, object]] = {}
    for cls in ("vm", "host"):
        told = states_of_class(history, cls, at, pool=claims.pool)
        if not all(verdict.is_certain for verdict in told.verdicts):
            return None
        records[cls] = {state.ref: state.fields for state in told.states if state.exists}
    try:
        vms = {ref: msgspec.convert(one, VmRecord) for ref, one in records["vm"].items()}
        hosts = {ref: msgspec.convert(one, HostRecord) for ref, one in records["host"].items()}
    except msgspec.ValidationError:
        return None  # Records of another shape than the planner reads tell no plan.
    return Inventory(claims.pool, vms, hosts)


_REPEATED = """
SELECT seq, detail ->> '$.text' AS text, detail ->> '$.plan' AS plan FROM marks
WHERE name = 'run-started' AND detail ->> '$.run' = $run ORDER BY seq
"""


def repeated(history: History, claims: Claims) -> Repeated | None:
    """Return the beginning of the run that a replay repeats; None if it is not there."""
    run = claims.started.replay_of
    return None if run is None else history.first(Repeated, _REPEATED, {"run": run})


_UNSETTLED = """
SELECT seq FROM changes
WHERE pool = $pool AND class IN ('vm', 'host') AND NOT list_contains($refs, ref)
    AND field IN ('name_label', 'tags', 'power_state', 'resident_on', 'is_a_template')
    AND received_at BETWEEN make_timestamptz($from) AND make_timestamptz($until)
UNION SELECT seq FROM events
WHERE pool = $pool AND class IN ('vm', 'host') AND operation IN ('add', 'del')
    AND origin <> $baseline
    AND received_at BETWEEN make_timestamptz($from) AND make_timestamptz($until)
ORDER BY seq LIMIT 5
"""
_UNSETTLED_US = 10_000_000


def unsettled(history: History, claims: Claims) -> list[int]:
    """Return entries that told of other VMs, near the time at which the run was planned."""
    at_us = claims.started.at_us
    params = {
        "pool": claims.pool,
        "refs": [] if claims.plan is None else list(claims.plan.found),
        "from": at_us - _UNSETTLED_US,
        "until": at_us + _UNSETTLED_US,
        "baseline": Origin.BASELINE.value,
    }
    return [int(str(seq)) for (seq,) in history.plain(_UNSETTLED, params)]
