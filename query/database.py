"""Opening the history file, and asking it typed questions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import duckdb
import msgspec

from .errors import BadSql, HistoryBusy, HistoryUnreadable

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
Params = Mapping[str, object]

_IN_USE = ("Could not set lock on file", "Unique file handle conflict", "different configuration")
"""What DuckDB says if another process, or another part of this one, has the file."""


class History:
    """An open history; `close` it, or use it as a context."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def table(self, sql: str, params: Params | None = None) -> "pa.Table":
        """Return the answer to a question as an Arrow table. Raises BadSql."""
        with _mapped():
            relation = self.connection.sql(sql, params=dict(params or {}))
            if relation is None:  # The stubs do not know statements without an answer.
                import pyarrow as pa  # type: ignore[unreachable]

                return pa.table({})
            return relation.to_arrow_table()

    def all(self, row: type[T], sql: str, params: Params | None = None) -> list[T]:
        """Return the rows of an answer, each as a `row`."""
        return msgspec.convert(self.table(sql, params).to_pylist(), list[row])  # type: ignore[valid-type]  # a type held in a variable

    def plain(self, sql: str, params: Params) -> list[tuple[object, ...]]:
        """Return the rows of an answer as they are, without loading Arrow, which takes a while.

        Raises BadSql, HistoryUnreadable.
        """
        with _mapped():
            return self.connection.execute(sql, dict(params)).fetchall()

    def first(self, row: type[T], sql: str, params: Params | None = None) -> T | None:
        """Return the first row of an answer, None if it is empty."""
        rows = self.all(row, sql, params)
        return rows[0] if rows else None


@contextmanager
def _mapped() -> Iterator[None]:
    """Tell what DuckDB raises as an error of ours."""
    try:
        yield
    except (duckdb.IOException, duckdb.SerializationException) as error:
        raise HistoryUnreadable(
            f"the history cannot be read: {_one_line(error)};"
            " it can be deleted, and is then built anew from the journal"
        ) from error
    except duckdb.Error as error:
        raise BadSql(_one_line(error)) from error
    except RuntimeError as error:
        # DuckDB notices Ctrl-C by itself, and tells it in its own way.
        if "interrupt" not in str(error).lower():
            raise
        raise KeyboardInterrupt from error


def history_file(data: Path, database: Path | None = None) -> Path:
    """Return where the history of a journal is kept."""
    return data / "history.duckdb" if database is None else database


def open_for_reading(path: Path) -> History:
    """Open a history that nothing can change through it: no table, no file, no setting.

    Raises HistoryBusy while another process writes, HistoryUnreadable for any other reason.
    """
    config = {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    history = _connect(path, read_only=True, config=config)
    history.connection.execute("SET lock_configuration = true")
    return history


def open_for_loading(path: Path) -> History:
    """Open a history to add to it, and create it if it is new. Raises as `open_for_reading`."""
    from .schema import statements  # with the types of bulk rows, which reading does not need

    history = _attach(path)
    tables = "SELECT count(*) FROM duckdb_tables()"
    if history.connection.execute(tables).fetchall() == [(0,)]:
        history.connection.execute(f"BEGIN; {statements()} COMMIT;")
    return history


def _connect(path: Path, *, read_only: bool, config: dict[str, str]) -> History:
    with _opening(path):
        connection = duckdb.connect(
            str(path), read_only=read_only, config={**config, "python_enable_replacements": "false"}
        )
    connection.execute("SET TimeZone = 'UTC'")
    return History(connection)


ROW_GROUP_ROWS = 4096
"""DuckDB compresses what fills a row group as it arrives, and writes the rest twice: first as it
is, into its own log. Rows of one object lie together within a batch of the loader, so that most of
its row groups need not be looked at for another. Measured with batches of 40,000, beside the
122,880 rows that are usual: loaded 3 times faster, with as many bytes."""
LOADER_MEMORY = "200MB"
"""Of pages that DuckDB keeps in mind while loading; the usual limit is 80 % of the machine."""
_LOADER: dict[str, str | bool | int | float | list[str]] = {
    "python_enable_replacements": "false",
    "memory_limit": LOADER_MEMORY,
    "threads": 1,  # More are no faster here, and each keeps its own row groups in mind.
}


def _attach(path: Path) -> History:
    connection = duckdb.connect(config=_LOADER)
    quoted = str(path).replace("'", "''")
    with _opening(path):
        connection.execute(f"ATTACH '{quoted}' AS history (ROW_GROUP_SIZE {ROW_GROUP_ROWS})")
    connection.execute("USE history; SET TimeZone = 'UTC'")
    return History(connection)


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """Tell why a file cannot be opened as an error of ours."""
    try:
        yield
    except duckdb.Error as error:
        if any(text in str(error) for text in _IN_USE):
            raise HistoryBusy(f"{path} is in use by another process; try again") from error
        raise HistoryUnreadable(
            f"{path} cannot be opened: {_one_line(error)};"
            " it can be deleted, and is then built anew from the journal"
        ) from error


def statement_count(sql: str) -> int:
    """Return how many statements a text holds. Raises BadSql if it is no SQL."""
    try:
        return len(duckdb.extract_statements(sql))
    except duckdb.Error as error:
        raise BadSql(_one_line(error)) from error


def _one_line(error: duckdb.Error) -> str:
    """Return what DuckDB says without its drawing of where."""
    lines = [line.strip() for line in str(error).splitlines()]
    kept = [line for line in lines if line and not line.startswith(("LINE ", "^"))]
    return " ".join(kept)


def insert(history: History, name: str, pieces: "pa.RecordBatchReader") -> None:
    """Add rows to a table of the history, in the order in which they come."""
    connection = history.connection
    connection.register("arriving", pieces)
    connection.execute(f"INSERT INTO {name} SELECT * FROM arriving")  # noqa: S608  # names are ours
    connection.unregister("arriving")


def insert_keyed(
    history: History,
    name: str,
    rows: "pa.Table",
    key: str,
    *,
    instead_of: "pa.Table | None" = None,
) -> None:
    """Add rows in place of those that have the same key, a list of columns.

    `instead_of` has the keys of the rows that go, if these are not only those that come.
    """
    connection = history.connection
    connection.register("going", rows if instead_of is None else instead_of)
    connection.execute(f"DELETE FROM {name} WHERE ({key}) IN (SELECT ({key}) FROM going)")  # noqa: S608  # names are ours
    connection.unregister("going")
    connection.register("arriving", rows)
    connection.execute(f"INSERT INTO {name} SELECT * FROM arriving")  # noqa: S608  # names are ours
    connection.unregister("arriving")
