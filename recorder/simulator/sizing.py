"""How big a VM is: memory and CPUs, checked and written as the server does."""

from collections.abc import Mapping

from .catalogue import Handler
from .toolstack import Call
from .values import Fault, Record, Value, int_of, map_of

_KEYS = ("static_min", "dynamic_min", "dynamic_max", "static_max")
"""The four limits of memory: each is at most the next one."""
OVERHEAD_PART = 128
"""What a VM costs its host on top of its memory: about a 128th of it."""
MIB = 1024**2


async def set_memory_limits(
    call: Call, vm: str, static_min: int, static_max: int, dynamic_min: int, dynamic_max: int
) -> Value:
    """VM.set_memory_limits: bytes. Faults VM_BAD_POWER_STATE, MEMORY_CONSTRAINT_VIOLATION."""
    wanted = dict(zip(_KEYS, (static_min, dynamic_min, dynamic_max, static_max), strict=True))
    async with call.operation_on(vm, "changing_memory_limits"):
        _write(call, vm, wanted)
    return ""


async def set_memory(call: Call, vm: str, value: int) -> Value:
    """VM.set_memory: all limits at once."""
    async with call.operation_on(vm, "changing_memory_limits"):
        static_min = min(int_of(call.vm(vm), "memory_static_min"), value)
        _write(call, vm, {**dict.fromkeys(_KEYS, value), "static_min": static_min})
    return ""


async def set_memory_static_range(call: Call, vm: str, low: int, high: int) -> Value:
    """VM.set_memory_static_range: of a halted VM."""
    async with call.operation_on(vm, "changing_static_range"):
        _write(call, vm, {"static_min": low, "static_max": high})
    return ""


async def set_memory_dynamic_range(call: Call, vm: str, low: int, high: int) -> Value:
    """VM.set_memory_dynamic_range: of a running VM, too; its target follows."""
    async with call.operation_on(vm, "changing_dynamic_range"):
        _write(call, vm, {"dynamic_min": low, "dynamic_max": high})
        if call.vm(vm)["power_state"] == "Running":
            call.set("VM", vm, "memory_target", high)
            _balloon(call, vm, high)
    return ""


def _single(key: str) -> Handler:
    operation = "changing_static_range" if key.startswith("static") else "changing_dynamic_range"

    async def change(call: Call, vm: str, value: int) -> Value:
        async with call.operation_on(vm, operation):
            _write(call, vm, {key: value})
        return ""

    return change


async def set_memory_target_live(call: Call, vm: str, target: int) -> Value:
    """VM.set_memory_target_live: the dynamic range shrinks to one value."""
    return await set_memory_dynamic_range(call, vm, target, target)


async def wait_memory_target_live(call: Call, vm: str) -> Value:
    """VM.wait_memory_target_live: balloons of simulated guests are quick."""
    call.vm(vm)
    return ""


async def maximise_memory(call: Call, vm: str, total: int, _approximate: bool) -> Value:
    """VM.maximise_memory: the most that fits into so many bytes with what the host needs for it."""
    call.vm(vm)
    fits = total * OVERHEAD_PART // (OVERHEAD_PART + 1)
    return max(0, fits // MIB * MIB)


async def compute_memory_overhead(call: Call, vm: str) -> Value:
    """VM.compute_memory_overhead: bytes that the host needs on top."""
    return overhead_bytes(call.vm(vm))


async def set_vcpus_max(call: Call, vm: str, value: int) -> Value:
    """VM.set_VCPUs_max: Fault INVALID_VALUE if it is less than those at startup."""
    return await _set_vcpus(call, vm, "VCPUs_max", value)


async def set_vcpus_at_startup(call: Call, vm: str, value: int) -> Value:
    """VM.set_VCPUs_at_startup: Fault INVALID_VALUE if it is more than VCPUs_max."""
    return await _set_vcpus(call, vm, "VCPUs_at_startup", value)


async def set_vcpus_number_live(call: Call, vm: str, number: int) -> Value:
    """VM.set_VCPUs_number_live: of a running VM whose guest can do that."""
    async with call.operation_on(vm, "changing_VCPUs_live"):
        if not 0 < number <= int_of(call.vm(vm), "VCPUs_max"):
            raise Fault("INVALID_VALUE", "nvcpu", str(number))
        call.set("VM", vm, "VCPUs_at_startup", number)
        call.set("VM_metrics", str(call.vm(vm)["metrics"]), "VCPUs_number", number)
    return ""


async def add_to_vcpus_params_live(call: Call, vm: str, key: str, value: str) -> Value:
    """VM.add_to_VCPUs_params_live: of a running VM."""
    params = map_of(call.vm(vm), "VCPUs_params")
    call.set("VM", vm, "VCPUs_params", params | {key: value})
    return ""


async def set_shadow_multiplier_live(call: Call, vm: str, value: float) -> Value:
    """VM.set_shadow_multiplier_live: Fault INVALID_VALUE below 1."""
    if value < 1.0:
        raise Fault("INVALID_VALUE", "HVM_shadow_multiplier", str(value))
    call.set("VM", vm, "HVM_shadow_multiplier", value)
    return ""


def overhead_bytes(record: Record) -> int:
    """Return what a VM of this size costs its host on top of its memory, in whole MiB."""
    pages = int_of(record, "memory_static_max") // OVERHEAD_PART
    cpus = int_of(record, "VCPUs_max") * MIB
    return (pages + cpus) // MIB * MIB + 2 * MIB


def _write(call: Call, vm: str, wanted: Mapping[str, int]) -> None:
    """Check all four limits together, then write those that change."""
    record = call.vm(vm)
    limits = {key: wanted.get(key, int_of(record, f"memory_{key}")) for key in _KEYS}
    values = list(limits.values())
    if values != sorted(values) or values[0] < 0:
        rule = "Memory limits must satisfy: static_min <= dynamic_min <= dynamic_max <= static_max"
        raise Fault("MEMORY_CONSTRAINT_VIOLATION", rule)
    for key, value in wanted.items():
        call.set("VM", vm, f"memory_{key}", value)
    if "static_max" in wanted:
        call.set("VM", vm, "memory_overhead", overhead_bytes(call.vm(vm)))


def _balloon(call: Call, vm: str, target: int) -> None:
    metrics = str(call.vm(vm)["metrics"])
    call.set("VM_metrics", metrics, "memory_actual", target)


async def _set_vcpus(call: Call, vm: str, field: str, value: int) -> Value:
    async with call.operation_on(vm, "changing_VCPUs"):
        numbers = {name: int_of(call.vm(vm), name) for name in ("VCPUs_at_startup", "VCPUs_max")}
        numbers[field] = value
        if not 0 < numbers["VCPUs_at_startup"] <= numbers["VCPUs_max"]:
            raise Fault("INVALID_VALUE", field, str(value))
        call.set("VM", vm, field, value)
    return ""


HANDLERS: Mapping[str, Handler] = {
    "VM.set_memory_limits": set_memory_limits,
    "VM.set_memory": set_memory,
    "VM.set_memory_static_range": set_memory_static_range,
    "VM.set_memory_dynamic_range": set_memory_dynamic_range,
    **{f"VM.set_memory_{key}": _single(key) for key in _KEYS},
    "VM.set_memory_target_live": set_memory_target_live,
    "VM.wait_memory_target_live": wait_memory_target_live,
    "VM.maximise_memory": maximise_memory,
    "VM.compute_memory_overhead": compute_memory_overhead,
    "VM.set_VCPUs_max": set_vcpus_max,
    "VM.set_VCPUs_at_startup": set_vcpus_at_startup,
    "VM.set_VCPUs_number_live": set_vcpus_number_live,
    "VM.add_to_VCPUs_params_live": add_to_vcpus_params_live,
    "VM.set_shadow_multiplier_live": set_shadow_multiplier_live,
}
