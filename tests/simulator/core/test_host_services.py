"""What hosts tell and do beside their VMs, and which VMs they can take."""

import json

import pytest
import trio

from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import Value, text_of

from .hosting import a_settled_pool, do, fault_of
from .support import vm_named


@pytest.fixture
async def pool(nursery: trio.Nursery) -> SimulatedPool:
    """A pool at rest."""
    return await a_settled_pool(nursery)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "hostname empty"),
        ("h" * 256, "hostname is too long"),
        ("a_b", "hostname contains invalid characters"),
        ("-a", "hostname contains invalid characters"),
        ("a-", "hostname contains invalid characters"),
    ],
)
async def test_hostname_is_checked(
    pool: SimulatedPool, name: str, reason: str, autojump_clock: trio.testing.MockClock
) -> None:
    """HOST_NAME_INVALID has the reason."""
    host = pool.hosts[0].ref
    fault = await fault_of(pool, "host.set_hostname_live", [host, name])
    assert fault == ["HOST_NAME_INVALID", reason]


async def test_hostname_names_the_control_domain(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """set_hostname_live writes hostname and the name of domain 0; AD forbids it."""
    host = pool.hosts[0].ref
    await do(pool, "host.set_hostname_live", host, "build-7")
    record = pool.database.record("host", host)
    domain = pool.database.record("VM", text_of(record, "control_domain"))
    assert (record["hostname"], domain["name_label"]) == (
        "build-7",
        "Control domain on host: build-7",
    )
    pool.database.write("host", host, "external_auth_type", "AD")
    fault = await fault_of(pool, "host.set_hostname_live", [host, "x"])
    assert fault == ["AUTH_ALREADY_ENABLED", "AD", ""]


async def test_management_moves_to_another_interface(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Only to one with an address; not while HA is on."""
    database, host = pool.database, pool.hosts[1].ref
    old = await do(pool, "host.get_management_interface", host)
    assert isinstance(old, str)
    bare = database.create("PIF", {"host": host, "device": "eth9", "ip_configuration_mode": "None"})
    assert await fault_of(pool, "host.management_reconfigure", [bare]) == [
        "PIF_HAS_NO_NETWORK_CONFIGURATION"
    ]
    database.write("PIF", bare, "ip_configuration_mode", "Static")
    database.write("PIF", bare, "IP", "198.51.100.7")
    await do(pool, "host.management_reconfigure", bare)
    assert await do(pool, "host.get_management_interface", host) == bare
    assert database.field("PIF", old, "management") is False
    assert database.field("host", host, "address") == "198.51.100.7"
    database.write("PIF", bare, "management", False)
    assert (await fault_of(pool, "host.get_management_interface", [host]))[0] == "INTERNAL_ERROR"
    database.write("pool", pool.pool_ref, "ha_enabled", True)
    assert await fault_of(pool, "host.management_reconfigure", [old]) == ["HA_IS_ENABLED"]
    assert await fault_of(pool, "host.management_disable", []) == ["HA_IS_ENABLED"]


async def test_what_hosts_do_not_have_is_said_in_words_of_xapi(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Plugins, extensions, logs, workload balancing and certificates."""
    host = pool.hosts[0].ref
    call = json.dumps({"method": "my.method", "params": [], "id": 1})
    expected: list[tuple[str, list[Value], list[str]]] = [
        ("host.call_plugin", [host, "p", "f", {}], ["XENAPI_MISSING_PLUGIN", "p"]),
        ("host.call_extension", [host, call], ["MESSAGE_METHOD_UNKNOWN", "my.method"]),
        ("host.get_log", [host], ["NOT_IMPLEMENTED", "get_log"]),
        ("host.dmesg_clear", [host], ["NOT_IMPLEMENTED", "dmesg_clear"]),
        ("host.list_methods", [], ["NOT_IMPLEMENTED", "list_method"]),
        ("host.apply_edition", [host, "gold", False], ["INVALID_EDITION", "gold"]),
        ("pool.retrieve_wlb_configuration", [], ["WLB_NOT_INITIALIZED"]),
        ("pool.initialize_wlb", ["u", "a", "b", "c", "d"], ["WLB_CONNECTION_REFUSED"]),
    ]
    for method, args, fault in expected:
        assert await fault_of(pool, method, args) == fault
    broken: list[tuple[str, list[Value]]] = [
        ("host.call_extension", [host, "no json"]),
        ("host.get_server_certificate", [host]),
    ]
    for method, args in broken:
        assert (await fault_of(pool, method, args))[0] == "INTERNAL_ERROR"


async def test_questions_about_a_host_are_answered(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Memory, overhead, boot log, editions, and no emergency."""
    host = pool.hosts[0].ref
    free = await do(pool, "host.compute_free_memory", host)
    metrics = text_of(pool.database.record("host", host), "metrics")
    assert free == pool.database.field("host_metrics", metrics, "memory_free")
    overhead = await do(pool, "host.compute_memory_overhead", host)
    assert isinstance(overhead, int)
    assert overhead >= 2**30
    assert await do(pool, "host.get_uncooperative_resident_VMs", host) == []
    assert await do(pool, "host.has_extension", host, "x") is False
    assert await do(pool, "host.is_in_emergency_mode") is False
    assert "Xen version" in str(await do(pool, "host.dmesg", host))
    await do(pool, "host.apply_edition", host, "premium-per-socket", False)
    assert pool.database.field("host", host, "edition") == "premium-per-socket"
    unseen: list[tuple[str, list[Value]]] = [
        ("sync_data", []),
        ("backup_rrds", [0.0]),
        ("bugreport_upload", ["", {}]),
    ]
    for method, args in unseen:
        assert await do(pool, f"host.{method}", host, *args) == ""


async def test_hosts_are_chosen_by_what_they_can_take(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """get_possible_hosts leaves out dead, disabled and full hosts and those without its storage."""
    vm = vm_named(pool, "vm-003")
    hosts = [host.ref for host in pool.hosts]
    assert await do(pool, "VM.get_possible_hosts", vm) == hosts
    await do(pool, "host.disable", hosts[0])
    assert await do(pool, "VM.get_possible_hosts", vm) == hosts[1:]
    fault = await fault_of(pool, "VM.assert_can_boot_here", [vm, hosts[0]])
    assert fault == ["HOST_DISABLED", hosts[0]]
    metrics = text_of(pool.database.record("host", hosts[1]), "metrics")
    pool.database.write("host_metrics", metrics, "live", False)
    assert await do(pool, "VM.get_possible_hosts", vm) == hosts[2:]
    assert await fault_of(pool, "VM.assert_can_boot_here", [vm, hosts[1]]) == ["HOST_NOT_LIVE"]
    pool.database.write("VM", vm, "VCPUs_max", 64)
    fault = await fault_of(pool, "VM.assert_can_boot_here", [vm, hosts[2]])
    assert fault == ["HOST_NOT_ENOUGH_PCPUS", "64", "32"]
    pool.database.write("VM", vm, "VCPUs_max", 1)
    pool.database.write("VM", vm, "memory_static_max", 2**50)
    fault = await fault_of(pool, "VM.assert_can_boot_here", [vm, hosts[2]])
    assert fault[0] == "HOST_NOT_ENOUGH_FREE_MEMORY"
    await do(pool, "VM.atomic_set_resident_on", vm, hosts[2])
    assert pool.database.field("VM", vm, "resident_on") == hosts[2]


async def test_free_memory_is_that_of_the_rows_whatever_happened(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """What is kept of VMs agrees with a look at all of them, after moves, deletions, restarts."""

    def slowly(host: str) -> int:
        taken = {
            vm
            for where in ("resident_on", "scheduled_to_be_resident_on")
            for vm in pool.database.find("VM", where, host)
        }
        return sum(
            int(str(pool.database.field("VM", vm, field)))
            for vm in taken
            for field in ("memory_static_max", "memory_overhead")
        )

    def check() -> None:
        for host in pool.hosts:
            taken = pool.toolstack.occupancy.taken_bytes(pool.database, host.ref)
            assert taken == slowly(host.ref)

    check()
    vm = vm_named(pool, "vm-003")
    await do(pool, "VM.start", vm, False, False)
    check()
    pool.database.write("VM", vm, "scheduled_to_be_resident_on", pool.hosts[0].ref)
    check()
    pool.restart_toolstack()
    check()
    pool.database.delete("VM", vm)
    check()
