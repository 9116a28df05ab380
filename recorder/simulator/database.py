"""The rows of a pool, kept consistent on both ends of every relation. Every change is an event."""

import random
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

import msgspec

from .datamodel import blank
from .events import EventHub
from .rows import MESSAGE, Row
from .truth import Change
from .values import NULL_REF, Record, Value, text_of, texts_of


class _Relation(NamedTuple):
    """A reference field, and the set on the other side that mirrors it."""

    field: str
    other_cls: str
    other_field: str


class _End(NamedTuple):
    """The row on the other side of a relation."""

    cls: str
    ref: str


_RELATIONS: Mapping[str, tuple[_Relation, ...]] = {
    "VM": (
        _Relation("resident_on", "host", "resident_VMs"),
        _Relation("snapshot_of", "VM", "snapshots"),
        _Relation("parent", "VM", "children"),
    ),
    "VBD": (_Relation("VM", "VM", "VBDs"), _Relation("VDI", "VDI", "VBDs")),
    "VIF": (_Relation("network", "network", "VIFs"), _Relation("VM", "VM", "VIFs")),
    "VDI": (_Relation("SR", "SR", "VDIs"), _Relation("snapshot_of", "VDI", "snapshots")),
    "PBD": (_Relation("host", "host", "PBDs"), _Relation("SR", "SR", "PBDs")),
    "PIF": (_Relation("network", "network", "PIFs"), _Relation("host", "host", "PIFs")),
    "console": (_Relation("VM", "VM", "consoles"),),
    "task": (_Relation("subtask_of", "task", "subtasks"),),
}
"""By class, in the order in which xapi tells of them: that of the fields in the record."""

_RELATION_OF_FIELD = {
    (cls, relation.field): relation for cls, found in _RELATIONS.items() for relation in found
}
# A DateTime is its text; msgspec asks, for it does not know subclasses of str.
_ENCODER = msgspec.json.Encoder(enc_hook=str)


class Database:
    """All objects of one pool, by class and reference.

    `other_counts` holds live counts of tables without rows here (lower-case name, for
    `valid_ref_counts`): whoever keeps the sessions sets other_counts['session'].
    """

    def __init__(self, *, now_s: Callable[[], float], rng: random.Random, hub: EventHub) -> None:
        """`rng` makes uuids and references: the same seed and calls give the same ones."""
        self.now_s = now_s
        self.hub = hub
        self.other_counts = hub.rows.other_counts
        self._rows = hub.rows
        self._rng = rng

    def create(self, cls: str, fields: Mapping[str, Value], ref: str | None = None) -> str:
        """Add a row and return its reference; fields that are not given get their default."""
        record = blank(cls)
        record["uuid"] = self.new_uuid()
        for name, value in fields.items():
            assert name in record, f"{cls} has no field {name}"
            record[name] = value
        own_ref = f"OpaqueRef:{self.new_uuid()}" if ref is None else ref
        stamp = self._rows.stamp()
        row = Row(record, _ENCODER.encode(record), stamp, stamp)
        self._rows.add(cls, own_ref, row)
        joined = [
            self._join(relation, own_ref, record, stamp) for relation in _RELATIONS.get(cls, ())
        ]
        self.hub.publish(cls, "add", own_ref, row)
        self._publish_others(joined)
        return own_ref

    def write(self, cls: str, ref: str, field: str, value: Value) -> None:
        """Set one field; nothing happens if it is equal. Fault HANDLE_INVALID [cls, ref]."""
        assert cls != MESSAGE, "a message never changes"
        row = self._rows.row(cls, ref)
        old = row.record[field]
        if old == value and type(old) is type(value):
            return
        stamp = self._rows.stamp()
        relation = _RELATION_OF_FIELD.get((cls, field))
        left = self._leave(relation, ref, row.record, stamp) if relation else None
        self._set(cls, ref, field, value, stamp)
        joined = self._join(relation, ref, row.record, stamp) if relation else None
        self._publish_others([left])
        self.hub.publish(cls, "mod", ref, row)
        self._publish_others([joined])

    def delete(self, cls: str, ref: str) -> None:
        """Remove a row. Fault HANDLE_INVALID [cls, ref]."""
        stamp = self._rows.stamp()
        row = self._rows.remove(cls, ref, stamp)
        left = [
            self._leave(relation, ref, row.record, stamp) for relation in _RELATIONS.get(cls, ())
        ]
        self.hub.publish(cls, "del", ref, row)
        self._publish_others(left)

    def record(self, cls: str, ref: str) -> Record:
        """Return a row as get_record sends it (a copy). Fault HANDLE_INVALID [cls, ref]."""
        return dict(self._rows.row(cls, ref).record)

    def json(self, cls: str, ref: str) -> bytes:
        """Return a row as JSON text, as get_record sends it. Fault HANDLE_INVALID [cls, ref]."""
        return self._rows.row(cls, ref).json

    def exists(self, cls: str, ref: str) -> bool:
        """Say whether there is such a row."""
        table = self._rows.tables.get(cls)
        return table is not None and ref in table.rows

    def refs(self, cls: str) -> list[str]:
        """Return the references of all rows of a class, oldest first."""
        return list(self._rows.tables[cls].rows)

    def find(self, cls: str, field: str, value: Value) -> list[str]:
        """Return the references of the rows with this value in a field, oldest first."""
        rows = self._rows.tables[cls].rows
        return [ref for ref, row in rows.items() if row.record[field] == value]

    def row_counts(self) -> dict[str, int]:
        """Return `valid_ref_counts`: all tables in wire order (message is always 0)."""
        return self._rows.counts()

    def forget_tasks(self) -> None:
        """Lose all tasks and all history, as a restart of xapi does: nobody hears of it."""
        for task in self.refs("task"):
            row = self._rows.remove("task", task, self._rows.stamp())
            change = Change(self.now_s(), None, "task", "del", task, row.json)
            self.hub.truth.append(change)
        self._rows.forget_history()

    def new_uuid(self) -> str:
        """Return a random uuid of the pool's own seed."""
        return str(UUID(int=self._rng.getrandbits(128), version=4))

    def _set(self, cls: str, ref: str, field: str, value: Value, stamp: int) -> None:
        row = self._rows.touch(cls, ref, stamp)
        row.record = {**row.record, field: value}
        row.json = _ENCODER.encode(row.record)

    def _join(self, relation: _Relation, ref: str, record: Record, stamp: int) -> _End | None:
        """Put the newcomer first into the set on the other side, as xapi does."""
        other = _End(relation.other_cls, text_of(record, relation.field))
        if other.ref == NULL_REF or not self.exists(*other):
            return None
        members = texts_of(self._rows.row(*other).record, relation.other_field)
        self._set(*other, relation.other_field, [ref, *members], stamp)
        return other

    def _leave(self, relation: _Relation, ref: str, record: Record, stamp: int) -> _End | None:
        other = _End(relation.other_cls, text_of(record, relation.field))
        if other.ref == NULL_REF or not self.exists(*other):
            return None
        members = texts_of(self._rows.row(*other).record, relation.other_field)
        self._set(
            *other, relation.other_field, [member for member in members if member != ref], stamp
        )
        return other

    def _publish_others(self, ends: Iterable[_End | None]) -> None:
        for end in ends:
            if end is not None:
                self.hub.publish(end.cls, "mod", end.ref, self._rows.row(*end))
