"""Plans: what is going to be done, to the call."""

import json

import pytest

from recorder.errors import WorkloadError
from recorder.workloads.inventory import Inventory
from recorder.workloads.kinds.permute import targets
from recorder.workloads.plan import Plan
from recorder.workloads.planner import plan_for
from recorder.workloads.scripts import Order, script_in
from tests.workloads.inventories import pool, vm
from tests.workloads.theatre import script, step


def plan(inventory: Inventory, *steps: dict[str, object], **keys: object) -> Plan:
    return plan_for(script_in(script(*steps, **keys), "x.toml"), inventory)


LAB = pool(vm(1, "Halted"), vm(2, "Paused"), vm(3, "Running", 1), vm(4, "Suspended"))


def test_powercycle_brings_each_vm_to_halted_and_then_through_its_rounds() -> None:
    """As the sample does: resume, unpause or nothing, a clean shutdown, and nine rounds."""
    (part,) = plan(LAB, step("powercycle", iterations=9)).parts
    assert [lane.opening for lane in part.lanes] == [
        (),
        ("VM.unpause", "VM.clean_shutdown"),
        ("VM.clean_shutdown",),
        ("VM.resume", "VM.clean_shutdown"),
    ]
    for lane in part.lanes:
        assert lane.each == ("VM.start", "VM.suspend", "VM.resume", "VM.clean_shutdown")
        assert lane.rounds == 9
    assert part.calls == 5 + 4 * 9 * 4


def test_permute_rotates_hosts_to_the_right() -> None:
    """VM j goes to where VM j-1 was, the first to where the last was, as in the user guide."""
    lab = pool(vm(1, host=1), vm(2, host=2), vm(3, host=3), vm(4, host=1), vm(5, "Halted"))
    (part,) = plan(lab, step("permute", iterations=2)).parts
    hosts = [[ref.removeprefix("OpaqueRef:h") for ref in lane.hosts] for lane in part.lanes]
    assert hosts == [["1", "3"], ["1", "1"], ["2", "1"], ["3", "2"]]


@pytest.mark.parametrize("order", [*Order])
def test_permutation_moves_vms_about_and_keeps_the_load(order: Order) -> None:
    """Each round has every host as often as before; a seed is one order, and another another."""
    hosts = ["a", "a", "b", "c", "c", "c", "d"]
    ways = targets(hosts, 5, order, seed=7)
    for column in zip(*ways, strict=True):
        assert sorted(column) == hosts
    assert targets(hosts, 5, order, seed=7) == ways
    assert (targets(hosts, 5, order, seed=8) == ways) is (order is Order.ROTATE)


def test_later_steps_are_planned_for_what_earlier_ones_leave() -> None:
    """VMs that a step has started are permuted, to hosts that are known by then."""
    lab = pool(vm(1, "Halted"), vm(2, "Halted"))
    start, permute = plan(lab, step("start_async"), step("permute", iterations=3)).parts
    assert [lane.ref for lane in permute.lanes] == [lane.ref for lane in start.lanes]
    assert all(lane.hosts == () and lane.calls == 3 for lane in permute.lanes)
    halted = {"vms": {"names": ["*"], "power_states": ["Halted"]}}
    with pytest.raises(WorkloadError, match=r"^steps\[1\]\.vms: no VM of pool lab fits$"):
        plan(lab, step("start_async"), step("powercycle", **halted))


def test_step_without_anything_to_do_is_refused() -> None:
    """A run that does nothing would look like one that went well."""
    lab = pool(vm(1, "Running"))
    with pytest.raises(WorkloadError, match=r"^steps\[0\]: start_async has nothing to do: none of"):
        plan(lab, step("start_async"))


def test_plan_says_what_it_does_with_real_names() -> None:
    """The lines of a dry run."""
    lab = pool(vm(1, "Running", 1), vm(2, "Running", 2))
    steps = [
        step("permute", iterations=2, concurrency=10),
        step("powercycle", variant="pause", iterations=2, pause_s=1.5),
        step("evacuate", hosts=["host-2"]),
    ]
    cycle = "clean_shutdown, then 2 x (start, pause, unpause, clean_shutdown)"
    assert [*plan(lab, *steps, seed=3, restore=True).lines()] == [
        "a test on pool lab, seed 3: 2 VMs, 25 calls",
        "1. permute, 2 rounds, 10 at a time, a failure ends it",
        "   vm-1 (Running on host-1): pool_migrate -> host-2 -> host-1",
        "   vm-2 (Running on host-2): pool_migrate -> host-1 -> host-2",
        "2. powercycle (pause), 2 rounds, 4 at a time, 1.5 s apart, a failure ends it",
        f"   vm-1 (Running on host-1): {cycle}",
        f"   vm-2 (Running on host-2): {cycle}",
        "3. evacuate, a failure ends it",
        "   host host-2: disable, evacuate, enable",
        "then each VM gets back its power state and host",
    ]


def test_plan_holds_what_was_found_at_the_start() -> None:
    """Power state and host of every VM, with reference, uuid and name, for who reads it later."""
    told = json.loads(plan(LAB, step("clone")).json())
    assert told["found"]["OpaqueRef:uuid-3"] == {
        "ref": "OpaqueRef:uuid-3",
        "uuid": "uuid-3",
        "name": "vm-3",
        "power_state": "Running",
        "host": "OpaqueRef:h1",
    }
    assert told["hosts"]["OpaqueRef:h1"]["name"] == "host-1"
    (part,) = told["parts"]
    assert part["lanes"][2] == {
        "ref": "OpaqueRef:uuid-3",
        "opening": ["VM.clean_shutdown"],
        "each": ["VM.clone"],
        "closing": ["VM.start", "VM.start"],
        "rounds": 1,
        "hosts": [],
    }
