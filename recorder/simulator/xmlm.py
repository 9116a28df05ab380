"""XML as xapi's parser (xmlm) reads it: start tags, ends and data, or the words of its refusal.

It is laxer than others (what follows the document is ignored, a lone & is text) and stricter too:
it knows no entity but the five of XML, so that none is ever expanded or fetched.
"""

from enum import Enum, auto

import msgspec

from .xmlcursor import MALFORMED, Cursor

_BOMS = {b"\xfe\xff": "utf-16-be", b"\xff\xfe": "utf-16-le", b"\xef\xbb\xbf": "utf-8"}
_ENCODINGS = {
    "utf-8": "utf-8",
    "utf-16be": "utf-16-be",
    "utf-16le": "utf-16-le",
    "iso-8859-1": "latin-1",
    "us-ascii": "ascii",
    "ascii": "ascii",
}


class Start(msgspec.Struct, frozen=True):
    """A start tag; prefix and attributes say nothing to xapi."""

    tag: str


class Data(msgspec.Struct, frozen=True):
    """Text between two tags, all of it: comments and CDATA do not cut it."""

    text: str


class End(msgspec.Struct, frozen=True):
    """An end tag."""


class _Limit(Enum):
    """What begins at a place of the document."""

    TEXT = auto()
    CDATA = auto()
    COMMENT = auto()
    INSTRUCTION = auto()
    DOCTYPE = auto()
    START = auto()
    END = auto()


Signal = Start | Data | End


class Reader:
    """One document, read signal by signal; one signal is always read ahead, as xmlm does.

    Every method raises MalformedError with the text of xmlm's exception.
    """

    def __init__(self, body: bytes) -> None:
        self._scopes: list[str] = []
        self._prefixes = {"xml", "xmlns"}
        self._in_tag = False
        self._name = ("", "")  # The qualified name at the last limit.
        bom = next((bom for bom in _BOMS if body.startswith(bom)), b"")
        self._here = Cursor(body[len(bom) :], _BOMS.get(bom, "utf-8"))
        if not bom and body[:1] > b"\x7f":
            self._here.fail("expected root element")  # The first byte is read before any encoding.
        self._limit = self._read_limit()
        self._prolog(declared=not bom)
        self._next: Signal = self._start()

    def peek(self) -> Signal:
        """Return the next signal without taking it."""
        return self._next

    def take(self) -> Signal:
        """Return the next signal and go on; what follows the root element is never looked at."""
        taken = self._next
        if self._scopes:
            self._next = self._finish_tag() if self._in_tag else self._find()
        return taken

    # What comes before the root element

    def _prolog(self, *, declared: bool) -> None:
        if self._limit is _Limit.INSTRUCTION and self._name == ("", "xml"):
            self._declaration(declared=declared)
        self._skip_misc()
        if self._limit is _Limit.DOCTYPE:
            self._skip_doctype()
            self._skip_misc()
        if self._limit is not _Limit.START:
            self._here.fail("expected root element")

    def _skip_misc(self) -> None:
        while True:
            if self._limit is _Limit.INSTRUCTION:
                prefix, name = self._name
                if not prefix and name.lower() == "xml":
                    self._here.illegal(name)
                self._here.past("?>")
            elif self._limit is _Limit.COMMENT:
                self._skip_comment()
            elif self._limit is not _Limit.TEXT or not self._here.skip_white():
                return
            if self._here.ended():
                self._here.fail("expected root element")
            self._limit = self._read_limit()

    def _declaration(self, *, declared: bool) -> None:
        self._here.skip_white()
        self._here.expect(self._here.name(), "version")
        self._here.expect(self._value(), "1.0", "1.1")
        self._here.skip_white()
        if self._here.char() != "?":
            name = self._here.name()
            self._here.expect(name, "encoding", "standalone", "?>")
            if name == "encoding":
                self._set_encoding(self._value().lower(), declared=declared)
                self._here.skip_white()
                name = "" if self._here.char() == "?" else self._here.name()
            if name:
                self._here.expect(name, "standalone", "?>")
                self._here.expect(self._value(), "yes", "no")
        self._here.skip_white()
        self._here.accept("?")
        self._here.accept(">")
        self._limit = self._read_limit()

    def _value(self) -> str:
        self._here.skip_white()
        self._here.accept("=")
        return self._here.attribute()

    def _set_encoding(self, name: str, *, declared: bool) -> None:
        """Go on in the encoding that is declared, unless the beginning of the body told it."""
        if not declared:
            return
        if name.startswith("utf-16"):
            self._here.fail(MALFORMED)  # Up to here it was something else.
        if name not in _ENCODINGS:
            self._here.fail(f"unknown encoding ({name})")
        self._here.load(_ENCODINGS[name])

    def _skip_doctype(self) -> None:
        """Skip a document type with all that it declares."""
        nesting = 1
        while nesting:
            char = self._here.char()
            if self._here.text.startswith("<!--", self._here.at):
                self._here.at += len("<!--")
                self._skip_comment()
                continue
            self._here.at += 1
            if char in "\"'":
                self._here.past(char)
            else:
                nesting += (char == "<") - (char == ">")
        self._limit = self._read_limit()

    # Markup

    def _read_limit(self) -> _Limit:
        """Return what begins here; of markup, the beginning is read."""
        if self._here.at < len(self._here.text) and self._here.text[self._here.at] != "<":
            return _Limit.TEXT
        self._here.char()
        self._here.at += 1
        match self._here.char():
            case "?":
                self._here.at += 1
                self._name = self._here.qualified()
                return _Limit.INSTRUCTION
            case "/":
                self._here.at += 1
                self._name = self._here.qualified()
                self._here.skip_white()
                return _Limit.END
            case "!":
                self._here.at += 1
                return self._read_declared_limit()
            case _:
                self._name = self._here.qualified()
                return _Limit.START

    def _read_declared_limit(self) -> _Limit:
        char = self._here.char()
        if char == "-":
            self._here.at += 1
            self._here.accept("-")
            return _Limit.COMMENT
        if char == "D":
            return _Limit.DOCTYPE
        if char != "[":
            self._here.illegal(f"<!{char}")
        begin = self._here.at + 1
        self._here.at = min(begin + len("CDATA["), len(self._here.text))
        self._here.char()
        self._here.expect(self._here.text[begin : self._here.at], "CDATA[")
        return _Limit.CDATA

    def _skip_comment(self) -> None:
        self._here.past("--")
        self._here.accept(">")

    def _start(self) -> Start:
        """Read the attributes of a start tag, up to > or /."""
        prefix, name = self._name
        self._scopes.append(f"{prefix}:{name}" if prefix else name)
        used = [prefix] if prefix else []
        while self._here.skip_white() and self._here.char() not in "/>":
            before, attribute = self._here.qualified()
            self._value()
            if before == "xmlns":
                self._prefixes.add(attribute)
            elif before:
                used.append(before)
        for unknown in used:
            if unknown not in self._prefixes:
                self._here.fail(f"unknown namespace prefix ({unknown})")
        self._in_tag = True
        return Start(name)

    def _finish_tag(self) -> Signal:
        """Read the end of a start tag and the signal after it."""
        self._in_tag = False
        self._here.skip_white()
        empty = self._here.char() == "/"
        self._here.accept("/", ">")
        if empty:
            return self._close(self._scopes[-1])
        self._limit = self._read_limit()
        return self._find()

    def _find(self) -> Signal:
        """Return the data here, if any, or else the tag."""
        parts: list[str] = []
        while self._limit not in {_Limit.START, _Limit.END}:
            self._gather(parts)
            self._limit = self._read_limit()
        if any(parts):
            return Data("".join(parts))
        if self._limit is _Limit.START:
            return self._start()
        prefix, name = self._name
        return self._close(f"{prefix}:{name}" if prefix else name)

    def _close(self, name: str) -> End:
        self._here.expect(self._here.char(), ">")
        self._here.expect(name, self._scopes[-1])
        self._scopes.pop()
        if self._scopes:
            self._here.at += 1
            self._limit = self._read_limit()
        return End()

    # Data

    def _gather(self, parts: list[str]) -> None:
        """Read one piece of data, or what may stand between two pieces."""
        match self._limit:
            case _Limit.TEXT:
                self._here.gather(parts)
            case _Limit.CDATA:
                parts.append(self._here.past("]]>"))
            case _Limit.COMMENT:
                self._skip_comment()
            case _Limit.INSTRUCTION:
                self._here.past("?>")
            case _:
                self._here.illegal("<!D")
