"""The characters of an XML document, one after the other, as xapi's parser (xmlm) sees them.

What cannot be read ends in a MalformedError with the words of xmlm's exception: line and column
count from 1.
"""

import re
from typing import NoReturn

from .calls import MalformedError

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LETTER = "A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f"
_LETTER += "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
_NAME = re.compile(f"[{_LETTER}][-.0-9{_LETTER}\xb7\u0300-\u036f\u203f\u2040]*")
_TEXT = re.compile("[^<&]+")
_WHITE = re.compile("[ \t\n]*")
_NUMBER = re.compile("x[0-9a-fA-F]+|[0-9]+")
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "apos": "'", "quot": '"'}
_ENDED = "unexpected end of input"
MALFORMED = "malformed character stream"


class Cursor:
    """A place in a document. `at` is the index of the character that is looked at."""

    def __init__(self, body: bytes, encoding: str) -> None:
        self._body = body
        self.at = 0
        self.load(encoding)

    def load(self, encoding: str) -> None:
        """Decode the body up to the first bad character; what comes there is noted."""
        self._end = _ENDED
        try:
            text = self._body.decode(encoding)
        except UnicodeDecodeError as error:
            text = self._body[: error.start].decode(encoding)
            self._end = _ENDED if error.reason == "unexpected end of data" else MALFORMED
        illegal = _ILLEGAL.search(text)
        if illegal:
            text, self._end = text[: illegal.start()], MALFORMED
        self.text = text.replace("\r\n", "\n").replace("\r", "\n")

    def fail(self, text: str, at: int | None = None) -> NoReturn:
        """Raise the refusal, which names the place."""
        place = self.at if at is None else at
        line = self.text.count("\n", 0, place) + 1
        column = place - self.text.rfind("\n", 0, place)
        raise MalformedError(f'Xmlm.Error({line}:{column}, "{text}")')

    def illegal(self, text: str) -> NoReturn:
        """Refuse what stands here."""
        self.fail(f'character sequence illegal here ("{text}")')

    def expect(self, found: str, *wanted: str) -> None:
        """Refuse a text that is none of those that may stand here."""
        if found not in wanted:
            listed = "".join(f'"{text}", ' for text in wanted)
            self.fail(f'expected one of these character sequence: {listed}found "{found}"')

    def char(self) -> str:
        """Return the character here; there must be one."""
        if self.at >= len(self.text):
            self.fail(self._end, len(self.text))
        return self.text[self.at]

    def ended(self) -> bool:
        """Say whether the document ends here, as opposed to being unreadable from here on."""
        return self.at >= len(self.text) and self._end == _ENDED

    def accept(self, *chars: str) -> None:
        """Go past one of these characters, which must be here."""
        self.expect(self.char(), *chars)
        self.at += 1

    def skip_white(self) -> bool:
        """Go past white space; return whether there was any."""
        found = _WHITE.match(self.text, self.at)
        assert found is not None, "no white space is white space, too"
        self.at = found.end()
        return bool(found[0])

    def past(self, text: str) -> str:
        """Go to what follows the next occurrence of a text, and return what was before it."""
        found = self.text.find(text, self.at)
        if found < 0:
            self.fail(self._end, len(self.text))
        passed = self.text[self.at : found]
        self.at = found + len(text)
        return passed

    def name(self) -> str:
        """Read a name without a prefix."""
        found = _NAME.match(self.text, self.at)
        if found is None:
            self.illegal(self.char())
        self.at = found.end()
        self.char()  # A name ends where something else begins.
        return found[0]

    def qualified(self) -> tuple[str, str]:
        """Read a name; return its prefix, if any, and the rest."""
        name = self.name()
        if self.char() != ":":
            return "", name
        self.at += 1
        return name, self.name()

    def attribute(self) -> str:
        """Read the value of an attribute."""
        self.skip_white()
        quote = self.char()
        self.accept('"', "'")
        parts = []
        while (char := self.char()) != quote:
            if char == "<":
                self.illegal("<")
            if char == "&":
                parts.append(self.reference())
            else:
                parts.append(char)
                self.at += 1
        self.at += 1
        return "".join(parts).strip(" \t\n")

    def gather(self, parts: list[str]) -> None:
        """Read data up to the next tag, in pieces."""
        while (char := self.char()) != "<":
            if char == "&":
                parts.append(self.reference())
                continue
            run = _TEXT.match(self.text, self.at)
            assert run is not None, "this character is neither < nor &"
            wrong = run[0].find("]]>")
            if wrong >= 0:
                self.at += wrong + 2
                self.illegal("]]>")
            parts.append(run[0])
            self.at = run.end()

    def reference(self) -> str:
        """Return what a reference stands for; an & without a name is itself."""
        self.at += 1
        if self.char() == "#":
            self.at += 1
            return self._character()
        if not _NAME.match(self.text, self.at):
            return "&"
        name = self.name()
        if self.char() != ";":
            return f"&{name}"
        self.at += 1
        self.char()
        if name not in _ENTITIES:
            self.fail(f"unknown entity reference ({name})")
        return _ENTITIES[name]

    def _character(self) -> str:
        if self.char() == ";":
            self.fail("illegal character reference (#)")
        number = self.past(";")
        self.char()
        code = -1
        if len(number) <= 12 and _NUMBER.fullmatch(number):
            code = int(number[1:], 16) if number[0] == "x" else int(number)
        if not 0 < code <= 0x10FFFF or _ILLEGAL.match(chr(code)):
            self.fail(f"illegal character reference (#{number})")
        return chr(code)
