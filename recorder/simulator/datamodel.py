"""The classes that a simulated pool has: fields in wire order, their types and defaults.

The table beside this file (datamodel.txt) holds a line a field: name, type, ro or rw, default.
Types are written as in `Field`; a default that is not given is the empty value of the type. It is
the data model of xapi 25.32.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import cast

import msgspec

from .values import EPOCH, NULL_REF, DateTime, Record, Value

_TABLES = (
    "vdi_nbd_server_info user tunnel task subject sr_stat session secret role probe_result "
    "pool_update pool_patch pool network_sriov network message host_patch host_metrics "
    "host_crashdump host_cpu host event data_source crashdump console blob auth vusb vtpm "
    "vm_metrics vm_guest_metrics vm_group vm_appliance vmss vmpp vm vlan vif_metrics vif vgpu_type "
    "vgpu vdi vbd_metrics vbd usb_group sr sm sdn_controller repository pvs_site pvs_server "
    "pvs_proxy pvs_cache_storage pusb pif_metrics pif pgpu pci pbd observer lvhd host_driver "
    "gpu_group feature driver_variant diagnostics dr_task cluster_host cluster certificate "
    "bond"
)
TABLES = tuple(_TABLES.split())
"""The keys of `valid_ref_counts`, in the order in which xapi sends them."""
SILENT = frozenset({"session", "user", "secret"})
"""Classes whose objects come and go without an event."""


class Field(msgspec.Struct, frozen=True):
    """One field of a class.

    `type` is `string`, `int`, `float`, `bool`, `datetime`, `enum/NAME`, `@CLASS` (a reference),
    `set:TYPE` or `map:TYPE:TYPE`. `writable` says that `set_FIELD` exists.
    """

    name: str
    type: str
    writable: bool
    default: Value

    @classmethod
    def parse(cls, line: str) -> "Field":
        """Read a line of the table."""
        name, kind, access, *default = line.split(" ", 3)
        return cls(name, kind, access == "rw", _default(kind, default[0] if default else None))


@cache
def model() -> Mapping[str, Mapping[str, Field]]:
    """Return every class with its fields by name, both in the order of the wire."""
    table: dict[str, dict[str, Field]] = {}
    fields: dict[str, Field] = {}
    text = files(__package__).joinpath("datamodel.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("["):
            fields = table[line[1:-1]] = {}
        elif line:
            field = Field.parse(line)
            fields[field.name] = field
    return table


@cache
def enums() -> Mapping[str, tuple[str, ...]]:
    """Return the values of every enum by its name (enums.txt has a line for each)."""
    text = files(__package__).joinpath("enums.txt").read_text(encoding="utf-8")
    return {line.split(" ")[0]: tuple(line.split(" ")[1:]) for line in text.splitlines()}


def classes() -> tuple[str, ...]:
    """Return the names of all classes with objects (`VM`, `host`) in the order of event.from."""
    return tuple(model())


def fields(cls: str) -> Mapping[str, Field]:
    """Return the fields of a class by name; KeyError if there is no such class."""
    return model()[cls]


def class_named(name: str) -> str | None:
    """Return the class with this name in any case (`vm` gives `VM`), None if there is none."""
    return _by_lower_name().get(name.lower())


def blank(cls: str) -> Record:
    """Return a new record of a class with every field at its default."""
    return dict(_defaults()[cls])


@cache
def _by_lower_name() -> Mapping[str, str]:
    return {name.lower(): name for name in model()}


@cache
def _defaults() -> Mapping[str, Record]:
    # Records share these values: nothing in the simulator changes a value in place.
    return {
        cls: {name: field.default for name, field in fields.items()}
        for cls, fields in model().items()
    }


def _default(kind: str, text: str | None) -> Value:
    outer = kind.split(":", 1)[0]
    if outer in ("int", "float", "bool", "set", "map"):
        empty = {"int": "0", "float": "0.0", "bool": "false", "set": "[]", "map": "{}"}
        return cast("Value", json.loads(text or empty[outer]))
    if outer == "datetime":
        return DateTime(text or EPOCH)
    if outer.startswith("@"):
        return NULL_REF
    return text or ""
