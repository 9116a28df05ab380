"""Records as the server sent them: their fields as raw JSON, and what differs between two."""

import msgspec

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Fields = dict[str, msgspec.Raw]

_FIELDS = msgspec.json.Decoder(Fields)
_CANONICAL = msgspec.json.Encoder(order="deterministic")


class FieldChange(msgspec.Struct, frozen=True, gc=False):
    """One field that differs; `old` and `new` are JSON text, None where the field is missing."""

    field: str
    old: str | None
    new: str | None


def fields_of(snapshot: bytes) -> Fields:
    """Return the fields of a record, each still JSON text. Raises ValueError."""
    return _FIELDS.decode(snapshot)


def canonical(text: bytes) -> bytes:
    """Return the one spelling of a JSON value that equal values share."""
    return _CANONICAL.encode(msgspec.json.decode(text))


def title_of(fields: Fields) -> tuple[str | None, str | None]:
    """Return uuid and name of a record; a message has its name in `name`."""
    uuid = _plain(fields.get("uuid"))
    name = _plain(fields.get("name_label", fields.get("name")))
    return uuid or None, name or None


def _plain(raw: msgspec.Raw | None) -> str | None:
    value = None if raw is None else msgspec.json.decode(raw)
    return value if isinstance(value, str) else None
