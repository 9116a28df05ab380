"""What hosts do for administrators beside their VMs: names, plugins, licences, management."""

import re
from collections.abc import Mapping

from . import yojson
from .calls import MalformedError
from .catalogue import Handler
from .hostlife import ha_enabled, master_of
from .placement import reach
from .toolstack import Call
from .values import Fault, Value, text_of, texts_of

EDITIONS = ("free", "trial", "standard-per-socket", "premium", "premium-per-socket")
"""What may be licensed if the host does not list it itself."""
_HOSTNAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9.-]*")
_HOSTNAME_MAX = 255
_BOOT_LOG = "(XEN) Xen version {xen}\n(XEN) System RAM: {mib}MB\n(XEN) Dom0 has maximum 16 VCPUs\n"


async def set_hostname_live(call: Call, host: str, hostname: str) -> Value:
    """host.set_hostname_live: its control domain is named after it.

    Faults: AUTH_ALREADY_ENABLED [type, service], HOST_NAME_INVALID [reason], HOST_OFFLINE [host].
    """
    reach(call.toolstack, host)
    record = call.database.record("host", host)
    if record["external_auth_type"] == "AD":
        raise Fault("AUTH_ALREADY_ENABLED", "AD", text_of(record, "external_auth_service_name"))
    if reason := _objection(hostname):
        raise Fault("HOST_NAME_INVALID", reason)
    call.set("host", host, "hostname", hostname)
    domain = text_of(record, "control_domain")
    if call.database.exists("VM", domain):
        call.set("VM", domain, "name_label", f"Control domain on host: {hostname}")
    return ""


async def get_management_interface(call: Call, host: str) -> Value:
    """host.get_management_interface: a PIF. Fault INTERNAL_ERROR [Not_found] without one."""
    for pif in texts_of(call.database.record("host", host), "PIFs"):
        if call.database.field("PIF", pif, "management") is True:
            return pif
    raise Fault("INTERNAL_ERROR", "Not_found")


async def management_reconfigure(call: Call, pif: str) -> Value:
    """host.management_reconfigure: this PIF carries the management of its host from now on.

    Faults: HA_IS_ENABLED [], PIF_HAS_NO_NETWORK_CONFIGURATION [], HOST_OFFLINE [host].
    """
    if ha_enabled(call.toolstack):
        raise Fault("HA_IS_ENABLED")
    record = call.database.record("PIF", pif)
    host = text_of(record, "host")
    reach(call.toolstack, host)
    if record["ip_configuration_mode"] == "None":
        raise Fault("PIF_HAS_NO_NETWORK_CONFIGURATION")
    if record["management"] is True:
        return ""
    call.set("PIF", pif, "currently_attached", True)
    for other in texts_of(call.database.record("host", host), "PIFs"):
        call.set("PIF", other, "management", other == pif)
    if address := text_of(record, "IP"):
        call.set("host", host, "address", address)
    return ""


async def management_disable(call: Call) -> Value:
    """host.management_disable: on the master, which answers. Fault HA_IS_ENABLED []."""
    if ha_enabled(call.toolstack):
        raise Fault("HA_IS_ENABLED")
    master = call.database.record("host", master_of(call.toolstack))
    for pif in texts_of(master, "PIFs"):
        call.set("PIF", pif, "management", False)
    return ""


async def apply_edition(call: Call, host: str, edition: str, _force: bool) -> Value:
    """host.apply_edition. Faults INVALID_EDITION [edition], HOST_OFFLINE [host]."""
    reach(call.toolstack, host)
    record = call.database.record("host", host)
    if edition not in [*(texts_of(record, "editions") or EDITIONS), record["edition"]]:
        raise Fault("INVALID_EDITION", edition)
    call.set("host", host, "edition", edition)
    return ""


async def call_plugin(call: Call, host: str, plugin: str, _fn: str, _args: Value) -> Value:
    """host.call_plugin: hosts have none. Fault XENAPI_MISSING_PLUGIN [plugin]."""
    reach(call.toolstack, host)
    raise Fault("XENAPI_MISSING_PLUGIN", plugin)


async def call_extension(call: Call, host: str, text: str) -> Value:
    """host.call_extension: hosts have none. Fault MESSAGE_METHOD_UNKNOWN [method].

    `text` is a JSON-RPC call; what is none gives INTERNAL_ERROR.
    """
    reach(call.toolstack, host)
    try:
        asked = yojson.parse(text.encode())
    except MalformedError as error:
        raise Fault("INTERNAL_ERROR", f"Jsonrpc.Malformed_method_request({error})") from error
    if not isinstance(asked, dict) or not isinstance(method := asked.get("method"), str):
        raise Fault("INTERNAL_ERROR", "Jsonrpc.Malformed_method_request(missing method)")
    raise Fault("MESSAGE_METHOD_UNKNOWN", method)


async def has_extension(call: Call, host: str, _name: str) -> Value:
    """host.has_extension: no."""
    reach(call.toolstack, host)
    return False


async def dmesg(call: Call, host: str) -> Value:
    """host.dmesg: the beginning of the hypervisor's log."""
    reach(call.toolstack, host)
    database = call.database
    record = database.record("host", host)
    versions, metrics = record["software_version"], text_of(record, "metrics")
    total = database.field("host_metrics", metrics, "memory_total")
    assert isinstance(versions, dict)
    assert isinstance(total, int)
    return _BOOT_LOG.format(xen=versions.get("xen", ""), mib=total // 2**20)


async def get_server_certificate(call: Call, host: str) -> Value:
    """host.get_server_certificate: hosts keep no file. Fault INTERNAL_ERROR, as for a lost one."""
    reach(call.toolstack, host)
    raise Fault("INTERNAL_ERROR", 'Unix.Unix_error(Unix.ENOENT, "open", "xapi-ssl.pem")')


async def is_in_emergency_mode(_call: Call) -> Value:
    """host.is_in_emergency_mode: a master that answers is not."""
    return False


async def ha_xapi_healthcheck(_call: Call) -> Value:
    """host.ha_xapi_healthcheck."""
    return True


async def refuse_wlb(_call: Call, *_params: Value) -> Value:
    """Whatever needs workload balancing. Fault WLB_NOT_INITIALIZED []."""
    raise Fault("WLB_NOT_INITIALIZED")


async def refuse_wlb_server(_call: Call, *_params: Value) -> Value:
    """pool.initialize_wlb: there is no such server. Fault WLB_CONNECTION_REFUSED []."""
    raise Fault("WLB_CONNECTION_REFUSED")


async def do_unseen(call: Call, host: str, *_params: Value) -> Value:
    """Whatever a host does without a trace in the database. Fault HOST_OFFLINE [host]."""
    reach(call.toolstack, host)
    return ""


def _missing(name: str) -> Handler:
    async def refuse(_call: Call, *_params: Value) -> Value:
        raise Fault("NOT_IMPLEMENTED", name)

    return refuse


def _writer(field: str, value: Value) -> Handler:
    async def write(call: Call, host: str) -> Value:
        reach(call.toolstack, host)
        call.set("host", host, field, value)
        return ""

    return write


def _objection(hostname: str) -> str:
    if not hostname:
        return "hostname empty"
    if len(hostname) > _HOSTNAME_MAX:
        return "hostname is too long"
    if not _HOSTNAME.fullmatch(hostname) or hostname.endswith("-"):
        return "hostname contains invalid characters"
    return ""


HANDLERS: Mapping[str, Handler] = {
    "host.set_hostname_live": set_hostname_live,
    "host.get_management_interface": get_management_interface,
    "host.management_reconfigure": management_reconfigure,
    "host.management_disable": management_disable,
    "host.apply_edition": apply_edition,
    "host.call_plugin": call_plugin,
    "host.call_extension": call_extension,
    "host.has_extension": has_extension,
    "host.dmesg": dmesg,
    "host.get_server_certificate": get_server_certificate,
    "host.is_in_emergency_mode": is_in_emergency_mode,
    "host.ha_xapi_healthcheck": ha_xapi_healthcheck,
    "host.list_methods": _missing("list_method"),
    "host.get_log": _missing("get_log"),
    "host.dmesg_clear": _missing("dmesg_clear"),
    "host.license_add": _missing("license_add"),
    "host.license_remove": _missing("license_remove"),
    "host.sync_data": do_unseen,
    "host.backup_rrds": do_unseen,
    "host.bugreport_upload": do_unseen,
    "host.send_debug_keys": do_unseen,
    "host.syslog_reconfigure": do_unseen,
    "host.refresh_pack_info": do_unseen,
    "host.apply_guest_agent_config": do_unseen,
    "host.enable_ssh": _writer("ssh_enabled", value=True),
    "host.disable_ssh": _writer("ssh_enabled", value=False),
    "VM.retrieve_wlb_recommendations": refuse_wlb,
    "pool.retrieve_wlb_configuration": refuse_wlb,
    "pool.retrieve_wlb_recommendations": refuse_wlb,
    "pool.send_wlb_configuration": refuse_wlb,
    "pool.deconfigure_wlb": refuse_wlb,
    "pool.initialize_wlb": refuse_wlb_server,
}
