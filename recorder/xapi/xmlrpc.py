"""XML-RPC, for hosts without JSON-RPC: calls to bytes, replies to the text JSON-RPC would carry.

So everything behind is one path. Whole numbers come as bare text and are told from texts by the
class and the field; doubles, booleans and counts have tags; dates stay the texts that they are.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from functools import partial
from html import escape as escape_html
from typing import NoReturn
from xml.parsers import expat

import msgspec

from ..errors import ProtocolError
from .jsonrpc import Param
from .records import INT_FIELDS, INT_RESULTS
from .xmlswap import swapped

# That of xml.sax.saxutils is the same, and brings HTTP and mail into every start.
escape = partial(escape_html, quote=False)

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]

DEPTH_MAX = 64
"""Elements inside each other; a snapshot in a batch of events has 20."""

INT_MAX = 2**63 - 1
_INT = re.compile("-?[0-9]{1,19}")
_TYPED = frozenset({"string", "boolean", "double", "int", "i4", "i8", "dateTime.iso8601", "nil"})
_KNOWN = _TYPED | {"methodResponse", "params", "param", "fault", "data", "member", "name"}


def encode(method: str, params: Sequence[Param]) -> bytes:
    """Return the body of a call. A whole number goes out as text: XAPI documents it so."""
    written = "".join(f"<param>{_written(param)}</param>" for param in params)
    return (
        '<?xml version="1.0"?><methodCall>'
        f"<methodName>{escape(method)}</methodName><params>{written}</params></methodCall>"
    ).encode()


def to_json(body: bytes, method: str) -> bytes:
    """Return the reply to a call of `method` as the JSON text of a JSON-RPC reply.

    Raises ProtocolError if it is no XML-RPC reply, or XML that could be an attack: a document type
    (and with it every entity) is refused. Blocks: about 4,000 events a second.
    """
    value: Value | None = swapped(body)
    if value is None:
        value = _parse(body)
    if method == "system.listMethods" and isinstance(value, list):
        return msgspec.json.encode({"result": value})
    match value:
        case {"Status": "Success", "Value": result}:
            return msgspec.json.encode({"result": _typed(result, method)})
        case {"Status": "Failure", "ErrorDescription": [_, *_] as error}:
            return msgspec.json.encode({"error": error})
        case {"faultCode": code, "faultString": text}:
            return msgspec.json.encode({"error": [str(code), text]})
    raise ProtocolError("the answer is XML-RPC, but not that of XAPI: it has no Status")


def _written(param: Param) -> str:
    if isinstance(param, bool):
        return f"<value><boolean>{param:d}</boolean></value>"
    if isinstance(param, float):
        return f"<value><double>{param!r}</double></value>"
    if isinstance(param, str | int):
        return f"<value><string>{escape(str(param))}</string></value>"
    if isinstance(param, Mapping):
        members = "".join(
            f"<member><name>{escape(name)}</name>{_written(value)}</member>"
            for name, value in param.items()
        )
        return f"<value><struct>{members}</struct></value>"
    items = "".join(_written(item) for item in param)
    return f"<value><array><data>{items}</data></array></value>"


# -- numbers ---------------------------------------------------------------------------------------


def _typed(result: Value, method: str) -> Value:
    """Turn the texts that are whole numbers into numbers, as far as `method` tells which."""
    cls, _, name = method.removeprefix("Async.").partition(".")
    if cls == "event" and name in {"next", "from"}:
        events = result.get("events") if isinstance(result, dict) else result
        for event in events if isinstance(events, list) else []:
            _type_event(event)
    elif name in {"get_all_records", "get_all_records_where"}:
        for record in result.values() if isinstance(result, dict) else []:
            _type_record(record, cls)
    elif name == "get_record":
        _type_record(result, cls)
    elif method in INT_RESULTS or _is_int_getter(cls, name):
        return _number(result)
    return result


def _is_int_getter(cls: str, name: str) -> bool:
    field = name.removeprefix("get_")
    return field != name and field in INT_FIELDS.get(cls.lower(), frozenset())


def _type_event(event: Value) -> None:
    match event:
        case {"class": str(cls), "snapshot": snapshot}:
            _type_record(snapshot, cls)


def _type_record(record: Value, cls: str) -> None:
    if isinstance(record, dict):
        for name in INT_FIELDS.get(cls.lower(), frozenset()) & record.keys():
            record[name] = _number(record[name])


def _number(value: Value) -> Value:
    """Return a whole number, or all of them in a set or map; a text that is none stays text."""
    if isinstance(value, str):
        number = int(value) if _INT.fullmatch(value) else INT_MAX + 1
        return number if -INT_MAX <= number <= INT_MAX else value
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, dict):
        return {key: _number(item) for key, item in value.items()}
    return value


# -- the tree --------------------------------------------------------------------------------------


def _parse(body: bytes) -> Value:
    """Return what the only parameter of a reply holds."""
    tree = _Tree()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text.append
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise ProtocolError(f"the answer is not XML: {error}") from error
    except (ValueError, IndexError) as error:
        raise ProtocolError(f"the answer is not XML-RPC: {error!s:.200}") from error
    if len(tree.root) != 1:
        raise ProtocolError("the answer is not XML-RPC: it holds no value")
    return tree.root[0]


def _refuse_doctype(*_: object) -> NoReturn:
    raise ProtocolError("the answer declares an XML document type, which XAPI never does")


class _Text(Enum):
    """Marks a `<value>` that holds text only, as far as was seen."""

    ONLY = auto()


class _Frame(msgspec.Struct):
    """A `<value>` that is still open; `key` is the name of its current struct member."""

    value: Value | _Text = _Text.ONLY
    key: str = ""


class _Tree:
    """Collects values from the events of the parser."""

    def __init__(self) -> None:
        self.root: list[Value] = []
        self.text: list[str] = []
        self._open: list[_Frame] = []
        self._depth = 0

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self.text.clear()
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ValueError(f"its elements are more than {DEPTH_MAX} deep")
        if name == "value":
            self._open.append(_Frame())
        elif name == "struct":
            self._open[-1].value = {}
        elif name == "array":
            self._open[-1].value = []
        elif name not in _KNOWN:
            raise ValueError(f"it has an element <{name:.40}>")

    def end(self, name: str) -> None:
        self._depth -= 1
        text = "".join(self.text)
        self.text.clear()
        if name == "value":
            frame = self._open.pop()
            self._add(text if isinstance(frame.value, _Text) else frame.value)
        elif name == "name":
            self._open[-1].key = text
        elif name in _TYPED:
            self._open[-1].value = _scalar(name, text)

    def _add(self, value: Value) -> None:
        if not self._open:
            self.root.append(value)
            return
        parent = self._open[-1]
        if isinstance(parent.value, dict):
            if parent.key in parent.value:
                raise ValueError(f"a struct has two members {parent.key!r:.40}")
            parent.value[parent.key] = value
        elif isinstance(parent.value, list):
            parent.value.append(value)
        else:
            raise ValueError("a value holds a value")


def _scalar(tag: str, text: str) -> Value:
    if tag == "boolean":
        return text.strip() == "1"
    if tag == "double":
        return float(text)
    if tag in {"int", "i4", "i8"}:
        number = _number(text.strip())
        if not isinstance(number, int):
            raise ValueError(f"{text!r:.40} is not a whole number")
        return number
    return None if tag == "nil" else text
