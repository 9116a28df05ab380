"""Tasks that fail, hang or vanish, and events that are never sent."""

import pytest
import trio
from trio.testing import MockClock

from tests.simulator.faults.support import Client, Hung, Refused, a_stage


async def _events(client: Client) -> list[tuple[int, str, str]]:
    """What event.next tells: id, class, operation."""
    events = await client.do("event.next")
    return [(int(event["id"]), event["class"], event["operation"]) for event in events]


async def test_a_task_in_the_background_fails_halfway(autojump_clock: MockClock) -> None:
    """The call gives a task that makes progress, and then the error; the VM did not start."""
    rule = {
        "match": "Async.VM.start",
        "effect": "task_failure",
        "code": "HOST_NOT_ENOUGH_FREE_MEMORY",
        "params": ["1", "0"],
        "progress": 0.6,
        "lasts_s": 10,
    }
    async with a_stage(rule) as stage:
        client, vm = await stage.login(), stage.halted()
        task = await client.do("Async.VM.start", vm, False, False)
        await client.do("event.register", ["task"])
        await trio.sleep(6)
        assert await client.do("task.get_progress", task) == pytest.approx(0.3)
        await trio.sleep(6)
        record = await client.do("task.get_record", task)
        assert record["name_label"] == "Async.VM.start"
        assert record["status"] == "failure"
        assert record["error_info"] == ["HOST_NOT_ENOUGH_FREE_MEMORY", "1", "0"]
        seen = [event["snapshot"]["progress"] for event in await client.do("event.next")]
        assert 0.6 in seen
        assert stage.pool.database.record("VM", vm)["power_state"] == "Halted"


async def test_a_call_that_waits_gets_the_error_of_its_task(autojump_clock: MockClock) -> None:
    """The task is gone when the answer is there."""
    async with a_stage({"match": "VM.start", "effect": "task_failure"}) as stage:
        client = await stage.login()
        with pytest.raises(Refused, match="INTERNAL_ERROR"):
            await client.do("VM.start", stage.halted(), False, False)
        assert await client.do("task.get_all") == []


async def test_a_task_that_was_to_fail_can_be_cancelled(autojump_clock: MockClock) -> None:
    """It ends as cancelled."""
    async with a_stage({"match": "Async.*", "effect": "task_failure"}) as stage:
        client = await stage.login()
        task = await client.do("Async.VM.start", stage.halted(), False, False)
        await client.do("task.cancel", task)
        await trio.sleep(6)
        assert await client.do("task.get_status", task) == "cancelled"


async def test_a_task_never_ends(autojump_clock: MockClock) -> None:
    """It stays pending, and a call that waits gets no answer."""
    async with a_stage({"match": "*VM.start", "effect": "task_hang", "progress": 0.25}) as stage:
        client, vm = await stage.login(), stage.halted()
        task = await client.do("Async.VM.start", vm, False, False)
        await trio.sleep(3000)
        record = await client.do("task.get_record", task)
        assert (record["status"], record["progress"]) == ("pending", 0.25)
        with pytest.raises(Hung):
            await client.do("VM.start", vm, False, False)


async def test_a_task_vanishes_while_its_operation_goes_on(autojump_clock: MockClock) -> None:
    """Whoever polls it gets HANDLE_INVALID; the VM runs."""
    async with a_stage({"match": "*", "effect": "task_vanish", "lasts_s": 0.2}) as stage:
        client, vm = await stage.login(), stage.halted()
        task = await client.do("Async.VM.start", vm, False, False)
        await trio.sleep(0.5)
        with pytest.raises(Refused, match="HANDLE_INVALID"):
            await client.do("task.get_status", task)
        await trio.sleep(60)
        assert stage.pool.database.record("VM", vm)["power_state"] == "Running"


async def test_an_event_is_never_sent(autojump_clock: MockClock) -> None:
    """The change happened, the ids are contiguous: nobody can tell from the events."""
    async with a_stage({"match": "pool.mod", "effect": "swallow", "count": 1}) as stage:
        client, pool = await stage.login(), stage.pool.pool_ref
        await client.do("event.register", ["*"])
        await client.do("pool.set_name_description", pool, "unseen")
        await client.do("pool.set_name_label", pool, "seen")
        ((first, _, _),) = await _events(client)
        assert await client.do("event.get_current_id") == first + 1 == 1


async def test_an_event_is_missing_by_its_id(autojump_clock: MockClock) -> None:
    """With `leaves_gap` the id is used up, and event.next waits on for the next one."""
    rule = {"match": "pool.mod", "effect": "swallow", "count": 1, "leaves_gap": True}
    async with a_stage(rule) as stage:
        client, pool = await stage.login(), stage.pool.pool_ref
        await client.do("event.register", ["*"])
        await client.do("pool.set_name_description", pool, "unseen")
        assert await _events(client) == [(1, "pool", "mod")]  # The heartbeat, half a minute later.


async def test_event_from_leaves_a_swallowed_change_out(autojump_clock: MockClock) -> None:
    """Until the object changes again."""
    rule = {"match": "VM", "object": "vm-1", "effect": "swallow", "count": 1}
    async with a_stage() as stage:
        client, vm = await stage.login(), stage.pool.database.refs("VM")[-1]
        name = str(stage.pool.database.record("VM", vm)["name_label"])
        stage.rules(rule | {"object": name})
        token = (await client.do("event.from", ["*"], "", 1.0))["token"]
        await client.do("VM.set_name_description", vm, "unseen")
        reply = await client.do("event.from", ["*"], token, 1.0)
        assert reply["events"] == []
        await client.do("VM.set_name_description", vm, "seen")
        reply = await client.do("event.from", ["*"], reply["token"], 1.0)
        assert [event["ref"] for event in reply["events"]] == [vm]
