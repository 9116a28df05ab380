"""Which fields of which classes are whole numbers.

XML-RPC sends them as bare text, like every other text, so only a table tells them apart. Facts of
the data model of xapi up to 26.17; a field that is not in the table stays text.
"""

INT_FIELDS: dict[str, frozenset[str]] = {
    cls.lower(): frozenset(fields.split())
    for cls, fields in {
        "Bond": "links_up",
        "Cluster": "cluster_stack_version expected_hosts live_hosts quorum",
        "PGPU": "supported_VGPU_max_capacities",
        "PIF": "MTU VLAN",
        "PIF_metrics": "speed",
        "PVS_cache_storage": "size",
        "PVS_server": "first_port last_port",
        "SDN_controller": "port",
        "SM": "features",
        "SR": "physical_size physical_utilisation virtual_allocation",
        "VBD": "status_code",
        "VDI": "physical_utilisation virtual_size",
        "VGPU_type": "framebuffer_size max_heads max_resolution_x max_resolution_y",
        "VIF": "MTU status_code trunks",
        "VLAN": "tag",
        "VM": "VCPUs_at_startup VCPUs_max domid hardware_platform_version memory_dynamic_max"
        " memory_dynamic_min memory_overhead memory_static_max memory_static_min memory_target"
        " order shutdown_delay start_delay user_version version",
        "VMPP": "backup_retention_value",
        "VMSS": "retained_snapshots",
        "VM_metrics": "VCPUs_CPU VCPUs_number memory_actual numa_node_memory numa_nodes",
        "blob": "size",
        "host": "API_version_major API_version_minor console_idle_timeout memory_overhead"
        " ssh_enabled_timeout virtual_hardware_platform_versions",
        "host_cpu": "family model number speed",
        "host_crashdump": "size",
        "host_metrics": "memory_free memory_total",
        "host_patch": "size",
        "message": "priority",
        "network": "MTU",
        "pool": "ext_auth_cache_expiry ext_auth_cache_size ext_auth_max_threads"
        " ha_host_failures_to_tolerate ha_plan_exists_for local_auth_max_threads"
        " update_sync_day vm_console_idle_timeout",
        "pool_patch": "size",
        "pool_update": "installation_size",
    }.items()
}
"""By lower-case class name: fields that are an int, a set of ints, or a map to ints."""

INT_RESULTS = frozenset({"event.get_current_id"})
"""Methods, besides the getters of the fields above, that return a whole number."""
