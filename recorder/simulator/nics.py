"""Network cards of hosts: how their interfaces become known to the pool and are forgotten."""

from collections.abc import Mapping
from weakref import WeakKeyDictionary

from .addresses import check_mac
from .catalogue import Handler
from .database import Database
from .networks import network_of_bridge
from .pifs import bring_down, check_not_management, check_unprotected
from .toolstack import Call
from .values import NULL_REF, Fault, Record, Value, text_of, texts_of

SCAN_S = 0.5
_UNKNOWN: WeakKeyDictionary[Database, dict[tuple[str, str], str]] = WeakKeyDictionary()
"""Cards that are in a host although the pool forgot them: (host, device) to MAC address.

They are hardware, not rows: nothing in the database may tell of them.
"""


async def introduce(call: Call, host: str, mac: str, device: str, managed: bool) -> Value:
    """PIF.introduce: a card that is in the host; returns the reference of its interface.

    Faults: MAC_INVALID [mac], DUPLICATE_PIF_DEVICE_NAME [device],
    COULD_NOT_FIND_NETWORK_INTERFACE_WITH_SPECIFIED_DEVICE_NAME_AND_MAC_ADDRESS [device, mac].
    """
    known = {record["device"]: record["MAC"] for record in _physical(call, host).values()}
    unknown = _unknown(call, host)
    address = mac.lower() or str(known.get(device, unknown.get(device, "")))
    check_mac(address)
    if device in known:
        raise Fault("DUPLICATE_PIF_DEVICE_NAME", device)
    if unknown.get(device) != address:
        code = "COULD_NOT_FIND_NETWORK_INTERFACE_WITH_SPECIFIED_DEVICE_NAME_AND_MAC_ADDRESS"
        raise Fault(code, device, address)
    return _add(call, host, device, managed=managed)


async def scan(call: Call, host: str) -> Value:
    """PIF.scan: makes interfaces of all cards of a host that the pool does not know."""
    call.database.record("host", host)
    await call.work(SCAN_S)
    for device in _unknown(call, host):
        _add(call, host, device, managed=True)
    return ""


async def forget(call: Call, pif: str) -> Value:
    """PIF.forget.

    Faults: PIF_IS_MANAGEMENT_IFACE, PIF_ALREADY_BONDED, PIF_VLAN_STILL_EXISTS,
    PIF_TUNNEL_STILL_EXISTS [pif]; HA_IS_ENABLED [].
    """
    check_not_management(call, pif)
    check_unbonded(call, pif)
    check_untagged(call, pif)
    record = call.database.record("PIF", pif)
    if record["tunnel_transport_PIF_of"] or record["tunnel_access_PIF_of"]:
        raise Fault("PIF_TUNNEL_STILL_EXISTS", pif)
    check_unprotected(call, pif)
    bring_down(call, pif)
    if call.database.exists("PIF_metrics", text_of(record, "metrics")):
        call.database.delete("PIF_metrics", text_of(record, "metrics"))
    call.database.delete("PIF", pif)
    cards = _UNKNOWN.setdefault(call.database, {})
    cards[text_of(record, "host"), text_of(record, "device")] = text_of(record, "MAC")
    return ""


def add_card(database: Database, host: str, device: str, mac: str) -> None:
    """Put a card into a host; the pool finds it by PIF.scan."""
    _UNKNOWN.setdefault(database, {})[host, device] = mac


def check_unbonded(call: Call, pif: str) -> None:
    """Fault PIF_ALREADY_BONDED [pif], for members as for the bond itself."""
    record = call.database.record("PIF", pif)
    if record["bond_slave_of"] != NULL_REF or record["bond_master_of"]:
        raise Fault("PIF_ALREADY_BONDED", pif)


def check_untagged(call: Call, pif: str) -> None:
    """Fault PIF_VLAN_STILL_EXISTS [pif], for the base of a VLAN as for the VLAN itself."""
    record = call.database.record("PIF", pif)
    if record["VLAN_slave_of"] or record["VLAN"] != -1:
        raise Fault("PIF_VLAN_STILL_EXISTS", pif)


def _physical(call: Call, host: str) -> dict[str, Record]:
    pifs = texts_of(call.database.record("host", host), "PIFs")
    records = {pif: call.database.record("PIF", pif) for pif in pifs}
    return {pif: record for pif, record in records.items() if record["physical"] is True}


def _unknown(call: Call, host: str) -> dict[str, str]:
    cards = _UNKNOWN.get(call.database, {})
    return {device: mac for (where, device), mac in cards.items() if where == host}


def _add(call: Call, host: str, device: str, *, managed: bool) -> str:
    mac = _UNKNOWN[call.database].pop((host, device))
    bridge = f"xenbr{device[3:]}" if device.startswith("eth") else f"br{device}"
    name = f"Pool-wide network associated with {device}"
    fields: Record = {
        "device": device,
        "network": network_of_bridge(call, bridge, name),
        "host": host,
        "MAC": mac,
        "MTU": 1500,
        "VLAN": -1,
        "metrics": call.database.create("PIF_metrics", {"carrier": True}),
        "physical": True,
        "currently_attached": False,
        "managed": managed,
        "properties": {"gro": "on"},
    }
    return call.database.create("PIF", fields)


HANDLERS: Mapping[str, Handler] = {
    "PIF.introduce": introduce,
    "PIF.scan": scan,
    "PIF.forget": forget,
}
