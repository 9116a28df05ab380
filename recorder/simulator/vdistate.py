"""What may be done to a disk now: xapi's checks in its order, operation by operation."""

from collections.abc import Mapping

from .database import Database
from .plugins import features_of
from .refusals import current_operations, in_progress
from .srstate import plugged_pbds
from .values import Fault, Record, text_of, texts_of

OPERATIONS = (
    "copy",
    "generate_config",
    "clone",
    "resize_online",
    "forget",
    "update",
    "resize",
    "snapshot",
    "destroy",
)
"""What `allowed_operations` may show, in its order; the others are possible but never listed."""

_FEATURES: Mapping[str, str] = {
    "snapshot": "VDI_SNAPSHOT",
    "destroy": "VDI_DELETE",
    "resize": "VDI_RESIZE",
    "update": "VDI_UPDATE",
    "resize_online": "VDI_RESIZE_ONLINE",
    "generate_config": "VDI_GENERATE_CONFIG",
    "clone": "VDI_CLONE",
    "mirror": "VDI_MIRROR",
    "enable_cbt": "VDI_CONFIG_CBT",
    "disable_cbt": "VDI_CONFIG_CBT",
    "data_destroy": "VDI_CONFIG_CBT",
    "list_changed_blocks": "VDI_CONFIG_CBT",
    "set_on_boot": "VDI_RESET_ON_BOOT",
}
_LIVE = frozenset(
    {"snapshot", "resize_online", "clone", "mirror", "enable_cbt", "disable_cbt", "data_destroy"}
)
"""Possible while a running VM has the disk; `copy` is if it only reads."""
_NOT_ON_CBT_METADATA = frozenset(
    {"clone", "copy", "disable_cbt", "enable_cbt", "mirror", "resize", "resize_online"}
    | {"snapshot", "set_on_boot"}
)
_OF_HA = frozenset({"ha_statefile", "redo_log"})


def refusal(database: Database, vdi: str, operation: str) -> Fault | None:
    """Return why an operation is not possible on a disk now, None if it is."""
    record = database.row("VDI", vdi).record
    for check in _CHECKS:
        fault = check(database, vdi, record, operation)
        if fault is not None:
            return fault
    return None


def offer(database: Database, vdi: str) -> list[str]:
    """Return what the disk's `allowed_operations` must show."""
    return [name for name in OPERATIONS if refusal(database, vdi, name) is None]


def active_vbds(database: Database, vdi: str) -> list[str]:
    """Return the VBDs by which VMs have a disk attached now."""
    vbds = texts_of(database.row("VDI", vdi).record, "VBDs")
    return [vbd for vbd in vbds if database.field("VBD", vbd, "currently_attached") is True]


def _busy(database: Database, vdi: str, _record: Record, operation: str) -> Fault | None:
    current = current_operations(database, "VDI", vdi)
    if operation == "destroy" and any(name == "mirror" for name, _task in current):
        return None
    others = (item for item in current if item[0] != "copy")
    other = next(others, None)
    return None if other is None else in_progress("VDI", vdi, *other)


def _unplugged(database: Database, _vdi: str, record: Record, operation: str) -> Fault | None:
    sr = text_of(record, "SR")
    if operation == "resize" and not plugged_pbds(database, sr):
        return Fault("SR_HAS_NO_PBDS", sr)
    return None


def _attached(database: Database, vdi: str, _record: Record, operation: str) -> Fault | None:
    active = active_vbds(database, vdi)
    if operation in _LIVE or not active:
        return None
    if operation == "copy":
        active = [vbd for vbd in active if database.field("VBD", vbd, "mode") == "RW"]
    if operation == "list_changed_blocks":
        active = [vbd for vbd in active if not _is_of_snapshot(database, vbd)]
    return Fault("VDI_IN_USE", vdi, operation) if active else None


def _is_of_snapshot(database: Database, vbd: str) -> bool:
    vm = str(database.field("VBD", vbd, "VM"))
    return database.exists("VM", vm) and database.field("VM", vm, "is_a_snapshot") is True


def _plugging(database: Database, vdi: str, record: Record, operation: str) -> Fault | None:
    if operation == "data_destroy":
        return None
    for vbd in texts_of(record, "VBDs"):
        for current in current_operations(database, "VBD", vbd):
            return in_progress("VDI", vdi, *current)
    return None


def _unsupported(database: Database, _vdi: str, record: Record, operation: str) -> Fault | None:
    sr = text_of(record, "SR")
    feature = _FEATURES.get(operation)
    kind = str(database.field("SR", sr, "type"))
    if feature is not None and feature not in features_of(database, kind):
        return Fault("SR_OPERATION_NOT_SUPPORTED", sr)
    return None


def _tracked(_database: Database, vdi: str, record: Record, operation: str) -> Fault | None:
    if record["type"] == "cbt_metadata" and operation in _NOT_ON_CBT_METADATA:
        return Fault("VDI_INCOMPATIBLE_TYPE", vdi, "cbt_metadata")
    if record["cbt_enabled"] is True and operation in ("mirror", "set_on_boot"):
        return Fault("VDI_CBT_ENABLED", vdi)
    return None


def _undestroyable(database: Database, vdi: str, record: Record, operation: str) -> Fault | None:
    if operation not in ("destroy", "data_destroy"):
        return None
    if operation == "data_destroy":
        if record["is_a_snapshot"] is not True:
            return Fault("OPERATION_NOT_ALLOWED", f"VDI is not a snapshot: {vdi}")
        if record["cbt_enabled"] is not True:
            return Fault("VDI_NO_CBT_METADATA", vdi)
    sr = text_of(record, "SR")
    if database.field("SR", sr, "type") == "udev":
        return Fault("VDI_IS_A_PHYSICAL_DEVICE", vdi)
    if database.field("SR", sr, "is_tools_sr") is True:
        return Fault("SR_OPERATION_NOT_SUPPORTED", sr)
    return Fault("VDI_HAS_RRDS", vdi) if record["type"] == "rrd" else None


def _of_ha(database: Database, vdi: str, record: Record, operation: str) -> Fault | None:
    if operation == "forget" and record["type"] == "rrd":
        return Fault("VDI_HAS_RRDS", vdi)
    if operation not in ("forget", "destroy", "resize", "resize_online", "data_destroy"):
        return None
    pools = database.refs("pool")
    enabled = any(database.field("pool", pool, "ha_enabled") is True for pool in pools)
    return Fault("HA_IS_ENABLED") if enabled and record["type"] in _OF_HA else None


def _uncopyable(database: Database, vdi: str, record: Record, operation: str) -> Fault | None:
    if operation == "snapshot" and record["sharable"] is True:
        return Fault("VDI_IS_SHARABLE", vdi)
    if operation in ("snapshot", "copy") and record["on_boot"] == "reset":
        return Fault("VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION")
    current = current_operations(database, "VDI", vdi)
    if operation == "snapshot" and any(name == "copy" for name, _task in current):
        return Fault("OPERATION_NOT_ALLOWED", "Snapshot operation not allowed during copy.")
    if operation == "copy" and record["type"] in _OF_HA:
        reason = "VDI containing HA statefile or redo log cannot be copied"
        return Fault("OPERATION_NOT_ALLOWED", f"{reason} (check the VDI's allowed operations).")
    return None


def _untrackable(_database: Database, vdi: str, record: Record, operation: str) -> Fault | None:
    if operation not in ("enable_cbt", "disable_cbt"):
        return None
    if record["is_a_snapshot"] is True:
        return Fault("OPERATION_NOT_ALLOWED", f"VDI is a snapshot: {vdi}")
    if record["type"] not in ("user", "system"):
        return Fault("VDI_INCOMPATIBLE_TYPE", vdi, text_of(record, "type"))
    if record["on_boot"] == "reset":
        return Fault("VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION")
    return None


_CHECKS = (
    _busy,
    _unplugged,
    _attached,
    _plugging,
    _unsupported,
    _tracked,
    _undestroyable,
    _of_ha,
    _uncopyable,
    _untrackable,
)
"""The first that objects decides, as in xapi."""
