"""Which VMs a step is about."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.errors import WorkloadError
from recorder.workloads.inventory import NEVER, Inventory
from recorder.workloads.planner import plan_for
from recorder.workloads.scripts import PowerState, Script, Select, script_in
from recorder.workloads.selection import choose_hosts, choose_vms
from tests.workloads.inventories import pool, pools, vm
from tests.workloads.theatre import script, step


def names_of(select: Select, inventory: Inventory, seed: int = 1) -> list[str]:
    refs = choose_vms(select, inventory, seed=seed, at="vms")
    return [inventory.vms[ref].name_label for ref in refs]


SELECTS = st.builds(
    Select,
    names=st.lists(st.sampled_from(["*", "web*", "uuid-1", "uuid-2", "db"])).map(tuple),
    tags=st.lists(st.sampled_from([NEVER, "nightly"])).map(tuple),
    power_states=st.lists(st.sampled_from([*PowerState])).map(tuple),
    count=st.none() | st.integers(1, 5),
    seed=st.none() | st.integers(0, 3),
)
KINDS = [
    step("powercycle", iterations=2),
    step("permute", iterations=2),
    step("permute", order="shuffle"),
    step("clone"),
    step("start_async"),
    step("evacuate", hosts=["host-1"]),
]


@settings(max_examples=100, deadline=None)
@given(pools(), SELECTS, st.integers(0, 3))
def test_nothing_forbidden_is_ever_chosen(inventory: Inventory, select: Select, seed: int) -> None:
    """Templates, snapshots, control domains and protected VMs are never touched, also by uuid."""
    try:
        refs = choose_vms(select, inventory, seed=seed, at="vms")
    except WorkloadError:
        return
    for one in map(inventory.vms.__getitem__, refs):
        assert not any([one.is_a_template, one.is_a_snapshot, one.is_control_domain])
        assert NEVER not in one.tags
    assert refs == choose_vms(select, inventory, seed=seed, at="vms")
    assert select.count in (None, len(refs))


@settings(max_examples=60, deadline=None)
@given(pools(), st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
def test_no_plan_has_a_lane_for_what_is_forbidden(
    inventory: Inventory, steps: list[dict[str, object]]
) -> None:
    """Nor has it a power state or host of it to restore; the same pool gives the same plan."""
    read: Script = script_in(script(*steps), "x.toml")
    try:
        plan = plan_for(read, inventory)
    except WorkloadError:
        return
    touched = {*plan.found, *(lane.ref for part in plan.parts for lane in part.lanes)}
    for ref in touched - set(inventory.hosts):
        assert inventory.vms[ref].forbidden is None
    assert plan_for(read, inventory).json() == plan.json()


def test_vms_are_chosen_by_names_globs_tags_pool_and_power_state() -> None:
    """What is not asked for does not count, and what is has to fit."""
    lab = pool(
        vm(1, name_label="web-1", tags=["nightly"]),
        vm(2, "Halted", name_label="web-2"),
        vm(3, name_label="db", tags=["nightly", "big"]),
    )
    assert names_of(Select(names=("web*",)), lab) == ["web-1", "web-2"]
    assert names_of(Select(names=("uuid-3", "web-2")), lab) == ["db", "web-2"]
    assert names_of(Select(tags=("nightly", "unused")), lab) == ["db", "web-1"]
    assert names_of(Select(names=("*",), power_states=(PowerState.HALTED,)), lab) == ["web-2"]
    assert names_of(Select(names=("web*",), tags=("nightly",), pools=("l?b",)), lab) == ["web-1"]
    with pytest.raises(WorkloadError, match=r"^vms: no VM of pool lab fits$"):
        names_of(Select(names=("*",), pools=("other",)), lab)


def test_count_takes_some_by_the_seed() -> None:
    """Another seed is another choice, the same is the same."""
    lab = pool(*(vm(number) for number in range(30)))
    some = Select(names=("*",), count=5)
    assert len(names_of(some, lab)) == 5
    assert names_of(some, lab, 1) == names_of(some, lab, 1) != names_of(some, lab, 2)
    with pytest.raises(WorkloadError, match=r"^vms\.count: 31 VMs are wanted, 30 fit in pool lab$"):
        names_of(Select(names=("*",), count=31), lab)


def test_selection_says_why_what_it_names_is_not_touched() -> None:
    """Who names a protected VM is told that it is one."""
    lab = pool(vm(1, tags=[NEVER]), vm(2, is_a_template=True))
    with pytest.raises(WorkloadError) as caught:
        names_of(Select(names=("vm-*",)), lab)
    assert str(caught.value) == (
        "vms: no VM of pool lab fits that may be touched"
        " (vm-1: it has the tag xentrail:never; vm-2: it is a template)"
    )


def test_each_name_of_a_host_must_be_one() -> None:
    """A host that is misspelled is not left out in silence."""
    lab = pool()
    chosen = choose_hosts(["host-[12]", "uuid-h1"], lab, at="hosts")
    assert chosen == ["OpaqueRef:h1", "OpaqueRef:h2"]
    with pytest.raises(WorkloadError, match=r"^hosts: no host is called 'host-9'; known: host-1, "):
        choose_hosts(["host-1", "host-9"], lab, at="hosts")
