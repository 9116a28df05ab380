"""Tables, views and answers of the history as files for other programs.

What is exported is streamed: a piece of it is held at a time, whatever its size. A file, or a
folder of files, is written beside its place and moved there when it is complete.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyarrow as pa

from recorder.instant import Instant

from .choices import ExportFormat
from .errors import BadSql, NoSuchTable, NotWritten
from .history.database import History, Params
from .questions.answers import one_statement, tables, unlike
from .questions.lacks import Lacks, lacks_between
from .questions.objects import check_pool
from .sinks import Partitions, Sink, sink_for

READ_ROWS_MAX = 2_048
PIECE_ROWS_MAX = 100_000
PIECE_BYTES_MAX = 32 * 1024 * 1024
"""What is written at once, a row group of Parquet: rows of events have 1 to 4 KiB."""
NOTES_FILE = "_export.json"
"""Beside the partitions: what is in them, and what it lacks. Readers skip names with `_`."""

_TIMES = (
    *(("received_at", "received_at"), ("since", "blind_until"), ("since", "until")),
    *(("since", "since"), ("first_at", "last_at"), ("began_at", "ended_at")),
    *(("created", "finished"), ("ended_at", "ended_at"), ("loaded_at", "loaded_at")),
)
_SEQS = (
    *(("seq", "closed_seq"), ("seq", "seq"), ("first_seq", "last_seq"), ("epoch", "epoch")),
    *(("since_seq", "until_seq"), ("ended_seq", "ended_seq")),
)
"""Columns in which a row begins and ends, the first pair that a table has; null: not over yet."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is exported: a table or view, or the answer to a query; None is no condition.

    Of a range it is the rows that touch it.
    """

    table: str | None = None
    sql: str | None = None
    since: Instant | None = None
    until: Instant | None = None
    pool: str | None = None


class Exported(msgspec.Struct, frozen=True):
    """How much was written, and what it may lack."""

    rows: int
    files: int
    lacks: Lacks


def export(
    history: History,
    wanted: Wanted,
    path: Path,
    form: ExportFormat,
    *,
    partition: bool = False,
    force: bool = False,
    spreadsheet_safe: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Exported:
    """Write what is wanted to a file, or with `partition` to a folder `pool=…/day=…`.

    `progress` is told how many rows are written. `spreadsheet_safe`: see `sinks.spreadsheet_text`.
    Raises NoSuchTable, NoSuchPool, BadSql, TooLarge, and NotWritten if something is there (unless
    `force`) or nothing can be written there.
    """
    check_pool(history, wanted.pool)
    ask, params = _question(history, wanted, partition=partition)
    lacks = lacks_between(history, wanted.since, wanted.until, pool=wanted.pool)
    notes = _notes(history, wanted, lacks)
    rows = 0
    with (
        _put_in_place(path, force=force) as draft,
        history.batches(ask, params, rows_max=READ_ROWS_MAX) as reader,
        _told_of_columns(),
    ):
        assert reader is not None, "a SELECT has an answer"
        with _sink(draft, reader.schema, form, notes, partition, spreadsheet_safe) as sink:
            for piece in _pieces(reader):
                sink.write(piece)
                rows += piece.num_rows
                progress(rows)
    return Exported(rows, sink.files, lacks)


@contextmanager
def _told_of_columns() -> Iterator[None]:
    """Tell what a format cannot hold as an error of the question."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        text = " ".join(str(error).split())
        raise BadSql(f"{text}: CAST the column to VARCHAR, or choose another --format") from error


def _sink(
    draft: Path,
    schema: pa.Schema,
    form: ExportFormat,
    notes: bytes,
    partition: bool,
    spreadsheet_safe: bool,
) -> Sink:
    def opened(file: Path, columns: pa.Schema) -> Sink:
        return sink_for(file, columns, form, notes=notes, spreadsheet_safe=spreadsheet_safe)

    if not partition:
        return opened(draft, schema)
    draft.mkdir()
    (draft / NOTES_FILE).write_bytes(notes + b"\n")
    return Partitions(draft, schema, form, opened)


# -- the question ------------------------------------------------------------------------------


def _question(history: History, wanted: Wanted, *, partition: bool) -> tuple[str, Params]:
    source, name = _source(history, wanted)
    columns = history.columns(f"FROM {source}")
    terms: list[str] = []
    params: dict[str, object] = {}
    if wanted.pool is not None:
        _check(("pool",), columns, name, "--pool")
        terms.append("pool = $pool")
        params["pool"] = wanted.pool
    for option, instant in (("since", wanted.since), ("until", wanted.until)):
        if instant is None:
            continue
        pairs = _TIMES if instant.seq is None else _SEQS
        begin, end = _pair(pairs, columns, name, f"--{option}")
        value = f"${option}" if instant.seq is not None else f"make_timestamptz(${option})"
        term = f"{end} >= {value}" if option == "since" else f"{begin} <= {value}"
        terms.append(f"coalesce({term}, true)")
        params[option] = instant.at_us if instant.seq is None else instant.seq
    shown = "*"
    if partition:
        _check(("pool",), columns, name, "--partition")
        begin, _ = _pair(_TIMES, columns, name, "--partition")
        if "day" in columns:
            raise BadSql(f"--partition makes a column day, which {name} has already: rename it")
        shown = f"*, CAST(CAST({begin} AS DATE) AS VARCHAR) AS day"
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    return f"SELECT {shown} FROM {source}{where}", params  # noqa: S608  # every value is a parameter


def _source(history: History, wanted: Wanted) -> tuple[str, str]:
    """Return what comes after FROM, and what to call it."""
    if wanted.sql is not None:
        statement = one_statement(wanted.sql)
        unlike(history.columns(statement))
        return f"(\n{statement}\n)", "the answer"
    assert wanted.table is not None, "either a table or a query is exported"
    names = [row.name for row in tables(history)]
    if wanted.table not in names:
        raise NoSuchTable(f"no table is called {wanted.table!r}; there are {', '.join(names)}")
    return f'"{wanted.table}"', wanted.table


def _check(wanted: Sequence[str], columns: Sequence[str], name: str, option: str) -> None:
    for column in wanted:
        if column not in columns:
            raise BadSql(f"{option} needs the column {column}, which {name} does not have")


def _pair(
    pairs: tuple[tuple[str, str], ...], columns: Sequence[str], name: str, option: str
) -> tuple[str, str]:
    for begin, end in pairs:
        if begin in columns and end in columns:
            return begin, end
    kinds = ", ".join(dict.fromkeys(begin for begin, _ in pairs))
    raise BadSql(f"{option} needs one of the columns {kinds}, which {name} does not have")


class _Position(msgspec.Struct):
    last_seq: int | None


def _notes(history: History, wanted: Wanted, lacks: Lacks) -> bytes:
    """Return as JSON what was exported, up to which entry, and what it may lack."""
    where = history.first(_Position, "SELECT max(last_seq) AS last_seq FROM loads")
    return msgspec.json.encode(
        {
            "table": wanted.table,
            "sql": wanted.sql,
            "pool": wanted.pool,
            "since": None if wanted.since is None else str(wanted.since),
            "until": None if wanted.until is None else str(wanted.until),
            "last_seq": where.last_seq if where is not None else None,
            **msgspec.to_builtins(lacks),
        }
    )


def _pieces(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in reader:
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= PIECE_ROWS_MAX or size >= PIECE_BYTES_MAX:
            yield pa.Table.from_batches(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held)


# -- the place ---------------------------------------------------------------------------------


@contextmanager
def _put_in_place(path: Path, *, force: bool) -> Iterator[Path]:
    """Yield where to write; what is there in the end is moved to `path`, or deleted on error."""
    _check_place(path, force=force)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        _check_place(path, force=force)
        _move(draft, path)
    except OSError as error:
        raise NotWritten(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        _delete(draft)


def _check_place(path: Path, *, force: bool) -> None:
    if not path.parent.is_dir():
        raise NotWritten(f"there is no folder {path.parent}: create it first")
    if not os.path.lexists(path):
        return
    if not force:
        raise NotWritten(f"{path} is there already; --force replaces it")
    if path.is_dir() and not (path / NOTES_FILE).is_file():
        raise NotWritten(f"{path} is a folder that no export wrote; nothing replaces it")


def _move(draft: Path, path: Path) -> None:
    """Move a complete draft to its place; a folder cannot be replaced in one step."""
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    if path.is_dir():
        path.rename(old)
    if not draft.is_dir() or not os.path.lexists(path) or path.is_dir():
        draft.replace(path)
    else:
        path.unlink()
        draft.rename(path)
    _sync_folder(path.parent)
    _delete(old)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _delete(draft: Path) -> None:
    if draft.is_dir():
        shutil.rmtree(draft)
    else:
        draft.unlink(missing_ok=True)
