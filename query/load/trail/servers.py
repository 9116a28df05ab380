"""Fields that users may set, and the server writes as well: then no line says which write is whose.

Seen in recordings of xapi 24.11 and 25.32, or known of what it does; classes have their names of
events. What has no setter is never taken for the deed of one, and is not listed.
"""

from collections.abc import Mapping, Sequence

_IN_OPERATIONS: Mapping[str, Sequence[str]] = {
    # In every task that it is at work on, also in a client's.
    "task": ("error_info", "other_config", "progress", "result", "status"),
    # When a VM starts for the first time, or elsewhere; the firmware writes its own variables.
    "vm": ("platform", "bios_strings", "NVRAM", "suspend_VDI"),
    # When a host, or its toolstack, starts and stops; SM keeps its marks there.
    "host": ("other_config",),
    "sr": ("physical_size", "sm_config"),
    "vdi": ("sm_config", "xenstore_data"),
    "vmss": ("last_run_time",),
    "vmpp": ("archive_last_run_time", "backup_last_run_time"),
}
_AT_TIMES: Mapping[str, Sequence[str]] = {
    # What refers to something is cleared when that goes.
    "vm": (
        "affinity",
        "appliance",
        "groups",
        "protection_policy",
        "snapshot_schedule",
        "suspend_SR",
    ),
    "pool": (
        *("default_SR", "suspend_image_SR", "crash_dump_SR", "repositories"),
        # HA, workload balancing and updates, which watch themselves.
        *("ha_host_failures_to_tolerate", "wlb_enabled", "telemetry_next_collection"),
        *("is_psr_pending", "uefi_certificates"),
    ),
    # What it finds in the files of a host when the toolstack starts.
    "host": (
        *("address", "hostname", "iscsi_iqn", "logging", "multipathing", "license_server"),
        *("suspend_image_sr", "crash_dump_sr", "ssl_legacy", "https_only", "uefi_certificates"),
        *("console_idle_timeout", "ssh_auto_mode", "ssh_enabled_timeout", "max_cstate"),
        *("ntp_mode", "ntp_custom_servers", "timezone", "numa_affinity_policy", "display"),
    ),
    # Passwords are moved into secrets, and FCoE or clustering holds an interface.
    "pbd": ("device_config",),
    "pif": ("disallow_unplug",),
}


def _condition(fields: Mapping[str, Sequence[str]]) -> str:
    pairs = [f"('{cls}', '{field}')" for cls, names in fields.items() for field in names]
    return f"(class, field) IN ({', '.join(pairs)})"


OFTEN, SELDOM = _condition(_IN_OPERATIONS), _condition(_AT_TIMES)
"""SQL conditions on `class` and `field`: written in usual operations, so that a setter at the same
time proves nothing; and only now and then, so that it is most likely the setter's."""
