"""What may be done to the pool as a whole: one such operation at a time, in xapi's words."""

from .database import Database
from .refusals import Refusals
from .values import Fault, map_of

OPERATIONS = (
    "ha_enable",
    "ha_disable",
    "cluster_create",
    "designate_new_master",
    "tls_verification_enable",
    "configure_repositories",
    "sync_updates",
    "get_updates",
    "apply_updates",
)
_REASONS = {operation: f"{operation.upper()}_IN_PROGRESS" for operation in OPERATIONS}
_LONG = ("ha_enable", "ha_disable", "cluster_create", "designate_new_master", "apply_updates")
"""While one of these goes on, nothing else begins; the others exclude only themselves."""


def refusal(database: Database, pool: str, operation: str) -> Fault | None:
    """Return why an operation is not possible now, None if it is.

    Faults: HA_ENABLE_IN_PROGRESS [] and the like, HA_IS_ENABLED [], HA_NOT_ENABLED [],
    CLUSTER_ALREADY_EXISTS [], INCOMPATIBLE_CLUSTER_STACK_ACTIVE [stack].
    """
    return _refusals(database, pool).against(operation)


def offer(database: Database, pool: str) -> list[str]:
    """Return what the pool's `allowed_operations` must show."""
    return _refusals(database, pool).offered()


def _refusals(database: Database, pool: str) -> Refusals:
    record = database.record("pool", pool)
    found = Refusals(OPERATIONS)
    for current in map(str, map_of(record, "current_operations").values()):
        if current in _REASONS:
            stopped = OPERATIONS if current in _LONG else (current,)
            found.forbid(Fault(_REASONS[current]), stopped)
    if record["ha_enabled"] is True:
        found.forbid(Fault("HA_IS_ENABLED"), ["ha_enable"])
    else:
        found.forbid(Fault("HA_NOT_ENABLED"), ["ha_disable"])
    if database.refs("Cluster"):
        found.forbid(Fault("CLUSTER_ALREADY_EXISTS"), ["cluster_create"])
    elif record["ha_enabled"] is True:
        stack = str(record["ha_cluster_stack"])
        found.forbid(Fault("INCOMPATIBLE_CLUSTER_STACK_ACTIVE", stack), ["cluster_create"])
    return found
