"""What the tables say of themselves."""

from pathlib import Path

import pytest

from query.history.schema import TABLES, described, statements
from query.questions.answers import TableRow, tables
from tests.history.journals import Pool, Told, loaded


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> list[TableRow]:
    story = Told()
    Pool(story).register()
    folder: Path = tmp_path_factory.mktemp("schema")
    with loaded(folder / "history.duckdb", story.entries) as history:
        return tables(history)


def test_every_table_and_view_says_what_a_row_is(there: list[TableRow]) -> None:
    """In the words of views.sql, so that whoever asks in SQL need not read it."""
    assert {row.name for row in there} >= {*TABLES, "loads", "gaps", "moves", "busiest"}
    assert [row.name for row in there if not row.comment] == []
    (marks,) = (row for row in there if row.name == "marks")
    assert (marks.kind, marks.comment) == ("table", "The recorder's own life.")


def test_every_column_says_what_it_holds(there: list[TableRow]) -> None:
    """A column without a comment is one that nobody can rely on."""
    silent = [f"{row.name}.{c.name}" for row in there for c in row.columns if not c.comment]
    assert silent == []


def test_rows_carry_evidence(there: list[TableRow]) -> None:
    """Each row of a table or view names an entry of the journal; those of current_state have it in
    objects."""
    evidence = {"seq", "first_seq", "last_seq", "since_seq", "ended_seq", "line_seq", "epoch"}
    for row in there:
        if row.name == "current_state":
            continue
        assert evidence & {column.name for column in row.columns}, row.name


def test_comments_are_about_columns_that_are_there(there: list[TableRow]) -> None:
    """A line about a column that went, or was misspelt, is found; only `table.*` may be more."""
    columns = {row.name: {column.name for column in row.columns} for row in there}
    sql = "".join(line for line in statements().splitlines(True) if not line.endswith(".*\n"))
    for one in described(sql):
        assert set(one.columns) <= columns[one.name], one.name


def test_comment_goes_on_in_lines_that_are_indented() -> None:
    """And `table.*` takes over what was said above; what a view says itself is said."""
    sql = """
-- One row a thing.
-- It has two lines: this is one.
-- seq: its number,
--   in the journal
-- name: how it is called
CREATE TABLE things (seq BIGINT, name VARCHAR);

-- Those that have a name.
-- things.*
-- name: never null
CREATE VIEW named AS SELECT * FROM things WHERE name IS NOT NULL;
"""
    things, named = described(sql)
    assert (things.name, things.kind) == ("things", "TABLE")
    assert things.text == "One row a thing.\nIt has two lines: this is one."
    assert things.columns == {"seq": "its number, in the journal", "name": "how it is called"}
    assert named.columns == {"seq": "its number, in the journal", "name": "never null"}
