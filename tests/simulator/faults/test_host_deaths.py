"""Hosts that die by a rule: what the pool notices, what HA does, and what a boot brings back."""

import pytest
import trio
from trio.testing import MockClock

from recorder.simulator.faults.effects import Failover, HostDeath
from recorder.simulator.hostlife import guests_of
from recorder.simulator.inventory import PoolSpec
from tests.simulator.faults.support import (
    LAST,
    MASTER,
    MEMBER,
    PASSWORD,
    Cut,
    Refused,
    Stage,
    a_stage,
    is_live,
)


async def test_a_member_dies_and_comes_back(autojump_clock: MockClock) -> None:
    """Connections to it are closed at once; the pool notices some time later."""
    rule = {"at_s": 5, "effect": "host_death", "how": "refuse", "noticed_s": 60, "down_s": 200}
    async with a_stage(rule) as stage:
        await trio.sleep(10)
        with pytest.raises(Cut):
            await stage.login(LAST)
        assert is_live(stage, 2) is True
        await trio.sleep(60)
        assert is_live(stage, 2) is False
        await trio.sleep(140)
        assert is_live(stage, 2) is True
        with pytest.raises(Refused, match="HOST_IS_SLAVE"):
            await stage.login(LAST)


async def _protect_a_guest(stage: Stage, host: int) -> str:
    """Enable HA; return a VM that runs on this host and is protected."""
    client = await stage.login()
    database = stage.pool.database
    await client.do("pool.enable_ha", database.find("SR", "type", "nfs"), {})
    guest = guests_of(stage.pool.toolstack, stage.pool.hosts[host].ref)[0]
    await client.do("VM.set_ha_restart_priority", guest, "restart")
    await client.do("pool.set_ha_host_failures_to_tolerate", stage.pool.pool_ref, 1)
    return guest


async def test_ha_starts_the_guests_of_a_dead_host_elsewhere(autojump_clock: MockClock) -> None:
    """After its own time; the host comes back without them."""
    async with a_stage() as stage:
        guest = await _protect_a_guest(stage, 1)
        stage.front.faults.act(HostDeath(target=MEMBER, down_s=600.0))
        assert is_live(stage, 1) is True
        await trio.sleep(300)
        assert is_live(stage, 1) is False
        vm = stage.pool.database.record("VM", guest)
        assert vm["power_state"] == "Running"
        assert vm["resident_on"] in (stage.pool.hosts[0].ref, stage.pool.hosts[2].ref)
        await trio.sleep(400)
        assert is_live(stage, 1) is True
        assert stage.pool.database.record("VM", guest)["power_state"] == "Running"


@pytest.mark.parametrize(
    "effect", [HostDeath(target=MASTER), Failover(planned=False, takeover_s=20.0)]
)
async def test_ha_survives_the_death_of_the_master(
    effect: HostDeath | Failover, autojump_clock: MockClock
) -> None:
    """Another host answers, and what was protected runs again."""
    async with a_stage() as stage:
        guest = await _protect_a_guest(stage, 0)
        stage.front.faults.act(effect)
        await trio.sleep(300)
        await stage.login(MEMBER)
        vm = stage.pool.database.record("VM", guest)
        assert vm["power_state"] == "Running"
        assert vm["resident_on"] != stage.pool.hosts[0].ref
        assert is_live(stage, 0) is False


async def test_what_ran_on_a_dead_host_does_not_run_after_its_boot(
    autojump_clock: MockClock,
) -> None:
    """Without HA nobody notices that before; its VMs are shown as running until it is back."""
    async with a_stage() as stage:
        (guest, *_) = guests_of(stage.pool.toolstack, stage.pool.hosts[1].ref)
        stage.front.faults.act(HostDeath(target=MEMBER, noticed_s=60.0, down_s=200.0))
        await trio.sleep(100)
        assert stage.pool.database.record("VM", guest)["power_state"] == "Running"
        await trio.sleep(200)
        assert stage.pool.database.record("VM", guest)["power_state"] == "Halted"


@pytest.mark.parametrize(("speed", "noticed_s"), [(0.0, 60.0), (1.0, 900.0)])
async def test_the_rule_says_when_a_pool_without_ha_notices(
    speed: float, noticed_s: float, autojump_clock: MockClock
) -> None:
    """At whatever rhythm the pool works, and also after the time that xapi waits by itself."""
    async with trio.open_nursery() as nursery:
        stage = Stage(nursery, PoolSpec(hosts=3, vms=4, password=PASSWORD, seed=5, speed=speed))
        await nursery.start(stage.front.run)
        stage.front.faults.act(HostDeath(target=MEMBER, noticed_s=noticed_s))
        await trio.sleep(noticed_s - 10)
        assert is_live(stage, 1) is True
        await trio.sleep(20)
        assert is_live(stage, 1) is False
        nursery.cancel_scope.cancel()


async def test_host_that_was_switched_on_is_not_booted_again(autojump_clock: MockClock) -> None:
    """The end of its death by rule changes nothing then: what runs on it runs on."""
    async with a_stage() as stage:
        client, host = await stage.login(), stage.pool.hosts[1].ref
        stage.front.faults.act(HostDeath(target=MEMBER, noticed_s=10.0, down_s=600.0))
        await trio.sleep(60)
        stage.pool.database.write("host", host, "power_on_mode", "IPMI")
        await client.do("host.power_on", host)
        await trio.sleep(100)
        vm = stage.halted()
        await client.do("VM.start_on", vm, host, False, False)
        await trio.sleep(600)
        assert stage.pool.database.field("VM", vm, "power_state") == "Running"


async def test_old_master_that_is_back_before_the_new_one_stays_alive(
    autojump_clock: MockClock,
) -> None:
    """Nobody writes off a host that answers."""
    async with a_stage() as stage:
        stage.front.faults.act(Failover(planned=False, takeover_s=60.0, down_s=30.0))
        await trio.sleep(300)
        with pytest.raises(Refused, match="HOST_IS_SLAVE"):
            await stage.login(MASTER)
        assert is_live(stage, 0) is True


async def test_two_losses_are_recovered_one_after_the_other(autojump_clock: MockClock) -> None:
    """HA starts each protected VM once, and does not say that it failed to."""
    async with a_stage(vms=8) as stage:
        client, database = await stage.login(), stage.pool.database
        await client.do("pool.enable_ha", database.find("SR", "type", "nfs"), {})
        toolstack = stage.pool.toolstack
        guests = [guests_of(toolstack, stage.pool.hosts[index].ref)[0] for index in (0, 1)]
        for guest in guests:
            await client.do("VM.set_ha_restart_priority", guest, "restart")
        await client.do("pool.set_ha_host_failures_to_tolerate", stage.pool.pool_ref, 1)
        stage.front.faults.act(HostDeath(target=MEMBER))
        stage.front.faults.act(Failover(planned=False, takeover_s=60.0, target=LAST))
        await trio.sleep(400)
        for guest in guests:
            assert database.field("VM", guest, "power_state") == "Running"
        told = [database.record("message", one)["name"] for one in database.refs("message")]
        assert "HA_PROTECTED_VM_RESTART_FAILED" not in told
