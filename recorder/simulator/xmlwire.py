"""XML-RPC as xapi reads and writes it: text without <string>, whole numbers without <int>."""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.parsers import expat

from .calls import DEPTH_MAX, Batch, Call, MalformedError, Result, RowReply, Sent, TableReply
from .events import FromReply
from .values import DateTime, Fault, Value

_HEAD = '<?xml version="1.0"?><methodResponse><params><param>'
_TAIL = "</param></params></methodResponse>"
_NAMED = "<member><name>{}</name>{}</member>"

_ENDED = "unexpected end of input"
_XML_ERRORS = {
    expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]: _ENDED,
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN]: _ENDED,
    expat.errors.codes[expat.errors.XML_ERROR_SYNTAX]: "expected root element",
    expat.errors.codes[expat.errors.XML_ERROR_PARTIAL_CHAR]: "malformed character stream",
    expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]: "character not allowed here",
}
_DROPPED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass(slots=True)
class _Node:
    """An element with its text and children; small, for a request is at most 300 KiB."""

    tag: str
    children: list["_Node"] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def only(self, tag: str) -> "_Node":
        """Return the single child with this tag."""
        if len(self.children) != 1 or self.children[0].tag != tag:
            got = self.children[0].tag if self.children else "close_tag"
            raise _unexpected(got, tag)
        return self.children[0]


def _unexpected(got: str, wanted: str) -> MalformedError:
    return MalformedError(f'Xmlrpc.Parse_error("open_tag({got})", "open_tag({wanted})", _)')


def decode_call(body: bytes) -> Call:
    """Read a <methodCall>. Raises MalformedError for anything else."""
    root = _parse(body)
    if root.tag != "methodCall":
        raise _unexpected(root.tag, "methodCall")
    if len(root.children) != 2:
        raise _unexpected("close_tag", "params")
    name, params = root.children
    if (name.tag, params.tag) != ("methodName", "params"):
        raise _unexpected(name.tag, "methodName")
    return Call(name.text, [_value(_param(child).only("value")) for child in params.children])


def _param(node: _Node) -> _Node:
    if node.tag != "param":
        raise _unexpected(node.tag, "param")
    return node


def _parse(body: bytes) -> _Node:
    """Build the tree of a document; expat bounds the expansion of entities by itself."""
    top = _Node("")
    open_nodes = [top]

    def start(tag: str, _attributes: dict[str, str]) -> None:
        if len(open_nodes) > 4 * DEPTH_MAX:
            raise MalformedError("Stack_overflow")
        node = _Node(tag)
        open_nodes[-1].children.append(node)
        open_nodes.append(node)

    def text(part: str) -> None:
        open_nodes[-1].texts.append(part)

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _tag: open_nodes.pop()
    parser.CharacterDataHandler = text
    parser.ExternalEntityRefHandler = _no_entity
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise MalformedError(_xmlm_text(error, body)) from error
    except (LookupError, ValueError) as error:  # an encoding that expat does not know
        raise MalformedError('Xmlm.Error(1:1, "unknown encoding")') from error
    return top.children[0]


def _no_entity(*_where: str | None) -> int:
    """Refuse, in the way of expat, to read anything that a document points to."""
    return 0


def _xmlm_text(error: expat.ExpatError, body: bytes) -> str:
    """Return the words of xapi's parser; it counts from 1, and sees an early end at the end."""
    text = _XML_ERRORS.get(error.code, "expected end tag")
    line, column = error.lineno, error.offset + 1
    if text == _ENDED:
        line, column = body.count(b"\n") + 1, len(body) - body.rfind(b"\n")
    return f'Xmlm.Error({line}:{column}, "{text}")'


def _value(node: _Node) -> Sent:
    """Read a <value>: a typed element, or bare text, which is a string."""
    if not node.children:
        return node.text
    if len(node.children) != 1:
        raise _unexpected(node.children[1].tag, "close_tag")
    return _typed(node.children[0])


def _typed(node: _Node) -> Sent:
    read = _READERS.get(node.tag)
    if read is None:
        raise _unexpected(node.tag, "/".join(_READERS))
    return read(node)


def _array(node: _Node) -> list[Sent]:
    if not node.children:
        return []
    items = node.only("data").children
    for item in items:
        if item.tag != "value":
            raise _unexpected(item.tag, "value")
    return [_value(item) for item in items]


def _member(node: _Node) -> tuple[str, Sent]:
    if node.tag != "member" or [child.tag for child in node.children] != ["name", "value"]:
        raise _unexpected(node.tag, "member")
    return node.children[0].text, _value(node.children[1])


def _integer(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or not -(2**63) <= int(text) < 2**63:
        raise MalformedError('Failure("Int64.of_string")')
    return int(text)


def _double(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise MalformedError('Failure("float_of_string")') from None


def _base64(text: str) -> str:
    try:
        return base64.b64decode(text).decode("utf-8", "replace")
    except binascii.Error:
        raise MalformedError('Invalid_argument("Base64.decode_exn")') from None


_READERS: dict[str, Callable[[_Node], Sent]] = {
    "int": lambda node: _integer(node.text),
    "i8": lambda node: _integer(node.text),
    "i4": lambda node: _integer(node.text),
    "boolean": lambda node: node.text == "1",
    "double": lambda node: _double(node.text),
    "string": lambda node: node.text,
    "dateTime.iso8601": lambda node: DateTime(node.text),
    "base64": lambda node: _base64(node.text),
    "array": _array,
    "struct": lambda node: dict(map(_member, node.children)),
    "nil": lambda _node: None,
}


def encode_success(result: Result) -> bytes:
    """Return the reply of a call that worked."""
    parts = [_HEAD, "<value><struct>", _NAMED.format("Status", "<value>Success</value>")]
    parts.append("<member><name>Value</name>")
    _write_result(result, parts)
    parts.append("</member></struct></value>")
    parts.append(_TAIL)
    return "".join(parts).encode()


def encode_bare(result: Result) -> bytes:
    """Return the reply of `system.listMethods`, the only one without a Status."""
    parts = [_HEAD]
    _write_result(result, parts)
    parts.append(_TAIL)
    return "".join(parts).encode()


def encode_failure(fault: Fault) -> bytes:
    """Return the reply of a call that failed: still HTTP 200, and no <fault>."""
    parts = [_HEAD]
    _write({"Status": "Failure", "ErrorDescription": [fault.code, *fault.params]}, parts)
    parts.append(_TAIL)
    return "".join(parts).encode()


def encode_value(value: Value) -> str:
    """Return one <value>, the form in which a task keeps its result."""
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts)


def _write_result(result: Result, parts: list[str]) -> None:
    match result:
        case Batch(rows):
            _write([row.as_value() for row in rows], parts)
        case RowReply(database, cls, ref):
            _write(database.record(cls, ref), parts)
        case TableReply(database, cls, refs):
            _write({ref: database.record(cls, ref) for ref in refs}, parts)
        case FromReply(rows, counts, token):
            parts.append("<value><struct><member><name>events</name>")
            _write([row.as_value() for row in rows], parts)
            parts.append("</member><member><name>valid_ref_counts</name><value><struct>")
            parts += [
                _NAMED.format(cls, f"<value><i4>{count}</i4></value>")
                for cls, count in counts.items()
            ]
            parts.append("</struct></value></member>")
            parts.append(_NAMED.format("token", f"<value>{escape(token)}</value>"))
            parts.append("</struct></value>")
        case _:
            _write(result, parts)


def _write(value: Value, parts: list[str]) -> None:
    match value:
        case bool():
            parts.append(f"<value><boolean>{value:d}</boolean></value>")
        case DateTime():
            parts.append(f"<value><dateTime.iso8601>{value}</dateTime.iso8601></value>")
        case str():
            parts.append(f"<value>{escape(value)}</value>")
        case int():
            parts.append(f"<value>{value}</value>")
        case float():
            parts.append(f"<value><double>{value:.16g}</double></value>")
        case list():
            parts.append("<value><array><data>")
            for item in value:
                _write(item, parts)
            parts.append("</data></array></value>")
        case dict():
            parts.append("<value><struct>")
            for name, item in value.items():
                parts.append(f"<member><name>{escape(name)}</name>")
                _write(item, parts)
                parts.append("</member>")
            parts.append("</struct></value>")


def escape(text: str) -> str:
    """Return text as xapi puts it into XML: four characters escaped, control characters dropped."""
    text = _DROPPED.sub("", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;")
