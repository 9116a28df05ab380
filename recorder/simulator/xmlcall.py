"""The request of XML-RPC as xapi's codec (ocaml-rpc) reads it, with the words of its refusals."""

import base64
import binascii
from collections.abc import Callable

from .calls import DEPTH_MAX, Call, MalformedError, Sent
from .ocaml import failure, float64, int64, quoted
from .values import DateTime
from .xmlm import Data, End, Reader, Start

_EMPTY: dict[str, Sent] = {"string": "", "nil": None, "value": ""}
_TYPES = "int/i8/i4/boolean/double/string/dateTime.iso8601/array/struct/nil"


def decode_call(body: bytes) -> Call:
    """Read a <methodCall>. Raises MalformedError for anything else."""
    reader = _Parser(body)
    return reader.call()


def _refused(got: str, wanted: str) -> MalformedError:
    return MalformedError(f"Xmlrpc.Parse_error({quoted(got)}, {quoted(wanted)}, _)")


def _is_blank(text: str) -> bool:
    return not text.strip(" \t\n")


class _Parser:
    """Reads one call. Blank text between tags means nothing; other text there is refused."""

    def __init__(self, body: bytes) -> None:
        self._reader = Reader(body)
        self._depth = 0

    def call(self) -> Call:
        self._open("methodCall")
        self._open("methodName")
        name = self._data()
        self._close("methodName")
        self._open("params")
        params = []
        while self._more():
            self._open("param")
            params.append(self._value())
            self._close("param")
        self._close("params")
        self._close("methodCall")
        return Call(name, params)

    def _open_any(self) -> str:
        while True:
            match self._reader.take():
                case Start(tag):
                    return tag
                case End():
                    raise _refused("close_tag", "open_tag")
                case Data(text) if not _is_blank(text):
                    raise _refused(f"data({_escaped(text)})", "open_tag")

    def _open(self, wanted: str) -> None:
        tag = self._open_any()
        if tag != wanted:
            raise _refused(f"open_tag({tag})", f"open_tag({wanted})")

    def _close(self, tag: str) -> None:
        while True:
            match self._reader.take():
                case End():
                    return
                case Start(other):
                    raise _refused(f"open_tag({other})", f"close_tag({tag})")
                case Data(text) if not _is_blank(text):
                    raise _refused(f"data({_escaped(text)})", f"close_tag({tag})")

    def _data(self) -> str:
        """Return the text of an element. Without any, its end tag is taken for the text."""
        match self._reader.take():
            case Data(text):
                return text
            case Start(tag):
                raise _refused(f"open_tag({tag})", "data")
            case End():
                return ""

    def _more(self) -> bool:
        """Say whether a list goes on."""
        following = self._reader.peek()
        if isinstance(following, Data) and _is_blank(following.text):
            self._reader.take()
            following = self._reader.peek()
        return not isinstance(following, End)

    def _value(self) -> Sent:
        """Read a <value>: a typed element, or bare text, which is a string."""
        tag = self._open_any()
        if tag != "value":
            raise _refused("open_tag(value)", f"open_tag({tag})")
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise MalformedError("Stack_overflow")
        value = self._content()
        self._depth -= 1
        self._close("value")
        return value

    def _content(self) -> Sent:
        match self._reader.peek():
            case End():
                return ""
            case Data(text):
                self._reader.take()
                if not (_is_blank(text) and isinstance(self._reader.peek(), Start)):
                    return text
        return self._typed()

    def _typed(self) -> Sent:
        tag = self._open_any()
        if isinstance(self._reader.peek(), End):
            value = self._empty(tag)
        elif tag in _READERS:
            value = _READERS[tag](self._data())
        else:
            value = self._compound(tag)
        self._close(tag)
        return value

    def _empty(self, tag: str) -> Sent:
        if tag == "array":
            return []
        if tag == "struct":
            return {}
        if tag not in _EMPTY:
            raise _refused(f"empty_{tag}", tag)
        return _EMPTY[tag]

    def _compound(self, tag: str) -> Sent:
        if tag == "array":
            return self._array()
        if tag == "struct":
            return self._struct()
        if tag != "nil":
            raise _refused(f"open_tag({tag})", f"open_tag({_TYPES})")
        return None

    def _array(self) -> list[Sent]:
        self._open("data")
        items = []
        while self._more():
            items.append(self._value())
        self._close("data")
        return items

    def _struct(self) -> dict[str, Sent]:
        """Read the members. Of two with the same name, xapi finds the first."""
        members: dict[str, Sent] = {}
        while self._more():
            self._open("member")
            self._open("name")
            name = self._data()
            self._close("name")
            members.setdefault(name, self._value())
            self._close("member")
        return members


def _escaped(text: str) -> str:
    return quoted(text)[1:-1]


def _integer(text: str) -> int:
    number = int64(text)
    if number is None:
        raise MalformedError(failure("Int64.of_string"))
    return number


def _double(text: str) -> float:
    number = float64(text)
    if number is None:
        raise MalformedError(failure("float_of_string"))
    return number


def _base64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        raise MalformedError(f"Invalid_argument({quoted('Base64.decode_exn')})") from None


_READERS: dict[str, Callable[[str], Sent]] = {
    "int": _integer,
    "i8": _integer,
    "i4": _integer,
    "boolean": lambda text: text == "1",
    "double": _double,
    "string": str,
    "dateTime.iso8601": DateTime,
    "base64": _base64,
}
