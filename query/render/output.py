"""Writing on stdout: JSON, CSV, and tables that fit the terminal. It knows no answer by name.

Names and values are words of others. All that is written for people goes through here, where what
would drive a terminal or break a line is escaped; so does JSON, where escaping changes no value.
CSV is exact, unless it is a terminal that it is written to.
"""

import csv
import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Self, TextIO

import msgspec
import rich.style
import rich.text
from rich.cells import cell_len, set_cell_size
from rich.console import Console

from recorder.printable import json_shown, shown

from ..choices import Format
from ..questions.lacks import Lacks
from ..records import Json

_ENCODE = msgspec.json.Encoder().encode
LINE_CHARS_MAX = 4_000
"""Longer than any line of a screen; a name may have 100,000 characters."""
WIDE_CHARS_MIN = 10
"""A column that gives way keeps this much."""


class Column(msgspec.Struct, frozen=True):
    """A column of a table for people.

    When the terminal is narrow, `wide` ones give way, and then `spare` ones are left out.
    """

    title: str
    wide: bool = False
    right: bool = False
    spare: bool = False


def write_json(value: object) -> None:
    """Write one JSON document."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    sys.stdout.write(f"{json_shown(text)}\n")


def write_json_rows(rows: Iterable[Mapping[str, Json]]) -> None:
    """Write one JSON document, a list, row by row as they come, a line each."""
    begin = "[\n  "
    for row in rows:
        sys.stdout.write(f"{begin}{json_shown(msgspec.json.encode(row).decode())}")
        begin = ",\n  "
    sys.stdout.write("\n]\n" if begin.startswith(",") else "[]\n")


def write_csv(rows: Iterable[Mapping[str, Json]], header: Sequence[str]) -> None:
    """Write rows as CSV with a header; lists and maps are JSON text, nothing is empty."""
    write = csv_writer(sys.stdout)
    told = shown if sys.stdout.isatty() else str
    write([told(name) for name in header])
    for row in rows:
        write([told(cell_text(row.get(name))) for name in header])


def csv_writer(file: TextIO) -> Callable[[Sequence[str]], object]:
    """Return what writes a line of CSV, so that `csv.reader` reads exactly these cells."""
    writer = csv.writer(file, lineterminator="\n")
    # A lone carriage return ends a line for many readers, but is not quoted by itself.
    quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def write(cells: Sequence[str]) -> None:
        (quoting if "\r" in "".join(cells) else writer).writerow(cells)

    return write


def cell_text(value: Json) -> str:
    """Return a value as the text of one cell."""
    if isinstance(value, str):
        return value
    return "" if value is None else _ENCODE(value).decode()


def plain_of(value: msgspec.Struct) -> dict[str, Json]:
    """Return a row as plain data, times as ISO text."""
    plain: dict[str, Json] = msgspec.to_builtins(value)
    return plain


def write_rows(rows: Sequence[msgspec.Struct], kind: type[msgspec.Struct], form: Format) -> None:
    """Write rows as JSON or CSV."""
    if form is Format.JSON:
        write_json(rows)
        return
    header = [field.encode_name for field in msgspec.structs.fields(kind)]
    write_csv([plain_of(row) for row in rows], header)


def write_answer(
    rows: Sequence[msgspec.Struct], kind: type[msgspec.Struct], form: Format, lacks: Lacks
) -> None:
    """Write rows as JSON or CSV, together with what the answer may lack.

    In JSON that stands beside the rows; in CSV the column `range_gaps` has the gaps of the row's
    pool that the range asked for touches.
    """
    if form is Format.JSON:
        write_json({"rows": rows, **plain_of(lacks)})
        return
    header = [field.encode_name for field in msgspec.structs.fields(kind)]
    plain = [plain_of(row) for row in rows]
    touched = {pool: list[Json](lacks.gaps_of(pool)) for pool in {gap.pool for gap in lacks.gaps}}
    cells = [{**row, "range_gaps": touched.get(str(row["pool"]), [])} for row in plain]
    write_csv(cells, [*header, "range_gaps"])


class Text(rich.text.Text):
    """Text for a console, in which words of others are only read.

    What cannot be seen is escaped: rich itself lets most of it through, and drops some of it.
    """

    def __init__(self, text: str = "", style: str = "", **how: Any) -> None:
        super().__init__(_told(text), style, **how)

    def append(
        self, text: rich.text.Text | str, style: rich.style.Style | str | None = None
    ) -> Self:
        """Add text behind it."""
        super().append(_told(text) if isinstance(text, str) else text, style)
        return self


def _told(text: str) -> str:
    return shown(text if len(text) <= LINE_CHARS_MAX else f"{text[:LINE_CHARS_MAX]}…")


class _Screen(Console):
    """A console on which nothing drives the terminal, also if somebody forgot to use our Text."""

    def print(self, *objects: object, **how: Any) -> None:
        super().print(*(_tamed(one) for one in objects), **how)


def _tamed(printed: object) -> object:
    if isinstance(printed, str):
        return Text(shown(printed))
    if not isinstance(printed, rich.text.Text) or printed.plain.isprintable():
        return printed
    pieces = [shown(character) for character in printed.plain]
    begins = list(accumulate(map(len, pieces), initial=0))
    tamed = printed.blank_copy("".join(pieces))
    tamed.spans = [
        rich.text.Span(begins[one.start], begins[one.end], one.style) for one in printed.spans
    ]
    return tamed


def console() -> Console:
    """Return where tables go; without a terminal they are 120 columns wide."""
    width = None if sys.stdout.isatty() else 120
    return _Screen(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def write_table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], *, loud: Container[int] = ()
) -> None:
    """Write a table that never wraps: what is too long ends in an ellipsis.

    The rows whose numbers are in `loud` stand out.
    """
    out = console()
    width = out.width
    cells = [[_cell(text, width) for text in row] for row in rows]
    columns, cells, widths = _fitting(list(columns), cells, width)
    right = [column.right for column in columns]
    titles = [shown(column.title) for column in columns]
    out.print(Text(_line(titles, widths, right, width), "bold"), **_AS_IT_IS)
    for index, row in enumerate(cells):
        line = _line(row, widths, right, width)
        if index in loud:
            out.print(Text(line, "bold yellow"), **_AS_IT_IS)
        else:
            # All of it was made harmless; rich would take 0.5 ms to find nothing to do for it.
            out.file.write(f"{line}\n")


_AS_IT_IS: Mapping[str, Any] = {"no_wrap": True, "overflow": "ignore", "crop": False}


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], most: int) -> str:
    """Return cells side by side; where the columns are too many, the end is cut off."""
    padded = map(_padded, cells, widths, right)
    line = "  ".join(padded).rstrip()
    return line if _length(line) <= most else _cut(line, most)


def _padded(text: str, width: int, right: bool) -> str:
    length = _length(text)
    if length > width:
        return _cut(text, width)
    gap = " " * (width - length)
    return gap + text if right else text + gap


def _cut(text: str, width: int) -> str:
    return f"{set_cell_size(text, width - 1)}…"


def _length(text: str) -> int:
    """Return how wide printable text is on a screen."""
    return len(text) if text.isascii() else cell_len(text)


def _cell(text: str, width: int) -> str:
    """Return what a cell shows at most: what is longer than the terminal is wide is cut first."""
    cut = text if len(text) <= width else f"{text[:width]}…"
    return shown(cut)


def _fitting(
    columns: list[Column], cells: list[list[str]], width: int
) -> tuple[list[Column], list[list[str]], list[int]]:
    """Leave out spare columns, the last first, until the others fit or none is left to spare."""
    while True:
        widths = _widths(columns, cells, width)
        spare = [index for index, column in enumerate(columns) if column.spare]
        if _together(widths) <= width or not spare:
            return columns, cells, widths
        del columns[spare[-1]]
        cells = [[*row[: spare[-1]], *row[spare[-1] + 1 :]] for row in cells]


def _together(widths: Sequence[int]) -> int:
    """Return how wide columns are side by side, two blanks between them."""
    return sum(widths) + 2 * (len(widths) - 1)


def _widths(columns: Sequence[Column], cells: list[list[str]], width: int) -> list[int]:
    """Return how wide each column is: the widest of those that may give way give way first."""
    titles = [[shown(column.title) for column in columns]]
    widths = [max(map(_length, column)) for column in zip(*titles, *cells, strict=True)]
    yielding = [index for index, column in enumerate(columns) if column.wide]
    while _together(widths) > width and yielding:
        widest = max(yielding, key=lambda index: widths[index])
        if widths[widest] <= WIDE_CHARS_MIN:
            break
        widths[widest] -= 1
    return widths
