"""JSON as xapi's parser (yojson) reads it: laxer than the standard, and with its own refusals.

Comments, names without quotes, control characters and bytes that are no UTF-8 are let in (the
latter as surrogates). Of two members with one name the first counts.
"""

import json
import re
from collections.abc import Callable
from typing import NoReturn

from .calls import DEPTH_MAX, MalformedError, Sent
from .ocaml import failure, int64, quoted

_JUNK_LETTERS_MAX = 32
"""How much of what can't be read is quoted."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\r]+")
_COMMENT = re.compile(r"//[^\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*|[0-9])(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_IDENTIFIER = re.compile("[a-zA-Z_][a-zA-Z_0-9]*")
_RUN = re.compile(r'[^"\\]+')
_UNICODE = re.compile("u([0-9a-fA-F]{4})")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
_WORDS: dict[str, Sent] = {
    "true": True,
    "false": False,
    "null": None,
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}


def parse(body: bytes) -> Sent:
    """Return the document. Raises MalformedError with the text of yojson's exception."""
    try:
        document = _checked(_FAST.decode(body.decode()), 0)
    except (ValueError, RecursionError, _Doubtful):
        # ValueError is also what Python makes of broken UTF-8, and of more than 4300 digits.
        return _Lexer(body).document()
    return document


class _Doubtful(Exception):
    """A document that Python reads, but not as yojson does."""


def _first_wins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else dict(reversed(pairs))


_FAST = json.JSONDecoder(strict=False, object_pairs_hook=_first_wins)


def _checked(value: object, depth: int) -> Sent:
    match value:
        case bool() | float() | None:
            return value
        case str():
            return _plain(value)
        case int() if -(2**63) <= value < 2**63:
            return value
        case list() if depth < DEPTH_MAX:
            return [_checked(item, depth + 1) for item in value]
        case dict() if depth < DEPTH_MAX:
            return {_plain(name): _checked(item, depth + 1) for name, item in value.items()}
        case _:
            raise _Doubtful


def _plain(text: str) -> str:
    if _SURROGATE.search(text):
        raise _Doubtful
    return text


def _refusal(text: str) -> MalformedError:
    return MalformedError(f"Yojson__Common.Json_error({quoted(text)})")


class _Lexer:
    """Reads one document letter by letter; slow, and therefore only after others have failed.

    A letter is a byte, so that columns are counted as yojson does.
    """

    def __init__(self, body: bytes) -> None:
        self._text = body.decode("latin-1")
        self._at = 0
        self._line = 1
        self._line_begin = 0

    def document(self) -> Sent:
        self._space()
        if self._at >= len(self._text):
            raise _refusal("Blank input data")
        value = self._value(0)
        self._space()
        if self._at < len(self._text):
            self._junk("Junk after end of JSON value:")
        return value

    def _fail(self, text: str, begin: int, end: int) -> NoReturn:
        first, last = begin - self._line_begin - 1, end - self._line_begin
        where = f"bytes {first}-{last}" if first != last else f"byte {first}"
        raise _refusal(f"Line {self._line}, {where}:\n{text}")

    def _junk(self, text: str) -> NoReturn:
        """Refuse what is here; yojson reads on to quote it, and names the place where it stops."""
        size = len(self._text)
        if self._at >= size:
            self._fail("Unexpected end of input", size, size)
        stop = self._at + 1 + _JUNK_LETTERS_MAX
        quote = _utf8(self._text[self._at : stop])
        begin, end = (stop, stop + 1) if stop < size else (size, size)
        self._fail(f"{text} '{quote}'", begin, end)

    def _space(self) -> None:
        while True:
            if (found := _SPACE.match(self._text, self._at)) or (
                found := _COMMENT.match(self._text, self._at)
            ):
                self._at = found.end()
            elif self._text.startswith("\n", self._at):
                self._newline()
            elif self._text.startswith("/*", self._at):
                self._comment()
            else:
                return

    def _newline(self) -> None:
        self._at += 1
        self._line += 1
        self._line_begin = self._at

    def _comment(self) -> None:
        self._at += 2
        while not self._text.startswith("*/", self._at):
            if self._at >= len(self._text):
                self._fail("Unterminated comment ''", self._at, self._at)
            if self._text[self._at] == "\n":
                self._newline()
            else:
                self._at += 1
        self._at += 2

    def _value(self, depth: int) -> Sent:
        if depth > DEPTH_MAX:
            raise MalformedError("Stack_overflow")
        self._space()
        if self._took('"'):
            return self._string()
        if self._took("{"):
            return self._object(depth)
        if self._took("["):
            return self._array(depth)
        for word, value in _WORDS.items():
            if self._took(word):
                return value
        number = _NUMBER.match(self._text, self._at)
        if number is None:
            self._junk("Invalid token")
        self._at = number.end()
        return _number(number[0])

    def _took(self, text: str) -> bool:
        found = self._text.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _members(self, end: str, read: Callable[[], None]) -> None:
        """Read what is between brackets, with commas between."""
        self._space()
        if self._took(end):
            return
        while True:
            read()
            self._space()
            if self._took(end):
                return
            if not self._took(","):
                self._junk(f"Expected ',' or '{end}' but found")
            self._space()

    def _array(self, depth: int) -> list[Sent]:
        items: list[Sent] = []
        self._members("]", lambda: items.append(self._value(depth + 1)))
        return items

    def _object(self, depth: int) -> dict[str, Sent]:
        members: dict[str, Sent] = {}

        def member() -> None:
            name = self._name()
            self._space()
            if not self._took(":"):
                self._junk("Expected ':' but found")
            self._space()
            members.setdefault(name, self._value(depth + 1))

        self._members("}", member)
        return members

    def _name(self) -> str:
        if self._took('"'):
            return self._string()
        found = _IDENTIFIER.match(self._text, self._at)
        if found is None:
            self._junk("Expected string or identifier but found")
        self._at = found.end()
        return found[0]

    def _string(self) -> str:
        """Read a string after its opening quote."""
        parts = bytearray()
        while not self._took('"'):
            if run := _RUN.match(self._text, self._at):
                parts += run[0].encode("latin-1")
                self._at = run.end()
            elif self._took("\\"):
                parts += self._escape()
            else:
                self._fail("Unexpected end of input", self._at, self._at)
        return parts.decode("utf-8", "surrogateescape")

    def _escape(self) -> bytes:
        letter = self._text[self._at : self._at + 1]
        if letter in _ESCAPES and letter:
            self._at += 1
            return _ESCAPES[letter].encode()
        found = _UNICODE.match(self._text, self._at)
        if found is None:
            self._junk("Invalid escape sequence")
        self._at = found.end()
        code = int(found[1], 16)
        if 0xD800 <= code <= 0xDBFF:
            code = self._surrogate_pair(code)
        return chr(code).encode("utf-8", "surrogatepass")

    def _surrogate_pair(self, high: int) -> int:
        begin = self._at
        found = (
            _UNICODE.match(self._text, begin + 1) if self._text.startswith("\\", begin) else None
        )
        if found is None:
            self._junk(
                "Missing escape sequence representing low surrogate for code point beyond U+FFFF"
            )
        low = int(found[1], 16)
        if not 0xDC00 <= low <= 0xDFFF:
            self._junk("Invalid low surrogate for code point beyond U+FFFF")
        self._at = found.end()
        return 0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF)


def _utf8(letters: str) -> str:
    return letters.encode("latin-1").decode("utf-8", "surrogateescape")


def _number(text: str) -> int | float:
    if text.lstrip("-").isdigit():
        number = int64(text)
        if number is None:
            raise MalformedError(failure("Int64.of_string"))
        return number
    return float(text)
