"""Reads what `xe pool-dump-database` writes: XML with a table a class, a row an object.

Values are read by the types of the data model. What has happened to the model since is treated as
the server does when it loads an old database: new fields get their default (where the rows are
made), fields that are kept in memory only start empty, and fields of its own are not shown. The
rules that a real server runs once after an upgrade, which change values for good, are left out.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

import msgspec

from ..errors import ConfigError
from .datamodel import Field, class_named, fields
from .dump_values import BadText, guessed, unprotected, value_of
from .image import UNSERVED, PoolImage
from .relations import relations
from .values import Record

_CHUNK_BYTES = 65_536
_TAG_BYTES_MAX = 16 * 1024 * 1024
"""No row is longer: the parser would have to keep all of it. Real ones have some 10 KB."""
_ROWS_MAX = 1_000_000
"""The biggest pools have a tenth of it; each row costs some KB of memory."""
_GZIP = b"\x1f\x8b"

VOLATILE: Mapping[str, frozenset[str]] = {
    "host_cpu": frozenset({"utilisation"}),
    "host_metrics": frozenset({"memory_free"}),
    "PIF_metrics": frozenset({"io_read_kbs", "io_write_kbs"}),
    "VBD": frozenset({"metrics"}),
    "VIF": frozenset({"metrics"}),
    "VM_metrics": frozenset({"memory_actual", "VCPUs_utilisation"}),
}
"""Fields that the server keeps in memory only, by class: they start empty whatever a dump says."""

INTERNAL: Mapping[str, frozenset[str]] = {
    "console": frozenset({"port"}),
    "host": frozenset({"boot_free_mem"}),
    "host_crashdump": frozenset({"filename"}),
    "host_patch": frozenset({"filename_internal"}),
    "PCI": frozenset({"attached_VMs", "functions"}),
    "PIF": frozenset({"device_name"}),
    "pool": frozenset({"wlb_password"}),
    "pool_patch": frozenset({"filename_internal"}),
    "SR": frozenset({"default_vdi_visibility"}),
    "VBD": frozenset({"reserved"}),
    "VIF": frozenset({"reserved"}),
}
"""Fields of the database that the API never shows."""


class Dumped(msgspec.Struct, frozen=True):
    """What a dump holds; `left_out` has the tables with rows that no class stands for."""

    image: PoolImage
    left_out: Mapping[str, int]


def read_dump(path: Path) -> Dumped:
    """Read a dump. Raises ConfigError, which names file, line, table, row and field."""
    reader = _Reader(path)
    try:
        with path.open("rb") as file:
            reader.read(file)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    image = PoolImage.of(reader.tables, source=str(path), generation=reader.generation())
    return Dumped(image, reader.left_out)


class _Reader(msgspec.Struct):
    """Takes a dump tag by tag; what it has read is in `tables`, `manifest` and `left_out`."""

    path: Path
    tables: dict[str, dict[str, Record]] = msgspec.field(default_factory=dict)
    manifest: dict[str, str] = msgspec.field(default_factory=dict)
    left_out: dict[str, int] = msgspec.field(default_factory=dict)
    _rows: int = 0
    _open: list[str] = msgspec.field(default_factory=list)
    _table: str = ""
    _cls: str | None = None
    _where: str = ""

    def read(self, file: BinaryIO) -> None:
        """Take the whole file."""
        parser = self._parser()
        fed = 0
        with self._located(parser):
            while chunk := file.read(_CHUNK_BYTES):
                if not fed and chunk.startswith(_GZIP):
                    raise BadText("compressed; unpack it with gunzip first")
                parser.Parse(chunk)
                fed += len(chunk)
                if fed - parser.CurrentByteIndex > _TAG_BYTES_MAX:
                    raise BadText(f"no dump: a tag is longer than {_TAG_BYTES_MAX:,} bytes")
            parser.Parse(b"", True)

    def generation(self) -> int:
        """Return the generation of the dumped database. Raises ConfigError."""
        text = self.manifest.get("generation_count", "1")
        try:
            return max(1, int(text))
        except ValueError as error:
            raise ConfigError(f"{self.path}: generation_count {text!r} is no number") from error

    def _parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.ordered_attributes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._doctype
        return parser

    @contextmanager
    def _located(self, parser: expat.XMLParserType) -> Iterator[None]:
        """Say where a problem is: line, table, row and field."""
        try:
            yield
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise ConfigError(f"{self.path}, line {error.lineno}: no XML ({reason})") from error
        except BadText as error:
            line = f"line {parser.CurrentLineNumber}"
            place = ", ".join(part for part in (line, self._where) if part)
            raise ConfigError(f"{self.path}, {place}: {error}") from error

    def _doctype(self, *_about: object) -> None:
        # A dump has no document type. Refusing it refuses entities, which could grow without end.
        raise BadText("a document type, which no dump has")

    def _start(self, tag: str, attributes: list[str]) -> None:
        given = dict(zip(attributes[::2], attributes[1::2], strict=True))
        parent, self._where = self._open[-1] if self._open else "", self._table and self._where
        if _PARENTS.get(tag) != parent:
            raise BadText(f"no dump: <{tag}> in <{parent}>" if parent else f"no dump: <{tag}>")
        self._open.append(tag)
        if tag == "pair":
            self.manifest[given.get("key", "")] = given.get("value", "")
        elif tag == "table":
            self._begin_table(given.get("name", ""))
        elif tag == "row":
            self._take_row(given)

    def _end(self, tag: str) -> None:
        self._open.pop()
        if tag == "table":
            self._table = self._where = ""

    def _begin_table(self, name: str) -> None:
        self._table, self._where = name, f"table {name}"
        self._cls = class_named(name)
        if self._cls is not None:
            self.tables.setdefault(self._cls, {})

    def _take_row(self, given: Mapping[str, str]) -> None:
        if self._cls is None:
            self.left_out[self._table] = self.left_out.get(self._table, 0) + 1
            return
        if self._cls in UNSERVED:
            return
        ref = given.get("ref") or given.get("_ref", "")
        self._rows += 1
        if self._rows > _ROWS_MAX:
            raise BadText(f"more than {_ROWS_MAX:,} rows, which no pool has")
        row = f"table {self._table}, row {ref}"
        self._where = row
        if not ref or ref in self.tables[self._cls]:
            raise BadText("a row that is there twice" if ref else "a row without a reference")
        record: Record = {}
        for column, text in given.items():
            if column not in _MARKS:
                self._where = f"{row}, field {column}"
                _take_field(self._cls, record, column.replace("__", "_"), unprotected(text))
        self.tables[self._cls][ref] = record


_PARENTS = {"database": "", "manifest": "database", "pair": "manifest"} | {
    "table": "database",
    "row": "table",
}
_MARKS = frozenset({"ref", "_ref", "__ctime", "__mtime"})


@cache
def _mirrors(cls: str) -> frozenset[str]:
    """Return the sets that a server makes anew from their other side, whatever a dump says."""
    return frozenset(made.other_field for made in relations() if made.other_cls == cls)


def _take_field(cls: str, record: Record, name: str, text: str) -> None:
    """Put a field into a record, unless it is one that a server starts empty or never shows."""
    known: Field | None = fields(cls).get(name)
    if name in VOLATILE.get(cls, ()) or name in _mirrors(cls):
        return
    if known is None:
        if name not in INTERNAL.get(cls, ()):
            record[name] = guessed(text)
        return
    try:
        record[name] = value_of(known.type, text)
    except BadText as error:
        raise BadText(f"{text[:40]!r} is {error}") from None
