"""Tasks: their records, cancelling, destroying, and what is collected."""

import pytest
import trio

from recorder.simulator.pool import SimulatedPool
from recorder.simulator.tasks import Tasks
from recorder.simulator.values import NULL_REF, Fault, Value
from tests.simulator.core.support import a_database, a_pool, power_state, vm_named

SESSION = "OpaqueRef:s"


@pytest.fixture
async def pool(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> SimulatedPool:
    pool = a_pool()
    await nursery.start(pool.run)
    return pool


async def test_async_task_is_kept_with_its_result(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """An Async task keeps its prefix in the name, and the result as XML-RPC text."""
    task = pool.start_operation(SESSION, "VM.clone", [vm_named(pool, "vm-003"), "copy"])
    assert pool.database.record("task", task)["status"] == "pending"
    await trio.sleep(5)
    record = pool.database.record("task", task)
    assert (record["name_label"], record["status"]) == ("Async.VM.clone", "success")
    assert record["result"] == f"<value>{vm_named(pool, 'copy')}</value>"
    assert (record["created"], record["finished"]) == ("20231114T22:13:20Z", "20231114T22:13:23Z")


async def test_sync_task_is_gone_after_the_call(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The task of a synchronous call is deleted when it returns, well or not."""
    vm = vm_named(pool, "vm-001")
    await pool.call_operation(SESSION, "VM.pause", [vm])
    with pytest.raises(Fault, match="VM_BAD_POWER_STATE"):
        await pool.call_operation(SESSION, "VM.pause", [vm])
    assert pool.database.refs("task") == []


async def test_failure_is_told_in_the_task(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """error_info is the code and the parameters."""
    vm = vm_named(pool, "vm-001")
    task = pool.start_operation(SESSION, "VM.start", [vm, False, False])
    await trio.sleep(1)
    record = pool.database.record("task", task)
    assert record["status"] == "failure"
    assert record["error_info"] == ["VM_BAD_POWER_STATE", vm, "halted", "running"]


async def test_cancel_ends_an_operation_that_takes_time(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A cancelled suspend leaves a running VM, and the request stays in the task for ever."""
    vm = vm_named(pool, "vm-001")
    task = pool.start_operation(SESSION, "VM.suspend", [vm])
    await trio.sleep(1)
    assert await pool.call_operation(SESSION, "task.cancel", [task]) == ""
    assert pool.database.record("task", task)["status"] == "pending"
    await trio.sleep(1)
    record = pool.database.record("task", task)
    assert (record["status"], record["error_info"]) == ("cancelled", [])
    assert list(record["current_operations"].values()) == ["cancel"]  # type: ignore[union-attr] # a map
    assert power_state(pool, vm) == "Running"
    assert pool.database.record("VM", vm)["current_operations"] == {}
    assert pool.database.find("VDI", "type", "suspend") == []


async def test_cancel_ends_an_operation_that_waits_for_another(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A start that waits for a clone to end can be cancelled while it waits."""
    vm = vm_named(pool, "vm-003")
    pool.start_operation(SESSION, "VM.copy", [vm, "copy", "OpaqueRef:NULL"])
    await trio.sleep(1)
    task = pool.start_operation(SESSION, "VM.start", [vm, False, False])
    await trio.sleep(1)
    await pool.call_operation(SESSION, "task.cancel", [task])
    assert pool.database.record("task", task)["status"] == "pending"
    await trio.sleep(20)
    assert pool.database.record("task", task)["status"] == "cancelled"
    await trio.sleep(30)
    assert power_state(pool, vm) == "Halted"


async def test_sync_caller_gets_task_cancelled(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """TASK_CANCELLED [task] is what a synchronous caller sees."""

    async def cancel() -> None:
        await trio.sleep(4)
        (task,) = pool.database.refs("task")
        await pool.call_operation(SESSION, "task.cancel", [task])

    nursery.start_soon(cancel)
    with pytest.raises(Fault) as caught:
        await pool.call_operation(SESSION, "VM.suspend", [vm_named(pool, "vm-001")])
    assert caught.value.code == "TASK_CANCELLED"
    assert caught.value.params[0].startswith("OpaqueRef:")


async def test_cancel_and_destroy_know_the_task(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """An unknown task is HANDLE_INVALID [task, ref] for both."""
    for method in ("task.cancel", "task.destroy"):
        with pytest.raises(Fault) as caught:
            await pool.call_operation(SESSION, method, ["OpaqueRef:no"])
        assert (caught.value.code, caught.value.params) == (
            "HANDLE_INVALID",
            ("task", "OpaqueRef:no"),
        )


async def test_destroy_of_a_pending_task_does_not_end_the_operation(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The mark is written, the operation goes on, and the row goes at the next collection."""
    vm = vm_named(pool, "vm-001")
    task = pool.start_operation(SESSION, "VM.suspend", [vm])
    await trio.sleep(1)
    await pool.call_operation(SESSION, "task.destroy", [task])
    assert pool.database.record("task", task)["current_operations"] == {"task": "destroy"}
    await trio.sleep(15)
    assert power_state(pool, vm) == "Suspended"
    await trio.sleep(31)
    assert not pool.database.exists("task", task)


async def test_completed_tasks_are_collected_after_65_minutes(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A completed task lives for 3900 seconds, a pending one goes on."""
    done = pool.start_operation(SESSION, "VM.pause", [vm_named(pool, "vm-001")])
    pending = str(await pool.call_operation(SESSION, "task.create", ["mine", ""]))
    await trio.sleep(3900)
    assert pool.database.exists("task", done)
    await trio.sleep(61)
    assert not pool.database.exists("task", done)
    assert pool.database.exists("task", pending)


async def test_pending_tasks_are_collected_after_a_day_without_progress(
    pool: SimulatedPool,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A pending task older than a day goes unless its progress has grown."""
    task = str(await pool.call_operation(SESSION, "task.create", ["mine", ""]))
    await trio.sleep(86400 - 60)
    assert pool.database.exists("task", task)
    await trio.sleep(200)
    assert not pool.database.exists("task", task)


async def test_more_than_200_tasks_lose_the_oldest_completed_ones(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The next pass removes as many completed tasks as there are too many."""
    tasks = [str(await pool.call_operation(SESSION, "task.create", ["t", ""])) for _ in range(230)]
    for task in tasks[:100]:
        pool.tasks.succeed(task, "")
        await trio.sleep(0.1)
    await trio.sleep(31)
    assert len(pool.database.refs("task")) == 200
    assert not pool.database.exists("task", tasks[0])
    assert pool.database.exists("task", tasks[99])


async def test_lost_caller_does_not_stop_the_operation(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A caller that goes away leaves the operation running, and its task is removed."""
    vm = vm_named(pool, "vm-001")
    with trio.move_on_after(1):
        await pool.call_operation(SESSION, "VM.suspend", [vm])
    await trio.sleep(20)
    assert power_state(pool, vm) == "Suspended"
    assert pool.database.refs("task") == []


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("", "<value></value>"),
        ("a<b", "<value>a&lt;b</value>"),
        (["a"], "<value><array><data><value>a</value></data></array></value>"),
        (True, "<value><boolean>1</boolean></value>"),
        (17, "<value>17</value>"),
        (0.5, "<value><double>0.5</double></value>"),
        (
            {"k": "v"},
            "<value><struct><member><name>k</name><value>v</value></member></struct></value>",
        ),
    ],
)
def test_results_are_xml_text(result: Value, text: str) -> None:
    """Whatever an operation returns is kept as the XML-RPC text of it."""
    database = a_database()
    tasks = Tasks(database, lambda: NULL_REF)
    task = tasks.begin("Async.VM.thing")
    tasks.succeed(task, result)
    assert database.field("task", task, "result") == text


async def test_waiting_operation_is_not_woken_up(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """It looks again 1 to 20 seconds after the last time, whenever the other one ended."""
    vm = vm_named(pool, "vm-003")
    pool.database.write("VM", vm, "current_operations", {"OpaqueRef:other": "clone"})
    begun = trio.current_time()
    task = pool.start_operation(SESSION, "VM.destroy", [vm])
    await trio.sleep(0.5)
    pool.database.write("VM", vm, "current_operations", {})
    await pool.tasks.ended(task).wait()
    assert 1.0 <= trio.current_time() - begun <= 21.0
    assert not pool.database.exists("VM", vm)


async def test_the_102nd_waiting_operation_is_refused(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """TOO_MANY_PENDING_TASKS [] when 101 operations wait already."""
    vm = vm_named(pool, "vm-003")
    pool.database.write("VM", vm, "current_operations", {"OpaqueRef:other": "destroy"})
    for _one in range(101):
        pool.start_operation(SESSION, "VM.destroy", [vm])
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(Fault) as caught:
        await pool.call_operation(SESSION, "VM.destroy", [vm])
    assert (caught.value.code, caught.value.params) == ("TOO_MANY_PENDING_TASKS", ())


async def test_waiting_ends_after_two_hours(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """OTHER_OPERATION_IN_PROGRESS [class, ref, operation, task] is what the caller gets then."""
    vm = vm_named(pool, "vm-003")
    pool.database.write("VM", vm, "current_operations", {"OpaqueRef:other": "destroy"})
    with pytest.raises(Fault) as caught:
        await pool.call_operation(SESSION, "VM.start", [vm, False, False])
    params = ("VM", vm, "destroy", "OpaqueRef:other")
    assert (caught.value.code, caught.value.params) == ("OTHER_OPERATION_IN_PROGRESS", params)
    assert 7200 <= trio.current_time() <= 7225


async def test_tasks_of_a_host_that_came_back_are_gone_without_an_end(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """xapi destroys what was pending on it, and takes it out of the rows it worked on."""
    vm = vm_named(pool, "vm-001")
    done = pool.start_operation(SESSION, "VM.pause", [vm])
    await pool.tasks.ended(done).wait()
    task = pool.tasks.begin("VM.unpause")
    pool.database.write("VM", vm, "current_operations", {task: "unpause"})
    pool.tasks.abandon(pool.master)
    assert pool.database.refs("task") == [done]
    assert pool.database.field("VM", vm, "current_operations") == {}
    assert pool.tasks.ended(task).is_set()
