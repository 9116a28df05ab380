"""Whether the pool could restart its protected VMs after hosts fail: HA's plans.

Protected are VMs that shall always run with priority `restart`. Memory is what VMs take at most.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import heapify, heapreplace
from itertools import combinations
from math import comb

import msgspec

from .database import Database
from .hostlife import announce, ha_enabled
from .occupancy import needed_memory_bytes
from .placement import is_live
from .toolstack import Toolstack
from .values import Fault, Record, int_of, text_of, texts_of

PRIORITIES = ("restart", "best-effort", "")
"""What a VM's `ha_restart_priority` may be."""
_WAYS_MAX = 500
"""Up to so many ways to lose hosts are tried one by one; beyond, only the one thought worst."""


class _State(msgspec.Struct, frozen=True):
    """What the planner looks at: free bytes of the hosts, protected VMs on each, bytes of VMs."""

    free: Mapping[str, int]
    placed: Mapping[str, Sequence[str]]
    needed: Mapping[str, int]


def protected_vms(database: Database) -> list[str]:
    """Return the VMs that HA restarts, in the order in which it does."""
    always = database.find("VM", "ha_always_run", True)
    return in_order(database, [vm for vm in always if is_protected(database.record("VM", vm))])


def is_protected(vm: Record) -> bool:
    """Say whether HA keeps a VM running."""
    return vm["ha_always_run"] is True and vm["ha_restart_priority"] == "restart"


def in_order(database: Database, vms: Iterable[str]) -> list[str]:
    """Return VMs in the order in which they start: by `order`, those without one (-1) last."""
    orders = {vm: int_of(database.record("VM", vm), "order") for vm in vms}
    return sorted(orders, key=lambda vm: (orders[vm] < 0, orders[vm]))


def live_hosts(database: Database) -> list[str]:
    """Return the hosts that live and take VMs."""
    return [host for host in database.find("host", "enabled", True) if is_live(database, host)]


def pack(needed: Mapping[str, int], free: Mapping[str, int]) -> dict[str, str]:
    """Return a host for each VM, for as many as find room: the largest first, to the emptiest."""
    emptiest = [(-left, place, host) for place, (host, left) in enumerate(free.items())]
    heapify(emptiest)
    plan: dict[str, str] = {}
    for vm in sorted(needed, key=lambda vm: (-needed[vm], vm)):
        if emptiest and needed[vm] <= -emptiest[0][0]:
            left, place, host = emptiest[0]
            heapreplace(emptiest, (left + needed[vm], place, host))
            plan[vm] = host
    return plan


def needed_bytes(database: Database, vms: Iterable[str]) -> dict[str, int]:
    """Return what each VM takes of a host's memory."""
    return {vm: needed_memory_bytes(database.record("VM", vm)) for vm in vms}


def agility_fault(database: Database, vm: str) -> Fault | None:
    """Return why a VM can't be restarted just anywhere, None if it can.

    Faults: HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED [sr], .._NETWORK_NOT_SHARED [network].
    """
    record, hosts = database.record("VM", vm), set(database.refs("host"))
    for vbd in texts_of(record, "VBDs"):
        disk = text_of(database.record("VBD", vbd), "VDI")
        if database.exists("VDI", disk):
            sr = text_of(database.record("VDI", disk), "SR")
            if not hosts <= _plugged_hosts(database, sr):
                return Fault("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", sr)
    for vif in texts_of(record, "VIFs"):
        network = text_of(database.record("VIF", vif), "network")
        pifs = texts_of(database.record("network", network), "PIFs")
        if not hosts <= {str(database.field("PIF", pif, "host")) for pif in pifs}:
            return Fault("HA_CONSTRAINT_VIOLATION_NETWORK_NOT_SHARED", network)
    return None


def plan_exists(
    toolstack: Toolstack,
    failures: int,
    *,
    vms: Sequence[str] | None = None,
    without: Collection[str] = (),
) -> bool:
    """Say whether all protected VMs (or `vms`) could run after any so many hosts failed.

    `without` are hosts that are thought to be disabled already.
    """
    database = toolstack.database
    vms = protected_vms(database) if vms is None else vms
    if any(agility_fault(database, vm) for vm in vms):
        return False
    state = _state(toolstack, vms, without)
    if state is None or failures > len(state.free):
        return False
    return all(_survives(state, lost) for lost in _ways(state, failures))


def failures_max(toolstack: Toolstack, vms: Sequence[str] | None = None) -> int:
    """Return how many hosts may fail at most: who survives more failures survives fewer."""
    least, most = 0, len(toolstack.database.refs("host"))
    while least < most:
        middle = (least + most + 1) // 2
        if plan_exists(toolstack, middle, vms=vms):
            least = middle
        else:
            most = middle - 1
    return least


def check_plan_survives(
    toolstack: Toolstack,
    *,
    vms: Sequence[str] | None = None,
    without: Collection[str] = (),
    failures: int | None = None,
) -> None:
    """Check that a change leaves a plan that exists now.

    Fault HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN [], never where overcommitment is allowed.
    """
    pool = toolstack.database.record("pool", toolstack.pool_ref)
    if not ha_enabled(toolstack) or pool["ha_allow_overcommit"] is True:
        return
    planned = int_of(pool, "ha_plan_exists_for")
    if not plan_exists(toolstack, planned):
        return
    wanted = planned if failures is None else failures
    if not plan_exists(toolstack, wanted, vms=vms, without=without):
        raise Fault("HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN")


def update_status(toolstack: Toolstack) -> None:
    """Write for how many failures there is a plan now, and tell people if it became worse."""
    database, pool_ref = toolstack.database, toolstack.pool_ref
    pool = database.record("pool", pool_ref)
    wanted, planned = (
        int_of(pool, "ha_host_failures_to_tolerate"),
        int_of(pool, "ha_plan_exists_for"),
    )
    if plan_exists(toolstack, wanted):
        database.write("pool", pool_ref, "ha_overcommitted", False)
        database.write("pool", pool_ref, "ha_plan_exists_for", wanted)
        return
    best = failures_max(toolstack)
    if best != planned:
        database.write("pool", pool_ref, "ha_plan_exists_for", min(wanted, best))
        if best < planned:
            name = "HA_POOL_DROP_IN_PLAN_EXISTS_FOR"
            announce(toolstack, name, pool_ref, priority=3, body=str(best), cls="pool")
    if pool["ha_overcommitted"] is not True:
        database.write("pool", pool_ref, "ha_overcommitted", True)
        body = (
            f"The failover tolerance for pool '{pool['name_label']}' has dropped and the initially"
            " specified number of host failures to tolerate can no longer be guaranteed"
        )
        announce(toolstack, "HA_POOL_OVERCOMMITTED", pool_ref, priority=3, body=body, cls="pool")


def _plugged_hosts(database: Database, sr: str) -> set[str]:
    if database.field("SR", sr, "shared") is not True:
        return set()
    pbds = [database.record("PBD", pbd) for pbd in texts_of(database.record("SR", sr), "PBDs")]
    return {text_of(pbd, "host") for pbd in pbds if pbd["currently_attached"] is True}


def _state(toolstack: Toolstack, vms: Sequence[str], without: Collection[str]) -> _State | None:
    """Return what is so once all VMs run; None if there is no room for those that don't yet."""
    database = toolstack.database
    hosts = [host for host in live_hosts(database) if host not in without]
    free = {host: toolstack.free_memory_bytes(host) for host in hosts}
    needed = needed_bytes(database, vms)
    homes: dict[str, str] = {}
    for vm in vms:
        for field in ("scheduled_to_be_resident_on", "resident_on"):
            if (host := text_of(database.record("VM", vm), field)) in free:
                homes[vm] = host
    homeless = {vm: needed[vm] for vm in vms if vm not in homes}
    plan = pack(homeless, free)
    if len(plan) < len(homeless):
        return None
    for vm, host in plan.items():
        free[host] -= needed[vm]
    placed: dict[str, list[str]] = {host: [] for host in hosts}
    for vm, host in {**homes, **plan}.items():
        placed[host].append(vm)
    return _State(free, placed, needed)


def _ways(state: _State, failures: int) -> Iterable[Collection[str]]:
    hosts = list(state.free)
    failures = max(0, min(failures, len(hosts)))
    if comb(len(hosts), failures) <= _WAYS_MAX:
        return combinations(hosts, failures)
    weight = {
        host: state.free[host] + sum(state.needed[vm] for vm in state.placed[host])
        for host in hosts
    }
    return [sorted(hosts, key=lambda host: -weight[host])[:failures]]


def _survives(state: _State, lost: Collection[str]) -> bool:
    orphans = {vm: state.needed[vm] for host in lost for vm in state.placed[host]}
    free = {host: free for host, free in state.free.items() if host not in lost}
    return len(pack(orphans, free)) == len(orphans)
