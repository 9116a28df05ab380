"""The small operations: tasks and messages made by clients, networks, devices and hosts."""

from collections.abc import Mapping

from .catalogue import Handler
from .copies import destroy_vif
from .toolstack import Call
from .values import Fault, Value, datetime_of, texts_of
from .vmstate import OPERATIONS, refusal

_MESSAGE_CLASSES = {
    "VM": "VM",
    "Host": "host",
    "SR": "SR",
    "Pool": "pool",
    "VDI": "VDI",
}


async def task_create(call: Call, label: str, description: str) -> Value:
    """task.create: pending until somebody sets its status."""
    return call.toolstack.tasks.begin(label, description=description)


async def task_cancel(call: Call, task: str) -> Value:
    """task.cancel: only asks; an operation notices when it waits for something."""
    call.toolstack.tasks.cancel(task)
    return ""


async def task_destroy(call: Call, task: str) -> Value:
    """task.destroy: a pending task is collected once it is complete."""
    call.toolstack.tasks.destroy(task)
    return ""


async def task_set_status(call: Call, task: str, value: str) -> Value:
    """task.set_status: a client's own task; success, failure and cancelled finish it."""
    call.database.record("task", task)
    if value in ("success", "failure", "cancelled"):
        call.set("task", task, "finished", datetime_of(call.database.now_s()))
    call.set("task", task, "status", value)
    return ""


async def task_set_progress(call: Call, task: str, value: Value) -> Value:
    """task.set_progress: from 0.0 to 1.0, not checked (as in xapi)."""
    call.set("task", task, "progress", value)
    return ""


async def task_set_result(call: Call, task: str, value: str) -> Value:
    """task.set_result: the text as it is."""
    call.set("task", task, "result", value)
    return ""


async def task_set_error_info(call: Call, task: str, value: Value) -> Value:
    """task.set_error_info: a code and its parameters."""
    call.set("task", task, "error_info", value)
    return ""


async def message_create(
    call: Call, name: str, priority: Value, cls: str, obj_uuid: str, body: str
) -> Value:
    """message.create: Fault UUID_INVALID [class, uuid] if there is no such object."""
    table = _MESSAGE_CLASSES.get(cls)
    if table is None or not call.database.find(table, "uuid", obj_uuid):
        raise Fault("UUID_INVALID", cls, obj_uuid)
    now = datetime_of(call.database.now_s())
    fields = {"name": name, "priority": priority, "cls": cls, "obj_uuid": obj_uuid}
    return call.database.create("message", {**fields, "timestamp": now, "body": body})


async def message_destroy(call: Call, message: str) -> Value:
    """message.destroy."""
    call.database.delete("message", message)
    return ""


async def network_create(call: Call, record: Value) -> Value:
    """network.create: from a record; fields that it does not know of are left out."""
    assert isinstance(record, dict)
    wanted = ("name_label", "name_description", "MTU", "other_config", "tags", "managed", "bridge")
    fields = {field: record[field] for field in wanted if field in record}
    if not fields.get("bridge"):
        fields["bridge"] = f"xapi{len(call.database.refs('network'))}"
    return call.database.create("network", fields)


async def network_destroy(call: Call, network: str) -> Value:
    """network.destroy: Faults NETWORK_CONTAINS_VIF, NETWORK_CONTAINS_PIF [refs]."""
    record = call.database.record("network", network)
    for field, code in (("VIFs", "NETWORK_CONTAINS_VIF"), ("PIFs", "NETWORK_CONTAINS_PIF")):
        if users := texts_of(record, field):
            raise Fault(code, *users)
    call.database.delete("network", network)
    return ""


async def vbd_destroy(call: Call, vbd: str) -> Value:
    """VBD.destroy: Fault OPERATION_NOT_ALLOWED while it is attached."""
    _check_detached(call, "VBD", vbd)
    call.database.delete("VBD", vbd)
    return ""


async def vif_destroy(call: Call, vif: str) -> Value:
    """VIF.destroy: Fault OPERATION_NOT_ALLOWED while it is attached."""
    _check_detached(call, "VIF", vif)
    destroy_vif(call, vif)
    return ""


async def vdi_destroy(call: Call, vdi: str) -> Value:
    """VDI.destroy: Fault VDI_IN_USE [vdi, operation] while a VM has it attached."""
    record = call.database.record("VDI", vdi)
    devices = texts_of(record, "VBDs")
    if any(call.database.record("VBD", vbd)["currently_attached"] is True for vbd in devices):
        raise Fault("VDI_IN_USE", vdi, "destroy")
    for vbd in devices:
        call.database.delete("VBD", vbd)
    call.database.delete("VDI", vdi)
    return ""


async def host_enable(call: Call, host: str) -> Value:
    """host.enable: VMs may be started on it again."""
    call.set("host", host, "enabled", True)
    return ""


async def host_disable(call: Call, host: str, _auto_enable: bool) -> Value:
    """host.disable: no VM is started on it or moved to it any more."""
    call.set("host", host, "enabled", False)
    return ""


async def host_compute_free_memory(call: Call, host: str) -> Value:
    """host.compute_free_memory: bytes left for VMs."""
    call.database.record("host", host)
    return call.toolstack.free_memory_bytes(host)


async def vm_assert_operation_valid(call: Call, vm: str, operation: str) -> Value:
    """VM.assert_operation_valid: raises what the operation would raise now."""
    record = call.vm(vm)
    if operation in OPERATIONS and (fault := refusal(vm, record, operation)):
        raise fault
    return ""


async def vm_update_allowed_operations(call: Call, vm: str) -> Value:
    """VM.update_allowed_operations."""
    call.vm(vm)
    call.toolstack.update_allowed(vm)
    return ""


def _check_detached(call: Call, cls: str, device: str) -> None:
    if call.database.record(cls, device)["currently_attached"] is True:
        raise Fault("OPERATION_NOT_ALLOWED", f"{cls} '{device}' still attached")


HANDLERS: Mapping[str, Handler] = {
    "VM.assert_operation_valid": vm_assert_operation_valid,
    "VM.update_allowed_operations": vm_update_allowed_operations,
    "VBD.destroy": vbd_destroy,
    "VIF.destroy": vif_destroy,
    "VDI.destroy": vdi_destroy,
    "network.create": network_create,
    "network.destroy": network_destroy,
    "host.enable": host_enable,
    "host.disable": host_disable,
    "host.compute_free_memory": host_compute_free_memory,
    "task.create": task_create,
    "task.cancel": task_cancel,
    "task.destroy": task_destroy,
    "task.set_status": task_set_status,
    "task.set_progress": task_set_progress,
    "task.set_result": task_set_result,
    "task.set_error_info": task_set_error_info,
    "message.create": message_create,
    "message.destroy": message_destroy,
}
