"""Bonds: several network interfaces of a host that act as one."""

from collections.abc import Mapping, Sequence

from .addresses import check_mac
from .catalogue import Handler
from .pifs import bring_down, bring_up, check_managed, check_unconnected
from .toolstack import Call
from .values import NULL_REF, Fault, Record, Value, int_of, map_of, text_of, texts_of

BOND_S = 3.0
_PROPERTIES = ("hashing_algorithm",)
_ALGORITHMS = ("src_mac", "tcpudp_ports")
_ADDRESSES = ("ip_configuration_mode", "IP", "netmask", "gateway", "DNS")
_NO_ADDRESS: Mapping[str, Value] = {
    "ip_configuration_mode": "None",
    "IP": "",
    "netmask": "",
    "gateway": "",
    "DNS": "",
}


async def create(
    call: Call, network: str, members: list[Value], mac: str, mode: str, properties: Value
) -> Value:
    """Bond.create: the bond takes over address, management, VLANs and VIFs of its members.

    Returns its reference. Faults: NETWORK_ALREADY_CONNECTED [host, pif], MAC_INVALID [mac],
    PIF_ALREADY_BONDED [pif], PIF_VLAN_EXISTS [device], PIF_TUNNEL_STILL_EXISTS [pif],
    PIF_CANNOT_BOND_CROSS_HOST [], PIF_BOND_NEEDS_MORE_MEMBERS [].
    """
    pifs = [str(member) for member in dict.fromkeys(map(str, members))]
    if not pifs:
        raise Fault("PIF_BOND_NEEDS_MORE_MEMBERS")
    host = text_of(call.database.record("PIF", pifs[0]), "host")
    check_unconnected(call, host, network)
    if mac:
        check_mac(mac)
    _check_members(call, pifs)
    primary = _primary(call, pifs)
    await call.work(BOND_S, cancellable=False)
    master = _add_master(call, primary, network, mac)
    fields: Record = {"master": master, "primary_slave": primary, "mode": mode}
    bond = call.database.create("Bond", fields | {"properties": properties, "links_up": len(pifs)})
    for pif in pifs:
        call.set("PIF", pif, "bond_slave_of", bond)
    _move_addresses(call, primary, master)
    _move_vlans(call, pifs, master)
    for pif in pifs:
        _move_vifs(call, host, str(call.database.field("PIF", pif, "network")), network)
    _move_management(call, pifs, master)
    return bond


async def destroy(call: Call, bond: str) -> Value:
    """Bond.destroy: the first member takes everything back."""
    record = call.database.record("Bond", bond)
    master, primary = text_of(record, "master"), text_of(record, "primary_slave")
    members = texts_of(record, "slaves")
    pif = call.database.record("PIF", master)
    await call.work(BOND_S, cancellable=False)
    _move_addresses(call, master, primary)
    home = str(call.database.field("PIF", primary, "network"))
    _move_vifs(call, text_of(pif, "host"), text_of(pif, "network"), home)
    _move_vlans(call, [master], primary)
    _move_management(call, [master], primary)
    bring_down(call, master)
    for member in members:
        call.set("PIF", member, "bond_slave_of", NULL_REF)
    call.database.delete("Bond", bond)
    call.database.delete("PIF", master)
    return ""


async def set_mode(call: Call, bond: str, value: str) -> Value:
    """Bond.set_mode; lacp gets the property that it cannot be without."""
    record = call.database.record("Bond", bond)
    call.set("Bond", bond, "mode", value)
    properties = map_of(record, "properties")
    if value == "lacp" and "hashing_algorithm" not in properties:
        call.set("Bond", bond, "properties", properties | {"hashing_algorithm": "tcpudp_ports"})
    return ""


async def set_property(call: Call, bond: str, name: str, value: str) -> Value:
    """Bond.set_property. Fault INVALID_VALUE ["properties", "name = value"]."""
    record = call.database.record("Bond", bond)
    if record["mode"] != "lacp" or name not in _PROPERTIES or value not in _ALGORITHMS:
        raise Fault("INVALID_VALUE", "properties", f"{name} = {value}")
    call.set("Bond", bond, "properties", map_of(record, "properties") | {name: value})
    return ""


def _check_members(call: Call, pifs: Sequence[str]) -> None:
    records = [call.database.record("PIF", pif) for pif in pifs]
    for pif, record in zip(pifs, records, strict=True):
        check_managed(call, pif)
        if record["bond_slave_of"] != NULL_REF:
            raise Fault("PIF_ALREADY_BONDED", pif)
        if int_of(record, "VLAN") != -1:
            raise Fault("PIF_VLAN_EXISTS", text_of(record, "device"))
        if record["tunnel_access_PIF_of"]:
            raise Fault("IS_TUNNEL_ACCESS_PIF", pif)
    if len({text_of(record, "host") for record in records}) != 1:
        raise Fault("PIF_CANNOT_BOND_CROSS_HOST")


def _primary(call: Call, pifs: Sequence[str]) -> str:
    """Return the member that the bond is like: that of the management, or one with an address."""
    records = {pif: call.database.record("PIF", pif) for pif in pifs}
    managing = [pif for pif, record in records.items() if record["management"] is True]
    addressed = [pif for pif, its in records.items() if its["ip_configuration_mode"] != "None"]
    by_name = sorted(pifs, key=lambda pif: text_of(records[pif], "device"))
    return [*managing, *addressed, *by_name][0]


def _add_master(call: Call, primary: str, network: str, mac: str) -> str:
    record = call.database.record("PIF", primary)
    pifs = texts_of(call.database.record("host", text_of(record, "host")), "PIFs")
    devices = {call.database.field("PIF", pif, "device") for pif in pifs}
    numbered = (f"bond{number}" for number in range(len(devices) + 1))
    fields: Record = {
        "device": next(name for name in numbered if name not in devices),
        "network": network,
        "host": record["host"],
        "MAC": mac or record["MAC"],
        "MTU": record["MTU"],
        "VLAN": -1,
        "metrics": call.database.create("PIF_metrics", {"carrier": True}),
        "currently_attached": False,
        "properties": record["properties"],
    }
    return call.database.create("PIF", fields)


def _move_addresses(call: Call, source: str, target: str) -> None:
    record = call.database.record("PIF", source)
    for field in _ADDRESSES:
        call.set("PIF", target, field, record[field])
    for field, value in _NO_ADDRESS.items():
        call.set("PIF", source, field, value)


def _move_vlans(call: Call, sources: Sequence[str], target: str) -> None:
    """Put VLANs on another interface. xapi makes them anew; here the same ones move."""
    device = call.database.field("PIF", target, "device")
    for source in sources:
        for vlan in texts_of(call.database.record("PIF", source), "VLAN_slave_of"):
            call.set("VLAN", vlan, "tagged_PIF", target)
            untagged = str(call.database.field("VLAN", vlan, "untagged_PIF"))
            call.set("PIF", untagged, "device", device)


def _move_vifs(call: Call, host: str, source: str, target: str) -> None:
    for vif in texts_of(call.database.record("network", source), "VIFs"):
        vm = str(call.database.field("VIF", vif, "VM"))
        if call.database.field("VM", vm, "resident_on") == host:
            call.set("VIF", vif, "network", target)


def _move_management(call: Call, sources: Sequence[str], target: str) -> None:
    records = [call.database.record("PIF", pif) for pif in sources]
    if any(record["currently_attached"] is True for record in records):
        bring_up(call, target)
    for pif, record in zip(sources, records, strict=True):
        if record["management"] is True:
            call.set("PIF", target, "management", True)
            call.set("PIF", pif, "management", False)


HANDLERS: Mapping[str, Handler] = {
    "Bond.create": create,
    "Bond.destroy": destroy,
    "Bond.set_mode": set_mode,
    "Bond.set_property": set_property,
}
