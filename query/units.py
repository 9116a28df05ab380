"""Units of the fields of XAPI, so that people read `4 GiB` where the record says 4294967296.

The fields are those of the data model of xapi 26.17 whose description names a unit. A map or a
field that is not listed has none.
"""

import math
from collections.abc import Callable
from datetime import datetime

from recorder.instant import time_text, us_of

from .records import Json

_BYTES_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")

_BYTES = """
    vm.memory_overhead vm.memory_target vm.memory_static_max vm.memory_static_min
    vm.memory_dynamic_max vm.memory_dynamic_min vm_metrics.memory_actual host.memory_overhead
    host_metrics.memory_total host_metrics.memory_free sr.virtual_allocation
    sr.physical_utilisation sr.physical_size vdi.virtual_size vdi.physical_utilisation
    vgpu_type.framebuffer_size pvs_cache_storage.size pool_update.installation_size
    pool_patch.size host_patch.size host_crashdump.size blob.size
"""
_SECONDS = """
    vm.start_delay vm.shutdown_delay pool.ext_auth_cache_expiry pool.vm_console_idle_timeout
    host.ssh_enabled_timeout host.console_idle_timeout cluster.token_timeout
    cluster.token_timeout_coefficient
"""
_KIB_A_SECOND = """
    vif_metrics.io_read_kbs vif_metrics.io_write_kbs pif_metrics.io_read_kbs
    pif_metrics.io_write_kbs vbd_metrics.io_read_kbs vbd_metrics.io_write_kbs
"""
_FRACTIONS = "task.progress host_cpu.utilisation"
_MBIT_A_SECOND = "pif_metrics.speed"
_TIMES = """
    session.last_active session.validation_time task.created task.finished message.timestamp
    pool.telemetry_next_collection pool.last_update_sync vm.snapshot_time vm_metrics.start_time
    vm_metrics.install_time vm_metrics.last_updated vm_guest_metrics.last_updated
    vmpp.backup_last_run_time vmpp.archive_last_run_time vmss.last_run_time
    host.last_software_update host.ssh_expiry host_crashdump.timestamp
    host_patch.timestamp_applied host_metrics.last_updated vif_metrics.last_updated
    pif_metrics.last_updated vdi.snapshot_time vbd_metrics.last_updated blob.last_updated
    cluster_host.last_update_live certificate.not_before certificate.not_after caller.last_access
"""


def with_unit(cls: str, field: str, value: Json) -> str | None:
    """Return a value as people read it, None for a field without a unit or a value without sense.

    `cls` in lower case. Numbers may be texts, as some releases send them.
    """
    unit = _UNITS.get(f"{cls}.{field}")
    if unit is None or isinstance(value, bool):
        return None
    try:
        return unit(value)
    except (TypeError, ValueError, OverflowError):
        return None  # in another shape than the data model has: then it is shown as it is


def bytes_text(value: Json) -> str:
    """Return `4 GiB` or `1.5 MiB` if it is that exactly; what is rounded has two decimals."""
    count = _whole(value)
    size, unit = abs(count), 0
    while size >= 1024 ** (unit + 1) and unit < len(_BYTES_UNITS) - 1:
        unit += 1
    hundredths, rest = divmod(size * 100, 1024**unit)
    digits = f"{(hundredths + (2 * rest >= 1024**unit)) / 100:.2f}"
    if not rest:
        digits = digits.rstrip("0").rstrip(".")
    sign = "-" if count < 0 else ""
    return f"{sign}{digits} {'byte' if size == 1 else _BYTES_UNITS[unit]}"


def _whole(value: Json) -> int:
    if isinstance(value, str | int):
        return int(value)
    raise ValueError


def _number(value: Json) -> float:
    if isinstance(value, str | int | float) and math.isfinite(float(value)):
        return float(value)
    raise ValueError


def _digits(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _seconds_text(value: Json) -> str:
    return f"{_digits(_number(value))} s"


def _rate_text(value: Json) -> str:
    return f"{_digits(_number(value))} KiB/s"


def _link_text(value: Json) -> str:
    return f"{_digits(_number(value))} Mbit/s"


def _fraction_text(value: Json) -> str:
    share = _number(value)
    percent = _digits(share * 100)
    return f"{'99.99' if percent == '100' and share < 1 else percent} %"


def _time_text(value: Json) -> str:
    at_us = us_of(datetime.strptime(f"{value}", "%Y%m%dT%H:%M:%S%z"))
    return "never" if at_us == 0 else time_text(at_us)


_UNITS: dict[str, Callable[[Json], str]] = {
    name: text
    for text, names in (
        (bytes_text, _BYTES),
        (_seconds_text, _SECONDS),
        (_rate_text, _KIB_A_SECOND),
        (_link_text, _MBIT_A_SECOND),
        (_fraction_text, _FRACTIONS),
        (_time_text, _TIMES),
    )
    for name in names.split()
}
