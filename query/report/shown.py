"""Text that pools chose, made fit to be shown: in HTML, in a picture, in an attribute.

Escaping for HTML is not here but in `html`, where nobody can forget it.
"""

import unicodedata

CHARS_MAX = 160
"""What is longer is cut: a name of 100 KB tells no more than its beginning."""
_MARKS_MAX = 2
"""So many accents may sit on one letter; towers of them paint over the lines around."""


def shown(text: str, chars_max: int = CHARS_MAX) -> str:
    """Return text on one line, of `chars_max` characters at most.

    What has no picture of its own (control characters, those that turn the direction of writing,
    of no width, unassigned) becomes its number, as in `\\u202e`; what is cut ends in an ellipsis.
    """
    cut = len(text) > chars_max
    kept = text[: chars_max - 1] if cut else text
    chars, marks = [], 0
    for char in kept:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= _MARKS_MAX:
            chars.append(char if char.isprintable() else _number(char))
    # Numbers are longer than what they stand for: they are cut once more.
    line = " ".join("".join(chars).split(" "))
    if len(line) > chars_max:
        cut, line = True, line[: chars_max - 1]
    return f"{line}…" if cut else line


def _number(char: str) -> str:
    if char in "\t\r\n":
        return {"\t": "\\t", "\r": "\\r", "\n": "\\n"}[char]
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
