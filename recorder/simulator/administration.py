"""The small operations: tasks made by clients, and what a VM is asked about itself."""

from collections.abc import Mapping

from .catalogue import Handler
from .domains import forget_host
from .toolstack import Call
from .values import NULL_REF, Fault, Value
from .vmstate import OPERATIONS, refusal


async def task_create(call: Call, label: str, description: str) -> Value:
    """task.create: pending until somebody sets its status."""
    return call.toolstack.tasks.begin(label, description=description)


async def task_cancel(call: Call, task: str) -> Value:
    """task.cancel: only asks; an operation notices when it waits for something."""
    asker = "" if call.task == NULL_REF else call.task
    call.toolstack.tasks.cancel(task, asker)
    return ""


async def task_destroy(call: Call, task: str) -> Value:
    """task.destroy: a pending task is collected once it is complete."""
    call.toolstack.tasks.destroy(task)
    return ""


async def task_set_status(call: Call, task: str, value: str) -> Value:
    """task.set_status: nothing else is written, so that the next collection takes a task done."""
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


async def vm_assert_operation_valid(call: Call, vm: str, operation: str) -> Value:
    """VM.assert_operation_valid: raises what the operation would raise now."""
    record = call.vm(vm)
    if operation in OPERATIONS and (fault := refusal(vm, record, operation)):
        raise fault
    return ""


async def vm_power_state_reset(call: Call, vm: str) -> Value:
    """VM.power_state_reset: the VM counts as halted, whatever a host may still run of it."""
    async with call.operation_on(vm, "power_state_reset"):
        forget_host(call, vm, "Halted")
    return ""


async def vm_get_boot_record(call: Call, vm: str) -> Value:
    """VM.get_boot_record: how the VM was booted; here nothing that it was booted with changes."""
    async with call.operation_on(vm, "get_boot_record"):
        return call.vm(vm)


async def vm_get_cooperative(call: Call, vm: str) -> Value:
    """VM.get_cooperative: balloons of simulated guests obey."""
    call.vm(vm)
    return True


async def vm_query_services(call: Call, vm: str) -> Value:
    """VM.query_services: a VM that is no driver domain offers none."""
    async with call.operation_on(vm, "query_services"):
        return {}


async def vm_call_plugin(call: Call, vm: str, plugin: str, function: str, _args: Value) -> Value:
    """VM.call_plugin: simulated guests have no plugin. Fault XENAPI_PLUGIN_FAILURE."""
    async with call.operation_on(vm, "call_plugin"):
        raise Fault("XENAPI_PLUGIN_FAILURE", "failed to find plugin", plugin, function)


async def vm_update_allowed_operations(call: Call, vm: str) -> Value:
    """VM.update_allowed_operations."""
    call.vm(vm)
    call.toolstack.update_allowed(vm)
    return ""


HANDLERS: Mapping[str, Handler] = {
    "VM.assert_operation_valid": vm_assert_operation_valid,
    "VM.update_allowed_operations": vm_update_allowed_operations,
    "VM.power_state_reset": vm_power_state_reset,
    "VM.get_boot_record": vm_get_boot_record,
    "VM.get_cooperative": vm_get_cooperative,
    "VM.query_services": vm_query_services,
    "VM.call_plugin": vm_call_plugin,
    "task.create": task_create,
    "task.cancel": task_cancel,
    "task.destroy": task_destroy,
    "task.set_status": task_set_status,
    "task.set_progress": task_set_progress,
    "task.set_result": task_set_result,
    "task.set_error_info": task_set_error_info,
}
