"""The rows of a pool, kept consistent on both ends of every relation. Every change is an event."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from .datamodel import blank
from .events import EventHub
from .plaintext import is_plain, plain
from .relations import Relation, relations, relations_of
from .rows import MESSAGE, Row
from .truth import Change
from .values import NULL_REF, Fault, Record, Value, text_of, texts_of


class _End(NamedTuple):
    """The row on the other side of a relation."""

    cls: str
    ref: str


class Database:
    """All objects of one pool, by class and reference.

    `other_counts` holds live counts of tables without rows here (lower-case name, for
    `valid_ref_counts`).
    """

    def __init__(self, *, now_s: Callable[[], float], rng: random.Random, hub: EventHub) -> None:
        """`rng` makes uuids and references: the same seed and calls give the same ones."""
        self.now_s = now_s
        self.hub = hub
        self.other_counts = hub.rows.other_counts
        self._rows = hub.rows
        self._rng = rng
        self._building = False

    @contextmanager
    def building(self) -> Iterator[None]:
        """Fill the database without an event: sets on other sides are made in the end, at once.

        Until then they are as they were given, which is empty for new objects.
        """
        self._building = True
        try:
            yield
        finally:
            self._building = False
        self._mirror_all()

    def create(
        self,
        cls: str,
        fields: Mapping[str, Value],
        ref: str | None = None,
        *,
        extra: bool = False,
    ) -> str:
        """Add a row and return its reference; fields that are not given get their default.

        Text is cut where XML could not carry it. `extra` lets in fields that the class does not
        have: they follow the others.
        """
        record = blank(cls)
        if "uuid" not in fields:
            record["uuid"] = self.new_uuid()
        for name, value in fields.items():
            assert extra or name in record, f"{cls} has no field {name}"
            record[name] = value if self._building else plain(value)
        own_ref = f"OpaqueRef:{self.new_uuid()}" if ref is None else ref
        stamp = self._rows.stamp()
        row = Row(record, stamp)
        self._rows.add(cls, own_ref, row)
        if self._building:
            return own_ref
        joined = [
            end
            for relation in relations_of(cls).values()
            for end in self._join(relation, own_ref, _targets(relation, record), stamp)
        ]
        self.hub.publish(cls, "add", own_ref, row)
        self._publish_others(joined)
        return own_ref

    def write(self, cls: str, ref: str, field: str, value: Value) -> None:
        """Set one field; nothing happens if it is equal.

        Raises Fault HANDLE_INVALID [cls, ref], or INTERNAL_ERROR for text that XML cannot carry.
        """
        assert cls != MESSAGE, "a message never changes"
        row = self._rows.row(cls, ref)
        old = row.record[field]
        if old == value and type(old) is type(value):
            return
        if not is_plain(value):
            raise Fault("INTERNAL_ERROR", "Db_exn.Invalid_value")
        stamp = self._rows.stamp()
        relation = None if self._building else relations_of(cls).get(field)
        before = _targets(relation, row.record) if relation else []
        self._set(cls, ref, field, value, stamp)
        if self._building:
            return
        left: list[_End] = []
        joined: list[_End] = []
        if relation:
            after = _targets(relation, row.record)
            left = self._leave(relation, ref, _without(before, after), stamp)
            joined = self._join(relation, ref, _without(after, before), stamp)
        self._publish_others(left)
        self.hub.publish(cls, "mod", ref, row)
        self._publish_others(joined)

    def delete(self, cls: str, ref: str) -> None:
        """Remove a row. Fault HANDLE_INVALID [cls, ref]."""
        stamp = self._rows.stamp()
        row = self._rows.remove(cls, ref, stamp)
        left = [
            end
            for relation in relations_of(cls).values()
            for end in self._leave(relation, ref, _targets(relation, row.record), stamp)
        ]
        self.hub.publish(cls, "del", ref, row)
        self._publish_others(left)

    def record(self, cls: str, ref: str) -> Record:
        """Return a row as get_record sends it (a copy). Fault HANDLE_INVALID [cls, ref]."""
        return dict(self._rows.row(cls, ref).record)

    def field(self, cls: str, ref: str, field: str) -> Value:
        """Return one field, not to be changed in place. Fault HANDLE_INVALID [cls, ref]."""
        return self._rows.row(cls, ref).record[field]

    def row(self, cls: str, ref: str) -> Row:
        """Return a row itself, for encoders. Fault HANDLE_INVALID [cls, ref]."""
        return self._rows.row(cls, ref)

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

    def _join(self, relation: Relation, ref: str, targets: Iterable[str], stamp: int) -> list[_End]:
        """Put the newcomer first into the sets on the other side, as xapi does."""
        ends = self._ends(relation, targets)
        for end in ends:
            members = self._members(end, relation)
            if ref not in members:
                self._set(*end, relation.other_field, [ref, *members], stamp)
        return ends

    def _leave(
        self, relation: Relation, ref: str, targets: Iterable[str], stamp: int
    ) -> list[_End]:
        ends = self._ends(relation, targets)
        for end in ends:
            left = [member for member in self._members(end, relation) if member != ref]
            self._set(*end, relation.other_field, [*left], stamp)
        return ends

    def _ends(self, relation: Relation, targets: Iterable[str]) -> list[_End]:
        cls = relation.other_cls
        return [_End(cls, target) for target in targets if self.exists(cls, target)]

    def _members(self, end: _End, relation: Relation) -> list[str]:
        return texts_of(self._rows.row(*end).record, relation.other_field)

    def _mirror_all(self) -> None:
        """Make every set on the other side anew: the youngest first, as if they had just come."""
        for relation in relations():
            members: dict[str, list[Value]] = {ref: [] for ref in self.refs(relation.other_cls)}
            for ref in reversed(self.refs(relation.cls)):
                for target in _targets(relation, self._rows.row(relation.cls, ref).record):
                    if target in members:
                        members[target].append(ref)
            for ref, refs in members.items():
                row = self._rows.row(relation.other_cls, ref)
                if row.record[relation.other_field] != refs:
                    row.record = {**row.record, relation.other_field: refs}

    def _publish_others(self, ends: Iterable[_End]) -> None:
        for end in ends:
            self.hub.publish(end.cls, "mod", end.ref, self._rows.row(*end))


def _targets(relation: Relation, record: Record) -> list[str]:
    """Return the references that a record holds in the field of a relation."""
    if relation.many:
        return texts_of(record, relation.field)
    ref = text_of(record, relation.field)
    return [] if ref == NULL_REF else [ref]


def _without(refs: list[str], others: list[str]) -> list[str]:
    return [ref for ref in refs if ref not in others]
