"""A pool as it was when a recording began, made of the replies that show it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from recorder.simulator.database import Database
from recorder.simulator.datamodel import blank, class_named, model
from recorder.simulator.image import PoolImage, Tables
from recorder.simulator.relations import relations
from recorder.simulator.values import DateTime, Record, Value, texts_of

from .recordings import Exchange, read

_LISTING = "-get_all_records-"

VM_RECORD: Record = {
    **{name: value for name, value in blank("VM").items() if name != "uuid"},
    "name_description": "description",
    "user_version": 1,
    "memory_target": 500,
    "memory_static_max": 1000,
    "memory_dynamic_max": 500,
    "memory_dynamic_min": 500,
    "VCPUs_max": 1,
    "VCPUs_at_startup": 1,
    "actions_after_softreboot": "soft_reboot",
    "actions_after_shutdown": "destroy",
    "actions_after_reboot": "restart",
    "actions_after_crash": "destroy",
    "HVM_boot_policy": "BIOS order",
    "generation_id": "0:0",
    "has_vendor_device": False,
    "domid": -1,
    "domain_type": "hvm",
}
"""What VMs were made of that came during a recording."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When an object was made and changed, as generations of the database."""

    created: int
    modified: int


@dataclass(frozen=True, slots=True)
class Setting:
    """The objects, and the generation of the database at which each of them was made."""

    image: PoolImage
    stamps: Mapping[tuple[str, str], Stamp]
    next_stamp: int

    def stamp(self, database: Database) -> None:
        """Give the rows of a pool that was built from the image the state they had.

        It has measured its memory and offered what may be done by then, as that one had not.
        """
        for cls, rows in self.image.tables.items():
            for ref, given in rows.items():
                database.row(cls, ref).record = {**database.record(cls, ref), **given}
        for (cls, ref), stamp in self.stamps.items():
            row = database.row(cls, ref)
            row.created, row.modified = stamp.created, stamp.modified
        for relation in relations():
            for ref in database.refs(relation.other_cls):
                row = database.row(relation.other_cls, ref)
                members = texts_of(row.record, relation.other_field)
                joined = [database.row(relation.cls, member).created for member in members]
                row.modified = max([row.modified, *joined])
        for table in database.hub.rows.tables.values():
            recent = sorted(table.rows, key=lambda ref: table.rows[ref].modified)
            table.recent = dict.fromkeys(recent)
        database.hub.rows.generation = self.next_stamp


def setting_of(folder: str, *, first: str, next_stamp: int) -> Setting:
    """Return what a folder shows; `first` is the exchange that lists all objects as events.

    Objects that were made since do not belong to it.
    """
    events = _events(next(item for item in read(folder) if item.name == first))
    tables: dict[str, dict[str, Record]] = {}
    stamps: dict[tuple[str, str], Stamp] = {}
    for event in events:
        cls, ref, stamp = _class(event), str(event["ref"]), int(str(event["id"]))
        if stamp < next_stamp:
            tables.setdefault(cls, {})[ref] = _record(cls, event["snapshot"])
            # What is no add to the empty token was there before the first write was counted.
            stamps[cls, ref] = Stamp(stamp if event["operation"] == "add" else 0, stamp)
    for item in read(folder):
        if _LISTING in item.name and "-json2-" in item.name:
            cls = item.name.rpartition("-")[2]
            listed = {ref: _record(cls, fields) for ref, fields in _result(item).items()}
            if cls not in ("task", "role", "session"):
                tables[cls] = listed
    image = PoolImage.of(cast("Tables", tables), source=folder)
    return Setting(image, stamps, next_stamp)


def _events(item: Exchange) -> list[Mapping[str, object]]:
    return cast("list[Mapping[str, object]]", _result(item)["events"])


def _result(item: Exchange) -> Mapping[str, object]:
    result = json.loads(item.reply.partition(b"\r\n\r\n")[2]).get("result", {})
    return cast("Mapping[str, object]", result)


def _class(event: Mapping[str, object]) -> str:
    cls = class_named(str(event["class"]))
    assert cls is not None, event["class"]
    return cls


def _record(cls: str, fields: object) -> Record:
    assert isinstance(fields, dict)
    known = model()[cls]
    return {
        name: DateTime(value) if name in known and known[name].type == "datetime" else _value(value)
        for name, value in fields.items()
    }


def _value(value: object) -> Value:
    return cast("Value", value)
