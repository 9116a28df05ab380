"""Power operations: states, refusals with exact parameters, guests, and where VMs go."""

from collections.abc import Sequence

import pytest
import trio

from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Fault, Value
from tests.simulator.core.support import a_pool, power_state, vm_named

SESSION = "OpaqueRef:s"


@pytest.fixture
async def pool(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> SimulatedPool:
    pool = a_pool()
    await nursery.start(pool.run)
    return pool


async def _fault(pool: SimulatedPool, method: str, args: Sequence[Value]) -> Fault:
    with pytest.raises(Fault) as caught:
        await pool.call_operation(SESSION, method, args)
    return caught.value


async def test_a_vm_goes_through_all_power_states(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """start, pause, unpause, suspend, resume and shutdown end in the states of xapi."""
    vm = vm_named(pool, "vm-003")
    states = [power_state(pool, vm)]
    steps: tuple[tuple[str, list[Value]], ...] = (
        ("VM.start", [vm, False, False]),
        ("VM.pause", [vm]),
        ("VM.unpause", [vm]),
        ("VM.suspend", [vm]),
        ("VM.resume", [vm, True, False]),
        ("VM.unpause", [vm]),
        ("VM.clean_shutdown", [vm]),
    )
    for method, args in steps:
        await pool.call_operation(SESSION, method, args)
        await trio.sleep(10)
        states.append(power_state(pool, vm))
    assert states == [
        "Halted",
        "Running",
        "Paused",
        "Running",
        "Suspended",
        "Paused",
        "Running",
        "Halted",
    ]


async def test_suspended_vm_has_an_image_and_no_host(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Suspending makes a disk for the memory; a hard shutdown drops it."""
    vm = vm_named(pool, "vm-001")
    await pool.call_operation(SESSION, "VM.suspend", [vm])
    record = pool.database.record("VM", vm)
    assert (record["domid"], record["resident_on"]) == (-1, NULL_REF)
    image = str(record["suspend_VDI"])
    assert pool.database.record("VDI", image)["type"] == "suspend"
    await pool.call_operation(SESSION, "VM.hard_shutdown", [vm])
    assert power_state(pool, vm) == "Halted"
    assert not pool.database.exists("VDI", image)


@pytest.mark.parametrize(
    ("method", "name", "expected"),
    [
        ("VM.start", "vm-001", ("halted", "running")),
        ("VM.resume", "vm-001", ("suspended", "running")),
        ("VM.unpause", "vm-001", ("paused", "running")),
        ("VM.clean_shutdown", "vm-003", ("running", "halted")),
        ("VM.hard_shutdown", "vm-003", ("paused, suspended, running", "halted")),
        ("VM.hard_reboot", "vm-003", ("paused, running", "halted")),
        ("VM.clone", "vm-001", ("halted", "running")),
    ],
)
async def test_wrong_power_state_is_named(
    pool: SimulatedPool,
    autojump_clock: trio.testing.MockClock,
    method: str,
    name: str,
    expected: tuple[str, str],
) -> None:
    """VM_BAD_POWER_STATE [vm, expected, actual], in lower case."""
    vm = vm_named(pool, name)
    more: dict[str, list[Value]] = {
        "VM.start": [False, False],
        "VM.resume": [False, False],
        "VM.clone": ["copy"],
    }
    fault = await _fault(pool, method, [vm, *more.get(method, [])])
    assert (fault.code, fault.params) == ("VM_BAD_POWER_STATE", (vm, *expected))


async def test_refusals_carry_the_parameters_of_xapi(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Unknown VM, template, control domain, snapshot and blocked operation, each as in xapi."""
    template = vm_named(pool, "Debian Bookworm 12")
    domain_0 = vm_named(pool, "Control domain on host: host-1")
    halted = vm_named(pool, "vm-003")
    snapshot = str(await pool.call_operation(SESSION, "VM.snapshot", [halted, "snap"]))
    pool.database.write("VM", halted, "blocked_operations", {"start": "because"})
    start: list[Value] = [False, False]
    faults = [
        await _fault(pool, "VM.start", ["OpaqueRef:no", *start]),
        await _fault(pool, "VM.start", [template, *start]),
        await _fault(pool, "VM.hard_shutdown", [domain_0]),
        await _fault(pool, "VM.start", [snapshot, *start]),
        await _fault(pool, "VM.start", [halted, *start]),
    ]
    assert [(fault.code, *fault.params) for fault in faults] == [
        ("HANDLE_INVALID", "VM", "OpaqueRef:no"),
        ("VM_IS_TEMPLATE", template, "start"),
        ("OPERATION_NOT_ALLOWED", "Operations on domain 0 are not allowed"),
        ("VM_IS_SNAPSHOT", snapshot, "start"),
        ("OPERATION_BLOCKED", halted, "because"),
    ]


async def test_guest_features_appear_some_seconds_after_start(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """suspend and clean_shutdown are listed only once the guest agent has reported."""
    vm = vm_named(pool, "vm-003")
    await pool.call_operation(SESSION, "VM.start", [vm, False, False])
    allowed = pool.database.record("VM", vm)["allowed_operations"]
    assert allowed == [
        "sysprep",
        "metadata_export",
        "changing_dynamic_range",
        "hard_reboot",
        "hard_shutdown",
        "pause",
        "snapshot",
    ]
    await trio.sleep(6)
    allowed = pool.database.record("VM", vm)["allowed_operations"]
    assert isinstance(allowed, list)
    assert {"suspend", "clean_shutdown", "clean_reboot", "pool_migrate"} <= set(map(str, allowed))


async def test_guest_without_agent_does_not_acknowledge(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A clean shutdown right after the start fails after a while, and the VM goes on."""
    vm = vm_named(pool, "vm-003")
    await pool.call_operation(SESSION, "VM.start", [vm, False, False])
    fault = await _fault(pool, "VM.clean_shutdown", [vm])
    assert (fault.code, fault.params) == ("VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT", (vm,))
    assert power_state(pool, vm) == "Running"


async def test_second_operation_waits_for_the_first(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A clean shutdown during a migration is not refused: it comes after it."""
    vm = vm_named(pool, "vm-001")
    move = pool.start_operation(
        SESSION, "VM.pool_migrate", [vm, pool.hosts[1].ref, {"live": "true"}]
    )
    await trio.sleep(1)
    await pool.call_operation(SESSION, "VM.clean_shutdown", [vm])
    assert pool.database.record("task", move)["status"] == "success"
    assert power_state(pool, vm) == "Halted"


async def test_hard_shutdown_cancels_what_else_is_done(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A hard shutdown ends a suspend that is under way, and does not wait for its end."""
    vm = vm_named(pool, "vm-001")
    suspend = pool.start_operation(SESSION, "VM.suspend", [vm])
    await trio.sleep(1)
    await pool.call_operation(SESSION, "VM.hard_shutdown", [vm])
    assert pool.database.record("task", suspend)["status"] == "cancelled"
    assert power_state(pool, vm) == "Halted"
    assert pool.database.find("VDI", "type", "suspend") == []


async def test_start_goes_where_most_memory_is(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Without affinity the emptiest host is chosen; with affinity that one."""
    first, second = vm_named(pool, "vm-003"), vm_named(pool, "vm-006")
    emptiest = max(pool.hosts, key=lambda host: pool.toolstack.free_memory_bytes(host.ref))
    await pool.call_operation(SESSION, "VM.start", [first, False, False])
    assert pool.database.record("VM", first)["resident_on"] == emptiest.ref
    wanted = next(host.ref for host in pool.hosts if host != emptiest)
    pool.database.write("VM", second, "affinity", wanted)
    await pool.call_operation(SESSION, "VM.start", [second, False, False])
    assert pool.database.record("VM", second)["resident_on"] == wanted


async def test_no_room_is_said_in_bytes_or_for_all_hosts(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """One host: HOST_NOT_ENOUGH_FREE_MEMORY [needed, available]; several: NO_HOSTS_AVAILABLE."""
    vm = vm_named(pool, "vm-003")
    pool.database.write("VM", vm, "memory_static_max", 2**40)
    fault = await _fault(pool, "VM.start", [vm, False, False])
    assert (fault.code, fault.params) == ("NO_HOSTS_AVAILABLE", ())
    host = pool.hosts[0].ref
    fault = await _fault(pool, "VM.start_on", [vm, host, False, False])
    free = pool.toolstack.free_memory_bytes(host)
    assert fault.code == "HOST_NOT_ENOUGH_FREE_MEMORY"
    assert fault.params == (str(2**40 + 11 * 2**20), str(free))
    assert pool.database.record("VM", vm)["scheduled_to_be_resident_on"] == NULL_REF
    await pool.call_operation(SESSION, "host.disable", [host])
    fault = await _fault(pool, "VM.start_on", [vm, host, False, False])
    assert (fault.code, fault.params) == ("HOST_DISABLED", (host,))


async def test_operations_take_no_time_at_speed_zero(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A pool of speed 0 does everything at once, guest agents included."""
    pool = a_pool(PoolSpec(speed=0.0))
    await nursery.start(pool.run)
    begun = trio.current_time()
    vm = vm_named(pool, "vm-003")
    await pool.call_operation(SESSION, "VM.start", [vm, False, False])
    await trio.testing.wait_all_tasks_blocked()
    await pool.call_operation(SESSION, "VM.suspend", [vm])
    assert power_state(pool, vm) == "Suspended"
    assert trio.current_time() == begun
