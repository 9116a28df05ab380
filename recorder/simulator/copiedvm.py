"""The row of a VM that is a copy of another: what it takes over, what it begins anew. Pure."""

from .dump_values import quoted, written
from .values import NULL_REF, Record, Value, map_of, text_of

_MAC_SEED = "mac_seed"
_ORIGIN = "base_template_name"
_OF_TEMPLATES = ("default_template", "xensource_internal")
"""Keys of `other_config` that no copy has."""
_ANEW = frozenset(
    {"uuid", "allowed_operations", "blocked_operations", "blobs", "domarch", "version", "groups"}
    | {"power_state", "resident_on", "scheduled_to_be_resident_on", "suspend_VDI", "suspend_SR"}
    | {"is_default_template", "is_snapshot_from_vmpp", "is_vmss_snapshot", "requires_reboot"}
    | {"ha_always_run", "protection_policy", "snapshot_schedule", "guest_metrics"}
    | {"appliance", "start_delay", "shutdown_delay", "order", "transportable_snapshot_id"}
    | {"pending_guidances", "pending_guidances_recommended", "pending_guidances_full"}
    | {"VIFs", "VBDs", "VUSBs", "VGPUs", "VTPMs", "consoles", "crash_dumps", "attached_PCIs"}
    | {"snapshots", "children", "is_a_snapshot", "snapshot_of", "snapshot_time"}
    | {"snapshot_info", "snapshot_metadata"}
)
"""Fields that are in a copy as in any new VM; all others are taken over."""
_NAMESPACES = ("HVM_", "PV_", "VCPUs_", "actions_", "memory_", "name_")
"""Begins of fields that columns of the database write with two underscores."""


def copied(source: Record, *, name: str, mac_seed: str, generation: str) -> Record:
    """Return the row of a clone, without references to rows of its own and its operation.

    `mac_seed` and `generation` are random numbers, the latter one of `generation_id`.
    """
    return {
        **_taken_over(source, name, generation),
        "parent": NULL_REF,
        "other_config": _other_config(source, {_MAC_SEED: mac_seed}),
    }


def snapshotted(source: Record, *, ref: str, name: str, generation: str) -> Record:
    """Return the row of a snapshot of the VM `ref`, also without when it was taken."""
    return {
        **_taken_over(source, name, generation),
        "other_config": _other_config(source, {}),
        "is_a_template": True,
        "is_a_snapshot": True,
        "snapshot_of": ref,
        "snapshot_info": snapshot_info(text_of(source, "power_state")),
        "snapshot_metadata": metadata(source, ref),
    }


def snapshot_info(power_state: str) -> Record:
    """Return how a snapshot was taken of a VM in a power state."""
    return {"disk-snapshot-type": "crash_consistent", "power-state-at-snapshot": power_state}


def generation_id(uuid: str) -> str:
    """Return a generation id made of a random uuid: two numbers of 60 bits."""
    bits = uuid.replace("-", "")
    return f"{int(bits[:15], 16)}:{int(bits[17:], 16)}"


def metadata(record: Record, ref: str) -> str:
    """Return a whole row as text, the way in which a snapshot keeps that of its VM."""
    columns: dict[str, Value] = {_column(field): value for field, value in record.items()}
    # Clients do not see this column, but the database of every server has it.
    columns = {"recommended_guidances": [], **columns, "_ref": ref}
    names = sorted(columns, reverse=True)
    pairs = (f"({quoted(name)} {quoted(written(columns[name]))})" for name in names)
    return f"({' '.join(pairs)})"


def _taken_over(source: Record, name: str, generation: str) -> Record:
    kept = {field: value for field, value in source.items() if field not in _ANEW}
    # A VM without a generation id, as old servers made them, keeps to that.
    own = generation if source["generation_id"] else ""
    return {**kept, "name_label": name, "domid": -1, "generation_id": own}


def _other_config(source: Record, own: Record) -> Record:
    """Return that of a copy: what is its own is where it was, or else in front as newcomers are."""
    config = map_of(source, "other_config")
    config = {**{key: value for key, value in own.items() if key not in config}, **config, **own}
    config = {key: value for key, value in config.items() if key not in _OF_TEMPLATES}
    if source["is_a_template"] is True and _ORIGIN not in config:
        config = {_ORIGIN: source["name_label"], **config}
    return config


def _column(field: str) -> str:
    """Return what the database calls a field."""
    head = next((head for head in _NAMESPACES if field.startswith(head)), "")
    return f"{head}_{field.removeprefix(head)}" if head else field
