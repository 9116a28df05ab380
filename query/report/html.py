"""HTML out of safe pieces: every text is escaped unless it already is HTML."""

from collections.abc import Iterable
from html import escape

import msgspec

_VOID = frozenset({"meta", "br", "hr"})


class Html(msgspec.Struct, frozen=True):
    """A piece of HTML that is well formed, in which nothing is left to escape."""

    text: str


Piece = Html | str | None
"""What an element may hold: HTML as it is, text that is still to be escaped, or nothing."""


def tag(name: str, /, *inner: Piece, **attributes: str | None) -> Html:
    """Return an element. `class_` is the attribute class, `data_title` is data-title, and so on."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{joined(inner).text}</{name}>")


def joined(pieces: Iterable[Piece]) -> Html:
    """Return pieces one after another."""
    return Html("".join(map(_text_of, pieces)))


def _text_of(piece: Piece) -> str:
    match piece:
        case Html():
            return piece.text
        case None:
            return ""
        case str():
            return escape(piece, quote=False)
