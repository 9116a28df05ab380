"""What tests and the demo do to a pool: cut connections, fall silent, restart, move the master."""

import json
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.errors import TransportError
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.server import Served, Sockets, serve
from recorder.simulator.values import Fault
from tests.simulator.network.support import NOW_S, PASSWORD, dial, free_ports, is_closed, receive


def _request(method: str, *params: object) -> bytes:
    body = json.dumps({"method": method, "params": params, "id": 1}).encode()
    return b"POST /jsonrpc HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


LOGIN = _request("session.login_with_password", "root", PASSWORD)


async def _call(stream: trio.abc.Stream, method: str, *params: object) -> list[object]:
    """Return result and error of a JSON-RPC 1.0 call."""
    await stream.send_all(_request(method, *params))
    reply = bytes(await stream.receive_some())
    document = json.loads(reply.partition(b"\r\n\r\n")[2])
    return [document["result"], document["error"]]


async def _login(stream: trio.abc.Stream) -> object:
    return (await _call(stream, "session.login_with_password", "root", PASSWORD))[0]


async def test_connections_are_cut_without_a_reply(served: Served) -> None:
    """A blocked call just ends; a new connection works and the session is still there."""
    async with await dial(served.url) as stream:
        session = await _login(stream)
        await _call(stream, "event.register", session, ["sr"])
        await stream.send_all(_request("event.next", session))
        await trio.testing.wait_all_tasks_blocked(0.01)
        served.front.drop_connections()
        assert await is_closed(stream, within_s=2.0)
    async with await dial(served.url) as stream:
        assert (await _call(stream, "VM.get_all", session))[1] is None


async def test_a_silent_pool_takes_calls_and_answers_later(served: Served) -> None:
    """Nothing comes back while the pool is silent; the answer follows when it speaks again."""
    async with await dial(served.url) as stream:
        served.front.silence()
        await stream.send_all(LOGIN)
        assert not await is_closed(stream, within_s=0.03)
        served.front.speak()
        assert b'"result":"OpaqueRef:' in await receive(stream, 250)


async def test_a_restart_loses_everything_but_the_objects(served: Served) -> None:
    """After a restart of xapi the session is invalid, ids begin at 0, the VMs are the same."""
    async with await dial(served.url) as stream:
        session = await _login(stream)
        vms = await _call(stream, "VM.get_all", session)
        served.front.restart()
        assert await is_closed(stream, within_s=2.0)
    async with await dial(served.url) as stream:
        assert (await _call(stream, "VM.get_all", session))[1] == ["SESSION_INVALID", session]
        again = await _login(stream)
        assert await _call(stream, "VM.get_all", again) == vms
        assert await _call(stream, "event.get_current_id", again) == [0, None]


async def test_the_master_moves(served: Served) -> None:
    """The new master takes logins, the old one names it."""
    served.front.move_master(served.pool.hosts[1].ref)
    async with await dial(served.members[0]) as stream:
        assert str(await _login(stream)).startswith("OpaqueRef:")
    async with await dial(served.url) as stream:
        refused = await _call(stream, "session.login_with_password", "root", PASSWORD)
        assert refused == [None, ["HOST_IS_SLAVE", "127.0.0.2"]]


async def test_a_host_in_emergency_mode_refuses_every_call(served: Served) -> None:
    """The fault comes before anything else, in the special form of xapi."""
    served.front.emergency["127.0.0.1"] = Fault("HOST_STILL_BOOTING")
    async with await dial(served.url) as stream:
        await stream.send_all(LOGIN)
        reply = bytes(await stream.receive_some())
    head, _, body = reply.partition(b"\r\n\r\n")
    assert body == b'{"jsonrpc":"2.0","error":["HOST_STILL_BOOTING"],"id":0}'
    assert b"Access-Control" not in head


async def test_the_unix_socket_needs_no_password(
    nursery: trio.Nursery, spec: PoolSpec, tmp_path: Path
) -> None:
    """A pool may listen on a unix socket, where everybody is root."""
    start = partial(serve, [spec], Sockets(folder=tmp_path), now_s=lambda: NOW_S)
    (served,) = await nursery.start(start)
    async with await trio.open_unix_socket(tmp_path / "pool-1.sock") as stream:
        refused = await _call(stream, "session.login_with_password", "anybody", "anything")
        assert refused[1] is None
    assert served.unix_socket == tmp_path / "pool-1.sock"


async def test_a_port_in_use_is_named(served: Served, spec: PoolSpec) -> None:
    """The error says which port, and what to do."""
    port = int(served.url.rpartition(":")[2])
    with pytest.raises(TransportError) as error:
        await serve([spec], Sockets(port=port), now_s=lambda: NOW_S)
    assert str(error.value) == (
        f"port {port} of 127.0.0.1 is in use: stop the program that listens there or choose "
        "another port"
    )


async def test_nothing_stays_open_when_a_port_is_taken() -> None:
    """The sockets of the pools before the one that failed are closed again."""
    port = free_ports(2)
    specs = [PoolSpec(name="pool-1", hosts=1, vms=0), PoolSpec(name="pool-2", hosts=1, vms=0)]
    (other,) = await trio.open_tcp_listeners(port + 1, host="127.0.0.1")
    async with other:
        for _ in range(2):  # The second time would name the first port, had it been left open.
            with pytest.raises(TransportError, match=f"^port {port + 1} of 127.0.0.1 is in use"):
                await serve(specs, Sockets(port=port), now_s=lambda: NOW_S)


async def test_an_old_unix_socket_is_named(spec: PoolSpec, tmp_path: Path) -> None:
    """A file in the way of the unix socket is left alone."""
    (tmp_path / "pool-1.sock").write_bytes(b"")
    with pytest.raises(TransportError) as error:
        await serve([spec], Sockets(folder=tmp_path), now_s=lambda: NOW_S)
    assert str(error.value) == (
        f"can't listen on {tmp_path}/pool-1.sock (Address already in use): remove the file"
    )


async def test_the_unix_socket_is_removed_in_the_end(spec: PoolSpec, tmp_path: Path) -> None:
    """A pool that stops leaves no file, so that it can start again."""
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            start = partial(serve, [spec], Sockets(folder=tmp_path), now_s=lambda: NOW_S)
            await nursery.start(start)
            nursery.cancel_scope.cancel()
    assert not await trio.Path(tmp_path / "pool-1.sock").exists()
