"""The life of hosts: enabled or not, going down, given up, coming back."""

import pytest
import trio

from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Value, map_of, texts_of

from .hosting import SESSION, Listener, a_settled_pool, do, fault_of, guests, live
from .support import vm_named


@pytest.fixture
async def pool(nursery: trio.Nursery) -> SimulatedPool:
    """A pool at rest."""
    return await a_settled_pool(nursery)


async def test_disabled_host_takes_no_vm_and_may_go_down(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """disable and enable write `enabled` and then what is allowed; only then may it reboot."""
    host = pool.hosts[1].ref
    assert "reboot" not in texts_of(pool.database.record("host", host), "allowed_operations")
    assert await fault_of(pool, "host.reboot", [host]) == ["HOST_NOT_DISABLED"]
    assert await fault_of(pool, "host.shutdown", [host]) == ["HOST_NOT_DISABLED"]
    await do(pool, "host.disable", host)
    allowed = texts_of(pool.database.record("host", host), "allowed_operations")
    assert {"reboot", "shutdown", "apply_updates"} <= set(allowed)
    vm = vm_named(pool, "vm-003")
    assert await fault_of(pool, "VM.start_on", [vm, host, False, False]) == ["HOST_DISABLED", host]
    await do(pool, "host.enable", host)
    assert pool.database.field("host", host, "enabled") is True


async def test_unknown_host_is_an_invalid_handle(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Every operation on a host says HANDLE_INVALID first."""
    for method in ("enable", "disable", "reboot", "evacuate", "destroy", "declare_dead", "dmesg"):
        args: list[Value] = ["OpaqueRef:no"]
        if method == "disable":
            args.append(True)
        if method == "evacuate":
            args += [NULL_REF, 0]
        assert await fault_of(pool, f"host.{method}", args) == [
            "HANDLE_INVALID",
            "host",
            "OpaqueRef:no",
        ]


async def test_reboot_takes_the_host_away_for_a_while(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """10 s after the answer it is gone and not live; then it boots, and is enabled again."""
    host = pool.hosts[1].ref
    listener = pool.presence = Listener()
    lost = guests(pool, host)
    await do(pool, "host.disable", host)
    await do(pool, "host.reboot", host)
    assert list(map_of(pool.database.record("host", host), "current_operations").values()) == [
        "reboot"
    ]
    assert await fault_of(pool, "host.enable", [host]) == ["HOST_DISABLED_UNTIL_REBOOT"]
    assert live(pool, host) is True
    await trio.sleep(15)
    assert live(pool, host) is False
    assert await fault_of(pool, "host.enable", [host]) == ["HOST_OFFLINE", host]
    await trio.sleep(130)
    assert listener.heard == [f"down {host}", f"up {host}"]
    assert live(pool, host) is True
    record = pool.database.record("host", host)
    assert record["enabled"] is True
    assert record["current_operations"] == {}
    other = map_of(record, "other_config")
    assert other["boot_time"] == other["agent_start_time"]
    for vm in lost:
        assert pool.database.field("VM", vm, "power_state") == "Halted"
        assert pool.database.field("VM", vm, "resident_on") == NULL_REF


async def test_reboot_keeps_a_host_disabled_if_that_was_asked_for(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """host.disable without auto_enable holds until host.enable."""
    host = pool.hosts[1].ref
    await do(pool, "host.disable", host, False)
    await do(pool, "host.reboot", host)
    await trio.sleep(300)
    assert live(pool, host) is True
    assert pool.database.field("host", host, "enabled") is False
    await do(pool, "host.enable", host)
    assert pool.database.field("host", host, "enabled") is True


async def test_host_that_was_shut_down_is_powered_on(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """It needs a way to (`power_on_mode`) and has to be dead; power_on waits until it lives."""
    host = pool.hosts[2].ref
    await do(pool, "host.disable", host)
    await do(pool, "host.shutdown", host)
    assert await fault_of(pool, "host.power_on", [host]) == ["HOST_IS_LIVE", host]
    await trio.sleep(60)
    assert await fault_of(pool, "host.power_on", [host]) == ["HOST_POWER_ON_MODE_DISABLED"]
    await do(pool, "host.set_power_on_mode", host, "wake-on-lan", {})
    assert "power_on" in texts_of(pool.database.record("host", host), "allowed_operations")
    await do(pool, "host.power_on", host)
    assert live(pool, host) is True
    await trio.sleep(10)
    assert pool.database.field("host", host, "enabled") is True


async def test_dead_host_is_noticed_after_ten_minutes(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Until then calls to it fail; its VMs stay Running until it is declared dead."""
    host = pool.hosts[1].ref
    vms = guests(pool, host)
    assert await fault_of(pool, "host.declare_dead", [host]) == ["HOST_IS_LIVE", host]
    pool.kill_host(host)
    assert await fault_of(pool, "host.disable", [host]) == ["CANNOT_CONTACT_HOST", host]
    await trio.sleep(599)
    assert live(pool, host) is True
    await trio.sleep(2)
    assert live(pool, host) is False
    assert {pool.database.field("VM", vm, "power_state") for vm in vms} == {"Running"}
    assert await fault_of(pool, "host.destroy", [host]) == ["HOST_HAS_RESIDENT_VMS", host]
    await do(pool, "host.declare_dead", host)
    for vm in vms:
        record = pool.database.record("VM", vm)
        assert (record["power_state"], record["resident_on"]) == ("Halted", NULL_REF)
        assert "start" in texts_of(record, "allowed_operations")
    assert pool.database.field("host", host, "enabled") is False
    await do(pool, "host.destroy", host)
    assert not pool.database.exists("host", host)
    assert pool.database.find("PBD", "host", host) == []
    assert pool.database.find("VM", "affinity", host) == []


async def test_host_that_is_back_in_time_was_never_dead(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Nine minutes are not noticed; but its VMs are gone, and it was not for long enabled."""
    host = pool.hosts[1].ref
    vms = guests(pool, host)
    pool.kill_host(host)
    await trio.sleep(540)
    pool.revive_host(host)
    assert pool.database.field("host", host, "enabled") is False
    await trio.sleep(120)
    assert live(pool, host) is True
    assert pool.database.field("host", host, "enabled") is True
    assert {pool.database.field("VM", vm, "power_state") for vm in vms} == {"Halted"}


async def test_restarted_agent_of_the_master_ends_sessions_and_tasks(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """VMs go on; the events begin at 0; only the master's restart is the pool's."""
    listener = pool.presence = Listener()
    running = pool.database.find("VM", "power_state", "Running")
    member, master = pool.hosts[1].ref, pool.hosts[0].ref
    await do(pool, "host.restart_agent", member)
    await trio.sleep(2)
    assert listener.heard == []
    assert pool.database.field("host", member, "enabled") is False
    pool.hub.register(SESSION, ["*"])
    await do(pool, "host.restart_agent", master)
    await trio.sleep(10)
    assert listener.heard == ["restarted"]
    assert pool.hub.current_id() == 0
    assert pool.database.field("host", master, "enabled") is True
    assert pool.database.find("VM", "power_state", "Running") == running


async def test_master_can_not_be_given_up(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The master is always alive."""
    master = pool.hosts[0].ref
    assert await fault_of(pool, "host.destroy", [master]) == ["HOST_IS_LIVE", master]
    assert await fault_of(pool, "host.declare_dead", [master]) == ["HOST_IS_LIVE", master]


async def test_pool_without_its_master_waits_for_it(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Nobody gives anybody up meanwhile; then its toolstack starts anew, and it looks around."""
    listener = pool.presence = Listener()
    master, member = pool.hosts[0].ref, pool.hosts[1].ref
    before = guests(pool, member)
    pool.kill_host(master)
    pool.kill_host(member)
    await trio.sleep(1000)
    assert live(pool, member) is True
    pool.revive_host(master)
    assert listener.heard == [f"down {master}", f"down {member}", "restarted", f"up {master}"]
    assert guests(pool, master) == []
    assert guests(pool, member) == before
    await trio.sleep(590)
    assert live(pool, member) is True
    await trio.sleep(20)
    assert live(pool, member) is False
    assert live(pool, master) is True
    assert pool.database.field("host", master, "enabled") is True


async def test_vm_does_not_come_to_a_host_that_died(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A start that is under way ends, and a migration leaves the VM where it was."""
    database, target = pool.database, pool.hosts[2].ref
    halted = vm_named(pool, "vm-003")
    mover = guests(pool, pool.hosts[1].ref)[0]
    tasks = [
        pool.start_operation(SESSION, "VM.start_on", [halted, target, False, False]),
        pool.start_operation(SESSION, "VM.pool_migrate", [mover, target, {}]),
    ]
    await trio.sleep(1)
    pool.kill_host(target)
    await trio.sleep(60)
    assert [database.field("task", task, "status") for task in tasks] == ["cancelled"] * 2
    for vm, state, home in ((halted, "Halted", NULL_REF), (mover, "Running", pool.hosts[1].ref)):
        record = database.record("VM", vm)
        assert (record["power_state"], record["resident_on"]) == (state, home)
        assert record["scheduled_to_be_resident_on"] == NULL_REF
