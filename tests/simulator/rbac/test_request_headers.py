"""What HTTP headers of a call change: its task, and what lines say of it."""

import pytest
import trio.testing

from recorder.simulator.values import Fault
from tests.simulator.rbac.support import READER, a_bench


async def test_a_call_may_use_the_task_of_its_caller(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """With Task-Id no task is made, and the one that is named is left to whoever made it."""
    async with a_bench() as bench:
        vm = bench.database.refs("VM")[-1]
        task = str(await bench.call("task.create", "outer", ""))
        fault = await bench.fault("VM.start", "OpaqueRef:x", False, False)
        assert fault[0] == "HANDLE_INVALID"
        before = bench.database.refs("task")
        await bench.call("VM.set_name_label", vm, "x", headers={"task-id": task})
        done = await bench.call(
            "Async.VM.assert_operation_valid", vm, "destroy", headers={"task-id": task}
        )
        assert done == task
        assert bench.database.refs("task") == before
        assert bench.database.field("task", task, "status") == "pending"
        assert "|outer R:" in bench.lines()[-1]


async def test_a_task_that_is_named_must_exist() -> None:
    """Otherwise the call fails before anything is done."""
    async with a_bench() as bench:
        with pytest.raises(Fault, match="HANDLE_INVALID task OpaqueRef:gone"):
            await bench.call("VM.get_all", headers={"task-id": "OpaqueRef:gone"})


async def test_a_call_may_hang_its_task_into_another(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """subtask-of makes the new task a child."""
    async with a_bench() as bench:
        vm = bench.database.refs("VM")[-1]
        outer = str(await bench.call("task.create", "outer", ""))
        inner = await bench.call(
            "Async.VM.assert_operation_valid", vm, "destroy", headers={"subtask-of": outer}
        )
        record = await bench.finished(inner)
        assert record["subtask_of"] == outer
        assert bench.database.field("task", outer, "subtasks") == [inner]


async def test_a_call_may_leave_notes_in_its_task(autojump_clock: trio.testing.MockClock) -> None:
    """x-http-other-config-KEY becomes http:KEY from the very first event of the task."""
    async with a_bench() as bench:
        vm = bench.database.refs("VM")[-1]
        await bench.call("event.register", ["task"])
        headers = {"x-http-other-config-caller": "me", "content-length": "5"}
        await bench.call("VM.assert_operation_valid", vm, "destroy", headers=headers)
        first = (await bench.pool.hub.next(bench.root))[0]
        assert b'"other_config":{"http:caller":"me"}' in first.json


async def test_a_sessions_tasks_are_in_its_record(autojump_clock: trio.testing.MockClock) -> None:
    """The youngest first, and only those that are still there."""
    async with a_bench() as bench:
        reader = bench.login(READER)
        tasks = [await bench.call("task.create", name, "", session=reader) for name in "ab"]
        assert await bench.call("session.get_tasks", reader) == tasks[::-1]
        await bench.call("task.set_status", str(tasks[0]), "success", session=reader)
        await bench.call("task.destroy", str(tasks[0]), session=reader)
        assert await bench.call("session.get_tasks", reader) == [tasks[1]]
