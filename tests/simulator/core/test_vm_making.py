"""VMs made from records and templates, and how big they are."""

import pytest
import trio
from trio.testing import MockClock

from recorder.simulator.inventory import GIB, PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Fault, Value, texts_of
from tests.simulator.core.support import a_pool, vm_named

SESSION = "OpaqueRef:s"


@pytest.fixture
async def pool(nursery: trio.Nursery) -> SimulatedPool:
    """A running pool of one host."""
    made = a_pool(PoolSpec(hosts=1, vms=3))
    await nursery.start(made.run)
    return made


async def _fault(pool: SimulatedPool, method: str, *args: Value) -> tuple[str, ...]:
    with pytest.raises(Fault) as caught:
        await pool.call_operation(SESSION, method, [*args])
    return (caught.value.code, *caught.value.params)


async def test_a_created_vm_can_be_started(pool: SimulatedPool, autojump_clock: MockClock) -> None:
    """VM.create with the record of another VM gives a halted one without devices, which starts."""
    record = pool.database.record("VM", vm_named(pool, "vm-003"))
    made = await pool.call_operation(
        SESSION, "VM.create", [record | {"name_label": "made", "power_state": "Running"}]
    )
    vm = vm_named(pool, "made")
    assert made == vm
    new = pool.database.record("VM", vm)
    assert (new["power_state"], new["domid"], new["resident_on"]) == ("Halted", -1, NULL_REF)
    assert new["VBDs"] == new["VIFs"] == []
    assert "start" in texts_of(new, "allowed_operations")
    await pool.call_operation(SESSION, "VM.start", [vm, False, False])
    assert pool.database.field("VM", vm, "power_state") == "Running"


async def test_a_record_that_lacks_a_field_is_refused(
    pool: SimulatedPool, autojump_clock: MockClock
) -> None:
    """The field that is missing is named."""
    assert await _fault(pool, "VM.create", {"name_label": "x"}) == (
        "FIELD_TYPE_ERROR",
        "name_description",
    )


async def test_provision_makes_the_disks_of_a_template(
    pool: SimulatedPool, autojump_clock: MockClock
) -> None:
    """A clone of a template becomes a VM with the disks that other_config:disks asks for."""
    template = pool.database.find("VM", "is_default_template", True)[0]
    vm = str(await pool.call_operation(SESSION, "VM.clone", [template, "provisioned"]))
    disks = '<provision><disk device="0" size="8589934592" sr="" bootable="true"/></provision>'
    pool.database.write("VM", vm, "other_config", {"disks": disks, "kept": "1"})
    await pool.call_operation(SESSION, "VM.provision", [vm])
    record = pool.database.record("VM", vm)
    assert record["is_a_template"] is False
    assert record["other_config"] == {"kept": "1"}
    (vbd,) = texts_of(record, "VBDs")
    disk = str(pool.database.field("VBD", vbd, "VDI"))
    assert pool.database.field("VDI", disk, "virtual_size") == 8 * GIB
    assert await _fault(pool, "VM.provision", vm) == ("PROVISION_ONLY_ALLOWED_ON_TEMPLATE",)


async def test_provision_refuses_an_sr_that_is_not_there(
    pool: SimulatedPool, autojump_clock: MockClock
) -> None:
    """Nothing is made then, and the template stays one."""
    template = pool.database.find("VM", "is_default_template", True)[0]
    vm = str(await pool.call_operation(SESSION, "VM.clone", [template, "x"]))
    disks = '<provision><disk device="0" size="1" sr="nowhere" bootable="true"/></provision>'
    pool.database.write("VM", vm, "other_config", {"disks": disks})
    assert await _fault(pool, "VM.provision", vm) == ("UUID_INVALID", "SR", "nowhere")
    assert pool.database.field("VM", vm, "is_a_template") is True


async def test_memory_limits_stay_in_order(pool: SimulatedPool, autojump_clock: MockClock) -> None:
    """A limit beyond its neighbour is refused; all four can be moved at once, of a halted VM."""
    halted, running = vm_named(pool, "vm-003"), vm_named(pool, "vm-001")
    top = int(str(pool.database.field("VM", halted, "memory_static_max")))
    code, _rule = await _fault(pool, "VM.set_memory_dynamic_max", halted, top + 1)
    assert code == "MEMORY_CONSTRAINT_VIOLATION"
    limits = [GIB, 16 * GIB, 2 * GIB, 4 * GIB]
    await pool.call_operation(SESSION, "VM.set_memory_limits", [halted, *limits])
    record = pool.database.record("VM", halted)
    names = ("static_min", "static_max", "dynamic_min", "dynamic_max")
    assert [record[f"memory_{name}"] for name in names] == limits
    assert await _fault(pool, "VM.set_memory_static_max", running, 64 * GIB) == (
        *("VM_BAD_POWER_STATE", running, "halted", "running"),
    )


async def test_cpus_are_counted(pool: SimulatedPool, autojump_clock: MockClock) -> None:
    """CPUs at startup are at least one and at most VCPUs_max; a running VM gets more live."""
    halted, running = vm_named(pool, "vm-003"), vm_named(pool, "vm-001")
    await pool.call_operation(SESSION, "VM.set_VCPUs_max", [halted, 8])
    await pool.call_operation(SESSION, "VM.set_VCPUs_at_startup", [halted, 6])
    assert pool.database.field("VM", halted, "VCPUs_at_startup") == 6
    assert await _fault(pool, "VM.set_VCPUs_max", halted, 5) == (
        *("INVALID_VALUE", "VCPUs_max", "5"),
    )
    most = int(str(pool.database.field("VM", running, "VCPUs_max")))
    await pool.call_operation(SESSION, "VM.set_VCPUs_number_live", [running, most])
    metrics = str(pool.database.field("VM", running, "metrics"))
    assert pool.database.field("VM_metrics", metrics, "VCPUs_number") == most
    assert await _fault(pool, "VM.set_VCPUs_number_live", running, most + 1) == (
        *("INVALID_VALUE", "nvcpu", str(most + 1)),
    )
