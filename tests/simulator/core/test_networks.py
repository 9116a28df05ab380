"""Networks, interfaces of hosts, VLANs, tunnels and bonds: effects, events, refusals."""

import pytest
import trio

from recorder.simulator.nics import add_card
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Record, Value, text_of, texts_of
from tests.simulator.core.rooms import (
    END,
    a_furnished_pool,
    a_vif,
    call,
    fault_of,
    first_of,
    made,
    record,
    told,
)
from tests.simulator.core.support import vm_named

Clock = trio.testing.MockClock
MAC = "02:00:00:00:00:0"
PLUGGED = ["pif currently_attached"]


@pytest.fixture
async def pool(nursery: trio.Nursery, autojump_clock: Clock) -> SimulatedPool:
    pool = a_furnished_pool()
    await nursery.start(pool.run)
    return pool


async def _network(pool: SimulatedPool, **fields: Value) -> str:
    return await made(pool, "network.create", {"other_config": {}, **fields})


def _management(pool: SimulatedPool, host: int = 0) -> str:
    """The management interface of a host."""
    pifs = texts_of(record(pool, "host", pool.hosts[host].ref), "PIFs")
    return next(pif for pif in pifs if record(pool, "PIF", pif)["management"] is True)


async def _card(pool: SimulatedPool, number: int, host: int = 0) -> str:
    """A physical interface that carries nothing yet."""
    ref = pool.hosts[host].ref
    add_card(pool.database, ref, f"eth{number}", f"{MAC}{number}")
    await call(pool, "PIF.scan", ref)
    (pif,) = [
        pif
        for pif in pool.database.find("PIF", "device", f"eth{number}")
        if record(pool, "PIF", pif)["host"] == ref
    ]
    return pif


async def test_network_create_names_its_bridge(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """Bridges are xapi0, xapi1 …; the events are those recorded from a real server."""
    lines = await told(pool, "network.create", {"other_config": {}, "MTU": 0})
    assert lines == ["task add network.create", "network add", *END, "task del"]
    first = record(pool, "network", pool.database.refs("network")[-1])
    assert (first["bridge"], first["MTU"]) == ("xapi0", 1500)
    assert record(pool, "network", await _network(pool))["bridge"] == "xapi1"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"other_config": {}, "bridge": "xenbr7"}, ["INVALID_VALUE", "bridge", "xenbr7"]),
        ({"other_config": {}, "bridge": "b" * 16}, ["INVALID_VALUE", "bridge", "b" * 16]),
        ({"other_config": {}, "bridge": "mine"}, ["BRIDGE_NAME_EXISTS", "mine"]),
        ({}, ["FIELD_TYPE_ERROR", "other_config"]),
    ],
)
async def test_network_create_refuses(
    pool: SimulatedPool, autojump_clock: Clock, fields: Record, fault: list[str]
) -> None:
    """Names that xapi gives itself, long ones, and those that are taken."""
    await _network(pool, bridge="mine")
    assert await fault_of(pool, "network.create", fields) == fault


async def test_network_in_use_is_not_destroyed(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """Attached VIFs and PIFs bar it; VIFs at rest go with it."""
    running, halted = vm_named(pool, "vm-001"), vm_named(pool, "vm-003")
    busy = text_of(record(pool, "VIF", first_of(pool, running, "VIFs")), "network")
    assert (await fault_of(pool, "network.destroy", busy))[0] == "NETWORK_CONTAINS_VIF"
    pif = await _card(pool, 3)
    carried = text_of(record(pool, "PIF", pif), "network")
    assert await fault_of(pool, "network.destroy", carried) == ["NETWORK_CONTAINS_PIF", pif]
    network = await _network(pool)
    vif = await made(pool, "VIF.create", a_vif(halted, network, MAC=f"{MAC}9"))
    await call(pool, "network.destroy", network)
    assert vif not in texts_of(record(pool, "VM", halted), "VIFs")
    system = await _network(pool, other_config={"is_host_internal_management_network": "true"})
    fault = await fault_of(pool, "network.destroy", system)
    assert fault == ["CANNOT_DESTROY_SYSTEM_NETWORK", system]


async def test_purposes_exclude_each_other(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """No pool has a network for NBD with and one without TLS."""
    first, second = await _network(pool), await _network(pool)
    await call(pool, "network.add_purpose", first, "nbd")
    fault = await fault_of(pool, "network.add_purpose", second, "insecure_nbd")
    assert fault == ["NETWORK_INCOMPATIBLE_PURPOSES", "insecure_nbd", "nbd"]
    await call(pool, "network.remove_purpose", first, "nbd")
    await call(pool, "network.add_purpose", second, "insecure_nbd")
    assert record(pool, "network", second)["purpose"] == ["insecure_nbd"]


async def test_locking_mode_wants_no_attached_vif(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """The default of a network changes only while none of its VIFs is attached."""
    vif = first_of(pool, vm_named(pool, "vm-001"), "VIFs")
    network = text_of(record(pool, "VIF", vif), "network")
    fault = await fault_of(pool, "network.set_default_locking_mode", network, "disabled")
    assert fault[:2] == ["VIF_IN_USE", network]
    idle = await _network(pool)
    await call(pool, "network.set_default_locking_mode", idle, "disabled")
    assert record(pool, "network", idle)["default_locking_mode"] == "disabled"


async def test_card_is_forgotten_and_found_again(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """PIF.forget loses the row, not the card: scan and introduce find it."""
    host, pif = pool.hosts[0].ref, await _card(pool, 3)
    network = record(pool, "network", text_of(record(pool, "PIF", pif), "network"))
    assert network["bridge"] == "xenbr3"
    fault = await fault_of(pool, "PIF.introduce", host, "", "eth3", True)
    assert fault == ["DUPLICATE_PIF_DEVICE_NAME", "eth3"]
    await call(pool, "PIF.forget", pif)
    assert not pool.database.exists("PIF", pif)
    code = "COULD_NOT_FIND_NETWORK_INTERFACE_WITH_SPECIFIED_DEVICE_NAME_AND_MAC_ADDRESS"
    fault = await fault_of(pool, "PIF.introduce", host, f"{MAC}9", "eth3", True)
    assert fault == [code, "eth3", f"{MAC}9"]
    assert await fault_of(pool, "PIF.introduce", host, "", "eth9", True) == ["MAC_INVALID", ""]
    again = await made(pool, "PIF.introduce", host, "", "eth3", False)
    assert record(pool, "PIF", again)["MAC"] == f"{MAC}3"
    assert await fault_of(pool, "PIF.plug", again) == ["PIF_UNMANAGED", again]


async def test_management_interface_stays(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """It is not unplugged, forgotten, or left without an address."""
    pif = _management(pool)
    for method in ("PIF.unplug", "PIF.forget"):
        assert await fault_of(pool, method, pif) == ["PIF_IS_MANAGEMENT_IFACE", pif]
    args = (pif, "None", "", "", "", "")
    assert await fault_of(pool, "PIF.reconfigure_ip", *args) == ["PIF_IS_MANAGEMENT_IFACE", pif]
    fault = await fault_of(pool, "PIF.set_primary_address_type", pif, "IPv6")
    assert fault == ["PIF_IS_MANAGEMENT_IFACE", pif]
    assert await fault_of(pool, "PIF.destroy", pif) == ["PIF_IS_PHYSICAL"]


async def test_pif_goes_up_and_down(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """One change each; what bars going down is said."""
    pif = await _card(pool, 3)
    lines = await told(pool, "PIF.plug", pif)
    assert lines == ["task add PIF.plug", *PLUGGED, *END, "task del"]
    await call(pool, "PIF.set_disallow_unplug", pif, True)
    assert await fault_of(pool, "PIF.unplug", pif) == ["PIF_DOES_NOT_ALLOW_UNPLUG", pif]
    await call(pool, "PIF.set_disallow_unplug", pif, False)
    vm = vm_named(pool, "vm-001")
    host = pool.hosts[0].ref
    assert record(pool, "VM", vm)["resident_on"] == host
    network = text_of(record(pool, "PIF", pif), "network")
    vif = first_of(pool, vm, "VIFs")
    await call(pool, "VIF.move", vif, network)
    assert await fault_of(pool, "PIF.unplug", pif) == ["VIF_IN_USE", network, vif]
    await call(pool, "VIF.move", vif, text_of(record(pool, "PIF", _management(pool)), "network"))
    pool.database.write("pool", pool.pool_ref, "ha_enabled", True)
    assert await fault_of(pool, "PIF.unplug", pif) == ["HA_IS_ENABLED"]
    pool.database.write("pool", pool.pool_ref, "ha_enabled", False)
    lines = await told(pool, "PIF.unplug", pif)
    assert lines == ["task add PIF.unplug", *PLUGGED, *END, "task del"]


async def test_address_is_written_and_the_interface_bounces(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """mode, IP, netmask, DNS, then down and up; a wrong address is refused by its field."""
    pif = await _card(pool, 3)
    await call(pool, "PIF.plug", pif)
    args = ("Static", "192.0.2.77", "255.255.255.0", "", "192.0.2.1,2001:db8::1")
    lines = await told(pool, "PIF.reconfigure_ip", pif, *args)
    fields = ["ip_configuration_mode", "IP", "netmask", "DNS"]
    changes = [*(f"pif {field}" for field in fields), *PLUGGED, *PLUGGED]
    assert lines == ["task add PIF.reconfigure_ip", *changes, *END, "task del"]
    assert record(pool, "PIF", pif)["DNS"] == "192.0.2.1"
    fault = await fault_of(pool, "PIF.reconfigure_ip", pif, "Static", "192.0.2.77", "x", "", "")
    assert fault == ["INVALID_IP_ADDRESS_SPECIFIED", "netmask"]
    await call(pool, "PIF.reconfigure_ip", pif, "DHCP", "", "", "", "")
    assert record(pool, "PIF", pif)["netmask"] == "255.255.255.0"
    await call(pool, "PIF.reconfigure_ipv6", pif, "Static", "2001:db8::9/64", "", "")
    assert record(pool, "PIF", pif)["IPv6"] == ["2001:db8::9/64"]
    fault = await fault_of(pool, "PIF.reconfigure_ipv6", pif, "Static", "2001:db8::9", "", "")
    assert fault == ["INVALID_CIDR_ADDRESS_SPECIFIED", "IPv6"]


async def test_vlan_is_made_with_its_interface(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """Host, network and base know of it, and it is up; when it goes, so does the interface."""
    pif, network = await _card(pool, 3), await _network(pool)
    assert await told(pool, "VLAN.create", pif, 7, network) == [
        "task add VLAN.create",
        "pif add",
        "network PIFs",
        "host PIFs",
        "vlan add",
        "pif VLAN_slave_of",
        *PLUGGED,
        *END,
        "task del",
    ]
    (vlan,) = texts_of(record(pool, "PIF", pif), "VLAN_slave_of")
    untagged = text_of(record(pool, "VLAN", vlan), "untagged_PIF")
    its = record(pool, "PIF", untagged)
    assert (its["VLAN"], its["device"], its["VLAN_master_of"]) == (7, "eth3", vlan)
    assert its["MAC"] == "fe:ff:ff:ff:ff:ff"
    assert await fault_of(pool, "PIF.forget", pif) == ["PIF_VLAN_STILL_EXISTS", pif]
    assert await told(pool, "VLAN.destroy", vlan) == [
        "task add VLAN.destroy",
        *PLUGGED,
        "vlan del",
        "pif VLAN_slave_of",
        "pif del",
        "network PIFs",
        "host PIFs",
        *END,
        "task del",
    ]


async def test_vlan_create_refuses(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """Tags, bases and networks that do not do."""
    pif, network, other = await _card(pool, 3), await _network(pool), await _network(pool)
    host = pool.hosts[0].ref
    for tag in (-1, 4095):
        fault = await fault_of(pool, "VLAN.create", pif, tag, network)
        assert fault == ["VLAN_TAG_INVALID", str(tag)]
    vlan = await made(pool, "VLAN.create", pif, 7, network)
    untagged = text_of(record(pool, "VLAN", vlan), "untagged_PIF")
    fault = await fault_of(pool, "VLAN.create", pif, 8, network)
    assert fault == ["NETWORK_ALREADY_CONNECTED", host, untagged]
    assert await fault_of(pool, "VLAN.create", pif, 7, other) == ["PIF_VLAN_EXISTS", "eth3"]
    assert await fault_of(pool, "VLAN.create", untagged, 8, other) == ["PIF_IS_VLAN", untagged]
    fault = await fault_of(pool, "PIF.create_VLAN", "eth9", other, host, 9)
    assert fault == ["INVALID_VALUE", "device", "eth9"]
    await call(pool, "PIF.destroy", untagged)
    assert not pool.database.exists("VLAN", vlan)


async def test_vlan_of_a_pool_is_made_on_every_host(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """All interfaces are returned; if one cannot be made, none is."""
    network = await _network(pool)
    pifs = texts_of({"pifs": await call(pool, "pool.create_VLAN", "eth0", network, 9)}, "pifs")
    assert [record(pool, "PIF", pif)["host"] for pif in pifs] == [host.ref for host in pool.hosts]
    other = await _network(pool)
    made_ = await call(pool, "pool.create_VLAN_from_PIF", _management(pool), other, 10)
    assert len(texts_of({"pifs": made_}, "pifs")) == len(pool.hosts)
    third, base = await _network(pool), _management(pool, len(pool.hosts) - 1)
    await call(pool, "VLAN.create", base, 11, await _network(pool))
    before = pool.database.refs("PIF")
    assert (await fault_of(pool, "pool.create_VLAN", "eth0", third, 11))[0] == "PIF_VLAN_EXISTS"
    assert pool.database.refs("PIF") == before


async def test_tunnel_is_active_while_its_interface_is_up(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """It is made on top of an interface with an address, and shows whether it works."""
    network, transport = await _network(pool), _management(pool)
    tunnel = await made(pool, "tunnel.create", transport, network, "vxlan")
    its = record(pool, "tunnel", tunnel)
    access = text_of(its, "access_PIF")
    assert (its["status"], its["protocol"]) == ({"active": "true"}, "vxlan")
    assert record(pool, "PIF", access)["device"] == "tunnel0"
    assert texts_of(record(pool, "PIF", access), "tunnel_access_PIF_of") == [tunnel]
    other = await _network(pool)
    fault = await fault_of(pool, "VLAN.create", access, 5, other)
    assert fault == ["IS_TUNNEL_ACCESS_PIF", access]
    fault = await fault_of(pool, "tunnel.create", access, other)
    assert fault == ["IS_TUNNEL_ACCESS_PIF", access]
    await call(pool, "PIF.unplug", access)
    assert record(pool, "tunnel", tunnel)["status"] == {"active": "false"}
    await call(pool, "tunnel.destroy", tunnel)
    assert not record(pool, "PIF", transport)["tunnel_transport_PIF_of"]


async def test_tunnel_create_refuses(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """Interfaces without address, networks that are not managed, hosts without Open vSwitch."""
    pif, network = await _card(pool, 3), await _network(pool)
    fault = await fault_of(pool, "tunnel.create", pif, network)
    assert fault == ["TRANSPORT_PIF_NOT_CONFIGURED", pif]
    foreign = await _network(pool, managed=False)
    fault = await fault_of(pool, "tunnel.create", pif, foreign)
    assert fault == ["NETWORK_UNMANAGED", foreign]
    pool.database.write("host", pool.hosts[0].ref, "software_version", {})
    assert await fault_of(pool, "tunnel.create", pif, network) == ["OPENVSWITCH_NOT_ACTIVE"]


async def test_bond_takes_over_from_its_members(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """Management, address, VLANs and VIFs move to the bond, and back when it is destroyed."""
    vm, old, extra = vm_named(pool, "vm-001"), _management(pool), await _card(pool, 3)
    vlan = await made(pool, "VLAN.create", old, 7, await _network(pool))
    home, address = (text_of(record(pool, "PIF", old), field) for field in ("network", "IP"))
    network = await _network(pool)
    bond = await made(pool, "Bond.create", network, [old, extra], "", "active-backup", {})
    its = record(pool, "Bond", bond)
    master = text_of(its, "master")
    assert set(texts_of(its, "slaves")) == {old, extra}
    pif = record(pool, "PIF", master)
    assert (pif["device"], pif["IP"], pif["management"]) == ("bond0", address, True)
    assert record(pool, "PIF", old)["ip_configuration_mode"] == "None"
    assert record(pool, "VLAN", vlan)["tagged_PIF"] == master
    assert record(pool, "VIF", first_of(pool, vm, "VIFs"))["network"] == network
    assert await fault_of(pool, "PIF.plug", extra) == ["CANNOT_PLUG_BOND_SLAVE", extra]
    other = await _network(pool)
    fault = await fault_of(pool, "VLAN.create", extra, 8, other)
    assert fault == ["CANNOT_ADD_VLAN_TO_BOND_SLAVE", extra]
    fault = await fault_of(pool, "tunnel.create", extra, other)
    assert fault == ["CANNOT_ADD_TUNNEL_TO_BOND_SLAVE", extra]
    args: tuple[Value, ...] = (other, [extra], "", "lacp", {})
    assert await fault_of(pool, "Bond.create", *args) == ["PIF_ALREADY_BONDED", extra]
    assert await fault_of(pool, "PIF.forget", extra) == ["PIF_ALREADY_BONDED", extra]
    await call(pool, "Bond.destroy", bond)
    pif = record(pool, "PIF", old)
    assert (pif["IP"], pif["management"], pif["bond_slave_of"]) == (address, True, NULL_REF)
    assert record(pool, "VLAN", vlan)["tagged_PIF"] == old
    assert record(pool, "VIF", first_of(pool, vm, "VIFs"))["network"] == home
    assert not pool.database.exists("PIF", master)


async def test_bond_create_refuses(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """Members of several hosts, none at all, and addresses that are none."""
    first, second, network = _management(pool), _management(pool, 1), await _network(pool)
    args: list[Value] = [network, [first, second], "", "lacp", {}]
    assert await fault_of(pool, "Bond.create", *args) == ["PIF_CANNOT_BOND_CROSS_HOST"]
    assert await fault_of(pool, "Bond.create", network, [], "", "lacp", {}) == [
        "PIF_BOND_NEEDS_MORE_MEMBERS"
    ]
    fault = await fault_of(pool, "Bond.create", network, [first], "x", "lacp", {})
    assert fault == ["MAC_INVALID", "x"]
    await call(pool, "VLAN.create", first, 7, await _network(pool))
    untagged = pool.database.find("PIF", "VLAN", 7)[0]
    fault = await fault_of(pool, "Bond.create", network, [untagged], "", "lacp", {})
    assert fault == ["PIF_VLAN_EXISTS", "eth0"]


async def test_properties_of_interfaces_are_few(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """gro of an interface, and how a bond spreads its load."""
    pif, network = await _card(pool, 3), await _network(pool)
    await call(pool, "PIF.set_property", pif, "gro", "off")
    assert record(pool, "PIF", pif)["properties"] == {"gro": "off"}
    fault = await fault_of(pool, "PIF.set_property", pif, "gro", "maybe")
    assert fault == ["INVALID_VALUE", "properties", "gro = maybe"]
    bond = await made(pool, "Bond.create", network, [pif, await _card(pool, 4)], "", "lacp", {})
    fault = await fault_of(pool, "PIF.set_property", pif, "gro", "on")
    assert fault == ["CANNOT_CHANGE_PIF_PROPERTIES", pif]
    await call(pool, "Bond.set_mode", bond, "lacp")
    await call(pool, "Bond.set_property", bond, "hashing_algorithm", "src_mac")
    assert record(pool, "Bond", bond)["properties"] == {"hashing_algorithm": "src_mac"}
    fault = await fault_of(pool, "Bond.set_property", bond, "speed", "1")
    assert fault == ["INVALID_VALUE", "properties", "speed = 1"]
