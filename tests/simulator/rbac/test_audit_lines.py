"""The same calls as on a real xapi give the same lines in the audit trail."""

import re
from collections.abc import AsyncIterator, Mapping
from hashlib import md5

import pytest
import trio.testing

from recorder.simulator.audit import (
    XAPI_24_11,
    XAPI_25_32,
    AuditHabits,
    Caller,
    Finding,
    Stamp,
)
from recorder.simulator.calls import Sent
from recorder.simulator.door import Door
from recorder.simulator.values import Fault, map_of
from tests.simulator.rbac.support import GOLDEN, READER, Bench, a_bench, comparable

GONE = "OpaqueRef:00000000-1111-2222-3333-444444444444"
DEBUG = "x-http-other-config-dbg"


def _name(bench: Bench) -> None:
    """Give objects the names that they had in the recording."""
    database = bench.database
    guests = [
        vm
        for vm in database.refs("VM")
        if not database.field("VM", vm, "is_a_template")
        and not database.field("VM", vm, "is_control_domain")
    ]
    for vm, name in zip(guests, ("vm2", "vm3", "vm4"), strict=True):
        database.write("VM", vm, "name_label", name)
    database.write("host", bench.pool.master, "name_label", "localhost")
    database.write("pool", bench.pool.pool_ref, "name_label", "")


async def _try(
    bench: Bench, method: str, *params: Sent, headers: Mapping[str, str] | None = None
) -> None:
    try:
        await bench.call(method, *params, headers=headers)
    except Fault:
        return


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as bench:
        yield bench


async def _halt(bench: Bench, name: str) -> None:
    if bench.database.field("VM", bench.vm(name), "power_state") != "Halted":
        await bench.call("VM.hard_shutdown", bench.vm(name))


@pytest.mark.parametrize(("version", "habits"), [("24.11", XAPI_24_11), ("25.32", XAPI_25_32)])
async def test_every_line_is_that_of_xapi(
    version: str, habits: AuditHabits, autojump_clock: trio.testing.MockClock
) -> None:
    """One call of each kind: who is written down, in which words, and which objects are named."""
    async with a_bench(audit=habits) as bench:
        # The recording was made without guest agents and monitoring, whose tasks have lines, too.
        bench.pool.toolstack.later = lambda _delay_s, _act: None
        _name(bench)
        vm2, vm3, pool = bench.vm("vm2"), bench.vm("vm3"), bench.pool.pool_ref
        await _halt(bench, "vm2")
        await _halt(bench, "vm3")
        vbd = bench.database.find("VBD", "VM", bench.vm("vm4"))[0]
        vif = bench.database.find("VIF", "VM", bench.vm("vm4"))[0]
        await _halt(bench, "vm4")
        bench.database.write(
            "VDI", str(bench.database.field("VBD", vbd, "VDI")), "name_label", "vdi2"
        )
        begun = len(bench.lines())
        await bench.call("VBD.destroy", vbd)
        await bench.call("VIF.destroy", vif)
        await bench.call("VM.start", vm2, False, False)
        await _try(bench, "VM.start", vm2, False, False)
        await bench.finished(await bench.call("Async.VM.start", vm2, False, False))
        await bench.finished(await bench.call("Async.VM.hard_shutdown", vm2))
        clone = str(await bench.call("VM.clone", vm3, "vm3 clone it's"))
        await bench.finished(await bench.call("Async.VM.clone", vm3, "vm3 clone2"))
        snapshot = await bench.call("VM.snapshot", vm3, "snap1")
        await bench.call("VM.set_name_label", clone, "renamed")
        await bench.call("VM.set_name_description", clone, "SECRETVALUE")
        await bench.call("VM.add_to_other_config", clone, "SECRETVALUE", "SECRETVALUE")
        await bench.call("VM.set_other_config", clone, {"SECRETVALUE": "SECRETVALUE"})
        await bench.call("VM.remove_from_other_config", clone, "SECRETVALUE")
        await bench.call("VM.add_tags", clone, "SECRETVALUE")
        await bench.call("VM.destroy", str(snapshot))
        await bench.call("VM.destroy", clone)
        await _try(bench, "VM.destroy", clone)
        await _try(bench, "VM.start", GONE, False, False)
        await _try(bench, "no.such_method")
        await bench.call("pool.set_name_description", pool, "SECRETVALUE")
        await bench.call("pool.add_to_other_config", pool, "SECRETVALUE", "SECRETVALUE")
        uuid = str(bench.database.field("pool", pool, "uuid"))
        message = await bench.call("message.create", "TEST", "5", "Pool", uuid, "body text")
        await bench.call("message.destroy", str(message))
        task = str(await bench.call("task.create", "my task", "task descr"))
        await bench.call("task.set_progress", task, 0.5)
        await bench.call("task.cancel", task)
        await bench.call("task.set_status", task, "success")
        await bench.call("task.destroy", task)
        await bench.call(
            "network.create", {"name_label": "net1", "name_description": "nd", "other_config": {}}
        )
        await bench.call("event.register", ["*"])
        await bench.call("event.inject", "pool", pool)
        await bench.call("event.unregister", ["*"])
        await bench.call("session.change_password", "SECRETVALUE", "SECRETVALUE")
        await _try(bench, "VM.hard_shutdown", vm2, headers={DEBUG: "my own dbg text"})
        reader = bench.login(READER, originator="readonly")
        for method, params in (
            ("VM.start", (vm2, False, False)),
            ("Async.VM.start", (vm2, False, False)),
            ("VM.set_name_label", (vm2, "SECRETVALUE")),
            ("event.register", (["*"],)),
            ("session.logout", ()),
        ):
            try:
                done = await bench.call(method, *params, session=reader)
                if method.startswith("Async."):
                    await bench.finished(done)
            except Fault:
                continue
        await _try(bench, "task.cancel", GONE)
        forged = {DEBUG: "Async.VM.start R:aaaaaaaaaaaa"}
        await bench.call("pool.set_name_description", pool, "x", headers=forged)
        await bench.call("pool.set_name_description", pool, "y", headers={DEBUG: "a|b] c\\n%0a"})
        outer = str(await bench.call("task.create", "outer client task", ""))
        await bench.call("VM.clone", vm3, "hdr Task-Id", headers={"task-id": outer})
        special = 'q\'uote \\back "dq" tab\there nl\nx | ] (paren) é 中 end'
        await bench.call("VM.clone", vm3, special)
        told = bench.lines()[begun:]
    recorded = (GOLDEN / f"lines-{version}.txt").read_text(encoding="ascii").splitlines()
    assert comparable(told) == comparable(recorded)
    assert "SECRETVALUE" not in "".join(told)


async def test_a_line_begins_as_rsyslog_writes_it() -> None:
    """Date and name of the host, then the time in milliseconds, in UTC."""
    async with a_bench() as bench:
        await bench.call("event.register", ["*"])
        (line,) = bench.dispatcher.trail.files("127.0.0.1").since("")
        host = bench.database.field("host", bench.pool.master, "hostname")
        trackid = md5(bench.root.encode(), usedforsecurity=False).hexdigest()
        assert line.startswith(
            f"Nov 23 17:13:34 {host} xapi: [20261123T17:13:34.250Z|audit||80 HTTP 127.0.0.1->"
        )
        assert f"|audit] ('trackid={trackid}' 'LOCAL_SUPERUSER' 'root' 'ALLOWED'" in line


async def test_reading_is_not_written_down() -> None:
    """Getters, event.next and event.from, logins and logouts of root leave no line."""
    async with a_bench() as bench:
        await bench.call("VM.get_all_records")
        await bench.call("event.from", [], "", 0.0)
        session = str(await bench.raw("session.login_with_password", "root", "xenroot"))
        await bench.raw("session.logout", session)
        assert await bench.fault("VM.get_record") == [
            "MESSAGE_PARAMETER_COUNT_MISMATCH",
            "VM.get_record",
            "1",
            "0",
        ]
        assert bench.lines() == []


async def test_a_user_of_the_directory_is_seen_to_come() -> None:
    """Unlike root, a user has a line for his login, with name and originator."""
    async with a_bench() as bench:
        await bench.raw("session.login_with_password", READER, "reads", "1.0", "readonly")
        (line,) = bench.lines()
        assert "|session.login_with_password D:" in line
        assert line.endswith(
            "'session.create' (('uname' 'EXAMPLE\\\\\\\\ro-user' '' '')"
            " ('originator' 'readonly' '' '')))"
        )


async def test_the_task_of_a_call_is_in_its_line() -> None:
    """R: and 12 digits of the task's reference join a line with a task, also of a call inside."""
    async with a_bench(vms=1) as bench:
        vm = bench.database.refs("VM")[-1]
        if bench.database.field("VM", vm, "power_state") != "Halted":
            await bench.call("VM.hard_shutdown", vm)
        begun = len(bench.lines())
        await bench.call("event.register", ["task"])
        await bench.call("VM.start", vm, False, False)
        events = await bench.pool.hub.next(bench.root)
        tasks = {event.ref.removeprefix("OpaqueRef:").replace("-", "")[:12] for event in events}
        told = "\n".join(bench.lines()[begun:])
        assert set(re.findall(r" R:([0-9a-f]{12})\|", told)) == tasks
        assert len(tasks) >= 3


async def test_who_cancels_is_seen_in_the_task() -> None:
    """The canceller's D: is in the key of the task's current_operations."""
    async with a_bench() as bench:
        task = str(await bench.call("task.create", "mine", ""))
        await bench.call("task.cancel", task)
        (key,) = map_of(bench.database.record("task", task), "current_operations")
        uuid = key.split("|")[1].replace("-", "")
        assert f"|task.cancel D:{uuid[:12]}|" in bench.lines()[-1]


async def test_a_line_is_written_before_its_task_ends(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a reader of both finds the line first, or at the latest with the task."""
    states: list[object] = []
    write = bench.dispatcher.trail.write

    def note(stamp: Stamp, caller: Caller, finding: Finding) -> None:
        tasks = bench.database.refs("task")
        states.extend(bench.database.field("task", task, "status") for task in tasks)
        write(stamp, caller, finding)

    monkeypatch.setattr(bench.dispatcher.trail, "write", note)
    vm = bench.database.refs("VM")[-1]
    task = await bench.call("Async.VM.assert_operation_valid", vm, "destroy")
    assert (await bench.finished(task))["status"] == "success"
    assert states == ["pending"]


async def test_each_host_has_its_own_file() -> None:
    """Calls are the master's; after a change of the master the new one begins its own."""
    async with a_bench(hosts=2) as bench:
        await bench.call("event.register", ["*"])
        bench.pool.move_master(bench.pool.hosts[1].ref)
        new = Door("127.0.0.2")
        root = await bench.raw("session.login_with_password", "root", "xenroot", door=new)
        await bench.raw("event.register", str(root), ["*"], door=new)
        assert [len(bench.lines(address)) for address in ("127.0.0.1", "127.0.0.2")] == [1, 1]
