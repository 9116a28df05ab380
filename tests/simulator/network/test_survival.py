"""Nothing that one client sends or does takes the server away from the others."""

import json
from functools import partial
from typing import cast

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from recorder.simulator.faults import effects
from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool

NOW_S = 1_700_000_000.0


@pytest.fixture
def front() -> Front:
    """A pool of three hosts whose clock stands still."""
    pool = SimulatedPool.build(PoolSpec(hosts=3, vms=6), now_s=lambda: NOW_S)
    return Front(pool, now_s=lambda: NOW_S)


async def _send(front: Front, text: bytes) -> bytes:
    """Return all that comes back for these bytes on a connection of their own."""
    client, server = memory_stream_pair()
    reply = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(front.serve_stream, server))
        await client.send_all(text)
        await client.send_eof()
        async for piece in client:
            reply += piece
    return reply


async def _ask(front: Front, method: str, *params: object) -> object:
    """Return the result of a call, or the code of its fault with the parameters."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    head = b"POST /jsonrpc HTTP/1.1\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
    answer = json.loads((await _send(front, head + body)).partition(b"\r\n\r\n")[2])
    if "error" in answer:
        return [answer["error"]["message"], *answer["error"]["data"]]
    return cast("object", answer["result"])


async def _login(front: Front) -> str:
    password = front.pool.spec.password
    return str(await _ask(front, "session.login_with_password", "root", password))


@pytest.mark.parametrize("header", [b"Basic \xff", b"Basic", b"Basic \xc3\x28=", b"Digest x"])
async def test_credentials_that_are_no_text_are_refused(
    header: bytes, front: Front, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """GET /audit_log answers with a refusal, and nobody is logged in by it."""
    await nursery.start(front.run)
    reply = await _send(front, b"GET /audit_log HTTP/1.0\r\nAuthorization: " + header + b"\r\n\r\n")
    assert reply.split(b" ")[1] in (b"401", b"500")
    assert front.sessions.refs() == []
    assert front.pool.bugs.seen == []


@pytest.mark.parametrize("text", ["not " * 20_000 + "true", "(" * 20_000, "(" * 90 + "true"])
async def test_deep_conditions_are_refused(
    text: str, front: Front, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Nesting has an end before our stack has one."""
    await nursery.start(front.run)
    answer = await _ask(front, "VM.get_all_records_where", await _login(front), text)
    assert isinstance(answer, list)
    assert answer[0] == "INTERNAL_ERROR"
    assert front.pool.bugs.seen == []


@pytest.mark.parametrize("text", ["[" * 60_000, '{"method":"\\ud800"}', '["x"]', "", "{}"])
async def test_extensions_are_asked_for_in_json(
    text: str, front: Front, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """What is no call gives INTERNAL_ERROR, or the name of a method that is not there."""
    await nursery.start(front.run)
    host = front.pool.hosts[0].ref
    answer = await _ask(front, "host.call_extension", await _login(front), host, text)
    assert isinstance(answer, list)
    assert answer[0] in ("INTERNAL_ERROR", "MESSAGE_METHOD_UNKNOWN")
    assert front.pool.bugs.seen == []


async def test_plans_for_nonsense_are_plans_for_nobody(
    front: Front, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """A negative number of failures is none, and more than all hosts are all."""
    await nursery.start(front.run)
    session = await _login(front)
    assert await _ask(front, "pool.ha_failover_plan_exists", session, -1) is True
    assert isinstance(await _ask(front, "pool.ha_failover_plan_exists", session, 10**6), bool)
    assert front.pool.bugs.seen == []


async def test_a_bug_is_told_and_the_others_go_on(
    front: Front,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An operation that breaks gives INTERNAL_ERROR as in xapi, and a traceback in the log."""
    await nursery.start(front.run)
    session = await _login(front)

    def broken(*_args: object) -> str:
        raise ZeroDivisionError("just a test")

    monkeypatch.setattr(front.pool.tasks, "cancel", broken)
    task = str(await _ask(front, "task.create", session, "t", ""))
    answer = await _ask(front, "task.cancel", session, task)
    assert answer == ["INTERNAL_ERROR", "ZeroDivisionError: just a test"]
    assert "simulator_bug where=task.cancel" in caplog.text
    assert str(await _ask(front, "VM.get_all", session)).count("OpaqueRef") > 5
    assert [type(error) for error in front.pool.bugs.seen] == [ZeroDivisionError]


async def test_operations_die_with_the_toolstack(
    front: Front, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """What was under way at a restart ends where it is: a VM is started once, not twice."""
    await nursery.start(front.run)
    database = front.pool.database
    (vm,) = database.find("VM", "name_label", "vm-003")
    await _ask(front, "Async.VM.start", await _login(front), vm, False, False)
    await trio.sleep(1.0)
    front.restart()
    assert database.field("VM", vm, "current_operations") == {}
    await trio.sleep(60.0)
    assert database.field("VM", vm, "power_state") == "Halted"
    assert await _ask(front, "VM.start", await _login(front), vm, False, False) == ""
    names = [database.field("message", ref, "name") for ref in database.refs("message")]
    assert names.count("VM_STARTED") == 1
    assert front.pool.tasks._lives == {}


async def test_pages_that_nobody_reads_leave_no_session(
    front: Front, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Basic credentials open a session for the page; it ends even if the client is gone."""
    await nursery.start(front.run)
    request = b"GET /audit_log HTTP/1.0\r\nAuthorization: Basic cm9vdDp4ZW50cmFpbA==\r\n\r\n"
    assert (await _send(front, request)).startswith(b"HTTP/1.1 200 OK")
    front.silence()
    client, server = memory_stream_pair()
    nursery.start_soon(partial(front.serve_stream, server))
    await client.send_all(request)
    await trio.testing.wait_all_tasks_blocked()
    assert len(front.sessions.refs()) == 1
    front.drop_connections()
    await trio.testing.wait_all_tasks_blocked()
    assert front.sessions.refs() == []
    assert front.pool.database.refs("task") == []


async def test_a_failover_to_a_host_that_is_gone_does_not_happen(
    front: Front, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The host that was to take over is ejected meanwhile: the master stays."""
    await nursery.start(front.run)
    master = front.pool.master
    front.faults.act(effects.Failover(planned=True, takeover_s=5.0, target="host-3"))
    front.faults.act(effects.HostEjected(target="host-3"))
    await trio.sleep(30.0)
    assert front.pool.master == master
    assert front.pool.bugs.seen == []
