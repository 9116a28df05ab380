"""Values as short text for people: names in place of references, differences of lists, times."""

from collections.abc import Iterable

import msgspec

from .records import FieldChange, Json
from .units import with_unit

_REF = "OpaqueRef:"
_TEXT_CHARS_MAX = 60
_ITEMS_MAX = 6


def short_ref(text: str) -> str:
    """Return the first eight characters of a reference's uuid; other text stays as it is."""
    if not text.startswith(_REF):
        return text
    bare = text.removeprefix(_REF)
    return "none" if bare == "NULL" else bare[:8]


def change_text(
    cls: str, change: FieldChange, names: dict[str, str], *, without_old: str = "(missing)"
) -> str:
    """Return `power_state: Halted → Running`; of lists and maps only what came and went.

    What has a unit is shown with it, unless the two values would look the same. `without_old`
    stands for an old value that is not there.
    """
    old, new = decoded(change.old), decoded(change.new)
    match old, new:
        case list(), list():
            return f"{change.field}: {_list_difference(old, new, names)}"
        case dict(), dict():
            return f"{change.field}: {_map_difference(old, new, names)}"
        case _:
            before = field_text(cls, change.field, old, names)
            after = field_text(cls, change.field, new, names)
            if before == after:
                before, after = value_text(old, names), value_text(new, names)
            before = without_old if change.old is None else before
            after = "(missing)" if change.new is None else after
            return f"{change.field}: {before} → {after}"


def field_text(cls: str, field: str, value: Json, names: dict[str, str]) -> str:
    """Return the value of a field on one line, with its unit if it has one."""
    return with_unit(cls, field, value) or value_text(value, names)


def changed_values(changes: Iterable[FieldChange]) -> list[dict[str, Json]]:
    """Return changed fields with their values; null where a field was or is not there."""
    return [
        {"field": change.field, "old": decoded(change.old), "new": decoded(change.new)}
        for change in changes
    ]


def decoded(text: str | None) -> Json:
    """Return the value of JSON text."""
    value: Json = None if text is None else msgspec.json.decode(text)
    return value


def _list_difference(old: list[Json], new: list[Json], names: dict[str, str]) -> str:
    signs = [f"+{value_text(item, names)}" for item in new if item not in old]
    signs += [f"-{value_text(item, names)}" for item in old if item not in new]
    return _few(signs) if signs else "(order)"


def _map_difference(old: dict[str, Json], new: dict[str, Json], names: dict[str, str]) -> str:
    signs = [
        f"+{_key(key, names)}={value_text(value, names)}"
        for key, value in new.items()
        if old.get(key, _MISSING) != value
    ]
    signs += [f"-{_key(key, names)}" for key in old if key not in new]
    return _few(signs) if signs else "(order)"


_MISSING = object()


def _key(key: str, names: dict[str, str]) -> str:
    return value_text(key, names)


def _few(signs: list[str]) -> str:
    more = len(signs) - _ITEMS_MAX
    return " ".join(signs[:_ITEMS_MAX] + ([f"and {more} more"] if more > 0 else []))


def value_text(value: Json, names: dict[str, str]) -> str:
    """Return a value on one line: text without quotes, a reference as the name of its object."""
    match value:
        case str():
            text = names.get(value) or short_ref(value)
            if text == "":
                return '""'
        case bool() | int() | float() | None:
            text = msgspec.json.encode(value).decode()
        case list():
            text = "[" + ", ".join(value_text(item, names) for item in value) + "]"
        case _:
            inner = (f"{_key(k, names)}={value_text(v, names)}" for k, v in value.items())
            text = "{" + ", ".join(inner) + "}"
    return text if len(text) <= _TEXT_CHARS_MAX else f"{text[: _TEXT_CHARS_MAX - 1]}…"


def percent_text(share: float) -> str:
    """Return a share in percent: what is not all, or not nothing, is not rounded to it."""
    percent = 100 * share
    if 0 < percent < 0.01:
        return "less than 0.01 %"
    if 99.99 < percent < 100:
        return "more than 99.99 %"
    digits = 1 if 1 <= percent <= 99 else 2
    return f"{round(percent, digits):g} %"


def duration_text(seconds: float | None) -> str:
    """Return a length of time in its two largest units, below a minute in seconds."""
    if seconds is None:
        return "-"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    hours, minutes = divmod(whole // 60, 60)
    if hours < 24 and whole < 86_370:
        return f"{hours} h {minutes} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"
