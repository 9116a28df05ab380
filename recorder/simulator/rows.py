"""Rows with their generations: what `event.from` compares a token with. Nothing is published here.

The generation counts every write of the pool. A write takes the next one and marks with it the
rows that it changes; two ends of a relation share one. What was deleted is remembered for a while.
"""

from collections.abc import Iterator

import msgspec

from .datamodel import TABLES, classes
from .values import Fault, Record

DELETED_MAX = 512
DELETED_KEPT = 257
"""xapi prunes the deletions of a class to the newest 257 when there are 512: silently."""
MESSAGES_DELETED_MAX = 1024
MESSAGES_DELETED_KEPT = 512

MESSAGE = "message"
"""Messages are files in xapi, not rows: they have add and del, and a count that is always 0."""


# A DateTime is its text; msgspec asks, for it does not know subclasses of str.
_ENCODER = msgspec.json.Encoder(enc_hook=str)


class Row:
    """One object. Its record is replaced, never changed; texts of it are made when first asked for.

    `xml` is for the encoder of XML-RPC to keep its text in; a new record empties it.
    """

    __slots__ = ("_json", "_record", "created", "modified", "xml")

    def __init__(self, record: Record, stamp: int) -> None:
        self._record = record
        self._json: bytes | None = None
        self.xml: bytes | None = None
        self.created = stamp
        self.modified = stamp

    @property
    def record(self) -> Record:
        """The fields in wire order; setting it drops the texts of the one before."""
        return self._record

    @record.setter
    def record(self, record: Record) -> None:
        self._record = record
        self._json = self.xml = None

    @property
    def json(self) -> bytes:
        """The record as JSON text, as get_record sends it."""
        if self._json is None:
            self._json = _ENCODER.encode(self._record)
        return self._json


class Deleted(msgspec.Struct, frozen=True):
    """One object that is gone."""

    ref: str
    created: int
    deleted: int


class Table(msgspec.Struct):
    """All objects of one class: in order of creation, and by time of the last change."""

    rows: dict[str, Row] = msgspec.field(default_factory=dict)
    recent: dict[str, None] = msgspec.field(default_factory=dict)
    deleted: list[Deleted] = msgspec.field(default_factory=list)


class Rows:
    """All tables of a pool and the generation of its database."""

    def __init__(self) -> None:
        self.tables = {cls: Table() for cls in classes()}
        self.other_counts: dict[str, int] = {}
        self.generation = 1

    def stamp(self) -> int:
        """Return the generation of the write that now begins."""
        stamp = self.generation
        self.generation += 1
        return stamp

    def row(self, cls: str, ref: str) -> Row:
        """Return a row. Fault HANDLE_INVALID [cls, ref]."""
        table = self.tables.get(cls)
        row = table.rows.get(ref) if table is not None else None
        if row is None:
            raise Fault("HANDLE_INVALID", cls, ref)
        return row

    def add(self, cls: str, ref: str, row: Row) -> None:
        """Add a row that carries its generations already."""
        table = self.tables[cls]
        assert ref not in table.rows, f"{cls} {ref} exists twice"
        table.rows[ref] = row
        table.recent[ref] = None

    def touch(self, cls: str, ref: str, stamp: int) -> Row:
        """Mark a row as changed by this write."""
        row = self.row(cls, ref)
        row.modified = stamp
        recent = self.tables[cls].recent
        del recent[ref]
        recent[ref] = None
        return row

    def remove(self, cls: str, ref: str, stamp: int) -> Row:
        """Remove a row and remember that it was there."""
        row = self.row(cls, ref)
        table = self.tables[cls]
        del table.rows[ref]
        del table.recent[ref]
        table.deleted.append(Deleted(ref, row.created, stamp))
        limit, kept = (
            (MESSAGES_DELETED_MAX, MESSAGES_DELETED_KEPT)
            if cls == MESSAGE
            else (DELETED_MAX, DELETED_KEPT)
        )
        if len(table.deleted) >= limit:
            del table.deleted[:-kept]
        return row

    def changed_since(self, cls: str, generation: int) -> Iterator[tuple[str, Row]]:
        """Yield the rows that changed after this generation, newest change first."""
        table = self.tables[cls]
        for ref in reversed(table.recent):
            row = table.rows[ref]
            if row.modified <= generation:
                return
            yield ref, row

    def deleted_since(self, cls: str, generation: int) -> Iterator[Deleted]:
        """Yield the remembered deletions after this generation, newest first."""
        for gone in reversed(self.tables[cls].deleted):
            if gone.deleted <= generation:
                return
            yield gone

    def counts(self) -> dict[str, int]:
        """Return the number of rows of every table by lower-case name, in wire order."""
        live = {cls.lower(): len(table.rows) for cls, table in self.tables.items()}
        live |= self.other_counts | {MESSAGE: 0}
        return {name: live.get(name, 0) for name in TABLES}

    def forget_history(self) -> None:
        """Do what loading the database at a start of xapi does: all rows look newly made."""
        stamp = self.stamp()
        for cls, table in self.tables.items():
            table.deleted.clear()
            if cls != MESSAGE:
                for row in table.rows.values():
                    row.created = row.modified = stamp
