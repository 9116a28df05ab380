"""GET /audit_log over a socket: who gets it, from when on, and the bytes around it."""

import base64
from functools import partial

import pytest
import trio

from recorder.simulator.inventory import PoolSpec
from recorder.simulator.server import Served, Sockets, serve
from tests.simulator.network.support import dial
from tests.simulator.rbac.support import GOLDEN, NOW_S, PASSWORD, READER, USERS

OK = (
    b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nCache-Control: no-cache, no-store\r\n"
    b"content-type: text/plain\r\n\r\n"
)


@pytest.fixture
async def served(nursery: trio.Nursery) -> Served:
    spec = PoolSpec(hosts=1, vms=1, speed=0.0, password=PASSWORD, users=USERS)
    start = partial(serve, [spec], Sockets(), now_s=lambda: NOW_S)
    (pool,) = await nursery.start(start)
    assert isinstance(pool, Served)
    return pool


async def fetch(
    served: Served, request: str, *headers: str, version: str = "1.1", url: str | None = None
) -> bytes:
    """Send a request and return everything until the end of the connection."""
    lines = [f"GET {request} HTTP/{version}", "Host: x", "User-Agent: tests", *headers, "", ""]
    async with await dial(url or served.url) as stream:
        await stream.send_all("\r\n".join(lines).encode())
        reply = b""
        with trio.fail_after(2):
            while data := await stream.receive_some():
                reply += data
    return reply


def _login(served: Served, user: str = "root") -> str:
    password = next((known.password for known in USERS if known.name == user), PASSWORD)
    return served.sessions.login(user, password, originator="tests", trusted=False)


async def test_the_trail_ends_with_the_line_of_its_own_reading(served: Served) -> None:
    """The headers are those of xapi, in their order; the end of the text is the connection's."""
    reply = await fetch(served, f"/audit_log?session_id={_login(served)}")
    assert reply.startswith(OK)
    (line,) = reply.removeprefix(OK).decode().splitlines()
    assert "|handler:http/get_audit_log D:" in line
    assert line.endswith("'LOCAL_SUPERUSER' 'root' 'ALLOWED' 'OK' 'HTTP' 'http/get_audit_log' ())")
    assert "HTTP 127.0.0.1->" not in line


@pytest.mark.parametrize(
    ("since", "lines"),
    [
        ("", 1),
        ("20261123T17:13:34.250", 1),
        ("2026-11-23T17:13:34.250Z", 1),
        ("20261123T17:13", 1),
        ("2026-11-23", 1),
        ("20261123%2017:13:34.872", 1),
        ("1700000000", 1),
        ("20261123T17:13:34.251", 0),
        ("2026-11-23T17:13:34.250%2B00:00", 0),
        ("20991231T00:00:00.000", 0),
        ("zzz", 0),
    ],
)
async def test_since_is_compared_as_text(served: Served, since: str, lines: int) -> None:
    """A prefix of an instant will do, a space is less than T, nonsense is no error."""
    reply = await fetch(served, f"/audit_log?session_id={_login(served)}&since={since}")
    assert reply.startswith(OK)
    assert reply.removeprefix(OK).count(b"\n") == lines


@pytest.mark.parametrize("name", ["401", "403", "empty"])
async def test_replies_are_those_of_xapi(served: Served, name: str) -> None:
    """Byte for byte: without a session, without the permission, and with nothing to tell."""
    session = _login(served, READER if name == "403" else "root")
    if name == "403":
        opened = served.sessions.get(session)
        assert opened is not None
        opened.permissions = frozenset()
    query = "OpaqueRef:gone" if name == "401" else session
    reply = await fetch(served, f"/audit_log?session_id={query}&since=2099")
    assert reply == (GOLDEN / f"{name}.resp").read_bytes()


async def test_http_1_0_is_answered_in_1_1(served: Served) -> None:
    """As xapi does, whatever the client asked for."""
    reply = await fetch(served, f"/audit_log?session_id={_login(served)}", version="1.0")
    assert reply.startswith(OK)


async def test_the_session_may_be_a_cookie_or_a_password(served: Served) -> None:
    """A cookie comes before the query; with Basic a session is opened and ended again."""
    reply = await fetch(served, "/audit_log", f"Cookie: session_id={_login(served, READER)}")
    assert reply.startswith(OK)
    open_before = served.sessions.refs()
    for credentials, status in ((f"root:{PASSWORD}", b"200 OK"), ("root:no", b"401 Unauthorised")):
        encoded = base64.b64encode(credentials.encode()).decode()
        reply = await fetch(served, "/audit_log", f"Authorization: Basic {encoded}")
        assert reply.startswith(b"HTTP/1.1 " + status)
    assert served.sessions.refs() == open_before
    assert (await fetch(served, "/audit_log")).startswith(b"HTTP/1.1 401 Unauthorised")


async def test_a_refusal_is_a_line_and_the_end_of_a_task(served: Served) -> None:
    """Who may not read the trail is in it, and the task that was given fails."""
    reader = _login(served, READER)
    opened = served.sessions.get(reader)
    assert opened is not None
    opened.permissions = frozenset()
    task = served.pool.tasks.begin("mine")
    await fetch(served, f"/audit_log?session_id={reader}&task_id={task}")
    record = served.pool.database.record("task", task)
    assert record["status"] == "failure"
    assert record["error_info"][:2] == ["RBAC_PERMISSION_DENIED", "http/get_audit_log"]  # type: ignore[index]
    reply = await fetch(served, f"/audit_log?session_id={_login(served)}")
    assert b"'DENIED' '' 'HTTP' 'http/get_audit_log' (('task_id' 'mine' '" in reply


async def test_reading_is_a_task(served: Served) -> None:
    """Of its own, five events long; or the one that is given, which succeeds and stays."""
    session = _login(served)
    served.pool.hub.register(session, ["task"])
    await fetch(served, f"/audit_log?session_id={session}")
    events = await served.pool.hub.next(session)
    assert [event.operation for event in events] == ["add", "mod", "mod", "mod", "del"]
    assert b'"name_label":"audit_log_get request"' in events[0].json
    task = served.pool.tasks.begin("my audit fetch")
    reply = await fetch(served, f"/audit_log?session_id={session}&task_id={task}")
    record = served.pool.database.record("task", task)
    assert (record["status"], record["progress"], record["result"]) == ("success", 1.0, "")
    assert f"(('task_id' 'my audit fetch' '{record['uuid']}' '{task}'))".encode() in reply


async def test_a_call_over_a_socket_is_seen_with_its_port(served: Served) -> None:
    """The line names the client's address and where the server listens."""
    session = _login(served)
    text = (
        "<methodCall><methodName>event.register</methodName><params>"
        f"<param><value>{session}</value></param>"
        "<param><value><array><data/></array></value></param></params></methodCall>"
    )
    head = f"POST / HTTP/1.1\r\nx-http-other-config-dbg: mine\r\ncontent-length: {len(text)}"
    async with await dial(served.url) as stream:
        await stream.send_all(f"{head}\r\n\r\n{text}".encode())
        await stream.receive_some()
    reply = (await fetch(served, f"/audit_log?session_id={session}")).decode()
    port = served.url.rpartition(":")[2].strip("/")
    assert f" HTTP 127.0.0.1->127.0.0.1:{port}|mine|audit] (" in reply


async def test_a_member_serves_its_own_file_and_tells_the_master(nursery: trio.Nursery) -> None:
    """A session of the pool reads there, too; the line of that is in both files."""
    spec = PoolSpec(hosts=2, vms=1, speed=0.0, password=PASSWORD)
    (pool,) = await nursery.start(partial(serve, [spec], Sockets(), now_s=lambda: NOW_S))
    assert isinstance(pool, Served)
    session = _login(pool)
    query = f"/audit_log?session_id={session}"
    own = await fetch(pool, query, url=pool.members[0])
    mark = "|handler:http/get_audit_log D:"
    assert own.removeprefix(OK).decode().count(mark) == 1
    assert (await fetch(pool, query)).removeprefix(OK).decode().count(mark) == 2
