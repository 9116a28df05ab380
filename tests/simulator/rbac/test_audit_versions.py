"""In what the trails of two versions of xapi differ, and when a line is written."""

from functools import partial

import pytest
import trio
from trio.testing import MockClock

from recorder.simulator.audit import (
    XAPI_24_11,
    XAPI_25_32,
    AuditHabits,
    Caller,
    Finding,
    Stamp,
)
from recorder.simulator.calls import Call
from recorder.simulator.dispatch import Dispatcher
from recorder.simulator.front import Front
from recorder.simulator.guard import LOOK_UP_S
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.server import Served, Sockets, serve
from recorder.simulator.toolstack import Manner, operations_in
from recorder.simulator.values import Fault
from tests.simulator.rbac.support import (
    MASTER,
    NOW_S,
    PASSWORD,
    PASSWORDS,
    READER,
    USERS,
    Bench,
    a_bench,
)
from tests.simulator.rbac.test_audit_log_page import OK, fetch


@pytest.mark.parametrize(
    ("habits", "line_s"), [(XAPI_24_11, LOOK_UP_S), (XAPI_25_32, 0.0)], ids=["24.11", "25.32"]
)
async def test_a_refusal_takes_time_and_its_line_comes_before_or_after(
    nursery: trio.Nursery, autojump_clock: MockClock, habits: AuditHabits, line_s: float
) -> None:
    """The roles that may are looked for, in either case before the task fails."""
    spec = PoolSpec(
        hosts=1,
        vms=1,
        password=PASSWORD,
        addresses=(MASTER.address,),
        users=USERS,
        audit=habits,
    )
    begun_s = trio.current_time()

    def now_s() -> float:
        return NOW_S + trio.current_time() - begun_s

    pool = SimulatedPool.build(spec, now_s=now_s)
    front = Front(pool, now_s=now_s)
    dispatcher = Dispatcher(pool, front.sessions, now_s=now_s)
    await nursery.start(pool.run)
    reader = front.sessions.login(READER, PASSWORDS[READER], originator="", trusted=False)
    with pytest.raises(Fault, match="RBAC_PERMISSION_DENIED"):
        await dispatcher.answer(Call("VM.start", [reader, "OpaqueRef:x", False, False]), MASTER)
    assert now_s() == pytest.approx(NOW_S + LOOK_UP_S)
    (line,) = dispatcher.trail.files(MASTER.address).since("")
    seconds, _, _rest = line.partition("[20261123T17:13:")[2].partition("Z")
    assert float(seconds) == pytest.approx(34.25 + line_s, abs=0.001)
    assert "'DENIED' ''" in line


@pytest.mark.parametrize(("habits", "lines"), [(XAPI_24_11, 0), (XAPI_25_32, 1)])
async def test_who_reads_the_trail_finds_himself_now_or_the_next_time(
    nursery: trio.Nursery, habits: AuditHabits, lines: int
) -> None:
    """24.11 writes of a reader behind what he reads, 25.32 before."""
    spec = PoolSpec(hosts=1, vms=1, speed=0.0, password=PASSWORD, audit=habits)
    (served,) = await nursery.start(partial(serve, [spec], Sockets(), now_s=lambda: NOW_S))
    assert isinstance(served, Served)
    session = served.sessions.login("root", PASSWORD, originator="", trusted=False)
    for polls in range(3):
        reply = await fetch(served, f"/audit_log?session_id={session}")
        assert reply.removeprefix(OK).count(b"\n") == polls + lines


async def test_a_line_lies_between_the_last_write_and_the_end_of_the_task(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that VM.start writes comes before its line, `finished` and what follows after it."""
    async with a_bench() as bench:
        vm = bench.vm("vm-003")
        if bench.database.field("VM", vm, "power_state") != "Halted":
            await bench.call("VM.hard_shutdown", vm)
        bench.pool.toolstack.later = lambda _delay_s, _act: None
        changes = bench.pool.truth.changes
        told: list[tuple[str, int]] = []
        write = bench.dispatcher.trail.write

        def note(stamp: Stamp, caller: Caller, finding: Finding) -> None:
            told.append((finding.call, len(changes)))
            write(stamp, caller, finding)

        monkeypatch.setattr(bench.dispatcher.trail, "write", note)
        await bench.call("VM.start", vm, False, False)
        assert [call for call, _at in told] == [
            "VM.atomic_set_resident_on",
            "VM.update_allowed_operations",
            "VM.start",
        ]
        at = told[-1][1]
        assert (changes[at - 1].cls, changes[at - 1].operation) == ("message", "add")
        assert b'"finished":"19700101' not in changes[at].snapshot
        assert {change.cls for change in changes[at:]} == {"task"}


def _member_of(bench: Bench) -> str:
    return bench.pool.hosts[1].ref


async def test_a_member_writes_of_a_call_that_is_passed_on_to_it(
    autojump_clock: MockClock,
) -> None:
    """With the mark of the master's task, the member as the user, and a session of its own."""
    async with a_bench(hosts=2) as bench:
        vm, member = bench.vm("vm-003"), _member_of(bench)
        if bench.database.field("VM", vm, "power_state") != "Halted":
            await bench.call("VM.hard_shutdown", vm)
        begun = [len(bench.lines(address)) for address in ("127.0.0.1", "127.0.0.2")]
        task = str(await bench.call("Async.VM.start_on", vm, member, False, False))
        await bench.finished(task)
        await bench.finished(await bench.call("Async.VM.hard_shutdown", vm))
        master = bench.lines("127.0.0.1")[begun[0] :]
        own = bench.lines("127.0.0.2")[begun[1] :]
        mark = f"R:{task[10:18]}{task[19:23]}"
        assert [line.split("'API' ")[1].split()[0] for line in own] == [
            "'VM.start_on'",
            "'VM.hard_shutdown'",
        ]
        assert f" HTTPS 127.0.0.1->:::80|Async.VM.start_on {mark}|audit] (" in own[0]
        assert f"'LOCAL_SUPERUSER' '{member}' 'ALLOWED' 'OK'" in own[0]
        (asked,) = (line for line in master if "'VM.start_on'" in line)
        assert f"|Async.VM.start_on {mark}|audit] (" in asked
        assert asked.split("'")[1] != own[0].split("'")[1]
        inner = [line for line in master if "->:::80|" in line]
        calls = [line.split("|")[4].split()[0] for line in inner if "update_allowed" not in line]
        assert calls == ["VM.atomic_set_resident_on"]
        assert all(" HTTPS 127.0.0.2->:::80|VM." in line for line in inner)
        assert all(f"'LOCAL_SUPERUSER' '{member}'" in line for line in inner)


async def test_a_call_that_fails_is_the_masters_alone(autojump_clock: MockClock) -> None:
    """As is one that it carries out itself, and a setter whatever it is about."""
    async with a_bench(hosts=2) as bench:
        vm, member = bench.vm("vm-003"), _member_of(bench)
        if bench.database.field("VM", vm, "power_state") != "Halted":
            await bench.call("VM.hard_shutdown", vm)
        await bench.call("VM.start_on", vm, bench.pool.master, False, False)
        before = bench.lines("127.0.0.2")
        with pytest.raises(Fault, match="VM_BAD_POWER_STATE"):
            await bench.call("VM.start_on", vm, member, False, False)
        await bench.call("VM.hard_shutdown", vm)
        await bench.call("host.set_name_description", member, "x")
        assert bench.lines("127.0.0.2") == before


async def test_what_ha_starts_is_the_masters_own_doing(autojump_clock: MockClock) -> None:
    """With a task and a line, by the socket of the master, under its name and no user's."""
    async with a_bench(hosts=3) as bench:
        vm, lost = bench.vm("vm-003"), bench.pool.hosts[2].ref
        if bench.database.field("VM", vm, "power_state") != "Halted":
            await bench.call("VM.hard_shutdown", vm)
        await bench.call("VM.start_on", vm, lost, False, False)
        bench.database.write("VM", vm, "ha_restart_priority", "best-effort")
        bench.database.write("pool", bench.pool.pool_ref, "ha_enabled", True)
        bench.pool.kill_host(lost)
        await trio.sleep(300)
        assert bench.database.field("VM", vm, "power_state") == "Running"
        (line,) = (line for line in bench.lines() if "'VM.start'" in line and vm in line)
        master = bench.pool.master
        assert " /var/lib/xcp/xapi|VM.start R:" in line
        assert f"'LOCAL_SUPERUSER' '{master}' 'ALLOWED' 'OK' 'API' 'VM.start' (('vm' " in line
        assert line.endswith("('start_paused' 'B(false)' '' '') ('force' 'B(true)' '' '')))")


async def test_an_operation_that_is_to_last_has_its_line_when_it_ends(
    autojump_clock: MockClock,
) -> None:
    """Not when the pool was done with it: between line and end of the task there is no time."""
    async with a_bench() as bench:
        begun_s, begun = trio.current_time(), len(bench.lines())
        with operations_in(Manner(until_s=begun_s + 10)):
            vm = bench.vm("vm-001")
            task = await bench.call("Async.VM.assert_operation_valid", vm, "snapshot")
        await trio.sleep(9.9)
        assert bench.lines()[begun:] == []
        assert (await bench.finished(task))["status"] == "success"
        assert trio.current_time() == pytest.approx(begun_s + 10)
        assert len(bench.lines()[begun:]) == 1
