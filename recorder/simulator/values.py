"""What travels over XAPI: values, records, faults and references."""

from collections.abc import Mapping
from datetime import UTC, datetime

NULL_REF = "OpaqueRef:NULL"


class DateTime(str):
    """A time as XAPI writes it, '20250131T10:11:12Z'; a type of its own, for XML marks it."""

    __slots__ = ()


EPOCH = DateTime("19700101T00:00:00Z")
"""What XAPI shows for a time that is not known (yet)."""

Value = str | int | float | bool | DateTime | list["Value"] | dict[str, "Value"]
Record = dict[str, Value]


class Fault(Exception):
    """A XAPI error for the client: a code and its parameters, all of them text."""

    def __init__(self, code: str, *params: str) -> None:
        super().__init__(" ".join([code, *params]))
        self.code = code
        self.params = params


def datetime_of(at_s: float) -> DateTime:
    """Return the XAPI text of a time in seconds since 1970 UTC; fractions are cut off."""
    return DateTime(f"{datetime.fromtimestamp(int(at_s), UTC):%Y%m%dT%H:%M:%SZ}")


def text_of(record: Mapping[str, Value], field: str) -> str:
    """Return a field that is text (a string, an enum or a reference)."""
    value = record[field]
    assert isinstance(value, str), field
    return value


def int_of(record: Mapping[str, Value], field: str) -> int:
    """Return a field that is a whole number."""
    value = record[field]
    assert isinstance(value, int), field
    return value


def texts_of(record: Mapping[str, Value], field: str) -> list[str]:
    """Return a field that is a set of strings, enums or references."""
    value = record[field]
    assert isinstance(value, list), field
    return [item for item in value if isinstance(item, str)]


def map_of(record: Mapping[str, Value], field: str) -> dict[str, Value]:
    """Return a copy of a field that is a map."""
    value = record[field]
    assert isinstance(value, dict), field
    return dict(value)
