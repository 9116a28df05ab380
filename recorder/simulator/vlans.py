"""VLANs and tunnels: interfaces of hosts that are made on top of others."""

from collections.abc import Mapping
from functools import partial

from .addresses import generated_mac
from .catalogue import Handler
from .nics import check_unbonded
from .pifs import check_managed, check_unconnected, check_unprotected, plug, unplug
from .toolstack import Call
from .values import NULL_REF, Fault, Record, Value, int_of, map_of, text_of, texts_of

VLAN_MAC = "fe:ff:ff:ff:ff:ff"
TAG_MAX = 4094


async def create(call: Call, tagged_pif: str, tag: int, network: str) -> Value:
    """VLAN.create: with the interface for it, which is brought up; returns its reference.

    Faults: PIF_UNMANAGED [pif], NETWORK_ALREADY_CONNECTED [host, pif],
    CANNOT_ADD_VLAN_TO_BOND_SLAVE [pif], PIF_IS_VLAN [pif], VLAN_TAG_INVALID [tag], PIF_VLAN_EXISTS
    [device], IS_TUNNEL_ACCESS_PIF [pif].
    """
    check_managed(call, tagged_pif)
    record = call.database.record("PIF", tagged_pif)
    check_unconnected(call, text_of(record, "host"), network)
    _check_base(call, tagged_pif, tag)
    vlan = f"OpaqueRef:{call.database.new_uuid()}"
    its: Record = {"MAC": VLAN_MAC, "MTU": record["MTU"], "VLAN": tag, "VLAN_master_of": vlan}
    untagged = _add_pif(call, record, network, its | {"device": record["device"]})
    fields: Record = {"tagged_PIF": tagged_pif, "untagged_PIF": untagged, "tag": tag}
    call.database.create("VLAN", fields, vlan)
    await plug(call, untagged)
    return vlan


async def destroy(call: Call, vlan: str) -> Value:
    """VLAN.destroy: with its interface. Faults as those of PIF.unplug, PIF_ALREADY_BONDED [pif]."""
    untagged = text_of(call.database.record("VLAN", vlan), "untagged_PIF")
    if call.database.exists("PIF", untagged):
        check_unbonded(call, untagged)
        check_unprotected(call, untagged)
        await unplug(call, untagged)
    call.database.delete("VLAN", vlan)
    if call.database.exists("PIF", untagged):
        call.database.delete("PIF", untagged)
    return ""


async def pool_introduce(
    call: Call, tagged_pif: str, untagged_pif: str, tag: int, other_config: Value
) -> Value:
    """VLAN.pool_introduce: only the row; returns its reference."""
    fields: Record = {"tagged_PIF": tagged_pif, "untagged_PIF": untagged_pif, "tag": tag}
    return call.database.create("VLAN", fields | {"other_config": other_config})


async def create_on_host(call: Call, device: str, network: str, host: str, tag: int) -> Value:
    """PIF.create_VLAN: returns the interface. Fault INVALID_VALUE ["device", device]."""
    for pif in texts_of(call.database.record("host", host), "PIFs"):
        record = call.database.record("PIF", pif)
        if record["device"] == device and record["VLAN"] == -1:
            vlan = await _create_inside(call, pif, tag, network)
            return call.database.field("VLAN", vlan, "untagged_PIF")
    raise Fault("INVALID_VALUE", "device", device)


async def destroy_pif(call: Call, pif: str) -> Value:
    """PIF.destroy: of a VLAN only. Fault PIF_IS_PHYSICAL []."""
    record = call.database.record("PIF", pif)
    if int_of(record, "VLAN") < 0:
        raise Fault("PIF_IS_PHYSICAL")
    await _destroy_inside(call, text_of(record, "VLAN_master_of"))
    return ""


async def create_in_pool(call: Call, device: str, network: str, tag: int) -> Value:
    """pool.create_VLAN: on every live host; returns the interfaces. All or none is made."""
    made: list[str] = []
    try:
        for host in _live_hosts(call):
            args = (device, network, host, tag)
            act = partial(_create_on, args)
            made.append(str(await call.inner("PIF.create_VLAN", act)))
    except Fault:
        await _destroy_all(call, made)
        raise
    return [*made]


async def create_in_pool_from_pif(call: Call, pif: str, network: str, tag: int) -> Value:
    """pool.create_VLAN_from_PIF: on the interfaces of live hosts to the same network."""
    base = text_of(call.database.record("PIF", pif), "network")
    live = _live_hosts(call)
    made: list[str] = []
    try:
        for other in texts_of(call.database.record("network", base), "PIFs"):
            if call.database.field("PIF", other, "host") in live:
                vlan = await _create_inside(call, other, tag, network)
                made.append(str(call.database.field("VLAN", vlan, "untagged_PIF")))
    except Fault:
        await _destroy_all(call, made)
        raise
    return [*made]


async def create_tunnel(call: Call, transport_pif: str, network: str, protocol: str) -> Value:
    """tunnel.create: with the interface for it, which is brought up; returns its reference.

    Faults: NETWORK_UNMANAGED [network], PIF_UNMANAGED [pif], CANNOT_ADD_TUNNEL_TO_BOND_SLAVE [pif],
    NETWORK_ALREADY_CONNECTED [host, pif], OPENVSWITCH_NOT_ACTIVE [], IS_TUNNEL_ACCESS_PIF [pif],
    TRANSPORT_PIF_NOT_CONFIGURED [pif].
    """
    record = _transport(call, transport_pif, network)
    devices = _devices(call, text_of(record, "host"))
    numbered = (f"tunnel{number}" for number in range(len(devices) + 1))
    device = next(name for name in numbered if name not in devices)
    mac = generated_mac(0, call.database.new_uuid())
    its: Record = {"device": device, "MAC": mac, "MTU": -1, "VLAN": -1}
    access = _add_pif(call, record, network, its)
    fields: Record = {"access_PIF": access, "transport_PIF": transport_pif, "protocol": protocol}
    tunnel = call.database.create("tunnel", fields)
    await plug(call, access)
    return tunnel


async def destroy_tunnel(call: Call, tunnel: str) -> Value:
    """tunnel.destroy: with its interface. Faults as those of PIF.unplug."""
    access = text_of(call.database.record("tunnel", tunnel), "access_PIF")
    await unplug(call, access)
    call.database.delete("PIF", access)
    call.database.delete("tunnel", tunnel)
    return ""


def _check_base(call: Call, pif: str, tag: int) -> None:
    record = call.database.record("PIF", pif)
    if record["bond_slave_of"] != NULL_REF:
        raise Fault("CANNOT_ADD_VLAN_TO_BOND_SLAVE", pif)
    if int_of(record, "VLAN") >= 0:
        raise Fault("PIF_IS_VLAN", pif)
    if not 0 <= tag <= TAG_MAX:
        raise Fault("VLAN_TAG_INVALID", str(tag))
    for vlan in texts_of(record, "VLAN_slave_of"):
        if call.database.field("VLAN", vlan, "tag") == tag:
            raise Fault("PIF_VLAN_EXISTS", text_of(record, "device"))
    if record["tunnel_access_PIF_of"]:
        raise Fault("IS_TUNNEL_ACCESS_PIF", pif)


def _add_pif(call: Call, base: Record, network: str, its: Record) -> str:
    """Add the interface on top of another one: not attached yet, on the same host."""
    fields: Record = {
        "network": network,
        "host": base["host"],
        "metrics": base["metrics"],
        "currently_attached": False,
        "IPv6": [""],
    }
    return call.database.create("PIF", fields | its)


def _transport(call: Call, pif: str, network: str) -> Record:
    if call.database.record("network", network)["managed"] is not True:
        raise Fault("NETWORK_UNMANAGED", network)
    check_managed(call, pif)
    record = call.database.record("PIF", pif)
    if record["bond_slave_of"] != NULL_REF:
        raise Fault("CANNOT_ADD_TUNNEL_TO_BOND_SLAVE", pif)
    check_unconnected(call, text_of(record, "host"), network)
    for host in call.database.refs("host"):
        software = map_of(call.database.record("host", host), "software_version")
        if software.get("network_backend") != "openvswitch":
            raise Fault("OPENVSWITCH_NOT_ACTIVE")
    if record["tunnel_access_PIF_of"]:
        raise Fault("IS_TUNNEL_ACCESS_PIF", pif)
    if record["ip_configuration_mode"] == "None":
        raise Fault("TRANSPORT_PIF_NOT_CONFIGURED", pif)
    return record


def _devices(call: Call, host: str) -> set[str]:
    pifs = texts_of(call.database.record("host", host), "PIFs")
    return {str(call.database.field("PIF", pif, "device")) for pif in pifs}


def _live_hosts(call: Call) -> list[str]:
    database = call.database
    return [
        host
        for host in database.refs("host")
        if database.field("host_metrics", str(database.field("host", host, "metrics")), "live")
        is True
    ]


async def _destroy_all(call: Call, pifs: list[str]) -> None:
    for pif in pifs:
        vlan = text_of(call.database.record("PIF", pif), "VLAN_master_of")
        await _destroy_inside(call, vlan)


async def _create_inside(call: Call, pif: str, tag: int, network: str) -> str:
    return str(await call.inner("VLAN.create", lambda inner: create(inner, pif, tag, network)))


async def _destroy_inside(call: Call, vlan: str) -> None:
    await call.inner("VLAN.destroy", lambda inner: destroy(inner, vlan))


async def _create_on(args: tuple[str, str, str, int], inner: Call) -> Value:
    return await create_on_host(inner, *args)


HANDLERS: Mapping[str, Handler] = {
    "VLAN.create": create,
    "VLAN.destroy": destroy,
    "VLAN.pool_introduce": pool_introduce,
    "PIF.create_VLAN": create_on_host,
    "PIF.destroy": destroy_pif,
    "pool.create_VLAN": create_in_pool,
    "pool.create_VLAN_from_PIF": create_in_pool_from_pif,
    "tunnel.create": create_tunnel,
    "tunnel.destroy": destroy_tunnel,
}
