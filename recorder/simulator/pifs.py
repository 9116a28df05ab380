"""Network interfaces of hosts: how they are brought up and down, and what bars that."""

from collections.abc import Mapping

from .addresses import check_cidr, check_ip, is_ip
from .catalogue import Handler
from .toolstack import Call
from .values import NULL_REF, Fault, Value, map_of, text_of, texts_of

PLUG_S = 1.0
UNPLUG_S = 0.5
CONFIGURE_S = 2.0
_PROPERTIES = {"gro": ("on", "off")}


async def plug(call: Call, pif: str) -> Value:
    """PIF.plug. Faults PIF_UNMANAGED, TRANSPORT_PIF_NOT_CONFIGURED, CANNOT_PLUG_BOND_SLAVE."""
    check_managed(call, pif)
    await _plug(call, pif)
    return ""


async def unplug(call: Call, pif: str) -> Value:
    """PIF.unplug.

    Faults: PIF_UNMANAGED [pif], HA_IS_ENABLED [], PIF_IS_MANAGEMENT_IFACE [pif], VIF_IN_USE
    [network, vif], PIF_DOES_NOT_ALLOW_UNPLUG [pif].
    """
    check_managed(call, pif)
    check_unprotected(call, pif)
    check_not_management(call, pif)
    record = call.database.record("PIF", pif)
    _check_network_idle(call, text_of(record, "network"), text_of(record, "host"))
    if record["disallow_unplug"] is True:
        raise Fault("PIF_DOES_NOT_ALLOW_UNPLUG", pif)
    for tunnel in texts_of(record, "tunnel_transport_PIF_of"):
        await unplug(call, str(call.database.field("tunnel", tunnel, "access_PIF")))
    if record["bond_slave_of"] == NULL_REF:
        await call.work(UNPLUG_S, cancellable=False)
        bring_down(call, pif)
    return ""


async def reconfigure_ip(
    call: Call, pif: str, mode: str, ip: str, netmask: str, gateway: str, dns: str
) -> Value:
    """PIF.reconfigure_ip: `None`, `DHCP` or `Static`.

    Faults: PIF_UNMANAGED, HA_IS_ENABLED, INVALID_IP_ADDRESS_SPECIFIED [field],
    PIF_IS_MANAGEMENT_IFACE [pif] if the management would be left without an address.
    """
    check_managed(call, pif)
    wanted = {"ip_configuration_mode": mode, "IP": ip, "netmask": netmask, "gateway": gateway}
    record = call.database.record("PIF", pif)
    if mode != "Static" or any(record[field] != value for field, value in wanted.items()):
        check_unprotected(call, pif)
    for field, value in (("IP", ip), ("netmask", netmask), ("gateway", gateway)):
        if value or (mode == "Static" and field != "gateway"):
            check_ip(field, value, 4)
    _check_addressed(call, pif, mode, "IPv4")
    for field, value in wanted.items():
        call.set("PIF", pif, field, value)
    _set_dns(call, pif, dns, 4)
    if await _bounce(call, pif) and mode == "DHCP":
        call.set("PIF", pif, "IP", _lease(call, pif))
        call.set("PIF", pif, "netmask", "255.255.255.0")
    return ""


async def reconfigure_ipv6(
    call: Call, pif: str, mode: str, ipv6: str, gateway: str, dns: str
) -> Value:
    """PIF.reconfigure_ipv6. Faults as of reconfigure_ip, INVALID_CIDR_ADDRESS_SPECIFIED [field]."""
    check_managed(call, pif)
    check_unprotected(call, pif)
    if gateway:
        check_ip("gateway", gateway, 6)
    if ipv6:
        check_cidr("IPv6", ipv6, 6)
    _check_addressed(call, pif, mode, "IPv6")
    call.set("PIF", pif, "ipv6_configuration_mode", mode)
    call.set("PIF", pif, "ipv6_gateway", gateway)
    call.set("PIF", pif, "IPv6", [ipv6])
    _set_dns(call, pif, dns, 6)
    await _bounce(call, pif)
    return ""


async def set_primary_address_type(call: Call, pif: str, value: str) -> Value:
    """PIF.set_primary_address_type. Fault PIF_IS_MANAGEMENT_IFACE [pif]."""
    check_unprotected(call, pif)
    if call.database.record("PIF", pif)["management"] is True:
        raise Fault("PIF_IS_MANAGEMENT_IFACE", pif)
    call.set("PIF", pif, "primary_address_type", value)
    return ""


async def set_property(call: Call, pif: str, name: str, value: str) -> Value:
    """PIF.set_property: of interfaces that are physical or a bond, and of the members of that.

    Faults: INVALID_VALUE ["properties", "name = value"], CANNOT_CHANGE_PIF_PROPERTIES [pif].
    """
    record = call.database.record("PIF", pif)
    if value not in _PROPERTIES.get(name, ()):
        raise Fault("INVALID_VALUE", "properties", f"{name} = {value}")
    bonds = texts_of(record, "bond_master_of")
    has_some = record["physical"] is True or bonds
    if not has_some or record["bond_slave_of"] != NULL_REF:
        raise Fault("CANNOT_CHANGE_PIF_PROPERTIES", pif)
    properties = {**map_of(record, "properties"), name: value}
    call.set("PIF", pif, "properties", properties)
    for bond in bonds:
        for member in texts_of(call.database.record("Bond", bond), "slaves"):
            call.set("PIF", member, "properties", properties)
    return ""


def bring_up(call: Call, pif: str) -> None:
    """Write that an interface is up, and the tunnel that it is the access of."""
    call.set("PIF", pif, "currently_attached", True)
    _set_tunnels(call, pif, active="true")


def bring_down(call: Call, pif: str) -> None:
    """Write that an interface is down, and the tunnel that it is the access of."""
    call.set("PIF", pif, "currently_attached", False)
    _set_tunnels(call, pif, active="false")


def check_managed(call: Call, pif: str) -> None:
    """Fault PIF_UNMANAGED [pif]."""
    if call.database.record("PIF", pif)["managed"] is not True:
        raise Fault("PIF_UNMANAGED", pif)


def check_not_management(call: Call, pif: str) -> None:
    """Fault PIF_IS_MANAGEMENT_IFACE [pif]."""
    record = call.database.record("PIF", pif)
    if record["currently_attached"] is True and record["management"] is True:
        raise Fault("PIF_IS_MANAGEMENT_IFACE", pif)


def check_unprotected(call: Call, pif: str) -> None:
    """Fault HA_IS_ENABLED [] or REDO_LOG_IS_ENABLED [] if the interface is up."""
    if call.database.record("PIF", pif)["currently_attached"] is not True:
        return
    pool = call.database.record("pool", call.toolstack.pool_ref)
    if pool["ha_enabled"] is True:
        raise Fault("HA_IS_ENABLED")
    if pool["redo_log_enabled"] is True:
        raise Fault("REDO_LOG_IS_ENABLED")


def check_unconnected(call: Call, host: str, network: str) -> None:
    """Fault NETWORK_ALREADY_CONNECTED [host, pif] if the host is on the network already."""
    for pif in texts_of(call.database.record("network", network), "PIFs"):
        if call.database.field("PIF", pif, "host") == host:
            raise Fault("NETWORK_ALREADY_CONNECTED", host, pif)


async def _plug(call: Call, pif: str) -> None:
    record = call.database.record("PIF", pif)
    for tunnel in texts_of(record, "tunnel_access_PIF_of"):
        transport = str(call.database.field("tunnel", tunnel, "transport_PIF"))
        if call.database.field("PIF", transport, "ip_configuration_mode") == "None":
            raise Fault("TRANSPORT_PIF_NOT_CONFIGURED", transport)
        await plug(call, transport)
    if record["bond_slave_of"] != NULL_REF:
        raise Fault("CANNOT_PLUG_BOND_SLAVE", pif)
    await call.work(PLUG_S, cancellable=False)
    bring_up(call, pif)


def _check_network_idle(call: Call, network: str, host: str) -> None:
    database = call.database
    for vif in texts_of(database.record("network", network), "VIFs"):
        record = database.record("VIF", vif)
        resident = database.field("VM", text_of(record, "VM"), "resident_on")
        if record["currently_attached"] is True and resident == host:
            raise Fault("VIF_IN_USE", network, vif)


def _check_addressed(call: Call, pif: str, mode: str, kind: str) -> None:
    record = call.database.record("PIF", pif)
    is_primary = record["primary_address_type"] == kind
    if record["management"] is True and mode == "None" and is_primary:
        raise Fault("PIF_IS_MANAGEMENT_IFACE", pif)


def _set_dns(call: Call, pif: str, dns: str, version: int) -> None:
    """Write the servers of one version of IP, and keep those of the other."""
    before = text_of(call.database.record("PIF", pif), "DNS").split(",")
    given = [server for server in dns.split(",") if is_ip(server, version)]
    kept = [server for server in before if is_ip(server, 10 - version)]
    call.set("PIF", pif, "DNS", ",".join([*given, *kept]))


async def _bounce(call: Call, pif: str) -> bool:
    """Bring an interface that is up down and up again; says whether it was."""
    if call.database.record("PIF", pif)["currently_attached"] is not True:
        return False
    call.set("PIF", pif, "currently_attached", False)
    await call.work(CONFIGURE_S, cancellable=False)
    bring_up(call, pif)
    return True


def _lease(call: Call, pif: str) -> str:
    digits = text_of(call.database.record("PIF", pif), "uuid").replace("-", "")
    return f"192.168.{int(digits[:2], 16) % 4}.{int(digits[2:4], 16) % 253 + 1}"


def _set_tunnels(call: Call, pif: str, *, active: str) -> None:
    for tunnel in texts_of(call.database.record("PIF", pif), "tunnel_access_PIF_of"):
        status = map_of(call.database.record("tunnel", tunnel), "status")
        call.set("tunnel", tunnel, "status", status | {"active": active})


HANDLERS: Mapping[str, Handler] = {
    "PIF.plug": plug,
    "PIF.unplug": unplug,
    "PIF.reconfigure_ip": reconfigure_ip,
    "PIF.reconfigure_ipv6": reconfigure_ipv6,
    "PIF.set_primary_address_type": set_primary_address_type,
    "PIF.set_property": set_property,
}
