"""Every mistake of a TOML file at once: each with its key, and the nearest one that is known."""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar, get_args

import msgspec

from .errors import ConfigError

T = TypeVar("T")


def table_in(file: Path) -> dict[str, object]:
    """Read a TOML file. Raises ConfigError."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error


def usable(value: object, kind: type[T]) -> T | None:
    """Return a value as a `kind`, None for one whose mistakes `mistakes_in` tells."""
    try:
        return msgspec.convert(value, kind, dec_hook=_convert)
    except msgspec.ValidationError:
        return None


def _convert(annotation: type, value: object) -> object:
    if annotation is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    raise ValueError(f"expected a path, got {value!r}")  # msgspec adds the key


def mistakes_in(
    table: Mapping[str, object], struct: type[msgspec.Struct], *, at: str
) -> Iterator[str]:
    """Name every key that `struct` does not know, does not find, or whose value does not fit."""
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    for key, value in table.items():
        if key in fields:
            yield from _value_mistakes(value, fields[key].type, at=f"{at}{key}")
            continue
        yield f"unknown key {at}{key}; {advice(key, fields)}"
    for name, field in fields.items():
        if field.required and name not in table:
            yield f"{at}{name}: is missing"


def _value_mistakes(value: object, annotation: object, *, at: str) -> Iterator[str]:
    inner = _struct_in(annotation)
    alone = inner is annotation or type(None) in get_args(annotation)
    if inner is not None and alone and isinstance(value, dict):
        yield from mistakes_in(value, inner, at=f"{at}.")
    elif inner is not None and not alone and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _value_mistakes(item, inner, at=f"{at}[{index}]")
    else:
        try:
            msgspec.convert(value, annotation, dec_hook=_convert)
        except msgspec.ValidationError as error:
            yield _readable(error, at=at) + _near_word(error, annotation)


def _readable(error: msgspec.ValidationError, *, at: str) -> str:
    """Turn msgspec's `… - at `$[0]`` into `pools[0].addresses[0]: …`."""
    text, _, place = str(error).partition(" - at `$")
    return f"{at}{place.rstrip('`')}: {text}"


def _near_word(error: msgspec.ValidationError, annotation: object) -> str:
    """Return advice for a word that is none of those that may stand there."""
    enum = _enum_in(annotation)
    wrong = str(error).partition("Invalid enum value '")[2].partition("'")[0]
    return f"; {advice(wrong, [*enum])}" if enum is not None and wrong else ""


def advice(word: str, known: Collection[str]) -> str:
    """Return what may be meant by a word, or else all that is known."""
    from difflib import get_close_matches  # for mistakes only, and slow to load

    near = get_close_matches(word, known, n=1)
    return f"did you mean {str(near[0])!r}?" if near else f"known: {', '.join(known)}"


def _enum_in(annotation: object) -> type[StrEnum] | None:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return annotation
    found = map(_enum_in, get_args(annotation))
    return next((enum for enum in found if enum is not None), None)


def _struct_in(annotation: object) -> type[msgspec.Struct] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None
