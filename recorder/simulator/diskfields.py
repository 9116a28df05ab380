"""The fields of disks that have a method of their own: names, boot mode, change tracking."""

import base64
from collections.abc import Mapping

from .catalogue import Handler
from .disks import check_managed, hold
from .room import check_attached
from .toolstack import Call
from .values import Fault, Value, int_of, text_of, texts_of

NAME_S = 0.2
TRACK_S = 0.5
_TRACKED_BYTES_MAX = 2 * 1024**4
"""The largest disk that a VHD holds, which is 2 TiB; a map of that has 4 MiB."""
_TRACKED_BLOCK = 65_536
"""Bytes of a disk that one bit of a change map stands for."""
_OF_PLUGINS = (
    "managed",
    "sharable",
    "read_only",
    "missing",
    "virtual_size",
    "physical_utilisation",
    "is_a_snapshot",
    "snapshot_of",
    "snapshot_time",
    "metadata_of_pool",
    "cbt_enabled",
)
"""Fields that only the plugin of the SR may write, with a session made for it."""


async def set_name_label(call: Call, vdi: str, value: str) -> Value:
    """VDI.set_name_label. Fault SR_HAS_NO_PBDS [sr]."""
    return await _set_name(call, vdi, "name_label", value)


async def set_name_description(call: Call, vdi: str, value: str) -> Value:
    """VDI.set_name_description. Fault SR_HAS_NO_PBDS [sr]."""
    return await _set_name(call, vdi, "name_description", value)


async def update(call: Call, vdi: str) -> Value:
    """VDI.update: reads the disk again, which changes nothing here."""
    async with call.operation_on(vdi, "update", "VDI"):
        check_attached(call, text_of(call.database.record("VDI", vdi), "SR"))
        await call.work(NAME_S)
    return ""


async def set_on_boot(call: Call, vdi: str, value: str) -> Value:
    """VDI.set_on_boot: `persist` or `reset`. Fault VM_BAD_POWER_STATE of a VM."""
    _check_halted(call, vdi)
    async with hold(call, vdi, "vdi_set_on_boot", "set_on_boot"):
        await call.work(NAME_S)
        call.set("VDI", vdi, "on_boot", value)
    return ""


async def set_allow_caching(call: Call, vdi: str, value: bool) -> Value:
    """VDI.set_allow_caching. Fault VM_BAD_POWER_STATE of a VM."""
    _check_halted(call, vdi)
    call.set("VDI", vdi, "allow_caching", value)
    return ""


async def enable_cbt(call: Call, vdi: str) -> Value:
    """VDI.enable_cbt: nothing happens if changes are tracked already."""
    async with hold(call, vdi, "vdi_enable_cbt", "enable_cbt"):
        await call.work(TRACK_S)
        call.set("VDI", vdi, "cbt_enabled", True)
    return ""


async def disable_cbt(call: Call, vdi: str) -> Value:
    """VDI.disable_cbt."""
    async with hold(call, vdi, "vdi_disable_cbt", "disable_cbt"):
        await call.work(TRACK_S)
        call.set("VDI", vdi, "cbt_enabled", False)
    return ""


async def data_destroy(call: Call, vdi: str) -> Value:
    """VDI.data_destroy: only the map of changes of a snapshot stays. Fault VDI_IN_USE."""
    async with hold(call, vdi, "vdi_data_destroy", "data_destroy"):
        check_managed(call, vdi)
        record = call.database.record("VDI", vdi)
        if record["type"] == "cbt_metadata":
            return ""
        if texts_of(record, "VBDs"):
            raise Fault("VDI_IN_USE", vdi, "data_destroy")
        call.set("VDI", vdi, "type", "cbt_metadata")
        await call.work(TRACK_S, cancellable=False)
        call.set("VDI", vdi, "physical_utilisation", 0)
    return ""


async def list_changed_blocks(call: Call, vdi_from: str, vdi_to: str) -> Value:
    """VDI.list_changed_blocks: a map in base64, a bit for 64 KiB; nothing ever changes here."""
    call.database.record("VDI", vdi_from)
    async with hold(call, vdi_to, "vdi_list_changed_blocks", "list_changed_blocks"):
        await call.work(TRACK_S)
        size = int_of(call.database.record("VDI", vdi_to), "virtual_size")
        if not 0 <= size <= _TRACKED_BYTES_MAX:
            raise Fault("SR_BACKEND_FAILURE_79", "", f"VDI size {size} is out of range", "")
        blocks = -(-size // _TRACKED_BLOCK)
        return base64.b64encode(bytes(-(-blocks // 8))).decode("ascii")


async def force_unlock(_call: Call, _vdi: str) -> Value:
    """VDI.force_unlock. Fault MESSAGE_DEPRECATED."""
    raise Fault("MESSAGE_DEPRECATED")


async def refuse(call: Call, vdi: str, _value: Value) -> Value:
    """Refuse what only a plugin may write. Fault PERMISSION_DENIED [""]."""
    call.database.record("VDI", vdi)
    raise Fault("PERMISSION_DENIED", "")


async def _set_name(call: Call, vdi: str, field: str, value: str) -> Value:
    check_attached(call, text_of(call.database.record("VDI", vdi), "SR"))
    await call.work(NAME_S)
    call.set("VDI", vdi, field, value)
    return ""


def _check_halted(call: Call, vdi: str) -> None:
    database = call.database
    for vbd in texts_of(database.record("VDI", vdi), "VBDs"):
        vm = str(database.field("VBD", vbd, "VM"))
        state = text_of(database.record("VM", vm), "power_state")
        if state != "Halted":
            raise Fault("VM_BAD_POWER_STATE", vm, "halted", state.lower())


HANDLERS: Mapping[str, Handler] = {
    "VDI.set_name_label": set_name_label,
    "VDI.set_name_description": set_name_description,
    "VDI.update": update,
    "VDI.set_on_boot": set_on_boot,
    "VDI.set_allow_caching": set_allow_caching,
    "VDI.enable_cbt": enable_cbt,
    "VDI.disable_cbt": disable_cbt,
    "VDI.data_destroy": data_destroy,
    "VDI.list_changed_blocks": list_changed_blocks,
    "VDI.force_unlock": force_unlock,
    **{f"VDI.set_{field}": refuse for field in _OF_PLUGINS},
}
