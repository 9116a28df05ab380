"""Networks: bridges that interfaces of VMs and of hosts are connected to."""

from collections.abc import Mapping

from .catalogue import Handler
from .constructors import given, subset
from .pifs import bring_up
from .toolstack import Call
from .values import Fault, Record, Value, int_of, map_of, text_of, texts_of

_FIELDS = ("name_label", "name_description", "MTU", "other_config", "bridge", "managed", "tags")
_RESERVED = ("xen", "xapi", "vif", "tap", "eth")
"""What the name of a bridge must not begin with."""
_BRIDGE_MAX = 15
_RIVALS = {"nbd": "insecure_nbd", "insecure_nbd": "nbd"}
"""Purposes that no two networks of a pool may have at the same time."""


async def create(call: Call, args: Value) -> Value:
    """network.create: returns its reference; the bridge is named if it has no name.

    Faults: FIELD_TYPE_ERROR, INVALID_VALUE ["bridge", name], BRIDGE_NAME_EXISTS [name].
    """
    fields = subset(given("network", args, ("other_config",)), _FIELDS)
    if int_of(fields, "MTU") <= 0:
        fields["MTU"] = 1500
    fields["bridge"] = _bridge(call, text_of(fields, "bridge"))
    return call.database.create("network", fields)


async def destroy(call: Call, network: str) -> Value:
    """network.destroy: with interfaces of VMs that do not run.

    Faults: NETWORK_CONTAINS_VIF [VIFs], NETWORK_CONTAINS_PIF [PIFs], CANNOT_DESTROY_SYSTEM_NETWORK
    [network].
    """
    record = call.database.record("network", network)
    vifs = {vif: call.database.record("VIF", vif) for vif in texts_of(record, "VIFs")}
    if used := [vif for vif, its in vifs.items() if its["currently_attached"] is True]:
        raise Fault("NETWORK_CONTAINS_VIF", *used)
    if pifs := texts_of(record, "PIFs"):
        raise Fault("NETWORK_CONTAINS_PIF", *pifs)
    if map_of(record, "other_config").get("is_host_internal_management_network") == "true":
        raise Fault("CANNOT_DESTROY_SYSTEM_NETWORK", network)
    for vif, its in vifs.items():
        call.database.delete("VIF", vif)
        if call.database.exists("VIF_metrics", text_of(its, "metrics")):
            call.database.delete("VIF_metrics", text_of(its, "metrics"))
    call.database.delete("network", network)
    return ""


async def pool_introduce(call: Call, *params: Value) -> Value:
    """network.pool_introduce: only the row; returns its reference."""
    names = ("name_label", "name_description", "MTU", "other_config", "bridge", "managed")
    fields = dict(zip((*names, "purpose"), params, strict=True))
    return call.database.create("network", fields)


async def attach(call: Call, network: str, host: str) -> Value:
    """network.attach: brings up the interfaces of a host that belong to a network."""
    record = call.database.record("network", network)
    call.database.record("host", host)
    for pif in texts_of(record, "PIFs"):
        its = call.database.record("PIF", pif)
        if its["host"] == host and its["managed"] is True:
            bring_up(call, pif)
    return ""


async def set_default_locking_mode(call: Call, network: str, value: str) -> Value:
    """network.set_default_locking_mode. Fault VIF_IN_USE [network, vif] while one is attached."""
    for vif in texts_of(call.database.record("network", network), "VIFs"):
        if call.database.field("VIF", vif, "currently_attached") is True:
            raise Fault("VIF_IN_USE", network, vif)
    call.set("network", network, "default_locking_mode", value)
    return ""


async def add_purpose(call: Call, network: str, value: str) -> Value:
    """network.add_purpose. Fault NETWORK_INCOMPATIBLE_PURPOSES [new, the one in its way]."""
    before = texts_of(call.database.record("network", network), "purpose")
    if value in before:
        return ""
    rival = _RIVALS.get(value, "")
    for other in call.database.refs("network"):
        if rival in texts_of(call.database.record("network", other), "purpose"):
            raise Fault("NETWORK_INCOMPATIBLE_PURPOSES", value, rival)
    call.set("network", network, "purpose", [value, *before])
    return ""


async def remove_purpose(call: Call, network: str, value: str) -> Value:
    """network.remove_purpose: nothing happens if the network does not have it."""
    before = texts_of(call.database.record("network", network), "purpose")
    call.set("network", network, "purpose", [name for name in before if name != value])
    return ""


def _bridge(call: Call, wanted: str) -> str:
    networks = call.database.refs("network")
    used = {str(call.database.field("network", network, "bridge")) for network in networks}
    if wanted == "":
        numbered = (f"xapi{number}" for number in range(len(used) + 1))
        return next(name for name in numbered if name not in used)
    if len(wanted) > _BRIDGE_MAX or wanted.startswith(_RESERVED):
        raise Fault("INVALID_VALUE", "bridge", wanted)
    if wanted in used:
        raise Fault("BRIDGE_NAME_EXISTS", wanted)
    return wanted


def network_of_bridge(call: Call, bridge: str, name: str) -> str:
    """Return the network of a bridge; it is made, with this name, if there is none."""
    found = call.database.find("network", "bridge", bridge)
    fields: Record = {"name_label": name, "bridge": bridge}
    return found[0] if found else call.database.create("network", fields)


HANDLERS: Mapping[str, Handler] = {
    "network.create": create,
    "network.destroy": destroy,
    "network.pool_introduce": pool_introduce,
    "network.attach": attach,
    "network.set_default_locking_mode": set_default_locking_mode,
    "network.add_purpose": add_purpose,
    "network.remove_purpose": remove_purpose,
}
