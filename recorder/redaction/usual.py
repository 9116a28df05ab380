"""What a record without a secret usually looks like, learned class by class from those that came.

One decoder reads such a record at the speed of C and objects to any other: its texts under a rule
are empty, the keys of its maps are known to be harmless. What it objects to is looked at from then
on, so that most records are read once, and few values more than that.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec

from .masks import Masks
from .policy import FieldRule, Kind, Rule

KEYS_MAX = 500
"""So many keys of the maps of a class are known to be harmless. Where there are more, a guest makes
them up: each would take a new decoder."""

EMPTY = frozenset({b"", b'""', b"{}", b"[]"})
"""How a field is written that has nothing to hide; the first is one that is not there."""

_ABSENT = msgspec.Raw(b"")
_EmptyText = Annotated[str, msgspec.Meta(max_length=0)]
_EmptySet = Annotated[list[Any], msgspec.Meta(max_length=0)]
_TextsByKey = Annotated[dict[str, _EmptyText], msgspec.Meta(max_length=KEYS_MAX)]


class Field(msgspec.Struct, frozen=True):
    """A field that is looked at; `name` has quotes and colon, as xapi writes it."""

    name: bytes
    rule: Rule
    is_map: bool
    value_in: Callable[[Any], msgspec.Raw]
    """Returns its value in what `Usual.decode` returned, as JSON text; b"" if it is not there."""


class Usual:
    """How records of one class are read.

    `decode` returns a struct that begins with the fields that are `looked_at`, in their order, as
    JSON text (b"" where one is not there). It raises msgspec.ValidationError if any other field may
    hide something, also where one comes twice.
    """

    __slots__ = ("_all", "_fields", "_harmless", "decode", "looked_at", "rules")

    def __init__(self, fields: Sequence[FieldRule]) -> None:
        self.rules: Mapping[str, Rule] = {one.name: one.rule for one in fields}
        self.looked_at: tuple[Field, ...] = ()
        self._fields = list(fields)
        self._harmless: set[str] = set()
        self._all = _reader([(one.name, msgspec.Raw) for one in fields])
        self._renew(set())

    def learn(self, text: bytes, masks: Masks) -> bool:
        """Take a record to which `decode` objected for a usual one; False if nothing is learned.

        What it has in a map may be harmless, or is looked at from now on. Raises
        msgspec.DecodeError if it cannot be read at all.
        """
        known = {field.name for field in self.looked_at}
        news, keys = set(known), set(self._harmless)
        values = msgspec.structs.astuple(self._all.decode(text))
        for field, value in zip(self._fields, values, strict=True):
            name = _written(field.name)
            if name not in known and bytes(value) not in EMPTY:
                found = masks.open_keys(bytes(value)) if field.rule is Rule.KEYS else None
                if found is not None and len(keys | found) <= KEYS_MAX:
                    keys |= found
                elif found is not None or _hides_something(field, bytes(value)):
                    news.add(name)
        if news == known and keys == self._harmless:
            return False
        self._harmless = keys
        self._renew(news)
        return True

    def _renew(self, names: set[bytes]) -> None:
        looked_at = [one for one in self._fields if _written(one.name) in names]
        others = [one for one in self._fields if _written(one.name) not in names]
        self.looked_at = tuple(
            Field(_written(one.name), one.rule, one.kind is Kind.MAP, attrgetter(f"field_{index}"))
            for index, one in enumerate(looked_at)
        )
        self.decode: Callable[[bytes], Any] = _reader(
            [(one.name, msgspec.Raw) for one in looked_at]
            + [(one.name, _harmless(one, self._harmless)) for one in others]
        ).decode


def _written(name: str) -> bytes:
    return f'"{name}":'.encode()


def _hides_something(field: FieldRule, value: bytes) -> bool:
    """Tell whether the value of a field (not under Rule.KEYS) is one that is to be looked at."""
    try:
        msgspec.json.decode(value, type=_harmless(field, frozenset()))
    except msgspec.DecodeError:
        return True
    return False


def _harmless(field: FieldRule, keys: "set[str] | frozenset[str]") -> Any:
    """Return the type of those values of a field that hide nothing."""
    match field.kind, field.rule:
        case Kind.TEXT, _:
            return _EmptyText
        case Kind.SET, _:
            return _EmptySet
        case Kind.MAP, Rule.KEYS if keys:
            key: Any = Literal[tuple(sorted(keys))]  # made at run time
            return dict[key, str]
        case Kind.MAP, Rule.KEYS:
            return Annotated[dict[str, str], msgspec.Meta(max_length=0)]
        case Kind.MAP, _:
            return _TextsByKey


def _reader(fields: Sequence[tuple[str, Any]]) -> "msgspec.json.Decoder[Any]":
    """Return a decoder to the fields of these names and types, in their order."""
    types: list[tuple[str, Any, Any]] = [
        (f"field_{index}", kind, _ABSENT if kind is msgspec.Raw else None)
        for index, (_, kind) in enumerate(fields)
    ]
    names = {f"field_{index}": name for index, (name, _) in enumerate(fields)}
    struct = msgspec.defstruct("_Fields", types, rename=names, gc=False)
    return msgspec.json.Decoder(struct)
