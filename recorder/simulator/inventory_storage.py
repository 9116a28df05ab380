"""Storage of a new pool: a local SR on every host, shared ones for all, tools and plugins."""

from collections.abc import Sequence

from .database import Database
from .plugins import add_plugins
from .values import Value

GIB = 1024**3
_OFFERS: list[Value] = [
    *("unplug", "plug", "pbd_create", "update", "pbd_destroy", "vdi_resize", "vdi_clone"),
    *("scan", "vdi_snapshot", "vdi_mirror", "vdi_create", "vdi_destroy"),
]


def add_storage(
    database: Database, pool: str, hosts: Sequence[str], *, shared: int, bytes_each: int
) -> list[list[str]]:
    """Add the storage and return, for each host, the SRs that disks of its VMs may lie in.

    The first shared SR is the pool's default; without any, it is the master's local one.
    `bytes_each` is the size of one SR.
    """
    add_plugins(database)
    local = [_add_local(database, host, bytes_each) for host in hosts]
    common = [_add_shared(database, hosts, number, bytes_each) for number in range(shared)]
    _add_tools(database, hosts)
    default = common[0] if common else local[0]
    for host, own in zip(hosts, local, strict=True):
        for field in ("suspend_image_sr", "crash_dump_sr"):
            database.write("host", host, field, default if common else own)
    for field in ("default_SR", "suspend_image_SR", "crash_dump_SR"):
        database.write("pool", pool, field, default)
    return [common or [own] for own in local]


def _add_local(database: Database, host: str, bytes_total: int) -> str:
    local = _add_sr(database, "Local storage", "ext", shared=False, bytes_total=bytes_total)
    _plug(database, host, local, {"device": "/dev/disk/by-id/scsi-part3"})
    return local


def _add_shared(database: Database, hosts: Sequence[str], index: int, bytes_total: int) -> str:
    name = "NFS virtual disk storage" + (f" {index + 1}" if index else "")
    shared = _add_sr(database, name, "nfs", shared=True, bytes_total=bytes_total)
    config: dict[str, Value] = {"server": "192.0.2.5", "serverpath": f"/export/vms{index + 1}"}
    for host in hosts:
        _plug(database, host, shared, config)
    return shared


def _add_tools(database: Database, hosts: Sequence[str]) -> None:
    """Add the SR of the guest tools, which every pool has; it holds no disk here."""
    tools = database.create(
        "SR",
        {
            "name_label": "XenServer Tools",
            "name_description": "XenServer Tools ISOs",
            "allowed_operations": ["unplug", "plug", "update", "scan"],
            "physical_size": -1,
            "physical_utilisation": -1,
            "type": "iso",
            "content_type": "iso",
            "shared": True,
            "other_config": {"xenserver_tools_sr": "true", "xensource_internal": "true"},
            "is_tools_sr": True,
        },
    )
    config: dict[str, Value] = {"location": "/opt/xensource/packages/iso", "legacy_mode": "true"}
    for host in hosts:
        _plug(database, host, tools, config)


def _add_sr(database: Database, name: str, kind: str, *, shared: bool, bytes_total: int) -> str:
    return database.create(
        "SR",
        {
            "name_label": name,
            "allowed_operations": _OFFERS,
            "physical_size": bytes_total,
            "physical_utilisation": bytes_total // 4,
            "virtual_allocation": bytes_total // 2,
            "type": kind,
            "content_type": "user",
            "shared": shared,
        },
    )


def _plug(database: Database, host: str, sr: str, config: dict[str, Value]) -> None:
    fields: dict[str, Value] = {"host": host, "SR": sr, "device_config": config}
    database.create("PBD", {**fields, "currently_attached": True})
