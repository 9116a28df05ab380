"""What happened to the pool during a recording beside its requests, by the request it came before.

The recorder made and changed some objects by itself, as a storage backend or xenopsd would.
"""

from collections.abc import Callable, Mapping

from recorder.simulator.values import Value

from .setting import VM_RECORD
from .stage import Stage

Deed = Callable[[Stage], None]

MIB = 1024**2
_FLOOD_BYTES = 100_000
_FLOODS = 120


def _begin(stage: Stage, name: str) -> str:
    """Make a VM as the server does: its record first, then what it offers."""
    database = stage.pool.database
    metrics = database.create("VM_metrics", {"VCPUs_utilisation": {"0": 0.0}})
    seed = database.new_uuid()
    own: dict[str, Value] = {"metrics": metrics, "other_config": {"mac_seed": seed}}
    ref = database.create("VM", {**VM_RECORD, **own, "name_label": name})
    stage.pool.toolstack.update_allowed(ref)
    return ref


def _end(stage: Stage, ref: str) -> None:
    """Tell what a VM costs its host, which comes last."""
    stage.pool.database.write("VM", ref, "memory_overhead", 4 * MIB)


def _vm(stage: Stage, name: str) -> str:
    (ref,) = stage.pool.database.find("VM", "name_label", name)
    return ref


def _captured_vm(stage: Stage) -> None:
    ref = _begin(stage, "captured vm")
    _end(stage, ref)
    stage.names.ours[stage.subject.encode()] = ref.encode()


def _birth(stage: Stage) -> None:
    _end(stage, _begin(stage, "born"))


def _new_name(stage: Stage) -> None:
    stage.pool.database.write("VM", _vm(stage, "born"), "name_label", "renamed <&> é")


def _death(stage: Stage) -> None:
    stage.pool.database.delete("VM", _vm(stage, "renamed <&> é"))


def _five_steps(stage: Stage) -> None:
    vm = _vm(stage, "captured vm")
    for step in range(5):
        stage.pool.database.write("VM", vm, "name_description", f"step {step}")


def _third(stage: Stage) -> None:
    _begin(stage, "third")


def _third_is_ready(stage: Stage) -> None:
    _end(stage, _vm(stage, "third"))


def _third_runs(stage: Stage) -> None:
    stage.pool.database.write("VM", _vm(stage, "third"), "power_state", "Running")


def _third_goes(stage: Stage) -> None:
    stage.pool.database.delete("VM", _vm(stage, "third"))


def _flood(stage: Stage) -> None:
    for number in range(_FLOODS):
        text = f"{number}".ljust(_FLOOD_BYTES, ".")
        stage.pool.database.write("pool", stage.pool.pool_ref, "name_description", text)


def _end_of_flood(stage: Stage) -> None:
    stage.pool.database.write("pool", stage.pool.pool_ref, "name_description", "back")


DEEDS: Mapping[str, Deed] = {
    "070": _captured_vm,
    "077": _birth,
    "080": _new_name,
    "082": _death,
    "084": _five_steps,
    "096": _third,
    "097": _third_is_ready,
    "098": _third_runs,
    "099": _third_goes,
    "134": _flood,
    "135": _end_of_flood,
    "138": _flood,
}

ENDS_WHILE_BLOCKED = frozenset({"141", "144"})
"""Requests whose session ended while they were waiting."""
