"""Looking for the master at every address at once: who wins, and who is not waited for."""

from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
import trio
import trio.testing

from recorder.client.line import Route
from recorder.client.search import HOPS_MAX, LATE_LOGIN_S, Probe, Search
from recorder.client.tls import TlsPolicy
from recorder.client.transport import Address
from recorder.config import Limits
from recorder.errors import LoginRefused, ProtocolError, TransportError, XapiFault
from recorder.threads import inline

Clock = trio.testing.MockClock
Host = Callable[[Probe], Awaitable[str]]
CONNECT_S = 10.0


def route(name: str) -> Route:
    return Route(Address.parse(f"https://{name}"), TlsPolicy(), None, Limits(), inline)


def master(*, connect_s: float = 0.01, login_s: float = 0.01) -> Host:
    async def attempt(probe: Probe) -> str:
        await trio.sleep(connect_s)
        probe.is_connected()
        await trio.sleep(login_s)
        return probe.route.address.host

    return attempt


def answering(error: Exception, *, after_s: float = 0.01) -> Host:
    async def attempt(probe: Probe) -> str:
        probe.is_connected()
        await trio.sleep(after_s)
        raise error

    return attempt


def member_of(name: str) -> Host:
    return answering(XapiFault("HOST_IS_SLAVE", (name,)))


async def refusing(_probe: Probe) -> str:
    await trio.sleep(0.001)
    raise TransportError("connection refused")


async def silent(_probe: Probe) -> str:
    await trio.sleep(CONNECT_S)
    raise TransportError("no answer")


class Round:
    """One search over hosts by name; `tried` and `discarded` say what happened."""

    def __init__(self, **hosts: Host) -> None:
        self.hosts = hosts
        self.tried: list[str] = []
        self.discarded: list[str] = []

    async def run(self, *names: str, gently: bool = False) -> str:
        search = Search(self._attempt, self._discard)
        return await search.run([route(name) for name in names], gently=gently)

    async def _attempt(self, probe: Probe) -> str:
        name = probe.route.address.host
        self.tried.append(name)
        return await self.hosts[name](probe)

    async def _discard(self, result: str) -> None:
        await trio.lowlevel.checkpoint()
        self.discarded.append(result)


async def test_first_good_answer_wins(autojump_clock: Clock) -> None:
    """All are asked at once, and nobody waits for the others."""
    one = Round(a=silent, b=master(connect_s=0.3), c=refusing)
    assert await one.run("a", "b", "c") == "b"
    assert sorted(one.tried) == ["a", "b", "c"]
    assert trio.current_time() < 0.5


async def test_members_lead_to_the_master_once(autojump_clock: Clock) -> None:
    """However many name it, it is asked one time."""
    one = Round(a=member_of("m"), b=member_of("m"), c=member_of("m"), m=master())
    assert await one.run("a", "b", "c") == "m"
    assert one.tried.count("m") == 1
    assert one.discarded == []


async def test_master_that_is_known_already_is_not_asked_again(autojump_clock: Clock) -> None:
    """A member that names an address which is being tried adds nothing."""
    one = Round(a=member_of("m"), m=master(connect_s=0.2))
    assert await one.run("a", "m") == "m"
    assert one.tried.count("m") == 1


async def test_silent_host_is_not_waited_for_while_others_answer(autojump_clock: Clock) -> None:
    """The round after this one may find the pool where it has moved meanwhile."""
    one = Round(a=silent, b=answering(XapiFault("HOST_STILL_BOOTING")))
    with pytest.raises(TransportError) as caught:
        await one.run("a", "b")
    assert trio.current_time() == pytest.approx(0.5)
    assert "https://a:443 is silent, while other hosts of the pool answer" in str(caught.value)
    assert "HOST_STILL_BOOTING" in str(caught.value)


async def test_far_hosts_get_the_time_that_their_distance_takes(autojump_clock: Clock) -> None:
    """Three times as long as the slowest that answered."""
    one = Round(a=master(connect_s=2.5), b=answering(XapiFault("HOST_BROKEN"), after_s=1.0))
    assert await one.run("a", "b") == "a"


async def test_lone_host_gets_all_its_time(autojump_clock: Clock) -> None:
    """Where nobody answers there is nothing to compare with."""
    one = Round(a=silent, b=silent)
    with pytest.raises(TransportError, match="no answer"):
        await one.run("a", "b")
    assert trio.current_time() == pytest.approx(CONNECT_S)


async def test_login_under_way_is_not_cut_off_by_silence_of_others(autojump_clock: Clock) -> None:
    """A host that took the connection is working on it: logins queue behind each other."""
    one = Round(a=master(login_s=15.0), b=refusing)
    assert await one.run("a", "b") == "a"


async def test_late_login_is_discarded(autojump_clock: Clock) -> None:
    """Two addresses of one master: the second session is logged out."""
    one = Round(a=master(login_s=0.1), b=master(login_s=0.2))
    assert await one.run("a", "b") == "a"
    assert one.discarded == ["b"]


async def test_login_that_takes_too_long_is_left_behind(autojump_clock: Clock) -> None:
    """The winner does not wait for it for longer than a moment."""
    one = Round(a=master(login_s=0.1), b=master(login_s=30.0))
    assert await one.run("a", "b") == "a"
    assert trio.current_time() < 0.2 + LATE_LOGIN_S
    assert one.discarded == []


async def test_refused_password_ends_the_round(autojump_clock: Clock) -> None:
    """Whoever else is still being asked is not asked for it."""
    refusal = LoginRefused("SESSION_AUTHENTICATION_FAILED", shown="wrong")
    one = Round(a=answering(refusal), b=master(connect_s=1.0), c=master(login_s=1.0))
    with pytest.raises(LoginRefused):
        await one.run("a", "b", "c")
    assert trio.current_time() < 0.1


async def test_gentle_search_asks_one_after_the_other(autojump_clock: Clock) -> None:
    """A password that was refused before is tried at one address at a time."""
    refusal = LoginRefused("SESSION_AUTHENTICATION_FAILED", shown="wrong")
    one = Round(a=refusing, b=answering(refusal), c=master())
    with pytest.raises(LoginRefused):
        await one.run("a", "b", "c", gently=True)
    assert one.tried == ["a", "b"]
    two = Round(a=refusing, b=master(), c=master())
    assert await two.run("a", "b", "c", gently=True) == "b"
    assert two.tried == ["a", "b"]


async def test_names_without_end_are_not_followed(autojump_clock: Clock) -> None:
    """A broken server could name a new host for ever."""
    names = [f"h{number}" for number in range(20)]
    hosts = {name: member_of(after) for name, after in pairwise(names)}
    one = Round(**hosts)
    with pytest.raises(TransportError, match="names https://h4:443 as the master"):
        await one.run("h0")
    assert one.tried == names[: HOPS_MAX + 1]


async def test_name_that_is_no_host_is_told(autojump_clock: Clock) -> None:
    """What a member says is text from outside."""
    one = Round(a=member_of("no host"))
    with pytest.raises(ProtocolError, match="which is not a host"):
        await one.run("a")


async def test_errors_are_told_in_the_order_of_the_addresses(autojump_clock: Clock) -> None:
    """The same failure is the same text, whoever was faster."""
    one = Round(a=answering(XapiFault("HOST_BROKEN"), after_s=0.4), b=refusing)
    with pytest.raises(XapiFault) as caught:
        await one.run("a", "b")
    text = str(caught.value)
    assert text.index("https://a:443") < text.index("https://b:443")


async def test_cancelled_search_ends_at_once(autojump_clock: Clock) -> None:
    """A stop of the recorder does not wait for hosts."""
    one = Round(a=silent, b=master(login_s=30.0))
    with trio.move_on_after(0.2) as scope:
        await one.run("a", "b")
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(0.2)
