"""What an error means for the record of a pool: pure decisions, each a small named question."""

import msgspec

from ..errors import XapiFault, XentrailError
from ..model import GapCause
from ..xapi import faults


class Loss(msgspec.Struct, frozen=True):
    """Why an epoch ended."""

    cause: GapCause
    detail: str
    agreed_at_ns: int | None = None
    """When the record was last known to be right, if it is known to be wrong."""


def ends_session(fault: XapiFault) -> bool:
    """Tell whether a fault speaks of the session or the host, and not of what was asked for."""
    gone = faults.is_session_lost(fault) or faults.is_emergency(fault)
    return gone or faults.is_slave(fault) is not None


def is_permanent(error: XentrailError) -> bool:
    """Tell whether only the operator of the pool, or of the recorder, can mend it."""
    return not error.retryable or (isinstance(error, XapiFault) and faults.is_permanent(error))


def loss_of(error: XentrailError) -> Loss:
    """Say what an error of the epoch means for it."""
    if isinstance(error, XapiFault):
        if faults.is_events_lost(error):
            detail = "the server's event queue ran over before it was read"
            return Loss(GapCause.EVENTS_LOST, detail)
        if faults.is_session_lost(error):
            return Loss(GapCause.SESSION_LOST, f"the server ended the session: {error.code}")
        if (master := faults.is_slave(error)) is not None:
            return Loss(GapCause.MASTER_CHANGED, f"the master is another host now: {master}")
    return Loss(GapCause.CONNECTION_LOST, str(error))
