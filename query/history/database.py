"""Opening the history file, and asking it typed questions."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import duckdb
import msgspec

from ..errors import BadSql, HistoryBusy, HistoryUnreadable, TooLarge
from .interrupt import interruptible
from .jail import MEMORY_LIMIT, SPILL_LIMIT, lock, one_line, reading_config

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
Params = Mapping[str, object]

_IN_USE = ("Could not set lock on file", "Unique file handle conflict", "different configuration")
"""What DuckDB says if another process, or another part of this one, has the file."""


class History:
    """An open history; `close` it, or use it as a context.

    `stays` says that nothing can change it while it is open.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, stays: bool = False) -> None:
        self.connection = connection
        self._kept: dict[Hashable, object] | None = {} if stays else None

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    @contextmanager
    def one_answer(self) -> Iterator[None]:
        """Ask several questions inside; what it costs to heed Ctrl-C, 0.4 ms, is paid once."""
        with _mapped(self.connection):
            yield

    def once(self, about: Hashable, ask: Callable[[], T]) -> T:
        """Return what `ask` returns; of a history that stays it is asked only once.

        To plan a question takes DuckDB 0.5 ms and more, also where nothing is found. What is kept
        for `about` is always of one type, and must not be changed.
        """
        if self._kept is None:
            return ask()
        if about not in self._kept:
            self._kept[about] = ask()
        return cast(T, self._kept[about])

    def table(self, sql: str, params: Params | None = None) -> "pa.Table":
        """Return the answer to a question as an Arrow table. Raises BadSql."""
        with _mapped(self.connection):
            relation = self.connection.sql(sql, params=dict(params or {}))
            if relation is None:  # The stubs do not know statements without an answer.
                import pyarrow as pa  # type: ignore[unreachable]

                return pa.table({})
            return relation.to_arrow_table()

    def columns(self, sql: str) -> list[str]:
        """Return the names of the columns that an answer would have. Raises BadSql."""
        with _mapped(self.connection):
            return self.connection.sql(sql).columns

    @contextmanager
    def batches(
        self, sql: str, params: Params | None = None, *, rows_max: int
    ) -> "Iterator[pa.RecordBatchReader | None]":
        """Ask, and read the answer piece by piece, of at most `rows_max` rows, while it comes.

        None for a statement that has no answer. Raises BadSql, TooLarge, also while it is read.
        """
        with _mapped(self.connection):
            relation = self.connection.sql(sql, params=dict(params or {}))
            if relation is None:  # The stubs do not know statements without an answer.
                yield None  # type: ignore[unreachable]
            else:
                # An answer that is not closed keeps the file from being opened anew.
                with relation.to_arrow_reader(rows_max) as reader:
                    yield reader

    def all(self, row: type[T], sql: str, params: Params | None = None) -> list[T]:
        """Return the rows of an answer, each as a `row`."""
        return msgspec.convert(self.table(sql, params).to_pylist(), list[row])  # type: ignore[valid-type]  # a type held in a variable

    def plain(self, sql: str, params: Params) -> list[tuple[object, ...]]:
        """Return the rows of an answer as they are, without loading Arrow, which takes a while.

        Raises BadSql, HistoryUnreadable.
        """
        with _mapped(self.connection):
            return self.connection.execute(sql, dict(params)).fetchall()

    def first(self, row: type[T], sql: str, params: Params | None = None) -> T | None:
        """Return the first row of an answer, None if it is empty."""
        rows = self.all(row, sql, params)
        return rows[0] if rows else None


@contextmanager
def _mapped(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Tell what DuckDB raises as an error of ours; Ctrl-C is KeyboardInterrupt."""
    try:
        with interruptible(connection):
            yield
    except duckdb.InterruptException as error:
        raise KeyboardInterrupt from error
    except duckdb.OutOfMemoryException as error:
        raise TooLarge(
            f"the question needs more than the {MEMORY_LIMIT} of memory and {SPILL_LIMIT} of disk"
            " that it may have: narrow it down with WHERE, or join on a column"
        ) from error
    except (duckdb.IOException, duckdb.SerializationException) as error:
        raise HistoryUnreadable(
            f"the history cannot be read: {one_line(error)};"
            " it can be deleted, and is then built anew from the journal"
        ) from error
    except duckdb.Error as error:
        raise BadSql(one_line(error)) from error
    except RuntimeError as error:
        # DuckDB may notice Ctrl-C by itself, and tells it in its own way.
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
    with _opening(path):
        connection = duckdb.connect(
            str(path),
            read_only=True,
            config={**reading_config(path), "python_enable_replacements": "false"},
        )
    lock(connection)
    # DuckDB lets nobody write a file that somebody reads.
    return History(connection, stays=True)


def open_for_loading(path: Path) -> History:
    """Open a history to add to it, and create it if it is new. Raises as `open_for_reading`."""
    history = _attach(path)
    tables = "SELECT count(*) FROM duckdb_tables()"
    if history.connection.execute(tables).fetchall() == [(0,)]:
        _create(history)
    return history


def _create(history: History) -> None:
    """Create the tables and views, and tell DuckDB what each of their columns says."""
    from .schema import described, statements

    sql = statements()
    history.connection.execute(f"BEGIN; {sql}")
    there = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal"
    columns = set(history.connection.execute(there).fetchall())
    comments = [
        f"COMMENT ON {one.kind} {one.name} IS {_quoted(one.text)};" for one in described(sql)
    ] + [
        f'COMMENT ON COLUMN {one.name}."{column}" IS {_quoted(text)};'
        for one in described(sql)
        for column, text in one.columns.items()
        if (one.name, column) in columns
    ]
    history.connection.execute(f"{''.join(comments)} COMMIT")


def _quoted(text: str) -> str:
    """Return text of ours as a string of SQL; COMMENT takes no parameters."""
    return "'" + text.replace("'", "''") + "'"


ROW_GROUP_ROWS = 4096
"""DuckDB compresses what fills a row group as it arrives, and writes the rest twice: first as it
is, into its own log. Rows of one object lie together within a batch of the loader, so that most of
its row groups need not be looked at for another. Measured with batches of 40,000, beside the
122,880 rows that are usual: loaded 3 times faster, with as many bytes."""


def _attach(path: Path) -> History:
    config: dict[str, str | bool | int | float | list[str]] = {
        "python_enable_replacements": "false",
        "temp_directory": f"{path}.tmp",
        "threads": 1,  # More are no faster here, and each keeps its own row groups in mind.
        # A row group is written when it is full. Measured: five of them, as usual, take up to 77 MB
        # more and no less time, and what is asked later is found as soon.
        "write_buffer_row_group_count": 1,
    }
    connection = duckdb.connect(config=config)
    quoted = str(path).replace("'", "''")
    with _opening(path):
        connection.execute(f"ATTACH '{quoted}' AS history (ROW_GROUP_SIZE {ROW_GROUP_ROWS})")
    connection.execute("USE history; SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    return History(connection)


@contextmanager
def transaction(history: History) -> Iterator[None]:
    """All that is written inside is there afterwards, or nothing.

    Raises HistoryUnreadable if DuckDB cannot write it, KeyboardInterrupt for Ctrl-C.
    """
    try:
        history.connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            history.connection.execute("ROLLBACK")
            raise
        history.connection.execute("COMMIT")  # What fails here is rolled back already.
    except duckdb.Error as error:
        if "KeyboardInterrupt" in str(error):  # It came while DuckDB had rows made by us.
            raise KeyboardInterrupt from error
        raise HistoryUnreadable(
            f"the history cannot be written: {one_line(error)}; what was loaded before is in it"
        ) from error


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """Tell why a file cannot be opened as an error of ours."""
    try:
        yield
    except duckdb.Error as error:
        if any(text in str(error) for text in _IN_USE):
            raise HistoryBusy(f"{path} is in use by another process; try again") from error
        raise HistoryUnreadable(
            f"{path} cannot be opened: {one_line(error)};"
            " it can be deleted, and is then built anew from the journal"
        ) from error


def insert(history: History, name: str, rows: "pa.Table | pa.RecordBatchReader") -> None:
    """Add rows to a table of the history, in the order in which they come."""
    connection = history.connection
    connection.register("arriving", rows)
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
