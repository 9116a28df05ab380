"""Which VMs and hosts a step is about. Pure: the same records and seed give the same choice.

Templates, snapshots, control domains and VMs with the tag `xentrail:never` are never chosen, by
whatever name a script calls them.
"""

import hashlib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from ..errors import WorkloadError
from .inventory import Inventory, VmRecord
from .scripts import Select

NAMES_SHOWN_MAX = 5


def choose_vms(select: Select, inventory: Inventory, *, seed: int, at: str) -> list[str]:
    """Return the references of the VMs that fit, by name and uuid.

    Raises WorkloadError if none does, or fewer than `count`; `at` is where the selection is
    written.
    """
    fits = {ref: vm for ref, vm in inventory.vms.items() if _fits(select, inventory.pool, vm)}
    may = [ref for ref, vm in fits.items() if vm.forbidden is None]
    if not may:
        raise WorkloadError(f"{at}: no VM of pool {inventory.pool} fits{_why_not(fits.values())}")
    if select.count is not None:
        if len(may) < select.count:
            text = f"{at}.count: {select.count} VMs are wanted, {len(may)} fit"
            raise WorkloadError(f"{text} in pool {inventory.pool}")
        die = seed if select.seed is None else select.seed
        may = shuffled(may, [inventory.vms[ref].uuid for ref in may], f"choose/{die}")
        may = may[: select.count]
    return sorted(may, key=lambda ref: _place(inventory.vms[ref]))


def choose_hosts(names: Sequence[str], inventory: Inventory, *, at: str) -> list[str]:
    """Return the references of hosts with these names or uuids; each name must fit one.

    Raises WorkloadError.
    """
    hosts = inventory.hosts
    for name in names:
        if not any(_is_named(name, one.name_label, one.uuid) for one in hosts.values()):
            known = ", ".join(sorted(one.name_label for one in hosts.values())[:NAMES_SHOWN_MAX])
            raise WorkloadError(f"{at}: no host is called {name!r}; known: {known}")
    chosen = [
        ref
        for ref, one in hosts.items()
        if any(_is_named(name, one.name_label, one.uuid) for name in names)
    ]
    return sorted(chosen, key=lambda ref: (hosts[ref].name_label, hosts[ref].uuid))


def shuffled(refs: Sequence[str], keys: Sequence[str], dice: str) -> list[str]:
    """Return references in an order that only `dice` and the keys, one each, decide.

    Not by a generator of random numbers: another version of Python must repeat the order.
    """
    ranked = sorted(zip(keys, refs, strict=True), key=lambda pair: (_roll(dice, pair[0]), pair[0]))
    return [ref for _, ref in ranked]


def _roll(dice: str, key: str) -> bytes:
    return hashlib.sha256(f"{dice}/{key}".encode()).digest()


def _fits(select: Select, pool: str, vm: VmRecord) -> bool:
    return (
        (not select.names or any(_is_named(one, vm.name_label, vm.uuid) for one in select.names))
        and (not select.tags or not set(select.tags).isdisjoint(vm.tags))
        and (not select.pools or any(fnmatchcase(pool, glob) for glob in select.pools))
        and (not select.power_states or vm.power_state in select.power_states)
    )


def _is_named(name: str, name_label: str, uuid: str) -> bool:
    return name == uuid or fnmatchcase(name_label, name)


def _place(vm: VmRecord) -> tuple[str, str]:
    return vm.name_label, vm.uuid


def _why_not(refused: Iterable[VmRecord]) -> str:
    """Say of VMs that would fit why they are not chosen."""
    reasons = [f"{vm.name_label}: {vm.forbidden}" for vm in refused]
    if not reasons:
        return ""
    more = len(reasons) - NAMES_SHOWN_MAX
    shown = "; ".join(reasons[:NAMES_SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")
    return f" that may be touched ({shown})"
