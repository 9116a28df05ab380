"""Writers of exported files: Parquet, CSV and JSON lines, one file or partitions of many."""

import io
import os
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from .choices import ExportFormat
from .questions.answers import plain_rows
from .records import Json
from .render.output import cell_text, csv_writer

OPEN_FILES_MAX = 128
"""Of partitions; the limit of a process is usually 1,024. A partition goes on in another part."""
NOTES_KEY = b"xentrail"
"""Under which the metadata of a Parquet file say what is in it, and what it lacks, as JSON."""
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
PARTITION_COLUMNS = ("pool", "day")
_FORMULA = (*"=+-@\t\r\n'", *"\uff1d\uff0b\uff0d\uff20")
"""What text must not begin with in a spreadsheet; the last four are the first in full width."""


class Sink(AbstractContextManager["Sink"]):
    """Takes pieces of a table; what it wrote is on the disk when it is closed."""

    files = 1

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def write(self, piece: pa.Table) -> None:
        """Add the rows of a piece."""

    @abstractmethod
    def close(self) -> None:
        """Bring everything to the disk."""


def sink_for(
    path: Path, schema: pa.Schema, form: ExportFormat, *, notes: bytes, spreadsheet_safe: bool
) -> Sink:
    """Create a file; `notes` go into the metadata of Parquet, which alone has a place for them."""
    match form:
        case ExportFormat.PARQUET:
            return _Parquet(path, schema, notes)
        case ExportFormat.CSV:
            return _Csv(path, schema.names, spreadsheet_safe)
        case ExportFormat.JSONL:
            return _JsonLines(path)


class _Parquet(Sink):
    def __init__(self, path: Path, schema: pa.Schema, notes: bytes) -> None:
        self._schema = schema.with_metadata({NOTES_KEY: notes})
        self._file = path.open("xb")
        try:
            self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        except BaseException:
            self._file.close()
            raise

    def write(self, piece: pa.Table) -> None:
        self._writer.write_table(piece.replace_schema_metadata(self._schema.metadata))

    def close(self) -> None:
        self._writer.close()
        _sync(self._file)


class _Csv(Sink):
    def __init__(self, path: Path, names: Sequence[str], spreadsheet_safe: bool) -> None:
        self._file = path.open("x", encoding="utf-8", newline="")
        self._write = csv_writer(self._file)
        self._text = spreadsheet_text if spreadsheet_safe else cell_text
        self._write([self._text(name) for name in names])

    def write(self, piece: pa.Table) -> None:
        for batch in piece.to_batches():
            for row in plain_rows(batch):
                self._write([self._text(value) for value in row.values()])

    def close(self) -> None:
        _sync(self._file)


class _JsonLines(Sink):
    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")

    def write(self, piece: pa.Table) -> None:
        encode = msgspec.json.Encoder().encode_lines
        for batch in piece.to_batches():
            self._file.write(encode(list(plain_rows(batch))))

    def close(self) -> None:
        _sync(self._file)


def _sync(file: io.IOBase) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


def spreadsheet_text(value: Json) -> str:
    """Return the text of a cell that no spreadsheet takes for a formula.

    Text that begins like one gets an apostrophe in front, and so does text that begins with an
    apostrophe: who takes one apostrophe off has exactly the value. Numbers stay as they are.
    """
    text = cell_text(value)
    return f"'{text}" if isinstance(value, str) and value.startswith(_FORMULA) else text


# -- partitions --------------------------------------------------------------------------------

Opened = Callable[[Path, pa.Schema], Sink]


class Partitions(Sink):
    """A folder `pool=…/day=…` of files; the columns that name a folder are not in its files.

    Rows mostly come in the order of time. So few partitions are written at a time, and a partition
    whose file had to be closed goes on in another one.
    """

    def __init__(self, folder: Path, schema: pa.Schema, form: ExportFormat, opened: Opened) -> None:
        self._folder = folder
        self._suffix = form.value
        self._opened = opened
        kept = [name for name in schema.names if name not in PARTITION_COLUMNS]
        self._schema = pa.schema([schema.field(name) for name in kept])
        self._open: OrderedDict[str, Sink] = OrderedDict()
        self.files = 0

    def write(self, piece: pa.Table) -> None:
        keys = zip(*(piece.column(name).to_pylist() for name in PARTITION_COLUMNS), strict=True)
        places: dict[tuple[str | None, ...], list[int]] = {}
        for index, key in enumerate(keys):
            places.setdefault(key, []).append(index)
        bare = piece.select(self._schema.names)
        for key, indices in places.items():
            self._sink(partition_path(key)).write(bare.take(pa.array(indices)))

    def _sink(self, place: str) -> Sink:
        sink = self._open.pop(place, None)
        if sink is None:
            if len(self._open) >= OPEN_FILES_MAX:
                self._open.popitem(last=False)[1].close()
            folder = self._folder / place
            folder.mkdir(parents=True, exist_ok=True)
            part = sum(1 for _ in folder.iterdir())
            sink = self._opened(folder / f"part-{part}.{self._suffix}", self._schema)
            self.files += 1
        self._open[place] = sink
        return sink

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


def partition_path(key: Sequence[str | None]) -> str:
    """Return the folder of a partition; whatever a pool is called, it stays inside."""
    parts = zip(PARTITION_COLUMNS, map(_folder_text, key), strict=True)
    return "/".join(f"{name}={value}" for name, value in parts)


def _folder_text(value: str | None) -> str:
    if value is None:
        return NO_VALUE
    escaped = quote(value, safe="")
    return escaped.replace("_", "%5F") if escaped == NO_VALUE else escaped
