"""What the error codes of XAPI mean for a recorder: one small named predicate a question.

Parameter counts differ from version to version, so only codes decide.
"""

from collections.abc import Sequence

from ..errors import XapiFault

LOGIN_REFUSED = frozenset({"SESSION_AUTHENTICATION_FAILED", "SESSION_AUTHORIZATION_FAILED"})

EMERGENCY = frozenset(
    {
        "HA_HEARTBEAT_DAEMON_STARTUP_FAILED",
        "HA_HOST_CANNOT_ACCESS_STATEFILE",
        "HA_POOL_IS_ENABLED_BUT_HOST_IS_DISABLED",
        "HOST_BROKEN",
        "HOST_HAS_NO_MANAGEMENT_IP",
        "HOST_ITS_OWN_SLAVE",
        "HOST_MASTER_CANNOT_TALK_BACK",
        "HOST_STILL_BOOTING",
        "HOST_UNKNOWN_TO_MASTER",
        "HOST_XAPI_VERSION_HIGHER_THAN_COORDINATOR",
    }
)
"""A host in emergency mode answers every call with one of these, the login included."""

PERMANENT = LOGIN_REFUSED | {"ANOTHER_POOL", "RBAC_PERMISSION_DENIED"}


def from_reply(code: str, params: Sequence[str]) -> XapiFault:
    """Return the fault that a reply told of.

    The parameter of SESSION_INVALID is the session ref, a bearer token: it is dropped here, and so
    is the ref of a HANDLE_INVALID that speaks of a session.
    """
    if code == "SESSION_INVALID":
        return XapiFault(code)
    if code == "HANDLE_INVALID" and params and params[0].lower() == "session":
        return XapiFault(code, (params[0],))
    return XapiFault(code, tuple(params))


def is_session_lost(fault: XapiFault) -> bool:
    """Tell whether the session, or its registration for events, is gone."""
    return fault.code in {"SESSION_INVALID", "SESSION_NOT_REGISTERED"}


def is_events_lost(fault: XapiFault) -> bool:
    """Tell whether the server's queue ran over; the session is still registered."""
    return fault.code == "EVENTS_LOST"


def is_slave(fault: XapiFault) -> str | None:
    """Return the address of the master, as the host names it, if this host is not the master.

    It is a bare host name or IP address, IPv6 without brackets.
    """
    if fault.code == "HOST_IS_SLAVE" and fault.params and fault.params[0]:
        return fault.params[0]
    return None


def is_login_refused(fault: XapiFault) -> bool:
    """Tell whether the user is unknown, the password wrong, or the user without a role."""
    return fault.code in LOGIN_REFUSED


def is_emergency(fault: XapiFault) -> bool:
    """Tell whether the host is starting, or cut off from its pool: it may come back by itself."""
    return fault.code in EMERGENCY


def is_permanent(fault: XapiFault) -> bool:
    """Tell whether only a person can mend it: trying again soon is of no use."""
    return fault.code in PERMANENT
