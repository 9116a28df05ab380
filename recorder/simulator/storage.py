"""SRs: how they come and go, are scanned, and what they answer. Their PBDs are in pbds."""

from collections.abc import Mapping

from .catalogue import Handler
from .disks import drop_row
from .pbds import add_pbd, plug_inside
from .plugins import PLUGINS, check_driver, features_of, supported_types
from .room import check_attached, master, measure
from .srstate import plugged_pbds
from .toolstack import Call
from .values import Fault, Record, Value, map_of, text_of, texts_of

CREATE_S = 4.0
DESTROY_S = 2.0
SCAN_S = 1.0
PROBE_S = 1.0

_MISSING = {
    "device": ("90", "The request is missing the device parameter"),
    "location": ("88", "The request is missing the location parameter"),
    "target": ("95", "The request is missing the target parameter"),
    "targetIQN": ("96", "The request is missing or has an incorrect target IQN parameter"),
    "serverpath": ("101", "The request is missing the serverpath parameter"),
    "server": ("102", "The request is missing the server parameter"),
    "SCSIid": ("107", "The SCSIid parameter is missing or incorrect"),
}
"""By the key of `device_config`: the number of SR_BACKEND_FAILURE_ and its words."""


async def create(
    call: Call, host: str, device_config: Value, physical_size: int, *rest: Value
) -> Value:
    """SR.create: on storage that is there; shared ones get a PBD for each host, all are plugged.

    Returns its reference. Faults: SR_UNKNOWN_DRIVER [type], SR_BACKEND_FAILURE_nn ["", reason, ""]
    if `device_config` lacks something.
    """
    call.database.record("host", host)
    config = _config(device_config)
    sr = _add(call, {}, *rest)
    pbds = [add_pbd(call, each, sr, config) for each in _hosts(call, host, sr)]
    try:
        kind = text_of(call.database.record("SR", sr), "type")
        check_driver(call.database, kind)
        _check_config(kind, config)
        await call.work(CREATE_S)
    except Fault:
        call.database.delete("SR", sr)
        for pbd in pbds:
            call.database.delete("PBD", pbd)
        raise
    if physical_size > 0:
        call.set("SR", sr, "physical_size", physical_size)
    for pbd in pbds:
        await plug_inside(call, pbd)
    return sr


async def introduce(call: Call, uuid: str, *rest: Value) -> Value:
    """SR.introduce: only the row, without PBDs; returns its reference. Fault SR_UUID_EXISTS."""
    if uuid and call.database.find("SR", "uuid", uuid):
        raise Fault("SR_UUID_EXISTS", uuid)
    return _add(call, {"uuid": uuid} if uuid else {}, *rest)


async def make(_call: Call, *_params: Value) -> Value:
    """SR.make. Fault MESSAGE_DEPRECATED."""
    raise Fault("MESSAGE_DEPRECATED")


async def destroy(call: Call, sr: str) -> Value:
    """SR.destroy: the storage is wiped, the SR goes with its PBDs.

    Faults of the rules: SR_HAS_PBD [sr], SR_HAS_NO_PBDS [sr], SR_NOT_EMPTY []; and
    SR_INDESTRUCTIBLE [sr], SR_IS_CACHE_SR [host].
    """
    async with call.operation_on(sr, "destroy", "SR"):
        _check_destroyable(call, sr)
        await call.work(DESTROY_S, cancellable=False)
        _remove(call, sr)
    return ""


async def forget(call: Call, sr: str) -> Value:
    """SR.forget: the SR, its PBDs and disks go from the pool, not from disk. Fault SR_HAS_PBD."""
    async with call.operation_on(sr, "forget", "SR"):
        _remove(call, sr)
    return ""


async def scan(call: Call, sr: str) -> Value:
    """SR.scan: nothing is found that was not known. Faults SR_HAS_NO_PBDS [sr]."""
    async with call.operation_on(sr, "scan", "SR"):
        check_attached(call, sr)
        await call.work(SCAN_S)
        measure(call, sr)
    return ""


async def update(call: Call, sr: str) -> Value:
    """SR.update: reads sizes again. Fault SR_HAS_NO_PBDS [sr]."""
    check_attached(call, sr)
    await call.work(SCAN_S)
    measure(call, sr)
    return ""


async def probe(call: Call, host: str, device_config: Value, kind: str, _sm_config: Value) -> Value:
    """SR.probe: XML with the SRs of the pool that fit.

    Faults: SR_UNKNOWN_DRIVER [type], SR_BACKEND_FAILURE_nn ["", reason, XML] for what is missing.
    """
    call.database.record("host", host)
    config = _config(device_config)
    check_driver(call.database, kind.lower())
    if "SR_PROBE" not in features_of(call.database, kind.lower()):
        raise Fault("SR_OPERATION_NOT_SUPPORTED", "")
    await call.work(PROBE_S)
    found = _fitting(call, kind.lower(), config)
    text = _sr_list([text_of(call.database.record("SR", sr), "uuid") for sr in found])
    _check_config(kind.lower(), config, text)
    return text


async def set_shared(call: Call, sr: str, value: bool) -> Value:
    """SR.set_shared. Fault SR_HAS_MULTIPLE_PBDS [PBDs] if it is to become local again."""
    pbds = texts_of(call.database.record("SR", sr), "PBDs")
    if not value and len(pbds) > 1:
        raise Fault("SR_HAS_MULTIPLE_PBDS", *pbds)
    call.set("SR", sr, "shared", value)
    return ""


async def set_name_label(call: Call, sr: str, value: str) -> Value:
    """SR.set_name_label. Fault SR_HAS_NO_PBDS [sr]."""
    return await _set_name(call, sr, "name_label", value)


async def set_name_description(call: Call, sr: str, value: str) -> Value:
    """SR.set_name_description. Fault SR_HAS_NO_PBDS [sr]."""
    return await _set_name(call, sr, "name_description", value)


async def get_supported_types(call: Call) -> Value:
    """SR.get_supported_types: those that have a plugin."""
    return [*supported_types(call.database)]


async def get_live_hosts(call: Call, sr: str) -> Value:
    """SR.get_live_hosts: live and enabled hosts with the SR attached."""
    database = call.database
    hosts = [str(database.field("PBD", pbd, "host")) for pbd in plugged_pbds(database, sr)]
    return [host for host in hosts if _is_live(call, host)]


async def assert_can_host_ha_statefile(call: Call, sr: str) -> Value:
    """SR.assert_can_host_ha_statefile: shared, plugged everywhere, and able to tell how to attach.

    Faults: SR_HAS_NO_PBDS [sr], SR_OPERATION_NOT_SUPPORTED [sr].
    """
    _check_everywhere(call, sr)
    record = call.database.record("SR", sr)
    known = features_of(call.database, text_of(record, "type"))
    if record["shared"] is not True or "VDI_GENERATE_CONFIG" not in known:
        raise Fault("SR_OPERATION_NOT_SUPPORTED", sr)
    return ""


async def assert_supports_database_replication(call: Call, sr: str) -> Value:
    """SR.assert_supports_database_replication. Faults as for HA state files."""
    _check_everywhere(call, sr)
    known = features_of(call.database, text_of(call.database.record("SR", sr), "type"))
    if "SR_METADATA" not in known:
        raise Fault("SR_OPERATION_NOT_SUPPORTED", sr)
    return ""


def _add(call: Call, own: Record, *rest: Value) -> str:
    name, description, kind, content, shared, sm_config = rest
    fields: Record = {
        "name_label": name,
        "name_description": description,
        "type": str(kind).lower(),
        "content_type": content,
        "shared": shared,
        "sm_config": sm_config,
        "physical_utilisation": -1,
        "physical_size": -1,
    }
    sr = call.database.create("SR", fields | own)
    call.toolstack.update_allowed(sr, "SR")
    return sr


def _hosts(call: Call, host: str, sr: str) -> list[str]:
    if call.database.field("SR", sr, "shared") is not True:
        return [host]
    first = master(call)
    return [first, *(other for other in call.database.refs("host") if other != first)]


def _config(value: Value) -> dict[str, Value]:
    return map_of({"device_config": value}, "device_config")


def _check_config(kind: str, config: Mapping[str, Value], found: str = "") -> None:
    for key in PLUGINS[kind].required if kind in PLUGINS else ():
        if key not in config:
            number, reason = _MISSING[key]
            raise Fault(f"SR_BACKEND_FAILURE_{number}", "", reason, found)


def _check_destroyable(call: Call, sr: str) -> None:
    record = call.database.record("SR", sr)
    if map_of(record, "other_config").get("indestructible") == "true":
        raise Fault("SR_INDESTRUCTIBLE", sr)
    for host in call.database.find("host", "local_cache_sr", sr):
        raise Fault("SR_IS_CACHE_SR", host)


def _check_everywhere(call: Call, sr: str) -> None:
    database = call.database
    database.record("SR", sr)
    hosts = {database.field("PBD", pbd, "host") for pbd in plugged_pbds(database, sr)}
    if not hosts.issuperset(database.refs("host")):
        raise Fault("SR_HAS_NO_PBDS", sr)


def _is_live(call: Call, host: str) -> bool:
    record = call.database.record("host", host)
    live = call.database.record("host_metrics", text_of(record, "metrics"))["live"]
    return live is True and record["enabled"] is True


def _remove(call: Call, sr: str) -> None:
    record = call.database.record("SR", sr)
    for pbd in texts_of(record, "PBDs"):
        call.database.delete("PBD", pbd)
    for vdi in texts_of(record, "VDIs"):
        drop_row(call, vdi)
    call.database.delete("SR", sr)


def _fitting(call: Call, kind: str, config: Mapping[str, Value]) -> list[str]:
    database = call.database
    return [
        sr
        for sr in database.find("SR", "type", kind)
        if any(
            config.items() <= map_of(database.record("PBD", pbd), "device_config").items()
            for pbd in texts_of(database.record("SR", sr), "PBDs")
        )
    ]


def _sr_list(uuids: list[str]) -> str:
    if not uuids:
        return '<?xml version="1.0" ?>\n<SRlist/>\n'
    rows = (f"\t<SR>\n\t\t<UUID>\n\t\t\t{uuid}\n\t\t</UUID>\n\t</SR>\n" for uuid in uuids)
    return f'<?xml version="1.0" ?>\n<SRlist>\n{"".join(rows)}</SRlist>\n'


async def _set_name(call: Call, sr: str, field: str, value: str) -> Value:
    check_attached(call, sr)
    call.set("SR", sr, field, value)
    return ""


HANDLERS: Mapping[str, Handler] = {
    "SR.create": create,
    "SR.introduce": introduce,
    "SR.make": make,
    "SR.destroy": destroy,
    "SR.forget": forget,
    "SR.scan": scan,
    "SR.update": update,
    "SR.probe": probe,
    "SR.set_shared": set_shared,
    "SR.set_name_label": set_name_label,
    "SR.set_name_description": set_name_description,
    "SR.get_supported_types": get_supported_types,
    "SR.get_live_hosts": get_live_hosts,
    "SR.assert_can_host_ha_statefile": assert_can_host_ha_statefile,
    "SR.assert_supports_database_replication": assert_supports_database_replication,
}
