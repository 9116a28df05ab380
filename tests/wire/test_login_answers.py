"""Logins whose answer is not XAPI: each sends the password, so it is sent seldom, and not twice."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from recorder.client.session import Acquaintances, Session, open_session
from recorder.client.transport import Address, TlsPolicy
from recorder.config import Limits
from recorder.errors import ProtocolError, TransportError, XentrailError
from tests.fakes import FakeHost, FakeNetwork, slave_of
from tests.wire.pools import ROOT

Clock = trio.testing.MockClock
Answer = tuple[int, str, bytes]

LIMITS = Limits(retry_wait_max_s=10.0)
GARBAGE: dict[str, Answer] = {
    "page": (200, "text/html", b"<html>busy</html>"),
    "error": (502, "text/html", b"<h1>Bad Gateway</h1>"),
    "type": (200, "application/json", b'{"jsonrpc":"2.0","result":7,"id":1}'),
    "nothing": (200, "application/json", b""),
}


@dataclass
class Proxied:
    """A host behind a proxy that counts: `seen` are the paths of all requests, logins or not."""

    host: FakeHost = field(default_factory=FakeHost)
    seen: list[str] = field(default_factory=list)
    instead: Callable[[str], Awaitable[Answer] | Answer | None] = lambda _path: None
    """What the proxy answers in place of the host, if anything."""

    def __post_init__(self) -> None:
        answer = self.host.answer

        async def counted(path: str, body: bytes) -> Answer:
            self.seen.append(path)
            own = self.instead(path)
            if own is None:
                return await answer(path, body)
            return own if isinstance(own, tuple) else await own

        self.host.answer = counted  # type: ignore[method-assign]  # the proxy before it


class Caller:
    """Logs in again and again, as the watch of a pool does."""

    def __init__(self, nursery: trio.Nursery, **hosts: FakeHost) -> None:
        self.network = FakeNetwork(nursery, hosts)
        self.acquaintances = Acquaintances()

    @asynccontextmanager
    async def open(self, *names: str) -> AsyncIterator[Session]:
        async with open_session(
            [Address.parse(f"https://{name}") for name in names],
            TlsPolicy(),
            ROOT,
            acquaintances=self.acquaintances,
            dial=self.network.dial,
            limits=LIMITS,
        ) as session:
            yield session

    async def codec(self, *names: str) -> str:
        async with self.open(*names) as session:
            return session.codec

    async def failure(self, *names: str) -> XentrailError:
        with pytest.raises(XentrailError) as caught:
            await self.codec(*names)
        return caught.value


async def lose_connection() -> Answer:
    raise trio.BrokenResourceError


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=list(GARBAGE))
async def test_host_that_answered_json_once_is_not_asked_in_xml(
    garbage: Answer, nursery: trio.Nursery
) -> None:
    """The password goes out once: an answer that cannot be read is no sign of an old host."""
    proxy = Proxied()
    caller = Caller(nursery, xen1=proxy.host)
    assert await caller.codec("xen1") == "json-rpc"
    proxy.seen.clear()
    proxy.instead = lambda _path: garbage
    assert isinstance(await caller.failure("xen1"), ProtocolError)
    assert proxy.seen == ["/jsonrpc"]


async def test_host_that_refused_in_json_is_not_asked_in_xml(nursery: trio.Nursery) -> None:
    """An error of XAPI in JSON is an answer in JSON, too."""
    proxy = Proxied(FakeHost({"session.login_with_password": slave_of("xen2")}))
    caller = Caller(nursery, xen1=proxy.host)
    await caller.failure("xen1")
    proxy.instead = lambda _path: GARBAGE["page"]
    assert isinstance(await caller.failure("xen1"), ProtocolError)
    assert proxy.seen == ["/jsonrpc", "/jsonrpc"]


async def test_host_that_knows_only_xml_is_found_each_time(nursery: trio.Nursery) -> None:
    """That it cannot read JSON is no reason to leave it in peace."""
    proxy = Proxied(FakeHost(speaks_json=False))
    caller = Caller(nursery, xen1=proxy.host)
    assert [await caller.codec("xen1") for _ in range(3)] == ["xml-rpc"] * 3


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=list(GARBAGE))
async def test_garbage_is_answered_by_a_pause(
    garbage: Answer, nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    """For `retry_wait_max_s` the host gets no byte and the error stays the same; then it is tried
    again, and taken as it is."""
    proxy = Proxied(instead=lambda _path: garbage)
    caller = Caller(nursery, xen1=proxy.host)
    first = await caller.failure("xen1")
    assert proxy.seen == ["/jsonrpc", "/"]
    dialled = len(caller.network.dialled)
    for _ in range(9):
        await trio.sleep(1)
        again = await caller.failure("xen1")
        assert (type(again), str(again)) == (type(first), str(first))
    assert len(caller.network.dialled) == dialled
    proxy.instead = lambda _path: None
    await trio.sleep(1)
    assert await caller.codec("xen1") == "json-rpc"


async def test_garbage_of_one_host_holds_up_no_other(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    """Another host of the pool is looked for as often as ever, and found at once."""
    proxy = Proxied(instead=lambda _path: GARBAGE["error"])
    caller = Caller(nursery, xen1=proxy.host)
    for _ in range(3):
        await caller.failure("xen1", "xen2")
    caller.network.hosts["xen2"] = FakeHost()
    assert await caller.codec("xen1", "xen2") == "json-rpc"
    assert caller.network.dialled.count("https://xen2:443") == 4
    assert proxy.seen == ["/jsonrpc", "/"]
    assert trio.current_time() < LIMITS.retry_wait_max_s


async def test_garbage_of_a_named_master_is_answered_by_a_pause(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    """Members that send us to it do not make it get the password more often."""
    proxy = Proxied(instead=lambda _path: GARBAGE["page"])
    member = FakeHost({"session.login_with_password": slave_of("xen2")})
    caller = Caller(nursery, xen1=member, xen2=proxy.host)
    for _ in range(5):
        await caller.failure("xen1")
    assert proxy.seen == ["/jsonrpc", "/"]


async def test_garbage_and_then_silence_is_answered_by_a_pause(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    """A host that answers garbage in JSON and hangs up on XML is no better."""
    proxy = Proxied(instead=lambda path: lose_connection() if path == "/" else GARBAGE["page"])
    caller = Caller(nursery, xen1=proxy.host)
    errors = [await caller.failure("xen1") for _ in range(2)]
    assert [type(error) for error in errors] == [TransportError] * 2
    assert len(set(map(str, errors))) == 1, "an error that changes is logged anew each time"
    assert proxy.seen == ["/jsonrpc", "/"]
