"""Pools being tried, in virtual time: how long it takes, who waits for whom, what is left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from recorder.checking.preflight import Finding, Verdict
from recorder.checking.trial import POOL_S_MAX, try_pools
from recorder.client.session import LOGOUT_TIMEOUT_S
from recorder.config import Config, Pool
from recorder.service.daemon import Seams
from recorder.threads import inline
from tests.fakes import PASSWORD, FakeNetwork, Method, slave_of
from tests.watch.scripted import POOL, ScriptedPool, drop, fault, never, now_ns

Clock = trio.testing.MockClock
HOST = "OpaqueRef:host"


def server_time() -> str:
    return datetime.fromtimestamp(now_ns() // 10**9, UTC).strftime("%Y%m%dT%H:%M:%SZ")


def scripted(uuid: str = "11111111-0000-4000-8000-000000000001") -> ScriptedPool:
    """Return a pool that answers every question of a trial."""
    pool = ScriptedPool(uuid=uuid)
    pool.records["pool"] = {POOL: {"uuid": uuid, "master": HOST, "name_label": "prod"}}
    pool.records["host"] = {HOST: {"address": ""}}
    pool.add_class("host")
    methods: dict[str, Method] = {
        "host.get_servertime": lambda *_: server_time(),
        "session.get_is_local_superuser": lambda *_: True,
        "event.from": lambda *_: {"events": [], "valid_ref_counts": {"vm": 2}, "token": "1,1"},
        "pool.get_all": lambda _session: [POOL],
        "system.listMethods": lambda: list(pool.host.methods),
    }
    pool.host.methods |= methods
    return pool


@asynccontextmanager
async def trying(pools: dict[str, ScriptedPool]) -> AsyncIterator[FakeNetwork]:
    """Hold a network on which each pool is a host of its name."""
    async with trio.open_nursery() as nursery:
        yield FakeNetwork(nursery, {name: pool.host for name, pool in pools.items()})
        nursery.cancel_scope.cancel()


async def found_by(network: FakeNetwork, **pools: tuple[str, ...]) -> list[Finding]:
    """Try pools, given by their names and hosts."""
    seams = Seams(
        now_ns=now_ns, dial=network.dial, run_sync=inline, password=lambda _pool: PASSWORD
    )
    configured = tuple(
        Pool(name=name, addresses=tuple(f"https://{host}" for host in hosts))
        for name, hosts in pools.items()
    )
    return await try_pools(Config(pools=configured), {}, seams=seams)


def ailing(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.subject, one.point) for one in findings if one.verdict is not Verdict.OK]


async def test_trial_ends_with_a_logout(autojump_clock: Clock) -> None:
    """The session of the trial does not stay on the server, and is the only one."""
    lab = scripted()
    async with trying({"lab": lab}) as network:
        assert ailing(await found_by(network, lab=("lab",))) == []
    assert lab.count("session.login_with_password") == 1
    assert [name for name, _ in lab.host.calls][-1] == "session.logout"
    assert trio.current_time() == pytest.approx(1, abs=0.1)


async def test_pool_that_hangs_does_not_delay_another(autojump_clock: Clock) -> None:
    """Each pool has its own minute; what a hanging one had told by then is told."""
    good, bad = scripted(), scripted("22222222-0000-4000-8000-000000000002")
    for method in ("pool.get_all_records", "event.from", "event.register", "session.logout"):
        bad.host.methods[method] = never
    left_at_s: list[float] = []

    def log_out(_session: str) -> str:
        left_at_s.append(trio.current_time())
        return ""

    good.host.methods["session.logout"] = log_out
    async with trying({"good": good, "bad": bad}) as network:
        findings = await found_by(network, bad=("bad",), good=("good",))
    assert left_at_s == [pytest.approx(1, abs=0.1)]
    assert trio.current_time() == pytest.approx(POOL_S_MAX + LOGOUT_TIMEOUT_S, abs=0.1)
    points = [("pool bad", point) for point in ("pool", "objects", "time")]
    assert ailing(findings) == points
    assert [one.verdict for one in findings if one.point == "login"] == [Verdict.OK] * 2


async def test_address_that_hangs_does_not_delay_the_others(autojump_clock: Clock) -> None:
    """A host that takes a connection and says nothing is given up; the others are tried at once."""
    lab, hung = scripted(), scripted()
    hung.host.methods["system.listMethods"] = never
    async with trying({"lab": lab, "hung": hung}) as network:
        findings = await found_by(network, lab=("hung", "lab"))
    assert ailing(findings) == [("pool lab", "address https://hung:443")]
    assert hung.count("session.login_with_password") == 0


async def test_refused_password_is_not_tried_again(autojump_clock: Clock) -> None:
    """Two addresses that would both refuse cost one attempt of the account."""
    hosts = {name: scripted() for name in ("one", "two")}
    for pool in hosts.values():
        refuse = fault("SESSION_AUTHENTICATION_FAILED", "root", "no")
        pool.host.methods["session.login_with_password"] = refuse
    async with trying(hosts) as network:
        findings = await found_by(network, lab=("one", "two"))
    assert ailing(findings) == [("pool lab", "login")]
    tried = [pool.count("session.login_with_password") for pool in hosts.values()]
    assert sorted(tried) == [0, 1]


async def test_host_in_an_emergency_is_told_as_such(autojump_clock: Clock) -> None:
    """A host that is starting is not taken for one that is none."""
    lab, booting = scripted(), scripted()
    booting.host.methods["system.listMethods"] = fault("HOST_STILL_BOOTING")
    async with trying({"lab": lab, "booting": booting}) as network:
        findings = await found_by(network, lab=("booting", "lab"))
    (found,) = [one for one in findings if one.verdict is not Verdict.OK]
    assert found.verdict is Verdict.WARNING
    assert found.text == "is up, but starting or cut off from its pool: HOST_STILL_BOOTING"


async def test_member_that_cannot_be_followed_to_is_a_warning(autojump_clock: Clock) -> None:
    """A member that nobody listed may be the master tomorrow: it is tried as well."""
    lab = scripted()
    lab.records["host"]["OpaqueRef:member"] = {"address": "member"}
    async with trying({"lab": lab}) as network:
        findings = await found_by(network, lab=("lab",))
    (found,) = [one for one in findings if one.verdict is not Verdict.OK]
    assert (found.verdict, found.point) == (Verdict.WARNING, "member: address https://member:443")
    assert found.text.startswith("cannot reach https://member:443: connection refused")
    assert found.advice.endswith("the recorder cannot follow when this host becomes the master")


async def test_session_that_is_lost_half_way_is_told(autojump_clock: Clock) -> None:
    """A toolstack that restarts during the trial is no bug of ours."""
    lab = scripted()
    lab.host.methods["event.register"] = drop
    async with trying({"lab": lab}) as network:
        findings = await found_by(network, lab=("lab",))
    assert ailing(findings) == [("pool lab", "event queue")]


async def test_answer_of_the_wrong_shape_is_told(autojump_clock: Clock) -> None:
    """A server that answers nonsense gets a finding, and the other questions are still asked."""
    lab = scripted()
    lab.host.methods["host.get_servertime"] = lambda *_: "yesterday"
    lab.records["host"] = {"OpaqueRef:other": {"address": ""}}
    async with trying({"lab": lab}) as network:
        findings = await found_by(network, lab=("lab",))
    assert ailing(findings) == [("pool lab", "hosts"), ("pool lab", "clock")]
    assert [one.point for one in findings][-1] == "event queue"


async def test_busy_pool_is_told_by_its_rate(autojump_clock: Clock) -> None:
    """The events of a moment tell how long the server's queue lasts."""
    lab = scripted()

    def register(*_: object) -> str:
        network.nursery.start_soon(emit_soon)
        return ""

    async def emit_soon() -> None:
        await trio.sleep(0.5)
        lab.emit(3000)

    lab.host.methods["event.register"] = register
    async with trying({"lab": lab}) as network:
        findings = await found_by(network, lab=("lab",))
    assert ailing(findings) == [("pool lab", "event queue")]
    (found,) = [one for one in findings if one.point == "event queue"]
    assert found.text.startswith("3000 events/s")


async def test_members_that_point_at_each_other_are_told(autojump_clock: Clock) -> None:
    """A pool without a master ends in a finding, not in a loop."""
    one, two = scripted(), scripted()
    one.host.methods["session.login_with_password"] = slave_of("two")
    two.host.methods["session.login_with_password"] = slave_of("one")
    async with trying({"one": one, "two": two}) as network:
        findings = await found_by(network, lab=("one",))
    assert ailing(findings) == [("pool lab", "login")]
