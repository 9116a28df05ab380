"""What becomes of hosts: they go down, come back, are given up, and take over as the master.

These are events of the world. They write what xapi writes when it notices them, and tell the
network side.
"""

from .placement import is_live, read_memory_later
from .rows import MESSAGE
from .toolstack import Toolstack
from .values import NULL_REF, Value, datetime_of, map_of, text_of, texts_of

ASSUMED_DEAD_S = 600.0
"""A host without a heartbeat for so long is thought to be dead (`host_assumed_dead_interval`)."""
STARTUP_S = 5.0
"""Between the start of a host's toolstack and the moment at which it takes VMs."""
_COMING = ("vm_start", "vm_resume", "vm_migrate")


def go_down(toolstack: Toolstack, host: str) -> int:
    """Let a host stop without a word; returns which of its falls this is.

    What runs on it is still shown as running: nobody has noticed anything yet. What was about to
    come to it does not.
    """
    fall = toolstack.machines.fall(host)
    if toolstack.database.exists("host", host):
        record = toolstack.database.record("host", host)
        for task, operation in map_of(record, "current_operations").items():
            if operation in _COMING:
                toolstack.tasks.cancelled(task).set()
    toolstack.presence.host_down(host)
    return fall


def miss_later(toolstack: Toolstack, host: str, fall: int) -> None:
    """Give a host up after the time that a pool without HA waits, if it is not back by then.

    It is the master that misses it: while that is down itself, nobody does.
    """

    def give_up() -> None:
        missed = toolstack.machines.lies_since(host, fall) and not ha_enabled(toolstack)
        if missed and master_of(toolstack) not in toolstack.machines.down:
            mark_dead(toolstack, host)

    toolstack.later(ASSUMED_DEAD_S, give_up)


def come_back(toolstack: Toolstack, host: str) -> None:
    """Let a host run again after a boot: nothing of what ran on it before runs any more.

    A host that is the master brings its toolstack with it, without sessions and tasks; others say
    hello to the master. One that was ejected meanwhile is just a machine that runs.
    """
    database = toolstack.database
    toolstack.machines.rise(host)
    if not database.exists("host", host):
        return
    if host == master_of(toolstack):
        restart_toolstack(toolstack)
        for other in sorted(toolstack.machines.down):
            miss_later(toolstack, other, toolstack.machines.falls_of(other))
    else:
        toolstack.tasks.abandon(host)
    booted: dict[str, Value] = {"boot_time": f"{int(database.now_s())}."}
    _write_other_config(toolstack, host, booted)
    _begin_agent(toolstack, host)
    _set_live(toolstack, host, live=True)
    for vm in guests_of(toolstack, host):
        if database.field("VM", vm, "power_state") in ("Running", "Paused"):
            reset_vm(toolstack, vm)
    forget_operations(toolstack, "host", host)
    toolstack.presence.host_up(host)
    if host in toolstack.machines.fenced:
        toolstack.machines.fenced.discard(host)
        announce(toolstack, "HA_HOST_WAS_FENCED", host, priority=4)
    read_memory_later(toolstack)


def mark_dead(toolstack: Toolstack, host: str) -> None:
    """Write that a host is dead."""
    if toolstack.database.exists("host", host):
        _set_live(toolstack, host, live=False)
        toolstack.update_allowed(host, "host")


def restart_agent(toolstack: Toolstack, host: str) -> None:
    """Restart the toolstack of one host: VMs go on. On the master, that is the whole pool's."""
    if host == master_of(toolstack):
        restart_toolstack(toolstack)
    _begin_agent(toolstack, host)


def restart_toolstack(toolstack: Toolstack) -> None:
    """Restart the master's xapi: connections, sessions, tasks and event ids are gone."""
    toolstack.presence.toolstack_restarted()
    toolstack.stop_operations()
    toolstack.database.forget_tasks()
    toolstack.tasks.forget()
    toolstack.database.hub.restart()
    toolstack.occupancy.forget()
    forget_all_operations(toolstack)


def forget_all_operations(toolstack: Toolstack) -> None:
    """Take away what no operation is working on any more, as xapi does when it starts."""
    for cls, table in toolstack.database.hub.rows.tables.items():
        if cls not in (MESSAGE, "task", "session"):
            for ref in [ref for ref, row in table.rows.items() if _is_busy(row.record)]:
                forget_operations(toolstack, cls, ref)
    toolstack.freed.unpark_all()


def take_over(toolstack: Toolstack, host: str) -> None:
    """Let another host be the master: the toolstacks of all hosts that run start anew."""
    restart_toolstack(toolstack)
    toolstack.database.write("pool", toolstack.pool_ref, "master", host)
    toolstack.presence.master_moved()
    announce(toolstack, "POOL_MASTER_TRANSITION", host, priority=4)
    for other in toolstack.database.refs("host"):
        if other not in toolstack.machines.down:
            _begin_agent(toolstack, other)


def forget_operations(toolstack: Toolstack, cls: str, ref: str) -> None:
    """Write that nobody works on an object."""
    toolstack.database.write(cls, ref, "current_operations", {})
    toolstack.update_allowed(ref, cls)


def reset_vm(toolstack: Toolstack, vm: str) -> None:
    """Write that a VM does not run, without asking any host."""
    database = toolstack.database
    database.write("VM", vm, "current_operations", {})
    database.write("VM", vm, "power_state", "Halted")
    for cls, field in (("VBD", "VBDs"), ("VIF", "VIFs")):
        for device in texts_of(database.record("VM", vm), field):
            database.write(cls, device, "currently_attached", False)
            database.write(cls, device, "current_operations", {})
            toolstack.update_allowed(device, cls)
    database.write("VM", vm, "resident_on", NULL_REF)
    database.write("VM", vm, "scheduled_to_be_resident_on", NULL_REF)
    database.write("VM", vm, "domid", -1)
    metrics = text_of(database.record("VM", vm), "metrics")
    if database.exists("VM_metrics", metrics):
        database.write("VM_metrics", metrics, "VCPUs_number", 0)
    for console in texts_of(database.record("VM", vm), "consoles"):
        database.delete("console", console)
    toolstack.update_allowed(vm)


def remove_host(toolstack: Toolstack, host: str) -> None:
    """Delete a host, its control domains, and all that is only of it: links, CPUs, metrics.

    VMs that prefer it prefer none from now on. An SR that only it had stays, without a link.
    """
    database = toolstack.database
    metrics = text_of(database.record("host", host), "metrics")
    for vm in texts_of(database.record("host", host), "resident_VMs"):
        if database.field("VM", vm, "is_control_domain") is True:
            _remove_vm(toolstack, vm)
    for vm in database.find("VM", "affinity", host):
        database.write("VM", vm, "affinity", NULL_REF)
    database.delete("host", host)
    for cls, table in database.hub.rows.tables.items():
        if cls not in ("session", "task"):
            for ref in [ref for ref, row in table.rows.items() if row.record.get("host") == host]:
                _remove_part(toolstack, cls, ref)
    if database.exists("host_metrics", metrics):
        database.delete("host_metrics", metrics)
    toolstack.machines.down.discard(host)


def guests_of(toolstack: Toolstack, host: str) -> list[str]:
    """Return the VMs on a host but its control domains."""
    database = toolstack.database
    residents = texts_of(database.record("host", host), "resident_VMs")
    return [vm for vm in residents if database.field("VM", vm, "is_control_domain") is not True]


def master_of(toolstack: Toolstack) -> str:
    """Return the master."""
    return text_of(toolstack.database.record("pool", toolstack.pool_ref), "master")


def ha_enabled(toolstack: Toolstack) -> bool:
    """Say whether HA is on."""
    return toolstack.database.field("pool", toolstack.pool_ref, "ha_enabled") is True


def announce(
    toolstack: Toolstack, name: str, ref: str, *, priority: int, body: str = "", cls: str = "host"
) -> None:
    """Create a message about a host, or about another object."""
    database = toolstack.database
    database.create(
        MESSAGE,
        {
            "name": name,
            "priority": priority,
            "cls": {"host": "Host", "pool": "Pool"}.get(cls, cls),
            "obj_uuid": database.field(cls, ref, "uuid"),
            "timestamp": datetime_of(database.now_s()),
            "body": body,
        },
    )


def _remove_vm(toolstack: Toolstack, vm: str) -> None:
    """Delete a control domain with its devices, consoles and metrics."""
    database = toolstack.database
    record = database.record("VM", vm)
    for cls, field in (("VBD", "VBDs"), ("VIF", "VIFs"), ("console", "consoles")):
        for ref in texts_of(record, field):
            database.delete(cls, ref)
    database.delete("VM", vm)
    for cls, field in (("VM_metrics", "metrics"), ("VM_guest_metrics", "guest_metrics")):
        if database.exists(cls, text_of(record, field)):
            database.delete(cls, text_of(record, field))


def _remove_part(toolstack: Toolstack, cls: str, ref: str) -> None:
    database = toolstack.database
    metrics = database.record(cls, ref).get("metrics")
    database.delete(cls, ref)
    if cls == "PIF" and isinstance(metrics, str) and database.exists("PIF_metrics", metrics):
        database.delete("PIF_metrics", metrics)


def _begin_agent(toolstack: Toolstack, host: str) -> None:
    """Write the start of a host's toolstack: it takes VMs only after some seconds."""
    database = toolstack.database
    started: dict[str, Value] = {"agent_start_time": f"{int(database.now_s())}."}
    _write_other_config(toolstack, host, started)
    database.write("host", host, "enabled", False)
    toolstack.update_allowed(host, "host")
    machines = toolstack.machines

    def enable() -> None:
        known = database.exists("host", host) and host not in machines.down
        if known and not {host} & (machines.kept_disabled | machines.leaving):
            database.write("host", host, "enabled", True)
            toolstack.update_allowed(host, "host")

    toolstack.later(STARTUP_S, enable)


def _write_other_config(toolstack: Toolstack, host: str, values: dict[str, Value]) -> None:
    other = map_of(toolstack.database.record("host", host), "other_config")
    toolstack.database.write("host", host, "other_config", other | values)


def _set_live(toolstack: Toolstack, host: str, *, live: bool) -> None:
    database = toolstack.database
    if is_live(database, host) != live:
        metrics = text_of(database.record("host", host), "metrics")
        database.write("host_metrics", metrics, "live", live)
        database.write("host_metrics", metrics, "last_updated", datetime_of(database.now_s()))


def _is_busy(record: dict[str, Value]) -> bool:
    return bool(record.get("current_operations"))
