"""Guests that crash, reboot and shut down by themselves: what follows, and that no task tells."""

from collections.abc import Awaitable, Callable

import pytest
import trio

from recorder.simulator import guestpower
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.toolstack import Toolstack
from recorder.simulator.values import NULL_REF, Fault
from tests.simulator.core.support import a_pool, power_state, vm_named

SESSION = "OpaqueRef:s"
Clock = trio.testing.MockClock
Deed = Callable[[Toolstack, str], Awaitable[str]]


@pytest.fixture
async def pool(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> SimulatedPool:
    pool = a_pool()
    await nursery.start(pool.run)
    return pool


@pytest.mark.parametrize(
    ("deed", "field", "action", "state"),
    [
        (guestpower.crash, "actions_after_crash", "restart", "Running"),
        (guestpower.crash, "actions_after_crash", "destroy", "Halted"),
        (guestpower.crash, "actions_after_crash", "preserve", "Running"),
        (guestpower.crash, "actions_after_crash", "coredump_and_destroy", "Halted"),
        (guestpower.crash, "actions_after_crash", "rename_restart", "Running"),
        (guestpower.reboot, "actions_after_reboot", "restart", "Running"),
        (guestpower.reboot, "actions_after_reboot", "destroy", "Halted"),
        (guestpower.shutdown, "actions_after_shutdown", "destroy", "Halted"),
        (guestpower.shutdown, "actions_after_shutdown", "restart", "Running"),
    ],
)
async def test_what_follows_is_what_the_vm_says(
    pool: SimulatedPool,
    autojump_clock: Clock,
    deed: Deed,
    field: str,
    action: str,
    state: str,
) -> None:
    """A new domain has a new id; a halted VM has no host; only preserve keeps the old domain."""
    vm = vm_named(pool, "vm-001")
    pool.database.write("VM", vm, field, action)
    domid = pool.database.field("VM", vm, "domid")
    assert await deed(pool.toolstack, vm) == state
    record = pool.database.record("VM", vm)
    assert record["power_state"] == state
    assert (record["domid"] == domid) == (action == "preserve")
    assert (record["resident_on"] == NULL_REF) == (state == "Halted")
    assert pool.database.refs("task") == []


async def test_crash_is_announced(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """VM_CRASHED has a higher priority than what people do to VMs."""
    await guestpower.crash(pool.toolstack, vm_named(pool, "vm-001"))
    (message,) = pool.database.find("message", "name", "VM_CRASHED")
    assert pool.database.field("message", message, "priority") == 2


async def test_features_are_lost_until_the_new_agent_reports(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """After a reboot from inside, suspend is offered again only some seconds later."""
    vm = vm_named(pool, "vm-001")
    await guestpower.reboot(pool.toolstack, vm)
    assert "suspend" not in pool.database.record("VM", vm)["allowed_operations"]  # type: ignore[operator] # a list
    await trio.sleep(6)
    assert "suspend" in pool.database.record("VM", vm)["allowed_operations"]  # type: ignore[operator] # a list


async def test_guest_waits_for_the_operation_at_work_on_it(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """The domain manager does one thing at a time: a suspended guest can't shut down any more."""
    vm = vm_named(pool, "vm-001")
    pool.start_operation(SESSION, "VM.suspend", [vm])
    await trio.sleep(1)
    with pytest.raises(Fault) as caught:
        await guestpower.shutdown(pool.toolstack, vm)
    assert caught.value.params == (vm, "running", "suspended")
    assert power_state(pool, vm) == "Suspended"
