"""From a script, the state of a pool and a seed to a plan. Pure.

Each step is planned for the state that the steps before it are meant to leave.
"""

from collections.abc import Sequence

from ..errors import WorkloadError
from .forecast import Forecast
from .inventory import NULL_REF, Inventory
from .kinds import KINDS
from .plan import Found, Part, Plan, Subject
from .scripts import Kind, PowerState, Script, Step
from .selection import choose_hosts, choose_vms


def plan_for(script: Script, inventory: Inventory, *, seed: int | None = None) -> Plan:
    """Plan a script; `seed` replaces its own. Raises WorkloadError if a step has nothing to do."""
    die = script.seed if seed is None else seed
    state, parts = Forecast(inventory), []
    for index, step in enumerate(script.steps):
        at = f"steps[{index}]"
        refs = _chosen(step, state.inventory, seed=die, at=at)
        _check_power_states(refs, state.inventory, at=at)
        lanes, state = KINDS[step.kind].plan(step, refs, state, die)
        if not lanes:
            raise WorkloadError(f"{at}: {_nothing(step, refs)}")
        cls = Subject.HOST if step.kind is Kind.EVACUATE else Subject.VM
        parts.append(Part(index, step, cls, tuple(lanes)))
    return Plan(
        script.name,
        inventory.pool,
        die,
        script.restore,
        tuple(parts),
        _found(inventory, parts),
        {ref: Found(ref, one.uuid, one.name_label) for ref, one in inventory.hosts.items()},
    )


def _chosen(step: Step, inventory: Inventory, *, seed: int, at: str) -> list[str]:
    if step.hosts is not None:
        return choose_hosts(step.hosts, inventory, at=f"{at}.hosts")
    assert step.vms is not None
    return choose_vms(step.vms, inventory, seed=seed, at=f"{at}.vms")


def _nothing(step: Step, refs: Sequence[str]) -> str:
    wanted = {Kind.PERMUTE: "Running", Kind.START_ASYNC: "Halted"}.get(step.kind, "there")
    return f"{step.kind.value} has nothing to do: none of the {len(refs)} VMs is {wanted} by then"


def _check_power_states(refs: Sequence[str], inventory: Inventory, *, at: str) -> None:
    """Refuse a state that no release knows yet: nobody could say what leads out of it."""
    for vm in (inventory.vms[ref] for ref in refs if ref in inventory.vms):
        if vm.power_state not in set(PowerState):
            raise WorkloadError(f"{at}: {vm.name_label} has the power state {vm.power_state!r}")


def _found(inventory: Inventory, parts: Sequence[Part]) -> dict[str, Found]:
    """Return the VMs that are worked on, and those on hosts that are, as they are now."""
    chosen = {lane.ref for part in parts for lane in part.lanes}
    found = {}
    for ref, vm in inventory.vms.items():
        moved = vm.resident_on in chosen and vm.forbidden is None
        if ref in chosen or moved:
            host = "" if vm.resident_on == NULL_REF else vm.resident_on
            found[ref] = Found(ref, vm.uuid, vm.name_label, vm.power_state, host)
    return found
