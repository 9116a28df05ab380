"""`event.from` as a pure function: what differs between a token and the rows of now.

An object has at most one event, of its last state; deletions have no snapshot. The order is that
of xapi: messages, then all add, all mod, all del; it says nothing about time.
"""

import re

import msgspec

from .datamodel import SILENT
from .eventrows import EventRow, event_row
from .rows import MESSAGE, Rows
from .subscriptions import Interest
from .values import Fault

_NUMBER = re.compile(r"-?[0-9]{1,20}")


class Token(msgspec.Struct, frozen=True):
    """Where a client of event.from stands: generations of the database and of the messages."""

    generation: int
    messages: int

    def __str__(self) -> str:
        return f"{self.generation:020d},{self.messages:020d}"


def parse_token(text: str) -> Token:
    """Read a token; the empty text is the beginning. Fault EVENT_FROM_TOKEN_PARSE_FAILURE."""
    if text == "":
        return Token(0, 0)
    parts = text.split(",")
    if len(parts) != 2 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise Fault("EVENT_FROM_TOKEN_PARSE_FAILURE", text)
    return Token(int(parts[0]), int(parts[1]))


def compare(rows: Rows, interest: Interest, since: Token) -> tuple[list[EventRow], Token]:
    """Return the events since a token and the token that includes them."""
    adds: list[EventRow] = []
    mods: list[EventRow] = []
    dels: list[EventRow] = []
    newest = since.generation
    for cls in rows.tables:
        name = cls.lower()
        if cls == MESSAGE or cls in SILENT or not interest.wants_class(name):
            continue
        changed = [
            item
            for item in rows.changed_since(cls, since.generation)
            if interest.matches(name, item[0])
        ]
        for ref, row in sorted(changed):
            newest = max(newest, row.modified)
            # The id of an add is the generation of the creation, however often it changed since.
            if row.created > since.generation:
                adds.append(event_row(row.created, "0.0", name, "add", ref, row.record, row.json))
            else:
                mods.append(event_row(row.modified, "0.0", name, "mod", ref, row.record, row.json))
        for gone in rows.deleted_since(cls, since.generation):
            if interest.matches(name, gone.ref):
                newest = max(newest, gone.deleted)
                if gone.created <= since.generation:
                    dels.append(event_row(gone.deleted, "0.0", name, "del", gone.ref))
    messages, newest_message = _compare_messages(rows, interest, since.messages)
    return [*messages, *adds, *mods, *dels], Token(newest, newest_message)


def _compare_messages(rows: Rows, interest: Interest, since: int) -> tuple[list[EventRow], int]:
    if not interest.wants_class(MESSAGE):
        return [], since
    gone = [
        item for item in rows.deleted_since(MESSAGE, since) if interest.matches(MESSAGE, item.ref)
    ]
    made = [
        item for item in rows.changed_since(MESSAGE, since) if interest.matches(MESSAGE, item[0])
    ]
    events = [event_row(0, "0.0", MESSAGE, "del", item.ref) for item in reversed(gone)]
    events += [
        event_row(0, "0.0", MESSAGE, "add", ref, row.record, row.json)
        for ref, row in reversed(made)
    ]
    stamps = [item.deleted for item in gone] + [row.created for _ref, row in made]
    return events, max([since, *stamps])
