"""The table of operations: names, parameters and who does them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from . import administration as admin
from . import copies, lifecycle
from .values import Value


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of an operation; `default` None means that it must be given."""

    name: str
    type: str
    default: Value | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """A method that does something, by its sync name (`VM.start`).

    `params` does not count the session. `has_async` says whether `Async.` exists; such methods
    make a task when they are called either way, others (task.cancel, message.create) do not.
    """

    name: str
    params: tuple[Param, ...]
    has_async: bool
    handler: Callable[..., Awaitable[Value]]


_VM = Param("vm", "@VM")
_HOST = Param("host", "@host")
_NEW_NAME = Param("new_name", "string")
_PAUSED = Param("start_paused", "bool")
_FORCE = Param("force", "bool")
_TASK = Param("self", "@task")

_WITH_TASK: tuple[tuple[str, Callable[..., Awaitable[Value]], tuple[Param, ...]], ...] = (
    ("VM.start", lifecycle.start, (_VM, _PAUSED, _FORCE)),
    ("VM.start_on", lifecycle.start_on, (_VM, _HOST, _PAUSED, _FORCE)),
    ("VM.pause", lifecycle.pause, (_VM,)),
    ("VM.unpause", lifecycle.unpause, (_VM,)),
    ("VM.clean_shutdown", lifecycle.clean_shutdown, (_VM,)),
    ("VM.hard_shutdown", lifecycle.hard_shutdown, (_VM,)),
    ("VM.shutdown", lifecycle.shutdown, (_VM,)),
    ("VM.clean_reboot", lifecycle.clean_reboot, (_VM,)),
    ("VM.hard_reboot", lifecycle.hard_reboot, (_VM,)),
    ("VM.suspend", lifecycle.suspend, (_VM,)),
    ("VM.resume", lifecycle.resume, (_VM, _PAUSED, _FORCE)),
    ("VM.resume_on", lifecycle.resume_on, (_VM, _HOST, _PAUSED, _FORCE)),
    (
        "VM.pool_migrate",
        lifecycle.pool_migrate,
        (_VM, _HOST, Param("options", "map:string:string")),
    ),
    ("VM.clone", copies.clone, (_VM, _NEW_NAME)),
    ("VM.copy", copies.copy, (_VM, _NEW_NAME, Param("sr", "@SR"))),
    ("VM.snapshot", copies.snapshot, (_VM, _NEW_NAME, Param("ignore_vdis", "set:@VDI", []))),
    ("VM.destroy", copies.destroy, (Param("self", "@VM"),)),
    (
        "VM.assert_operation_valid",
        admin.vm_assert_operation_valid,
        (Param("self", "@VM"), Param("op", "enum")),
    ),
    ("VM.update_allowed_operations", admin.vm_update_allowed_operations, (Param("self", "@VM"),)),
    ("VBD.destroy", admin.vbd_destroy, (Param("self", "@VBD"),)),
    ("VIF.destroy", admin.vif_destroy, (Param("self", "@VIF"),)),
    ("VDI.destroy", admin.vdi_destroy, (Param("self", "@VDI"),)),
    ("network.create", admin.network_create, (Param("args", "map:string:string"),)),
    ("network.destroy", admin.network_destroy, (Param("self", "@network"),)),
    ("host.enable", admin.host_enable, (_HOST,)),
    ("host.disable", admin.host_disable, (_HOST,)),
)
_PLAIN: tuple[tuple[str, Callable[..., Awaitable[Value]], tuple[Param, ...]], ...] = (
    ("host.compute_free_memory", admin.host_compute_free_memory, (_HOST,)),
    ("task.create", admin.task_create, (Param("label", "string"), Param("description", "string"))),
    ("task.cancel", admin.task_cancel, (Param("task", "@task"),)),
    ("task.destroy", admin.task_destroy, (_TASK,)),
    ("task.set_status", admin.task_set_status, (_TASK, Param("value", "enum"))),
    ("task.set_progress", admin.task_set_progress, (_TASK, Param("value", "float"))),
    ("task.set_result", admin.task_set_result, (_TASK, Param("value", "string"))),
    ("task.set_error_info", admin.task_set_error_info, (_TASK, Param("value", "set:string"))),
    (
        "message.create",
        admin.message_create,
        (
            Param("name", "string"),
            Param("priority", "int"),
            Param("cls", "enum"),
            Param("obj_uuid", "string"),
            Param("body", "string"),
        ),
    ),
    ("message.destroy", admin.message_destroy, (Param("self", "@message"),)),
)

OPERATIONS: Mapping[str, Operation] = {
    name: Operation(name, params, has_async, handler)
    for table, has_async in ((_WITH_TASK, True), (_PLAIN, False))
    for name, handler, params in table
}
"""Every operation by its name."""
