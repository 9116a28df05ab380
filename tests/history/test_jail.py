"""The jail: whoever asks the history reads it, and can do nothing else."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from query.errors import BadSql, TooLarge
from query.history.database import History, open_for_reading
from query.history.jail import reading_config, statements_of
from query.questions.answers import asked, one_statement
from tests.history.journals import Pool, Told, loaded, record

FILES = """
SELECT * FROM read_csv('{secret}')
SELECT * FROM '{secret}'
SELECT * FROM read_text('{secret}')
SELECT * FROM read_blob('{secret}')
SELECT * FROM read_text(['{secret}'])
SELECT * FROM read_text('file://{secret}')
SELECT * FROM read_json('{secret}')
SELECT * FROM read_parquet('{secret}')
SELECT * FROM read_duckdb('{other}')
SELECT * FROM parquet_metadata('{secret}')
SELECT * FROM sniff_csv('{secret}')
SELECT * FROM glob('{folder}/*')
SELECT * FROM read_text('/dev/stdin')
SELECT * FROM read_csv('https://127.0.0.1:9/x.csv')
SELECT * FROM read_csv('s3://bucket/x.csv')
SELECT * FROM query('SELECT * FROM read_text(''{secret}'')')
SELECT * FROM query_table('{secret}')
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{secret}'')'))
EXPLAIN ANALYZE SELECT * FROM read_text('{secret}')
EXPLAIN ANALYZE COPY marks TO '{folder}/out.csv'
DESCRIBE SELECT * FROM read_csv('{secret}')
SUMMARIZE SELECT * FROM read_text('{secret}')
SELECT getenv('HOME')
SELECT * FROM history
PRAGMA enable_profiling
PRAGMA enable_logging
PRAGMA memory_limit='1TB'
PRAGMA profiling_output='{folder}/out.csv'
IMPORT DATABASE '{folder}'
COPY FROM DATABASE history TO memory
"""
"""What asks, and is refused by the configuration."""

DEEDS = """
COPY marks TO '{folder}/out.csv'
COPY (SELECT 1) TO '/dev/stdout'
COPY marks FROM '{secret}'
EXPORT DATABASE '{folder}/out.csv'
ATTACH '{other}'
ATTACH '{folder}/out.csv' AS new
ATTACH ':memory:' AS elsewhere
DETACH history
USE memory
INSTALL httpfs
FORCE INSTALL httpfs
LOAD httpfs
LOAD '{folder}/evil.duckdb_extension'
SET enable_external_access = true
SET allowed_directories = ['{folder}']
SET lock_configuration = false
RESET lock_configuration
SET memory_limit = '1TB'
RESET memory_limit
SET temp_directory = '{folder}'
SET GLOBAL threads = 100
SET TimeZone = 'Europe/Berlin'
CALL enable_logging(storage = 'file', storage_path = '{folder}/out.csv')
CREATE PERSISTENT SECRET s (TYPE http)
CREATE VIEW files AS SELECT * FROM read_text('{secret}')
CREATE TEMP VIEW files AS SELECT * FROM read_text('{secret}')
CREATE TEMP TABLE files AS SELECT * FROM read_text('{secret}')
CREATE MACRO files() AS 1
CREATE TABLE new (a INTEGER)
INSERT INTO marks (seq) VALUES (1)
WITH gone AS (SELECT 1) DELETE FROM marks
UPDATE marks SET seq = 0
DROP TABLE marks
ALTER TABLE marks ADD COLUMN a INTEGER
COMMENT ON TABLE marks IS 'mine'
"""
"""What does something, and is refused by either wall alone."""

HARMLESS = """
CREATE TEMP TABLE mine AS SELECT 1
CREATE TEMP MACRO mine() AS 1
PREPARE mine AS SELECT 1
SET VARIABLE mine = 1
BEGIN
CHECKPOINT
CALL pragma_version()
UPDATE EXTENSIONS
"""
"""What would be over with the connection, or do nothing: refused because it is no question."""


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.event("add", "vm", "web1", record("web1"))
    folder = tmp_path_factory.mktemp("jail")
    path = folder / "history.duckdb"
    loaded(path, told.entries).close()
    (folder / "secret.csv").write_text("secret\n1\n", encoding="utf-8")
    duckdb.connect(str(folder / "other.duckdb")).close()
    return path


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    with open_for_reading(path) as history:
        yield history


def aimed(statement: str, path: Path) -> str:
    """Aim a statement at files that are there."""
    folder = path.parent
    return statement.format(
        folder=folder, secret=folder / "secret.csv", other=folder / "other.duckdb"
    )


def nothing_happened(path: Path) -> bool:
    names = {one.name for one in path.parent.iterdir()} - {"history.duckdb.tmp"}
    return names == {"history.duckdb", "secret.csv", "other.duckdb"}


@pytest.mark.parametrize("statement", lines(FILES) + lines(DEEDS))
def test_connection_reaches_nothing_but_the_history(
    history: History, path: Path, statement: str
) -> None:
    """The wall of the configuration, which holds for notebooks, too."""
    with pytest.raises(duckdb.Error) as caught:
        history.connection.execute(aimed(statement, path)).fetchall()
    assert "secret\n1" not in str(caught.value)
    assert nothing_happened(path)
    assert history.connection.execute("SELECT count(*) FROM marks").fetchall() == [(2,)]


@pytest.mark.parametrize("statement", lines(FILES) + lines(DEEDS) + lines(HARMLESS))
def test_question_does_nothing_but_ask(history: History, path: Path, statement: str) -> None:
    """Both walls: one line says that it is refused."""
    with pytest.raises(BadSql) as caught, asked(history, aimed(statement, path)) as told:
        list(told.rows)
    assert "\n" not in str(caught.value)
    assert nothing_happened(path)


@pytest.mark.parametrize("statement", lines(DEEDS) + lines(HARMLESS))
def test_second_wall_needs_no_connection(statement: str, path: Path) -> None:
    """What is no question is not even put to DuckDB."""
    with pytest.raises(BadSql, match="the history can only be asked"):
        statements_of(aimed(statement, path))


def test_execute_of_what_was_prepared_is_in_the_jail(history: History, path: Path) -> None:
    """A value that comes later is checked when it comes."""
    history.connection.execute("PREPARE later AS SELECT * FROM read_text(?)")
    with pytest.raises(duckdb.Error, match="disabled by configuration"):
        history.connection.execute(f"EXECUTE later('{path.parent}/secret.csv')")
    history.connection.execute("CREATE TEMP MACRO later(p) AS TABLE SELECT * FROM read_text(p)")
    with pytest.raises(duckdb.Error, match="disabled by configuration"):
        history.connection.execute(f"FROM later('{path.parent}/secret.csv')")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "FROM marks",
        "WITH a AS (SELECT 1 AS one) FROM a",
        "VALUES (1)",
        "SHOW TABLES",
        "DESCRIBE marks",
        "SUMMARIZE marks",
        "EXPLAIN FROM marks",
        "PIVOT marks ON name USING count(*) GROUP BY pool",
        "PRAGMA table_info('marks')",
        "SELECT name FROM marks; -- with a comment",
    ],
)
def test_whatever_asks_is_answered(history: History, statement: str) -> None:
    """Every form that a question can have."""
    with asked(history, statement) as told:
        assert list(told.rows)


def test_file_is_opened_twice_in_one_process(path: Path) -> None:
    """The second connection is in the same jail, and tells the same times."""
    with open_for_reading(path), open_for_reading(path) as second:
        zone = "SELECT current_setting('TimeZone')"
        assert second.connection.execute(zone).fetchall() == [("UTC",)]
        with pytest.raises(duckdb.Error, match="locked"):
            second.connection.execute("SET TimeZone = 'Europe/Berlin'")


def test_question_that_is_too_large_ends_with_advice(path: Path) -> None:
    """One value of a million texts is more than it may have; the machine goes on."""
    config: dict[str, str | bool | int | float | list[str]] = {**reading_config(path)}
    config |= {"memory_limit": "32MiB", "max_temp_directory_size": "1MiB"}
    connection = duckdb.connect(str(path), read_only=True, config=config)
    with History(connection) as history:
        ask = "SELECT list(md5(range::VARCHAR)) AS all FROM range(1000000)"
        with pytest.raises(TooLarge, match="narrow it down") as caught, asked(history, ask) as told:
            next(told.rows)
        assert "\n" not in str(caught.value)
        with asked(history, "SELECT 1 AS one") as told:
            assert list(told.rows) == [{"one": 1}]


def test_memory_and_disk_are_bounded(history: History) -> None:
    """Half of the machine, a few GiB of disk beside the history: not DuckDB's 80 and 90 %."""
    settings = (
        "SELECT current_setting('max_temp_directory_size'), current_setting('temp_directory')"
    )
    ((disk, folder),) = history.connection.execute(settings).fetchall()
    assert disk == "4.0 GiB"
    assert folder.endswith("history.duckdb.tmp")
    (half,) = history.connection.execute("SELECT current_setting('memory_limit')").fetchone() or ()
    with duckdb.connect(":memory:") as plain:
        (most,) = plain.execute("SELECT current_setting('memory_limit')").fetchone() or ()
    assert float(half.split()[0]) < 0.7 * float(most.split()[0])


def test_answer_is_read_as_it_comes(history: History) -> None:
    """The first rows of an endless answer are there at once, and the rest is never computed."""
    ask = "SELECT a.range AS n FROM range(1000000000) a, range(1000) b"
    with asked(history, ask) as told:
        assert next(told.rows) == {"n": 0}


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Press Ctrl-C as soon as there is time to, where SIGINT does what it does on a terminal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    yield timer.start
    timer.join()
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_a_question_and_not_the_history(
    history: History, ctrl_c: Callable[[], None]
) -> None:
    """DuckDB does not look for signals by itself, whatever it is busy with."""
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range < 0"
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  # the first of its statements begins it
        ctrl_c()
        with asked(history, endless) as told:
            next(told.rows)
    assert history.plain("SELECT 1", {}) == [(1,)]


def test_one_statement_is_asked_at_a_time() -> None:
    """None is no answer, and of several only one would be seen."""
    assert one_statement(" FROM marks ; ") == "FROM marks"
    with pytest.raises(BadSql, match="2 statements were given; ask one at a time"):
        one_statement("SELECT 1; SELECT 2")
    with pytest.raises(BadSql, match="no statement was given"):
        one_statement(" ; -- nothing")


def test_text_is_cut_into_its_statements() -> None:
    """Semicolons in strings and comments are none."""
    assert statements_of("SELECT ';'; -- a; b\nFROM marks;") == [
        "SELECT ';'; -- a; b",
        "FROM marks",
    ]
