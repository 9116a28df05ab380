"""Which host a VM goes to, and what moving it on or off a host writes."""

from .toolstack import Call, Toolstack, needed_memory_bytes
from .values import NULL_REF, Fault, datetime_of, text_of

MONITORING_S = 5.0
"""How often the monitoring of a real host looks at its memory."""


def choose_host(toolstack: Toolstack, vm: str) -> str:
    """Return the host for a VM: its affinity if there is room, else the one with most memory.

    Faults: HOST_NOT_ENOUGH_FREE_MEMORY [needed, available] if there is only one host to choose
    from, NO_HOSTS_AVAILABLE [] otherwise.
    """
    database = toolstack.database
    record = database.record("VM", vm)
    enabled = database.find("host", "enabled", True)
    free = {host: toolstack.free_memory_bytes(host) for host in enabled}
    roomy = [host for host in enabled if free[host] >= needed_memory_bytes(record)]
    if not roomy and len(enabled) == 1:
        raise _no_room(toolstack, vm, enabled[0])
    if not roomy:
        raise Fault("NO_HOSTS_AVAILABLE")
    affinity = text_of(record, "affinity")
    return affinity if affinity in roomy else max(roomy, key=lambda host: free[host])


def check_host(toolstack: Toolstack, vm: str, host: str) -> None:
    """Check that a host can take a VM. Faults HOST_DISABLED, HOST_NOT_ENOUGH_FREE_MEMORY."""
    record = toolstack.database.record("host", host)
    if record["enabled"] is not True:
        raise Fault("HOST_DISABLED", host)
    needed = needed_memory_bytes(toolstack.database.record("VM", vm))
    if toolstack.free_memory_bytes(host) < needed:
        raise _no_room(toolstack, vm, host)


def settle(call: Call, vm: str, host: str) -> None:
    """Write where a VM lives now, in the task of its own that xapi makes for it."""
    with call.subtask("VM.atomic_set_resident_on", child=True):
        call.set("VM", vm, "resident_on", host)
        call.set("VM", vm, "scheduled_to_be_resident_on", NULL_REF)
    read_memory_later(call.toolstack)


def read_memory_later(toolstack: Toolstack) -> None:
    """Read the memory of the hosts some seconds from now, as their monitoring does."""
    toolstack.later(MONITORING_S, lambda: read_memory(toolstack))


def read_memory(toolstack: Toolstack) -> None:
    """Write the free memory of every host where it has changed."""
    database = toolstack.database
    for host in database.refs("host"):
        metrics = text_of(database.record("host", host), "metrics")
        free, now = toolstack.free_memory_bytes(host), datetime_of(database.now_s())
        if database.record("host_metrics", metrics)["memory_free"] != free:
            database.write("host_metrics", metrics, "memory_free", free)
            database.write("host_metrics", metrics, "last_updated", now)


def _no_room(toolstack: Toolstack, vm: str, host: str) -> Fault:
    needed = needed_memory_bytes(toolstack.database.record("VM", vm))
    available = toolstack.free_memory_bytes(host)
    return Fault("HOST_NOT_ENOUGH_FREE_MEMORY", str(needed), str(available))
