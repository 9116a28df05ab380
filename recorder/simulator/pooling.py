"""The pool as a whole: who its master is, who belongs to it, its licence and its settings."""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from . import disks, hostservices, pbds, storage
from .catalogue import Handler
from .hostlife import (
    guests_of,
    ha_enabled,
    master_of,
    remove_host,
    take_over,
)
from .placement import is_live, reach
from .toolstack import Call, Toolstack
from .values import Fault, Record, Value, texts_of

FUSE_S = 10.0
"""Between the answer that there is a new master and the restart of all toolstacks."""
SYNC_S = 1.0
PROPOSE_S = 1.0
REDO_LOG_BYTES = 256 * 2**20


async def designate_new_master(call: Call, host: str) -> Value:
    """pool.designate_new_master: the hosts agree on it now; it happens 10 s later.

    Faults: HA_IS_ENABLED [], HOST_OFFLINE [host], CANNOT_CONTACT_HOST [host],
    HA_ABORT_NEW_MASTER [reason] if a host can't be asked, DESIGNATE_NEW_MASTER_IN_PROGRESS [].
    """
    toolstack = call.toolstack
    call.database.record("host", host)
    async with call.operation_on(toolstack.pool_ref, "designate_new_master", cls="pool"):
        reach(toolstack, host)
        if host == master_of(toolstack):
            return ""
        if ha_enabled(toolstack):
            raise Fault("HA_IS_ENABLED")
        await call.inner("pool.sync_database", sync_database)
        await call.work(PROPOSE_S, cancellable=False)
        if lost := [other for other in call.database.refs("host") if _is_lost(toolstack, other)]:
            raise Fault("HA_ABORT_NEW_MASTER", f"Failed to contact host {lost[0]}")
        toolstack.once_answered(FUSE_S, partial(_transfer, toolstack, host))
    return ""


async def sync_database(call: Call) -> Value:
    """pool.sync_database: every host has a copy of the database then."""
    await call.work(SYNC_S)
    return ""


async def emergency_transition_to_master(call: Call) -> Value:
    """pool.emergency_transition_to_master: the host of the session, which has lost its master.

    Fault NOT_IN_EMERGENCY_MODE [] while the master lives.
    """
    toolstack = call.toolstack
    master = master_of(toolstack)
    host = toolstack.machines.host_of_session(call.session)
    if host in ("", master) or master not in toolstack.machines.down:
        raise Fault("NOT_IN_EMERGENCY_MODE")
    toolstack.once_answered(FUSE_S, partial(_transfer, toolstack, host))
    return ""


async def emergency_reset_master(call: Call, _address: str) -> Value:
    """pool.emergency_reset_master. Fault NOT_IN_EMERGENCY_MODE [] while the master lives.

    Hosts that have lost the master follow the next one by themselves here.
    """
    if master_of(call.toolstack) not in call.toolstack.machines.down:
        raise Fault("NOT_IN_EMERGENCY_MODE")
    return ""


async def recover_slaves(_call: Call) -> Value:
    """pool.recover_slaves: the hosts that were lost; here they follow the master by themselves."""
    return []


async def is_slave(call: Call, host: str) -> Value:
    """pool.is_slave: whether this host is not the master."""
    call.database.record("host", host)
    return host != master_of(call.toolstack)


async def eject(call: Call, host: str) -> Value:
    """pool.eject: its storage is unplugged, its own SRs are forgotten, and it is gone.

    Faults: HOST_OFFLINE [host], HA_IS_ENABLED [], INTERNAL_ERROR (the master),
    OPERATION_NOT_ALLOWED while VMs are on it, those of PBD.unplug.
    """
    toolstack, database = call.toolstack, call.database
    reach(toolstack, host)
    if ha_enabled(toolstack):
        raise Fault("HA_IS_ENABLED")
    if host == master_of(toolstack):
        raise Fault("INTERNAL_ERROR", "Xapi_pool.Cannot_eject_master")
    if guests_of(toolstack, host):
        raise Fault("OPERATION_NOT_ALLOWED", "VM resident on host")
    links = texts_of(database.record("host", host), "PBDs")
    srs = [str(database.field("PBD", pbd, "SR")) for pbd in links]
    own = [sr for sr in srs if len(texts_of(database.record("SR", sr), "PBDs")) == 1]
    for pbd in links:
        await call.inner("PBD.unplug", _of(pbds.unplug, pbd))
    for sr in own:
        await call.inner("SR.forget", _of(storage.forget, sr))
    remove_host(toolstack, host)
    toolstack.presence.host_down(host)
    return ""


async def join(call: Call, _address: str, _user: str, _password: str) -> Value:
    """pool.join: there is no other pool to go to.

    Faults: HA_IS_ENABLED [], JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS [],
    JOINING_HOST_CANNOT_HAVE_RUNNING_VMS [], JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS [],
    POOL_JOINING_HOST_CONNECTION_FAILED [].
    """
    database = call.database
    if ha_enabled(call.toolstack):
        raise Fault("HA_IS_ENABLED")
    hosts = database.refs("host")
    if len(hosts) > 1:
        raise Fault("JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS")
    if any(guests_of(call.toolstack, host) for host in hosts):
        raise Fault("JOINING_HOST_CANNOT_HAVE_RUNNING_VMS")
    if database.find("SR", "shared", True):
        raise Fault("JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS")
    raise Fault("POOL_JOINING_HOST_CONNECTION_FAILED")


async def get_license_state(call: Call, pool: str) -> Value:
    """pool.get_license_state: the least edition of all hosts, and when it ends (never)."""
    call.database.record("pool", pool)
    editions = [str(call.database.field("host", host, "edition")) for host in _hosts(call)]
    ranks = {edition: rank for rank, edition in enumerate(hostservices.EDITIONS)}
    return {"edition": min(editions, key=lambda name: ranks.get(name, 0)), "expiry": "never"}


async def apply_edition(call: Call, pool: str, edition: str) -> Value:
    """pool.apply_edition: to all hosts, or to none. Fault INVALID_EDITION [edition]."""
    database = call.database
    database.record("pool", pool)
    before = {host: database.field("host", host, "edition") for host in _hosts(call)}
    try:
        for host in before:
            await hostservices.apply_edition(call, host, edition, False)
    except Fault:
        for host, old in before.items():
            call.set("host", host, "edition", old)
        raise
    return ""


async def enable_redo_log(call: Call, sr: str) -> Value:
    """pool.enable_redo_log: every write of the database goes to a disk, too.

    Fault CANNOT_ENABLE_REDO_LOG [reason] if the SR can't have that disk.
    """
    call.database.record("SR", sr)
    try:
        vdi = await find_or_create_disk(
            call, sr, "redo_log", "Metadata redo-log", size_bytes=REDO_LOG_BYTES
        )
    except Fault as fault:
        reason = "failed to create a VDI for the redo log on the SR with the given UUID."
        raise Fault("CANNOT_ENABLE_REDO_LOG", reason) from fault
    call.set("pool", call.toolstack.pool_ref, "redo_log_vdi", vdi)
    call.set("pool", call.toolstack.pool_ref, "redo_log_enabled", True)
    return ""


async def disable_redo_log(call: Call) -> Value:
    """pool.disable_redo_log: the disk stays."""
    call.set("pool", call.toolstack.pool_ref, "redo_log_enabled", False)
    return ""


async def set_vswitch_controller(call: Call, address: str) -> Value:
    """pool.set_vswitch_controller. Fault INVALID_IP_ADDRESS_SPECIFIED ["address"]."""
    if address:
        try:
            ipaddress.IPv4Address(address)
        except ValueError as error:
            raise Fault("INVALID_IP_ADDRESS_SPECIFIED", "address") from error
    call.set("pool", call.toolstack.pool_ref, "vswitch_controller", address)
    return ""


async def management_reconfigure(call: Call, network: str) -> Value:
    """pool.management_reconfigure: the hosts first, the master last.

    Faults: HA_IS_ENABLED [], PIF_NOT_PRESENT [host, network], those of the hosts.
    """
    if ha_enabled(call.toolstack):
        raise Fault("HA_IS_ENABLED")
    interfaces = texts_of(call.database.record("network", network), "PIFs")
    by_host = {str(call.database.field("PIF", pif, "host")): pif for pif in interfaces}
    for host in _hosts(call):
        if host not in by_host:
            raise Fault("PIF_NOT_PRESENT", host, network)
    for host in reversed(_hosts(call)):
        await hostservices.management_reconfigure(call, by_host[host])
    return ""


async def set_https_only(call: Call, pool: str, value: bool) -> Value:
    """pool.set_https_only: on every host."""
    return await _write_everywhere(call, pool, "https_only", value)


async def enable_ssh(call: Call, pool: str) -> Value:
    """pool.enable_ssh: on every host."""
    return await _write_everywhere(call, pool, "ssh_enabled", value=True)


async def disable_ssh(call: Call, pool: str) -> Value:
    """pool.disable_ssh: on every host."""
    return await _write_everywhere(call, pool, "ssh_enabled", value=False)


async def configure_update_sync(call: Call, pool: str, frequency: str, day: Value) -> Value:
    """pool.configure_update_sync: days of the week are 0 to 6, for daily ones 0 alone.

    Fault INVALID_UPDATE_SYNC_DAY [day].
    """
    allowed = range(7) if frequency == "weekly" else range(1)
    if day not in allowed:
        raise Fault("INVALID_UPDATE_SYNC_DAY", str(day))
    call.set("pool", pool, "update_sync_frequency", frequency)
    call.set("pool", pool, "update_sync_day", day)
    return ""


async def has_extension(call: Call, pool: str, _name: str) -> Value:
    """pool.has_extension: no host has one."""
    call.database.record("pool", pool)
    return False


async def audit_log_append(_call: Call, _line: str) -> Value:
    """pool.audit_log_append: hosts pass lines on to the master, and nobody else does."""
    return ""


async def find_or_create_disk(
    call: Call, sr: str, kind: str, name: str, *, size_bytes: int, sm_config: Value = ""
) -> str:
    """Return a disk of a type in an SR that is large enough; one is made if there is none."""
    database = call.database
    for vdi in texts_of(database.record("SR", sr), "VDIs"):
        record = database.record("VDI", vdi)
        size = record["virtual_size"]
        if record["type"] == kind and isinstance(size, int) and size >= size_bytes:
            return vdi
    fields: Record = {
        "name_label": name,
        "name_description": _PURPOSES[kind],
        "SR": sr,
        "virtual_size": size_bytes,
        "type": kind,
        "sharable": True,
        "read_only": False,
        "other_config": {},
        "sm_config": sm_config or {},
    }
    return str(await call.inner("VDI.create", lambda inner: disks.create(inner, fields)))


_PURPOSES = {
    "ha_statefile": "Used for storage heartbeating",
    "metadata": "Used for master failover",
    "redo_log": "Used when HA is disabled, while extra security is still desired",
}


def _of(act: Handler, ref: str) -> Callable[[Call], Awaitable[Value]]:
    """Return what makes an inner call about one object."""
    return lambda inner: act(inner, ref)


def _transfer(toolstack: Toolstack, host: str) -> None:
    """Let a host be the master, if it still can."""
    known = toolstack.database.exists("host", host) and host not in toolstack.machines.down
    if known and host != master_of(toolstack):
        take_over(toolstack, host)


def _is_lost(toolstack: Toolstack, host: str) -> bool:
    return host in toolstack.machines.down or not is_live(toolstack.database, host)


def _hosts(call: Call) -> list[str]:
    """Return all hosts, the master first."""
    master = master_of(call.toolstack)
    return [master, *(host for host in call.database.refs("host") if host != master)]


async def _write_everywhere(call: Call, pool: str, field: str, value: Value) -> Value:
    call.database.record("pool", pool)
    for host in reversed(_hosts(call)):
        reach(call.toolstack, host)
        call.set("host", host, field, value)
    return ""


HANDLERS: Mapping[str, Handler] = {
    "pool.designate_new_master": designate_new_master,
    "pool.sync_database": sync_database,
    "pool.emergency_transition_to_master": emergency_transition_to_master,
    "pool.emergency_reset_master": emergency_reset_master,
    "pool.recover_slaves": recover_slaves,
    "pool.is_slave": is_slave,
    "pool.eject": eject,
    "pool.join": join,
    "pool.join_force": join,
    "pool.get_license_state": get_license_state,
    "pool.apply_edition": apply_edition,
    "pool.enable_redo_log": enable_redo_log,
    "pool.disable_redo_log": disable_redo_log,
    "pool.set_vswitch_controller": set_vswitch_controller,
    "pool.management_reconfigure": management_reconfigure,
    "pool.set_https_only": set_https_only,
    "pool.enable_ssh": enable_ssh,
    "pool.disable_ssh": disable_ssh,
    "pool.configure_update_sync": configure_update_sync,
    "pool.has_extension": has_extension,
    "pool.audit_log_append": audit_log_append,
}
