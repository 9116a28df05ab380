"""From what was sent to what a method takes, by the types of the data model."""

import math
import re
from collections.abc import Callable, Sequence

from .calls import Sent
from .datamodel import fields
from .pool import Param
from .values import DateTime, Fault, Value

_DATE = re.compile(
    r"(\d{4})-?(\d{2})-?(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?"
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
    if outer == "set" and isinstance(sent, list):
        return [coerce(inner, item) for item in sent]
    if outer == "map" and isinstance(sent, dict):
        value_kind = inner.partition(":")[2]
        return {name: coerce(value_kind, item) for name, item in sent.items()}
    if outer == "record" and isinstance(sent, dict):
        known = fields(inner)
        return {name: coerce(known[name].type, sent[name]) for name in known if name in sent}
    if outer in _PLAIN:
        return _PLAIN[outer](sent)
    return _string(sent)  # references and enums are text


def _int(sent: Sent) -> int:
    if isinstance(sent, int) and not isinstance(sent, bool):
        return sent
    if isinstance(sent, str) and re.fullmatch(r"-?[0-9]{1,18}", sent):
        return int(sent)
    raise _refused("int", sent)


def _float(sent: Sent) -> float:
    if isinstance(sent, int | float) and not isinstance(sent, bool):
        return float(sent)
    if isinstance(sent, str):
        try:
            return float(sent)
        except ValueError:
            raise _refused("float", sent) from None
    raise _refused("float", sent)


def _bool(sent: Sent) -> bool:
    if isinstance(sent, bool):
        return sent
    raise _refused("bool", sent)


def _string(sent: Sent) -> str:
    if isinstance(sent, str) and not isinstance(sent, DateTime):
        return sent
    raise _refused("string", sent)


def _datetime(sent: Sent) -> DateTime:
    if isinstance(sent, str) and (found := _DATE.fullmatch(sent)):
        year, month, day, *time = found.groups()
        return DateTime(f"{year}{month}{day}T{':'.join(time)}Z")
    raise _refused("datetime", sent)


def _container(sent: Sent) -> Value:
    raise _refused("set or map", sent)


_PLAIN: dict[str, Callable[[Sent], Value]] = {
    "int": _int,
    "float": _float,
    "bool": _bool,
    "datetime": _datetime,
    "set": _container,
    "map": _container,
    "record": _container,
}
_LETTERS = {bool: "B", int: "I", float: "F", DateTime: "D", str: "S"}


def _refused(kind: str, sent: Sent) -> Fault:
    return Fault("INTERNAL_ERROR", f"Failure(\"Expected {kind}, got '{_shown(sent)}'\")")


def _shown(sent: Sent) -> str:
    """Return a value as xapi writes it into its exceptions."""
    if sent is None:
        return "N"
    if isinstance(sent, list):
        return "[" + ";".join(_shown(item) for item in sent) + "]"
    if isinstance(sent, dict):
        return "{" + ";".join(f"{name}:{_shown(item)}" for name, item in sent.items()) + "}"
    return f"{_LETTERS[type(sent)]}({str(sent).lower() if isinstance(sent, bool) else sent})"


def seconds(timeout_s: float) -> float:
    """Return the timeout of `event.from` as it is kept: xapi makes 24 hours of nonsense."""
    if math.isnan(timeout_s) or timeout_s > 86_400.0:
        return 86_400.0
    return max(timeout_s, 0.0)
