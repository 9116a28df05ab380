"""Operations write field by field in the order that was seen on a real xapi 25.32."""

from collections.abc import Sequence

import pytest
import trio

from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import Value
from tests.simulator.core.support import Storyteller, a_pool, vm_named

SESSION = "OpaqueRef:s"
ATTACHED = [
    "vbd currently_attached",
    "vbd allowed_operations",
    "vif currently_attached",
    "vif allowed_operations",
]
END = ["task finished", "task progress", "task result", "task status"]
INNER_UPDATE = ["task add VM.update_allowed_operations", *END, "task del"]

START = [
    "task add VM.start",
    "task allowed_operations",
    "vm current_operations",
    "vm allowed_operations",
    "host current_operations",
    "vm scheduled_to_be_resident_on",
    "task progress",
    "task allowed_operations",
    "task other_config",
    "task allowed_operations",
    "task allowed_operations",
    "task add VM.atomic_set_resident_on",
    "task subtasks",
    "vm resident_on",
    "host resident_VMs",
    "vm scheduled_to_be_resident_on",
    *END,
    "task del",
    "task subtasks",
    "vm power_state",
    "vm allowed_operations",
    "vm_guest_metrics add",
    "vm guest_metrics",
    "vm domid",
    "vm memory_target",
    "vm_metrics start_time",
    "vm_metrics VCPUs_number",
    "vm last_boot_CPU_flags",
    *ATTACHED,
    "console add",
    "vm consoles",
    *INNER_UPDATE,
    "host current_operations",
    "vm current_operations",
    "vm allowed_operations",
    "message add VM_STARTED",
    *END,
    "task del",
]
HARD_SHUTDOWN = [
    "task add Async.VM.hard_shutdown",
    "task allowed_operations",
    "vm current_operations",
    "vm allowed_operations",
    "task allowed_operations",
    "task other_config",
    "vm power_state",
    "host resident_VMs",
    "vm resident_on",
    "vm domid",
    "vm_metrics VCPUs_number",
    *ATTACHED,
    "console del",
    "vm consoles",
    *INNER_UPDATE,
    "vm current_operations",
    "vm allowed_operations",
    "message add VM_SHUTDOWN",
    *END,
]
CLONE = [
    "task add VM.clone",
    "task allowed_operations",
    "vm current_operations",
    "vm allowed_operations",
    "vm_metrics add",
    "vm add",
    "vdi add",
    "sr VDIs",
    "vbd add",
    "vm VBDs",
    "vdi VBDs",
    "vbd allowed_operations",
    "vif_metrics add",
    "vif add",
    "network VIFs",
    "vm VIFs",
    "vif allowed_operations",
    "vm current_operations",
    "vm allowed_operations",
    "vm current_operations",
    "vm allowed_operations",
    "task allowed_operations",
    *END,
    "task del",
]
DESTROY = [
    "task add VM.destroy",
    "task allowed_operations",
    "vm current_operations",
    "vm allowed_operations",
    "vif_metrics del",
    "vif del",
    "network VIFs",
    "vm VIFs",
    "vbd del",
    "vm VBDs",
    "vdi VBDs",
    "vm_metrics del",
    "vm del",
    "task allowed_operations",
    *END,
    "task del",
]


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


async def test_start_writes_in_the_order_of_xapi(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A second start of a VM gives the recorded events, with its devices and console."""
    assert await _told(pool, "VM.start", [vm_named(pool, "vm-003"), False, False]) == START


async def test_second_start_drops_the_old_guest_first(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The guest metrics of the domain before go before a new domain is built."""
    vm = vm_named(pool, "vm-001")
    await pool.call_operation(SESSION, "VM.hard_shutdown", [vm])
    told = await _told(pool, "VM.start", [vm, False, False])
    at = told.index("vm scheduled_to_be_resident_on")
    assert told[at + 1 : at + 3] == ["vm guest_metrics", "vm_guest_metrics del"]


async def test_hard_shutdown_changes_power_state_first(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """power_state changes before host and domain id, current_operations empties last."""
    pool.hub.register(SESSION, ["*"])
    story = Storyteller(pool)
    pool.start_operation(SESSION, "VM.hard_shutdown", [vm_named(pool, "vm-001")])
    await trio.sleep(2)
    assert story.tell(await pool.hub.next(SESSION)) == HARD_SHUTDOWN


async def test_clone_writes_in_the_order_of_xapi(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A clone is born before its devices, and both VMs get their operations back at the end."""
    assert await _told(pool, "VM.clone", [vm_named(pool, "vm-003"), "copy"]) == CLONE


async def test_copy_is_born_with_the_operations_of_its_source(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The row of a clone shows the source's current_operations until it is done."""
    pool.hub.register(SESSION, ["*"])
    new = await pool.call_operation(SESSION, "VM.clone", [vm_named(pool, "vm-003"), "copy"])
    events = await pool.hub.next(SESSION)
    born = next(event for event in events if event.ref == new)
    assert born.record is not None
    assert list(born.record["current_operations"]) == [events[0].ref]  # type: ignore[arg-type] # a map
    assert pool.database.record("VM", str(new))["current_operations"] == {}


async def test_destroy_writes_in_the_order_of_xapi(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Devices go before the VM, and each takes its place in the sets of others with it."""
    assert await _told(pool, "VM.destroy", [vm_named(pool, "vm-003")]) == DESTROY


async def test_snapshot_becomes_the_parent_of_its_source(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """After the snapshot is added: source snapshots, source parent, children of the snapshot."""
    told = await _told(pool, "VM.snapshot", [vm_named(pool, "vm-003"), "snap"])
    at = told.index("vm add")
    assert told[at + 1 : at + 4] == ["vm snapshots", "vm parent", "vm children"]
    assert "message add VM_SNAPSHOTTED" in told


async def test_failed_task_ends_in_the_order_of_xapi(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """progress, error_info, backtrace, finished, allowed_operations, and status last."""
    pool.hub.register(SESSION, ["*"])
    story = Storyteller(pool)
    pool.start_operation(SESSION, "VM.start", [vm_named(pool, "vm-001"), False, False])
    await trio.sleep(1)
    assert story.tell(await pool.hub.next(SESSION)) == [
        "task add Async.VM.start",
        "task allowed_operations",
        "task progress",
        "task error_info",
        "task backtrace",
        "task finished",
        "task allowed_operations",
        "task status",
    ]


async def test_migration_moves_the_vm_between_the_sets_of_its_hosts(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The old host's set, the VM, the new host's set: in this order."""
    vm = vm_named(pool, "vm-001")
    told = await _told(pool, "VM.pool_migrate", [vm, pool.hosts[1].ref, {"live": "true"}])
    at = told.index("vm resident_on")
    assert told[at - 1 : at + 2] == ["host resident_VMs", "vm resident_on", "host resident_VMs"]
    assert pool.database.record("VM", vm)["resident_on"] == pool.hosts[1].ref
