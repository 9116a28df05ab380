"""Which host a VM goes to, and what moving it on or off a host writes."""

from collections.abc import Mapping

import msgspec

from .catalogue import Handler
from .database import Database
from .occupancy import needed_memory_bytes
from .toolstack import Call, Toolstack
from .values import NULL_REF, Fault, Record, Value, datetime_of, int_of, map_of, text_of, texts_of

MONITORING_S = 5.0
"""How often the monitoring of a real host looks at its memory."""


def choose_host(toolstack: Toolstack, vm: str) -> str:
    """Return the host for a VM: its affinity if it can be, else the one with most memory.

    The master comes last unless the pool says otherwise (`coordinator_bias`). Faults:
    HOST_NOT_ENOUGH_FREE_MEMORY [needed, available] if there is only one host to choose from,
    NO_HOSTS_AVAILABLE [] otherwise.
    """
    database, needs = toolstack.database, _needs(toolstack, vm)
    usable = [host for host in database.refs("host") if _takes_vms(database, host)]
    refusals = {host: _refusal(toolstack, needs, host) for host in usable}
    able = [host for host, fault in refusals.items() if fault is None]
    if not able:
        only = [fault for fault in refusals.values() if fault is not None]
        raise only[0] if len(only) == 1 else Fault("NO_HOSTS_AVAILABLE")
    affinity = text_of(needs.record, "affinity")
    if affinity in able:
        return affinity
    return max(_preferred(toolstack, able), key=toolstack.free_memory_bytes)


def check_host(toolstack: Toolstack, vm: str, host: str) -> None:
    """Check that a host can take a VM.

    Faults, in this order: HOST_NOT_LIVE [], OPERATION_NOT_ALLOWED (a control domain elsewhere),
    HOST_DISABLED [host], VM_REQUIRES_SR [vm, sr], VM_REQUIRES_NETWORK [vm, network],
    HOST_NOT_ENOUGH_FREE_MEMORY [needed, available], HOST_NOT_ENOUGH_PCPUS [needed, available].
    """
    if fault := _refusal(toolstack, _needs(toolstack, vm), host):
        raise fault


def refusal_of_any(toolstack: Toolstack, vm: str, hosts: list[str]) -> Fault | None:
    """Return why a VM can't be on one of some hosts, memory left out; None if it can be on all."""
    needs = _needs(toolstack, vm)
    faults = (_refusal(toolstack, needs, host, memory=False) for host in hosts)
    return next((fault for fault in faults if fault is not None), None)


def is_live(database: Database, host: str) -> bool:
    """Say whether a host is thought to be alive."""
    metrics = text_of(database.record("host", host), "metrics")
    known = database.exists("host_metrics", metrics)
    return known and database.field("host_metrics", metrics, "live") is True


def reach(toolstack: Toolstack, host: str) -> None:
    """Check that the master can pass a call on to a host.

    Faults: HOST_OFFLINE [host] if it is known to be dead, CANNOT_CONTACT_HOST [host] if it is dead
    and nobody has noticed yet.
    """
    toolstack.database.record("host", host)
    if not is_live(toolstack.database, host):
        raise Fault("HOST_OFFLINE", host)
    if host in toolstack.machines.down:
        raise Fault("CANNOT_CONTACT_HOST", host)


def settle(call: Call, vm: str, host: str) -> None:
    """Write where a VM lives now, in the task of its own that xapi makes for it."""
    with call.subtask("VM.atomic_set_resident_on", child=True, vm=vm, host=host):
        _settle(call, vm, host)
    read_memory_later(call.toolstack)


def read_memory_later(toolstack: Toolstack) -> None:
    """Read the memory of the hosts some seconds from now, as their monitoring does."""
    toolstack.later(MONITORING_S, lambda: read_memory(toolstack))


def read_memory(toolstack: Toolstack) -> None:
    """Write the free memory of every host where it has changed; dead hosts tell nothing."""
    database = toolstack.database
    now = datetime_of(database.now_s())
    for host in database.refs("host"):
        if not is_live(database, host):
            continue
        metrics = text_of(database.record("host", host), "metrics")
        free = toolstack.free_memory_bytes(host)
        if database.field("host_metrics", metrics, "memory_free") != free:
            database.write("host_metrics", metrics, "memory_free", free)
            database.write("host_metrics", metrics, "last_updated", now)


async def get_possible_hosts(call: Call, vm: str) -> Value:
    """VM.get_possible_hosts: those that can take it now, or the one it is about to come to."""
    toolstack, needs = call.toolstack, _needs(call.toolstack, vm)
    scheduled = text_of(needs.record, "scheduled_to_be_resident_on")
    if scheduled != NULL_REF:
        return [scheduled]
    hosts = call.database.refs("host")
    return [host for host in hosts if _refusal(toolstack, needs, host) is None]


async def assert_can_boot_here(call: Call, vm: str, host: str) -> Value:
    """VM.assert_can_boot_here: the faults are those of `check_host`."""
    call.database.record("host", host)
    check_host(call.toolstack, vm, host)
    return ""


async def atomic_set_resident_on(call: Call, vm: str, host: str) -> Value:
    """VM.atomic_set_resident_on: hosts say so when a domain of theirs has begun."""
    _settle(call, vm, host)
    return ""


class _Needs(msgspec.Struct, frozen=True):
    """What a VM needs of a host. `srs` and `networks` say which hosts see each of them."""

    vm: str
    record: Record
    srs: Mapping[str, frozenset[str]]
    networks: Mapping[str, frozenset[str]]


def _needs(toolstack: Toolstack, vm: str) -> _Needs:
    database = toolstack.database
    record = database.record("VM", vm)
    disks = [str(database.field("VBD", vbd, "VDI")) for vbd in texts_of(record, "VBDs")]
    if record["power_state"] == "Suspended":
        disks.append(text_of(record, "suspend_VDI"))
    srs = [str(database.field("VDI", disk, "SR")) for disk in disks if database.exists("VDI", disk)]
    networks = [str(database.field("VIF", vif, "network")) for vif in texts_of(record, "VIFs")]
    return _Needs(
        vm=vm,
        record=record,
        srs={sr: _seen_by(database, "SR", sr, "PBD") for sr in srs},
        networks={
            network: _seen_by(database, "network", network, "PIF")
            for network in networks
            if database.exists("network", network)
        },
    )


def _seen_by(database: Database, cls: str, ref: str, link: str) -> frozenset[str]:
    """Return the hosts that see an SR (its plugged PBDs) or a network (its PIFs)."""
    if not database.exists(cls, ref):
        return frozenset()
    links = [
        database.record(link, each) for each in texts_of(database.record(cls, ref), f"{link}s")
    ]
    if link == "PIF" and not links:
        # A network without an interface is inside of each host.
        return frozenset(database.refs("host"))
    return frozenset(
        text_of(record, "host")
        for record in links
        if link == "PIF" or record["currently_attached"] is True
    )


def _takes_vms(database: Database, host: str) -> bool:
    record = database.record("host", host)
    evacuating = "evacuate" in map_of(record, "current_operations").values()
    return record["enabled"] is True and not evacuating and is_live(database, host)


def _refusal(
    toolstack: Toolstack, needs: _Needs, host: str, *, memory: bool = True
) -> Fault | None:
    database, record = toolstack.database, needs.record
    if not is_live(database, host):
        return Fault("HOST_NOT_LIVE")
    domain_0, affinity = record["is_control_domain"] is True, text_of(record, "affinity")
    if domain_0 and affinity not in (NULL_REF, host):
        reason = "Cannot boot a control domain on a host different from its affinity"
        return Fault("OPERATION_NOT_ALLOWED", reason)
    stays = record["power_state"] == "Running" and record["resident_on"] == host
    if not (domain_0 or stays) and database.field("host", host, "enabled") is not True:
        return Fault("HOST_DISABLED", host)
    for code, seen in (("VM_REQUIRES_SR", needs.srs), ("VM_REQUIRES_NETWORK", needs.networks)):
        if missing := [ref for ref, hosts in seen.items() if host not in hosts]:
            return Fault(code, needs.vm, missing[0])
    if memory and (fault := _no_room(toolstack, needs, host)):
        return fault
    return _too_many_vcpus(database, record, host)


def _no_room(toolstack: Toolstack, needs: _Needs, host: str) -> Fault | None:
    needed, available = needed_memory_bytes(needs.record), toolstack.free_memory_bytes(host)
    if host in (needs.record["resident_on"], needs.record["scheduled_to_be_resident_on"]):
        available += needed
    if needed <= available:
        return None
    return Fault("HOST_NOT_ENOUGH_FREE_MEMORY", str(needed), str(available))


def _too_many_vcpus(database: Database, record: Record, host: str) -> Fault | None:
    """Compare with the CPUs of the host, unless it does not say how many it has."""
    cpus = str(map_of(database.record("host", host), "cpu_info").get("cpu_count", ""))
    wanted = int_of(record, "VCPUs_max")
    free = map_of(record, "platform").get("vcpu-unrestricted") in ("true", "1")
    if free or not cpus.isdecimal() or wanted <= int(cpus):
        return None
    return Fault("HOST_NOT_ENOUGH_PCPUS", str(wanted), cpus)


def _preferred(toolstack: Toolstack, hosts: list[str]) -> list[str]:
    pool = toolstack.database.record("pool", toolstack.pool_ref)
    members = [host for host in hosts if host != pool["master"]]
    return members if members and pool.get("coordinator_bias") is True else hosts


def _settle(call: Call, vm: str, host: str) -> None:
    call.set("VM", vm, "resident_on", host)
    call.set("VM", vm, "scheduled_to_be_resident_on", NULL_REF)


HANDLERS: Mapping[str, Handler] = {
    "VM.get_possible_hosts": get_possible_hosts,
    "VM.assert_can_boot_here": assert_can_boot_here,
    "VM.atomic_set_resident_on": atomic_set_resident_on,
}
