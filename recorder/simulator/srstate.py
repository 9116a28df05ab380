"""What may be done to an SR now: what its plugin can do, its PBDs and disks, what goes on in it."""

from collections.abc import Mapping

from .database import Database
from .plugins import features_of
from .refusals import Refusals, current_operations, in_progress
from .values import Fault, texts_of

OPERATIONS = (
    "vdi_enable_cbt",
    "vdi_list_changed_blocks",
    "vdi_introduce",
    "destroy",
    "unplug",
    "plug",
    "pbd_create",
    "vdi_disable_cbt",
    "update",
    "pbd_destroy",
    "vdi_resize",
    "forget",
    "vdi_resize_online",
    "vdi_clone",
    "vdi_data_destroy",
    "scan",
    "vdi_snapshot",
    "vdi_mirror",
    "vdi_create",
    "vdi_destroy",
    "vdi_set_on_boot",
)
"""In the order in which `allowed_operations` shows them."""

_FEATURES: Mapping[str, str] = {
    "vdi_create": "VDI_CREATE",
    "vdi_destroy": "VDI_DELETE",
    "vdi_resize": "VDI_RESIZE",
    "vdi_resize_online": "VDI_RESIZE",
    "vdi_introduce": "VDI_INTRODUCE",
    "vdi_mirror": "VDI_MIRROR",
    "vdi_enable_cbt": "VDI_CONFIG_CBT",
    "vdi_disable_cbt": "VDI_CONFIG_CBT",
    "vdi_data_destroy": "VDI_CONFIG_CBT",
    "vdi_list_changed_blocks": "VDI_CONFIG_CBT",
    "vdi_set_on_boot": "VDI_RESET_ON_BOOT",
    "update": "SR_UPDATE",
    "vdi_snapshot": "VDI_SNAPSHOT",
}
"""What the plugin must be able to do; operations that are not here need nothing of it."""
_TOGETHER = frozenset({"plug"})
"""Several hosts may plug an SR at the same time."""


def refusal(database: Database, sr: str, operation: str) -> Fault | None:
    """Return why an operation is not possible on an SR now, None if it is."""
    return _refusals(database, sr).against(operation)


def offer(database: Database, sr: str) -> list[str]:
    """Return what the SR's `allowed_operations` must show."""
    return _refusals(database, sr).offered()


def plugged_pbds(database: Database, sr: str) -> list[str]:
    """Return the PBDs of an SR that are attached."""
    pbds = texts_of(database.row("SR", sr).record, "PBDs")
    return [pbd for pbd in pbds if database.field("PBD", pbd, "currently_attached") is True]


def _refusals(database: Database, sr: str) -> Refusals:
    found = Refusals(OPERATIONS)
    _consider_plugin(database, sr, found)
    if plugged_pbds(database, sr):
        found.forbid(Fault("SR_HAS_PBD", sr), ("destroy", "forget"))
    record = database.row("SR", sr).record
    if not texts_of(record, "PBDs"):
        found.forbid(Fault("SR_HAS_NO_PBDS", sr), ("destroy",))
    if any(_is_in_the_way(database, vdi) for vdi in texts_of(record, "VDIs")):
        found.forbid(Fault("SR_NOT_EMPTY"), ("destroy",))
    _consider_others(database, sr, found)
    return found


def _consider_plugin(database: Database, sr: str, found: Refusals) -> None:
    record = database.row("SR", sr).record
    features = features_of(database, str(record["type"]))
    if record["is_tools_sr"] is True:
        features -= {"VDI_CREATE", "VDI_DELETE"}
    lacking = [name for name, feature in _FEATURES.items() if feature not in features]
    found.forbid(Fault("SR_OPERATION_NOT_SUPPORTED", sr), lacking)


def _is_in_the_way(database: Database, vdi: str) -> bool:
    record = database.row("VDI", vdi).record
    return record["managed"] is True and record["type"] != "rrd"


def _consider_others(database: Database, sr: str, found: Refusals) -> None:
    current = current_operations(database, "SR", sr)
    if not current:
        return
    others = [name for name in OPERATIONS if name not in _TOGETHER]
    found.forbid(in_progress("SR", sr, *current[0]), others)
    alone = next((item for item in current if item[0] not in _TOGETHER), None)
    if alone is not None:
        found.forbid(in_progress("SR", sr, *alone), _TOGETHER)
