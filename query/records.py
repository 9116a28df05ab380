"""Records as the server sent them: their fields as raw JSON, and what differs between two."""

from dataclasses import dataclass

import msgspec

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Fields = dict[str, msgspec.Raw]

_FIELDS = msgspec.json.Decoder(Fields)
_CANONICAL = msgspec.json.Encoder(order="deterministic")
_NO_FIELD = msgspec.Raw(b"")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs; `old` and `new` are JSON text, None where the field is missing."""

    field: str
    old: str | None
    new: str | None


def fields_of(snapshot: bytes) -> Fields:
    """Return the fields of a record, each still JSON text. Raises ValueError."""
    return _FIELDS.decode(snapshot)


def changes_between(old: bytes, new: bytes) -> tuple[FieldChange, ...]:
    """Return the fields in which two snapshots of one object differ as JSON values, by name."""
    if old == new:
        return ()
    before, after = fields_of(old), fields_of(new)
    names = [name for name, raw in after.items() if before.get(name, _NO_FIELD) != raw]
    names += [name for name in before if name not in after]
    return tuple(
        FieldChange(name, _text(before.get(name)), _text(after.get(name)))
        for name in sorted(names)
        if not _same(before.get(name), after.get(name))
    )


def _same(old: msgspec.Raw | None, new: msgspec.Raw | None) -> bool:
    """Compare as JSON values: spacing and the order of keys say nothing."""
    if old is None or new is None:
        return False
    return canonical(bytes(old)) == canonical(bytes(new))


def canonical(text: bytes) -> bytes:
    """Return the one spelling of a JSON value that equal values share."""
    return _CANONICAL.encode(msgspec.json.decode(text))


def _text(raw: msgspec.Raw | None) -> str | None:
    return None if raw is None else str(bytes(raw), "utf-8", "replace")


def title_of(fields: Fields) -> tuple[str | None, str | None]:
    """Return uuid and name of a record; a message has its name in `name`."""
    uuid = _plain(fields.get("uuid"))
    name = _plain(fields.get("name_label", fields.get("name")))
    return uuid or None, name or None


def _plain(raw: msgspec.Raw | None) -> str | None:
    value = None if raw is None else msgspec.json.decode(raw)
    return value if isinstance(value, str) else None
