"""Values as the database of a server keeps them, all of it text: `true`, `('a' 'b')`, `42`.

Sets and maps are s-expressions: `('a' 'b')`, `(('k' 'v') ('l' 'w'))`, with backslash escapes.
"""

import re
from collections.abc import Callable, Mapping

from .ocaml import float64, int64
from .values import NULL_REF, DateTime, Value

_TEXT = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_TEXTS = re.compile(_TEXT, re.DOTALL)
_SET = re.compile(rf"\s*\(\s*(?:{_TEXT}\s*)*\)\s*", re.DOTALL)
_MAP = re.compile(rf"\s*\(\s*(?:\(\s*{_TEXT}\s*{_TEXT}\s*\)\s*)*\)\s*", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PROTECTED = re.compile("%([_.tnr%])")
_SPACES = {"_": "  ", ".": " ", "t": "\t", "n": "\n", "r": "\r", "%": "%"}
_DATE = re.compile(r"\d{8}T\d\d:\d\d:\d\dZ")
_DASHED = re.compile(r"(\d{4})-(\d\d)-(\d\d)(T\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)


class BadText(ValueError):
    """A text is not what the type of its field demands; the message says what it is not."""


def unprotected(text: str) -> str:
    """Return an attribute as it was before its white space was made safe for XML."""
    if "%" not in text:
        return text
    return _PROTECTED.sub(lambda found: _SPACES[found[1]], text)


def value_of(kind: str, text: str) -> Value:
    """Return the value that a text stands for in a field of this type. Raises BadText.

    An empty reference, which old servers wrote for none, is the null reference.
    """
    outer, _, inner = kind.partition(":")
    if outer == "set":
        return [value_of(inner, item) for item in read_set(text)]
    if outer == "map":
        _, _, item_kind = inner.partition(":")
        return {key: value_of(item_kind, item) for key, item in read_map(text).items()}
    if outer in _READERS:
        return _READERS[outer](text)
    return text or NULL_REF if kind.startswith("@") else text


def guessed(text: str) -> Value:
    """Return what a text looks like, for a field whose type nobody knows."""
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DATE.fullmatch(text):
        return DateTime(text)
    if text.startswith("("):
        if _MAP.fullmatch(text) and not _SET.fullmatch(text):
            return {**read_map(text)}
        if _SET.fullmatch(text):
            return [*read_set(text)]
    return text


def written(value: Value) -> str:
    """Return the text that a value is kept as, the reverse of `value_of`."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.18g}"
        case list():
            return f"({' '.join(quoted(written(item)) for item in value)})"
        case dict():
            pairs = (f"({quoted(key)} {quoted(written(item))})" for key, item in value.items())
            return f"({' '.join(pairs)})"
    return str(value)


def quoted(text: str) -> str:
    """Return text as an atom of an s-expression."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def read_set(text: str) -> list[str]:
    """Return the members of a set, in their order. Raises BadText."""
    if text == "()":
        return []
    if _SET.fullmatch(text) is None:
        raise BadText("not a set such as ('a' 'b')")
    return _texts(text)


def read_map(text: str) -> dict[str, str]:
    """Return the pairs of a map, in their order; of equal keys the first. Raises BadText."""
    if text == "()":
        return {}
    if _MAP.fullmatch(text) is None:
        raise BadText("not a map such as (('a' 'b') ('c' 'd'))")
    texts = _texts(text)
    pairs: dict[str, str] = {}
    for key, value in zip(texts[::2], texts[1::2], strict=True):
        pairs.setdefault(key, value)
    return pairs


def _texts(text: str) -> list[str]:
    found = (literal[1:-1] for literal in _TEXTS.findall(text))
    return [_ESCAPED.sub(r"\1", item) if "\\" in item else item for item in found]


def _date(text: str) -> DateTime:
    if _DATE.fullmatch(text):
        return DateTime(text)
    found = _DASHED.fullmatch(text)
    if found is None:
        raise BadText("not a time such as 20250131T10:11:12Z")
    year, month, day, time = found.groups()
    return DateTime(f"{year}{month}{day}{time}Z")


def _int(text: str) -> int:
    number = int64(text)
    if number is None:
        raise BadText("not a whole number of 64 bits")
    return number


def _float(text: str) -> float:
    number = float64(text)
    if number is None:
        raise BadText("not a number")
    return number


def _bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise BadText("neither true nor false")
    return text == "true"


_READERS: Mapping[str, Callable[[str], Value]] = {
    "int": _int,
    "float": _float,
    "bool": _bool,
    "datetime": _date,
}
