"""A call as a client sent it and the result that answers it, before and after the two encodings."""

from collections.abc import Mapping, Sequence

import msgspec

from .database import Database
from .events import EventRow, FromReply
from .values import DateTime, Value

Sent = str | int | float | bool | DateTime | list["Sent"] | dict[str, "Sent"] | None
"""A parameter as it came in; what it must be is decided by the method."""

DEPTH_MAX = 100
"""Nesting of a parameter. xapi has no limit; its calls need three levels, our stack has an end."""


class Call(msgspec.Struct, frozen=True):
    """A method name and its parameters, in the order sent.

    `headers` are those of the HTTP request, by names in lower case.
    """

    method: str
    params: list[Sent]
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


class Batch(msgspec.Struct, frozen=True):
    """The answer of `event.next`."""

    rows: Sequence[EventRow]


class RowReply(msgspec.Struct, frozen=True):
    """The answer of `get_record`, read from the database by the encoder as it needs it."""

    database: Database
    cls: str
    ref: str


class TableReply(msgspec.Struct, frozen=True):
    """The answer of `get_all_records`, read from the database by the encoder as it needs it."""

    database: Database
    cls: str
    refs: Sequence[str]


Result = Value | Batch | FromReply | RowReply | TableReply
"""What a method gives. Rows and events are not values yet: JSON text of them is kept ready."""


class MalformedError(Exception):
    """A request that xapi answers with HTTP 500; the text is that of its exception."""
