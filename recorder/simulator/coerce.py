"""From what was sent to what a method takes, by the types of the data model."""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from .calls import Sent
from .datamodel import enums, fields
from .ocaml import failure, float64, int64
from .pool import Param
from .values import DateTime, Fault, Value

_CONTAINERS = frozenset({"set", "map", "record"})
_NO_TEXT = re.compile("[\ud800-\udfff]")
_DATE = re.compile(
    r"(\d{4})-?(\d{2})-?(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.\d+)?(Z|[+-]\d{2}:\d{2})?", re.ASCII
)


def coerce_all(params: Sequence[Param], sent: Sequence[Sent]) -> list[Value]:
    """Return the arguments; optional ones that were not sent get their default.

    Raises Fault INTERNAL_ERROR, which is xapi's answer to a parameter of the wrong type.
    """
    values = [coerce(param.type, item) for param, item in zip(params, sent, strict=False)]
    missing = params[len(values) :]
    return values + [param.default for param in missing if param.default is not None]


def coerce(kind: str, sent: Sent) -> Value:
    """Return one argument of a type of the data model. Raises Fault INTERNAL_ERROR.

    `record:CLASS` is the argument of a constructor: fields of that class, others are ignored.
    """
    outer, _, inner = kind.partition(":")
    if outer in _CONTAINERS and not isinstance(sent, list if outer == "set" else dict):
        raise _uncontained(kind, outer, sent)
    if outer == "set" and isinstance(sent, list):
        return [coerce(inner, item) for item in sent]
    if outer == "map" and isinstance(sent, dict):
        key_kind, _, value_kind = inner.partition(":")
        return {_key(key_kind, name): coerce(value_kind, item) for name, item in sent.items()}
    if outer == "record" and isinstance(sent, dict):
        known = fields(inner)
        return {name: coerce(known[name].type, sent[name]) for name in known if name in sent}
    if outer in _PLAIN:
        return _PLAIN[outer](sent)
    if outer.startswith(_ENUM):
        return _enum(outer.removeprefix(_ENUM), sent)
    return _string(sent)  # references are text


def _int(sent: Sent) -> int:
    if isinstance(sent, int) and not isinstance(sent, bool):
        return sent
    if not isinstance(sent, str) or isinstance(sent, DateTime):
        raise _unexpected("int64", sent)
    number = int64(sent)
    if number is None:
        raise _failed("Int64.of_string")
    return number


def _float(sent: Sent) -> float:
    if isinstance(sent, int | float) and not isinstance(sent, bool):
        return float(sent)
    if not isinstance(sent, str) or isinstance(sent, DateTime):
        raise _unexpected("float", sent)
    number = float64(sent)
    if number is None:
        raise _failed("float_of_string")
    return number


def _bool(sent: Sent) -> bool:
    if isinstance(sent, bool):
        return sent
    raise _unexpected("bool", sent)


def _string(sent: Sent) -> str:
    if isinstance(sent, str) and not isinstance(sent, DateTime):
        return sent
    raise _unexpected("string", sent)


def _enum(name: str, sent: Sent) -> str:
    if isinstance(sent, str) and not isinstance(sent, DateTime) and sent in enums()[name]:
        return sent
    raise _failed("Unknown tag/contents")


def _key(kind: str, name: str) -> str:
    """Return the key of a map; only those that are enums are looked at."""
    return _enum(kind.removeprefix(_ENUM), name) if kind.startswith(_ENUM) else name


def _datetime(sent: Sent) -> DateTime:
    if not isinstance(sent, str):
        raise _failed("Date.iso8601_of_rpc")
    found = _DATE.fullmatch(sent)
    if found is None or not _is_instant(*map(int, found.groups()[:6])):
        raise Fault("INTERNAL_ERROR", f"Invalid argument: Clock__Date.of_iso8601: {sent}")
    year, month, day, hour, minute, second, zone = found.groups()
    if zone in {None, "+00:00", "-00:00"}:
        zone = "Z"  # Without a zone it is UTC; any other zone is kept.
    return DateTime(f"{year}{month}{day}T{hour}:{minute}:{second}{zone}")


def _is_instant(*parts: int) -> bool:
    year, month, day, hour, minute, second = parts
    try:
        datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return False
    return second <= 60


_ENUM = "enum/"
_PLAIN: dict[str, Callable[[Sent], Value]] = {
    "int": _int,
    "float": _float,
    "bool": _bool,
    "datetime": _datetime,
}
_LETTERS = {bool: "B", int: "I", float: "F", DateTime: "D", str: "S"}


def _uncontained(kind: str, outer: str, sent: Sent) -> Fault:
    """Return the refusal of what is no set, map or record though it should be."""
    if outer == "record":
        return _failed("bad __structure")
    if kind.startswith("map:int:"):
        return _failed("Unmarshalling error")
    wanted = "Enum" if outer == "set" else "Dict"
    return _failed(f"Expecting Rpc.{wanted}, but found '{shown(sent)}'")


def _unexpected(kind: str, sent: Sent) -> Fault:
    return _failed(f"Expected {kind}, got '{shown(sent)}'")


def _failed(text: str) -> Fault:
    return Fault("INTERNAL_ERROR", failure(text))


def shown(sent: Sent) -> str:
    """Return a value as xapi writes it into its exceptions."""
    if sent is None:
        return "N"
    if isinstance(sent, list):
        return "[" + ";".join(shown(item) for item in sent) + "]"
    if isinstance(sent, dict):
        return "{" + ";".join(f"{name}:{shown(item)}" for name, item in sent.items()) + "}"
    if isinstance(sent, float):
        return f"F({sent:g})"
    return f"{_LETTERS[type(sent)]}({str(sent).lower() if isinstance(sent, bool) else sent})"


def check_texts(params: Sequence[Sent]) -> None:
    """Raise Fault INVALID_VALUE for bytes that are no UTF-8 (here: surrogates), in names, too.

    xapi does so before it looks at the method. Control characters get as far as the database.
    """
    for param in params:
        text = shown(param)
        if _NO_TEXT.search(text):
            raise Fault("INVALID_VALUE", "Invalid UTF-8 string in parameter", text)


def seconds(timeout_s: float) -> float:
    """Return the timeout of `event.from` as it is kept: xapi makes 24 hours of nonsense."""
    if math.isnan(timeout_s) or timeout_s > 86_400.0:
        return 86_400.0
    return max(timeout_s, 0.0)
