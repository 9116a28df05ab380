"""The conditions of `get_all_records_where`: `field "power_state" = "Running" and not (...)`.

A condition compares the texts that the server's database keeps: booleans are `true` and `false`,
references and enums stand as they are. Values go between double or single quotes.
"""

import re
from collections.abc import Callable, Sequence

from .database import Database
from .datamodel import fields
from .values import Fault, Record, Value

DEPTH_MAX = 100
"""Nesting of a condition. xapi has no limit; people need three levels, our stack has an end."""

Condition = Callable[[Record], bool]

_TOKEN = re.compile(r"""\s*(?:(?P<word>[A-Za-z]+)|(?P<sign>[=()])|(?P<text>"[^"]*"|'[^']*'))""")


def matching(database: Database, cls: str, text: str) -> list[str]:
    """Return the references of the objects of a class for which a condition holds, oldest first.

    Raises Fault INTERNAL_ERROR for a text that is no condition, or a field that the class lacks.
    """
    condition = _Parser(cls, text).condition()
    return [ref for ref in database.refs(cls) if condition(database.row(cls, ref).record)]


class _Parser:
    """Reads one condition, token by token; `and` binds closer than `or`, `not` closest."""

    def __init__(self, cls: str, text: str) -> None:
        self._cls = cls
        self._text = text
        self._depth = 0
        self._tokens = self._split(text)

    def condition(self) -> Condition:
        """Return the whole text as a function of a record."""
        found = self._either()
        if self._tokens:
            raise self._refused()
        return found

    def _split(self, text: str) -> list[str]:
        tokens, position = [], 0
        while text[position:].strip():
            found = _TOKEN.match(text, position)
            if found is None:
                raise self._refused()
            tokens.append(found[0].strip())
            position = found.end()
        return tokens[::-1]

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._took("or"):
            parts.append(self._both())
        return _any(parts)

    def _both(self) -> Condition:
        parts = [self._single()]
        while self._took("and"):
            parts.append(self._single())
        return _all(parts)

    def _single(self) -> Condition:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self._refused()
        try:
            return self._nested()
        finally:
            self._depth -= 1

    def _nested(self) -> Condition:
        if self._took("not"):
            inner = self._single()
            return lambda record: not inner(record)
        if self._took("("):
            inner = self._either()
            if not self._took(")"):
                raise self._refused()
            return inner
        for word in ("true", "false"):
            if self._took(word):
                return lambda _record, holds=word == "true": holds  # type: ignore[misc]
        return self._equation()

    def _equation(self) -> Condition:
        left = self._side()
        if not self._took("="):
            raise self._refused()
        right = self._side()
        return lambda record: left(record) == right(record)

    def _side(self) -> Callable[[Record], str]:
        if not self._took("field"):
            text = self._quoted()
            return lambda _record: text
        name = self._quoted().replace("__", "_")
        if name not in fields(self._cls):
            raise Fault("INTERNAL_ERROR", f'Db_exn.DBCache_NotFound("missing field", "{name}")')
        return lambda record: _database_text(record[name])

    def _quoted(self) -> str:
        if not self._tokens or self._tokens[-1][0] not in "\"'":
            raise self._refused()
        return self._tokens.pop()[1:-1]

    def _took(self, word: str) -> bool:
        if self._tokens and self._tokens[-1].lower() == word:
            self._tokens.pop()
            return True
        return False

    def _refused(self) -> Fault:
        return Fault("INTERNAL_ERROR", f"Db_filter.Expression_error({self._text})")


def _any(parts: Sequence[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else lambda record: any(part(record) for part in parts)


def _all(parts: Sequence[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else lambda record: all(part(record) for part in parts)


def _database_text(value: Value) -> str:
    """Return a value as the text of the database: sets and maps as s-expressions."""
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return "(" + " ".join(f"'{_database_text(item)}'" for item in value) + ")"
        case dict():
            pairs = (f"('{key}' '{_database_text(item)}')" for key, item in value.items())
            return "(" + " ".join(pairs) + ")"
    return str(value)
