"""Storage plugins: what each type of SR can do. The table is that of the plugins of XenServer 8."""

from collections.abc import Mapping

import msgspec

from .database import Database
from .values import Fault, Value, map_of, texts_of

THICK = frozenset({"lvm", "lvmoiscsi", "lvmohba"})
"""Types of SR where a disk takes all its space at once."""
VHD = THICK | {"ext", "nfs", "smb", "file"}
"""Types of SR whose disks are VHD files or volumes, which have limits on sizes."""

_BASE = (
    "SR_PROBE SR_UPDATE VDI_CREATE VDI_DELETE VDI_ATTACH VDI_DETACH VDI_ACTIVATE VDI_DEACTIVATE "
    "VDI_CLONE VDI_SNAPSHOT VDI_RESIZE VDI_MIRROR VDI_GENERATE_CONFIG VDI_CONFIG_CBT "
    "ATOMIC_PAUSE VDI_RESET_ON_BOOT"
)
_FILES = f"{_BASE} SR_SUPPORTS_LOCAL_CACHING VDI_UPDATE THIN_PROVISIONING"
_ISO = "VDI_CREATE VDI_DELETE VDI_ATTACH VDI_DETACH VDI_ACTIVATE VDI_DEACTIVATE SR_SCAN"
_UDEV = "VDI_INTRODUCE VDI_ATTACH VDI_DETACH VDI_ACTIVATE VDI_DEACTIVATE VDI_UPDATE SR_UPDATE"
_VERSIONS = {"VDI_RESET_ON_BOOT": 2}
"""Features whose version is not 1."""


class Plugin(msgspec.Struct, frozen=True):
    """One plugin: `required` are the keys of `device_config` that it cannot do without."""

    name: str
    description: str
    driver: str
    features: str
    configuration: Mapping[str, str]
    required: tuple[str, ...] = ()


_TARGET = {
    "SCSIid": "The scsi_id of the destination LUN",
    "target": "IP address or hostname of the iSCSI target",
    "targetIQN": "The IQN of the target LUN group to be attached",
    "chapuser": "The username to be used during CHAP authentication",
    "chappassword": "The password to be used during CHAP authentication",
    "port": "The network port number on which to query the target",
}
_DEVICE = {"device": "local device path (required) (e.g. /dev/sda3)"}
PLUGINS: Mapping[str, Plugin] = {
    "ext": Plugin(
        "Local EXT3 VHD",
        "SR plugin which represents disks as VHD files stored on a local EXT3 filesystem, "
        "created inside an LVM volume",
        "EXTSR",
        _FILES,
        _DEVICE,
        ("device",),
    ),
    "lvm": Plugin(
        "Local VHD on LVM",
        "SR plugin which represents disks as VHD disks on Logical Volumes within a "
        "locally-attached Volume Group",
        "LVMSR",
        f"{_BASE} SR_TRIM VDI_UPDATE",
        _DEVICE,
        ("device",),
    ),
    "lvmoiscsi": Plugin(
        "LVHD over iSCSI",
        "SR plugin which represents disks as Logical Volumes within a Volume Group created on "
        "an iSCSI LUN",
        "LVMoISCSISR",
        f"{_BASE} SR_METADATA SR_TRIM VDI_UPDATE",
        _TARGET,
        ("target", "targetIQN", "SCSIid"),
    ),
    "lvmohba": Plugin(
        "LVHD over FC",
        "SR plugin which represents disks as VHDs on Logical Volumes within a Volume Group "
        "created on an HBA LUN, e.g. hardware-based iSCSI or FC support",
        "LVMoHBASR",
        f"{_BASE} SR_METADATA SR_TRIM VDI_UPDATE",
        {"SCSIid": "The scsi_id of the destination LUN"},
        ("SCSIid",),
    ),
    "nfs": Plugin(
        "NFS VHD",
        "SR plugin which stores disks as VHD files on a remote NFS filesystem",
        "NFSSR",
        _FILES,
        {
            "server": "hostname or IP address of NFS server (required)",
            "serverpath": "path on remote server (required)",
            "nfsversion": "for protocol version supported values are 3, 4, 4.0, 4.1",
        },
        ("server", "serverpath"),
    ),
    "smb": Plugin(
        "SMB",
        "SR plugin which stores disks as VHD files on a remote SMB filesystem",
        "SMBSR",
        _FILES,
        {"server": "Full path to share root on SMB server (required)"},
        ("server",),
    ),
    "file": Plugin(
        "Local Path VHD",
        "SR plugin which represents disks as VHD files stored on a local path",
        "FileSR",
        _FILES,
        {"location": "local directory path (required)"},
        ("location",),
    ),
    "iso": Plugin(
        "ISO",
        "Handles CD images stored as files in iso format",
        "ISOSR",
        _ISO,
        {"location": "path to mount (required) (e.g. server:/path)", "type": "cifs or nfs_iso"},
        ("location",),
    ),
    "udev": Plugin(
        "udev",
        "SR plugin which represents devices plugged in via udev as VDIs",
        "udevSR",
        _UDEV,
        {"location": "path to mount (required) (e.g. server:/path)"},
        ("location",),
    ),
    "dummy": Plugin(
        "dummy",
        "SR plugin which manages fake data",
        "DummySR",
        "SR_PROBE VDI_CREATE VDI_DELETE VDI_ATTACH VDI_DETACH VDI_ACTIVATE VDI_DEACTIVATE "
        "VDI_CLONE VDI_SNAPSHOT VDI_RESIZE VDI_INTRODUCE",
        {},
    ),
}
"""By the type of SR that the plugin serves."""


def add_plugins(database: Database) -> None:
    """Add the row of every plugin that a pool does not have yet."""
    known = {database.field("SM", ref, "type") for ref in database.refs("SM")}
    for kind, plugin in PLUGINS.items():
        if kind not in known:
            database.create("SM", _row(kind, plugin))


def features_of(database: Database, kind: str) -> frozenset[str]:
    """Return what a type of SR can do; nothing if there is no plugin for it.

    A pool from a dump of an old product has rows that only know `capabilities`, and a pool without
    any row has the plugins of the table above.
    """
    for ref in database.find("SM", "type", kind):
        row = database.row("SM", ref).record
        return frozenset(map_of(row, "features")) or frozenset(texts_of(row, "capabilities"))
    return frozenset() if database.refs("SM") else _known_features(kind)


def supported_types(database: Database) -> list[str]:
    """Return the types of SR that can be made, in the order of their rows."""
    rows = [database.field("SM", ref, "type") for ref in database.refs("SM")]
    return [str(kind) for kind in rows] or list(PLUGINS)


def check_driver(database: Database, kind: str) -> None:
    """Fault SR_UNKNOWN_DRIVER [type] if no plugin serves this type."""
    if kind not in supported_types(database):
        raise Fault("SR_UNKNOWN_DRIVER", kind)


def _known_features(kind: str) -> frozenset[str]:
    return frozenset(PLUGINS[kind].features.split() if kind in PLUGINS else ())


def _row(kind: str, plugin: Plugin) -> dict[str, Value]:
    features: dict[str, Value] = {
        name: _VERSIONS.get(name, 1) for name in sorted(plugin.features.split())
    }
    return {
        "name_label": plugin.name,
        "name_description": plugin.description,
        "type": kind,
        "vendor": "Citrix Systems Inc",
        "copyright": "(C) 2008 Citrix Systems Inc",
        "version": "1.0",
        "required_api_version": "1.0",
        "configuration": dict(plugin.configuration),
        "capabilities": list(features),
        "features": features,
        "driver_filename": f"/opt/xensource/sm/{plugin.driver}",
    }
