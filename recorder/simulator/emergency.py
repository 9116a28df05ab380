"""What a host answers even when it is in emergency mode, cut off from its pool."""

EMERGENCY_CALLS = frozenset(
    {
        "pool.emergency_reset_master",
        "pool.emergency_transition_to_master",
        "pool.ping_slave",
        "session.slave_local_login",
        "session.slave_local_login_with_password",
        "session.local_logout",
        "host.propose_new_master",
        "host.commit_new_master",
        "host.abort_new_master",
        "host.local_assert_healthy",
        "host.signal_networking_change",
        "host.local_management_reconfigure",
        "host.ha_xapi_healthcheck",
        "host.emergency_ha_disable",
        "host.management_disable",
        "host.get_system_status_capabilities",
        "host.is_in_emergency_mode",
        "host.shutdown_agent",
    }
)
"""These work with a session of the host itself; every other call gets the fault of the mode."""


def is_emergency_call(method: str) -> bool:
    """Say whether a method, as it was called, works in emergency mode."""
    return method.replace("_", ".", 1) in EMERGENCY_CALLS or method in EMERGENCY_CALLS
