"""What must be seen between two writes of an operation. Whole listings: test_*_listings."""

from collections.abc import Sequence

import pytest
import trio

from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import Value
from tests.simulator.core.support import Storyteller, a_pool, vm_named

SESSION = "OpaqueRef:s"
Clock = trio.testing.MockClock


async def _told(pool: SimulatedPool, method: str, args: Sequence[Value]) -> list[str]:
    pool.hub.register(SESSION, ["*"])
    story = Storyteller(pool)
    await pool.call_operation(SESSION, method, args)
    return story.tell(await pool.hub.next(SESSION))


@pytest.fixture
async def pool(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> SimulatedPool:
    pool = a_pool()
    await nursery.start(pool.run)
    return pool


async def test_start_marks_devices_before_the_host(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """Disks and interfaces are taken before a host is chosen, and given back after it."""
    told = await _told(pool, "VM.start", [vm_named(pool, "vm-003"), False, False])
    order = [told.index(f"{cls} current_operations") for cls in ("vm", "vbd", "vif", "host")]
    assert order == sorted(order)
    given_back = [
        len(told) - told[::-1].index(f"{cls} current_operations")
        for cls in ("host", "vif", "vbd", "vm")
    ]
    assert given_back == sorted(given_back)


async def test_second_start_drops_the_old_guest_first(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """The guest metrics of the domain before go before a new domain is built."""
    vm = vm_named(pool, "vm-001")
    await pool.call_operation(SESSION, "VM.hard_shutdown", [vm])
    told = await _told(pool, "VM.start", [vm, False, False])
    at = told.index("vm guest_metrics")
    assert told[at + 1] == "vm_guest_metrics del"
    assert at < told.index("task progress")


async def test_copy_is_born_with_the_operation_that_makes_it(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """The row of a clone shows the clone's own operation until it is done."""
    pool.hub.register(SESSION, ["*"])
    new = await pool.call_operation(SESSION, "VM.clone", [vm_named(pool, "vm-003"), "copy"])
    events = await pool.hub.next(SESSION)
    born = next(event for event in events if event.ref == new)
    assert born.record is not None
    assert list(born.record["current_operations"]) == [events[0].ref]  # type: ignore[arg-type] # a map
    assert pool.database.record("VM", str(new))["current_operations"] == {}


async def test_disks_of_a_clone_are_there_before_the_vm(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """Each disk is copied by a task of its own that hangs in the one of the call."""
    told = await _told(pool, "VM.clone", [vm_named(pool, "vm-003"), "copy"])
    inner, disk, vm = (told.index(f"{what}") for what in ("task subtasks", "vdi add", "vm add"))
    assert told[inner - 1] == "task add Async.VDI.clone"
    assert inner < disk < vm


async def test_migration_moves_the_vm_between_the_sets_of_its_hosts(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """The old host's set, the VM, the new host's set: in this order."""
    vm = vm_named(pool, "vm-001")
    told = await _told(pool, "VM.pool_migrate", [vm, pool.hosts[1].ref, {"live": "true"}])
    at = told.index("vm resident_on")
    assert told[at - 1 : at + 2] == ["host resident_VMs", "vm resident_on", "host resident_VMs"]
    assert pool.database.record("VM", vm)["resident_on"] == pool.hosts[1].ref


async def test_cancelled_start_leaves_a_halted_vm_without_a_host(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """xapi sees the VM on the host first and halted then; nothing stays attached or reserved."""
    vm = vm_named(pool, "vm-003")
    task = pool.start_operation(SESSION, "VM.start", [vm, False, False])
    await trio.sleep(1)
    await pool.call_operation(SESSION, "task.cancel", [task])
    await pool.tasks.ended(task).wait()
    assert pool.database.field("task", task, "status") == "cancelled"
    record = pool.database.record("VM", vm)
    assert (record["power_state"], record["domid"]) == ("Halted", -1)
    assert {record["resident_on"], record["scheduled_to_be_resident_on"]} == {"OpaqueRef:NULL"}
    (vbd,) = pool.database.find("VBD", "VM", vm)
    (vif,) = pool.database.find("VIF", "VM", vm)
    for cls, device in (("VBD", vbd), ("VIF", vif)):
        assert pool.database.field(cls, device, "currently_attached") is False
        assert pool.database.field(cls, device, "current_operations") == {}
