"""Text that XML can carry, which is all that the database of a server keeps. Pure."""

import re

from .values import Value

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""One letter that XML cannot carry."""


def is_plain(value: Value) -> bool:
    """Say whether no text in a value has letters that XML cannot carry."""
    match value:
        case str():
            return CONTROL.search(value) is None
        case list():
            return all(map(is_plain, value))
        case dict():
            return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    return True


def plain(value: Value) -> Value:
    """Return a value of which every text ends before the first letter that XML cannot carry."""
    if is_plain(value):
        return value
    match value:
        case str():
            return plain_text(value)
        case list():
            return [plain(item) for item in value]
        case dict():
            return {plain_text(key): plain(item) for key, item in value.items()}
    return value


def plain_text(text: str) -> str:
    """Return a text up to the first letter that XML cannot carry."""
    return CONTROL.split(text, maxsplit=1)[0]
