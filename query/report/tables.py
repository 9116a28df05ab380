"""Tables and lists of a page; on a telephone each row of a table becomes a small list."""

import re
from collections.abc import Container, Sequence

import msgspec

from .html import Html, Piece, joined, tag
from .shown import shown
from .times import DASH

_JOINTS = re.compile(r"(?<=[._/:-])(?=\w)")
_BREAK = Html("<wbr>")
"""Where a line may end within a name."""


class Column(msgspec.Struct, frozen=True):
    """A column: its title; numbers stand to the right, and `wide` ones take the room there is."""

    title: str
    number: bool = False
    wide: bool = False


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Piece]], *, loud: Container[int] = ()
) -> Html:
    """Return a table, of which the rows with the numbers `loud` stand out."""
    titles = [tag("th", column.title, scope="col", class_=_class(column)) for column in columns]
    body = []
    for index, row in enumerate(rows):
        cells = [
            tag("td", cell, data_title=column.title, class_=_class(column))
            for column, cell in zip(columns, row, strict=True)
        ]
        body.append(tag("tr", *cells, class_="loud" if index in loud else None))
    return tag("table", tag("thead", tag("tr", *titles)), tag("tbody", *body))


def _class(column: Column) -> str | None:
    return "number" if column.number else "wide" if column.wide else None


def facts(pairs: Sequence[tuple[str, Piece]]) -> Html:
    """Return names and what they are; what is nothing is left out."""
    items = [
        tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs if value is not None
    ]
    return tag("dl", *items)


def name(text: str | None, chars_max: int = 120) -> Html:
    """Return text that a pool chose, set apart from the direction of what is around it."""
    if not text:
        return Html(DASH)
    first, *others = _JOINTS.split(shown(text, chars_max))
    return tag("bdi", first, *(piece for other in others for piece in (_BREAK, other)))


def evidence(*seqs: int | None) -> Html:
    """Return the entries of the journal that a row stands on, the first to the last."""
    told = [f"@{seq}" for seq in dict.fromkeys(seqs) if seq is not None]
    return tag("span", " to ".join(told) or DASH, class_="seq")


def swatches(pairs: Sequence[tuple[str, str, str]]) -> Html:
    """Return the legend of a picture: class, fill and words of each sign in it."""
    items = [
        tag("li", tag("i", class_=kind, style=f"--fill:{fill}" if fill else None), words)
        for kind, fill, words in pairs
    ]
    return tag("ul", *items, class_="legend")


def count(number: int, one: str, many: str | None = None) -> str:
    """Return `1 gap` or `3 gaps`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def folded(title: str, inner: Html) -> Html:
    """Return what is shown on demand, and on paper."""
    return tag("details", tag("summary", title), inner)


def section(title: Piece, *inner: Piece, level: str = "h3") -> Html:
    """Return a section with its heading."""
    return tag("section", tag(level, title), joined(inner))
