"""Values as xapi writes them in XML-RPC: text without <string>, whole numbers without <int>."""

from collections.abc import Callable
from functools import lru_cache

import msgspec

from .plaintext import CONTROL
from .values import DateTime, Record, Value

_LAYOUTS_MAX = 1024
"""Records of a class have one layout or a few; there are some 70 classes."""


def encode_value(value: Value) -> str:
    """Return one <value>, the form in which a task keeps its result."""
    return _WRITERS[type(value)](value)


def escape(text: str) -> str:
    """Return text as xapi puts it into XML: four characters escaped, control characters dropped."""
    text = CONTROL.sub("", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;")


def encode_record(record: Record) -> str:
    """Return the <value> of a record: the same as `encode_value` gives, in a third of the time.

    All records of a class have the same fields with the same types, so that everything but the
    values is written in advance, and the values are looked at together.
    """
    values = list(record.values())
    layout = _layout(tuple(record), tuple(map(type, values)))
    written: list[object] = [*values]
    for place in layout.compounds:
        written[place] = encode_value(values[place])
    if not _is_plain("".join([value for value in values if isinstance(value, str)])):
        for place in layout.texts:
            written[place] = escape(str(values[place]))
    return layout.template % tuple(written)


class _Layout(msgspec.Struct, frozen=True):
    """What records with the same fields and types have in common, as a template for %."""

    template: str
    texts: tuple[int, ...]
    compounds: tuple[int, ...]


@lru_cache(maxsize=_LAYOUTS_MAX)
def _layout(names: tuple[str, ...], kinds: tuple[type, ...]) -> _Layout:
    members = [
        f"<member><name>{name.replace('%', '%%')}</name>{_blank(kind)}</member>"
        for name, kind in zip(names, kinds, strict=True)
    ]
    return _Layout(
        template=f"<value><struct>{''.join(members)}</struct></value>",
        texts=_places(kinds, str),
        compounds=_places(kinds, (list, dict)),
    )


def _places(kinds: tuple[type, ...], wanted: type | tuple[type, ...]) -> tuple[int, ...]:
    return tuple(place for place, kind in enumerate(kinds) if issubclass(kind, wanted))


def _blank(kind: type) -> str:
    """Return the <value> of a type with % in place of its content."""
    if issubclass(kind, list | dict):
        return "%s"
    if issubclass(kind, bool):
        return "<value><boolean>%d</boolean></value>"
    if issubclass(kind, float):
        return "<value><double>%.16g</double></value>"
    if issubclass(kind, DateTime):
        return "<value><dateTime.iso8601>%s</dateTime.iso8601></value>"
    return "<value>%s</value>"


def _is_plain(text: str) -> bool:
    """Say whether nothing in a text needs escaping; in doubt, say no."""
    if "&" in text or "<" in text or ">" in text or '"' in text:
        return False
    return text.isprintable()


def _write_str(value: str) -> str:
    return f"<value>{value if _is_plain(value) else escape(value)}</value>"


def _write_list(value: list[Value]) -> str:
    if not value:
        return "<value><array><data></data></array></value>"
    items = "".join([_WRITERS[type(item)](item) for item in value])
    return f"<value><array><data>{items}</data></array></value>"


def _write_dict(value: dict[str, Value]) -> str:
    """Write a struct. xapi does not escape the names of its members."""
    if not value:
        return "<value><struct></struct></value>"
    members = "".join(
        [
            f"<member><name>{name}</name>{_WRITERS[type(item)](item)}</member>"
            for name, item in value.items()
        ]
    )
    return f"<value><struct>{members}</struct></value>"


class _Writers(dict[type, Callable[..., str]]):
    """The writer of a type; what is derived from a type (an enum from str) is written like it."""

    def __missing__(self, kind: type) -> Callable[..., str]:
        writer = next(self[base] for base in kind.__mro__[1:] if base in self)
        self[kind] = writer
        return writer


_WRITERS = _Writers(
    {
        bool: lambda value: f"<value><boolean>{value:d}</boolean></value>",
        DateTime: lambda value: f"<value><dateTime.iso8601>{value}</dateTime.iso8601></value>",
        str: _write_str,
        int: lambda value: f"<value>{value}</value>",
        float: lambda value: f"<value><double>{value:.16g}</double></value>",
        list: _write_list,
        dict: _write_dict,
    }
)
