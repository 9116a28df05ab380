"""The truth of who did what: every call, and to which of them each change is due."""

import trio
import trio.lowlevel
from trio.testing import MockClock

from recorder.simulator.doings import Doing
from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from tests.simulator.rbac.support import NOW_S, OPERATOR, READER, Bench, a_bench

GONE = "OpaqueRef:00000000-1111-2222-3333-444444444444"


def _writes_of(bench: Bench, doing: Doing | None, begun: int) -> set[tuple[str, str]]:
    """What a call wrote since there were so many changes, by class and field."""
    new = {id(change) for change in bench.pool.truth.changes[begun:]}
    return {
        (write.change.cls, name)
        for write in bench.pool.truth.writes()
        if write.change.by is doing and write.change.operation == "mod" and id(write.change) in new
        for name in write.fields
    }


async def _halt(bench: Bench, name: str) -> str:
    vm = bench.vm(name)
    if bench.database.field("VM", vm, "power_state") != "Halted":
        await bench.call("VM.hard_shutdown", vm)
    bench.pool.truth.doings.clear()
    return vm


async def test_a_call_is_there_with_who_made_it_and_what_became_of_it(
    autojump_clock: MockClock,
) -> None:
    """Its session, user and client, its arguments and its task, and the fault if there was one."""
    async with a_bench() as bench:
        vm = await _halt(bench, "vm-003")
        operator, reader = bench.login(OPERATOR), bench.login(READER)
        task = await bench.call("Async.VM.start", vm, True, False, session=operator)
        await bench.finished(task)
        await bench.fault("VM.start", GONE, False, False, session=operator)
        await bench.fault("VM.set_name_label", vm, "x", session=reader)
        await bench.call("VM.get_record", vm, session=reader)
        start, failed, refused = bench.pool.truth.doings
        assert (start.session, start.user, start.client) == (operator, OPERATOR, "HTTP 127.0.0.1")
        assert (start.method, start.call, start.task) == ("Async.VM.start", "VM.start", task)
        assert (start.targets, start.given["start_paused"]) == ([vm], True)
        assert (start.begun_s, start.ended_s, start.error) == (NOW_S, NOW_S, ())
        assert (failed.denied, failed.error) == (False, ("HANDLE_INVALID", "VM", GONE))
        assert (refused.user, refused.denied, refused.task[:10]) == (READER, True, "DummyRef:|")


async def test_changes_are_due_to_the_call_that_made_them(autojump_clock: MockClock) -> None:
    """Those of its inner calls and of its task are, too; guest agents are nobody's."""
    async with a_bench() as bench:
        vm = await _halt(bench, "vm-003")
        begun = len(bench.pool.truth.changes)
        await bench.finished(await bench.call("Async.VM.start", vm, False, False))
        await bench.call("VM.set_name_label", vm, "new", session=bench.root)
        await trio.sleep(60)
        start, named = bench.pool.truth.doings
        assert _writes_of(bench, named, begun) == {("vm", "name_label")}
        written = _writes_of(bench, start, begun)
        assert {("vm", "power_state"), ("vm", "resident_on"), ("task", "status")} <= written
        assert ("host", "resident_VMs") in written
        of_nobody = _writes_of(bench, None, begun)
        assert ("vm_guest_metrics", "PV_drivers_version") in of_nobody
        assert not of_nobody & {("vm", "name_label"), ("vm", "power_state"), ("vm", "resident_on")}


async def test_two_calls_at_once_are_told_apart(autojump_clock: MockClock) -> None:
    """Each VM was started by its own user, though both starts were under way together."""
    async with a_bench() as bench:
        mine, theirs = await _halt(bench, "vm-002"), await _halt(bench, "vm-003")
        operator, start = bench.login(OPERATOR), (False, False)
        bench.pool.toolstack.speed = 1.0
        tasks = [
            await bench.call("Async.VM.start", theirs, *start, session=operator),
            await bench.call("Async.VM.start", mine, *start),
        ]
        for task in tasks:
            assert (await bench.finished(task))["status"] == "success"
        doings = bench.pool.truth.doings
        started = {
            write.change.ref: write.change.by
            for write in bench.pool.truth.writes()
            if "power_state" in write.fields and write.change.by in doings
        }
        assert started == dict(zip((theirs, mine), doings, strict=True))


async def test_a_lent_task_is_not_the_calls_own(autojump_clock: MockClock) -> None:
    """Who names a task by a header is noted with it, and with his headers."""
    async with a_bench() as bench:
        task = str(await bench.call("task.create", "outer", ""))
        vm, headers = bench.vm("vm-001"), {"task-id": task}
        await bench.call("VM.set_name_description", vm, "x", headers=headers)
        made, lent = bench.pool.truth.doings
        assert (made.lent, lent.lent, lent.task) == (False, True, task)
        assert lent.headers == headers


async def test_a_restart_leaves_calls_without_an_end(autojump_clock: MockClock) -> None:
    """As it leaves them without a line."""
    async with a_bench() as bench:
        vm = await _halt(bench, "vm-003")
        bench.pool.toolstack.speed = 1.0
        begun = len(bench.lines())
        await bench.call("Async.VM.start", vm, False, False)
        await trio.sleep(0.1)
        bench.pool.restart_toolstack()
        await trio.sleep(60)
        (start,) = bench.pool.truth.doings
        assert start.ended_s is None
        assert bench.lines()[begun:] == []


async def test_without_a_truth_nothing_is_kept(nursery: trio.Nursery) -> None:
    """A pool that is to run for weeks does not grow by what it is asked."""
    pool = SimulatedPool.build(PoolSpec(hosts=1, vms=1, keeps_truth=False), now_s=lambda: NOW_S)
    front = Front(pool, now_s=lambda: NOW_S)
    await nursery.start(front.run)
    await front.insider()("pool.set_name_description", [pool.pool_ref, "x"])
    assert (pool.truth.doings, pool.truth.changes) == ([], [])
