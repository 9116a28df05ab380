"""Tables for people: aligned whatever words are made of, and no line longer than the screen."""

import io
import random

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from query.render import output
from query.render.output import Column, write_table

WORDS = (
    "",
    "web1",
    "a name with blanks",
    "数据库服务器",
    "café",
    "e\u0301te\u0301",
    "🖥️ host",
    "x" * 40,
)


def written(
    monkeypatch: pytest.MonkeyPatch, columns: list[Column], rows: list[list[str]], width: int
) -> list[str]:
    """Return the lines of a table on a screen of some width."""
    file = io.StringIO()
    monkeypatch.setattr(output, "console", lambda: Console(file=file, width=width))
    write_table(columns, rows)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("seed", range(30))
def test_table_is_laid_out_as_rich_would(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words of any script, left and right; rich is asked only here, for it takes its time."""
    rng = random.Random(seed)
    columns = [Column(title, right=rng.random() < 0.5) for title in ("name", "值", "at")]
    rows = [[rng.choice(WORDS) for _ in columns] for _ in range(rng.randrange(6))]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    expected = io.StringIO()
    Console(file=expected, width=200, highlight=False, markup=False, emoji=False).print(table)
    wanted = [line.rstrip() for line in expected.getvalue().splitlines()]
    assert written(monkeypatch, columns, rows, 200) == wanted


@pytest.mark.parametrize("width", [10, 11, 12, 25, 40])
def test_no_line_is_longer_than_the_screen(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide columns give way, spare ones are left out, and then the line ends in an ellipsis."""
    columns = [Column("name", wide=True), Column("spare", spare=True), Column("much", right=True)]
    rows = [["数据库服务器" * 3, "s" * 8, "1" * 8], ["web1", "", "2"]]
    lines = written(monkeypatch, columns, rows, width)
    assert len(lines) == 3
    assert max(map(cell_len, lines)) <= width
    assert lines[1].endswith("…" if width < 20 else "1" * 8)
    assert "…" in lines[1]


def test_columns_may_be_as_wide_as_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """None gives way before it has to."""
    columns = [Column("name", wide=True), Column("spare", spare=True)]
    rows = [["x" * 12, "y" * 6]]
    assert written(monkeypatch, columns, rows, 20)[1] == f"{'x' * 12}  {'y' * 6}"
    assert written(monkeypatch, columns, rows, 19)[1] == f"{'x' * 10}…  {'y' * 6}"
