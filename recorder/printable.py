"""Text of others on its way to a terminal: nothing in it drives the terminal or breaks a line."""

import re

_RAW = re.compile(
    "[\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f"
    "\ufeff\ufff0-\uffff\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001345f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""What JSON leaves as it is in a string and a terminal, or a reader of lines, takes as an order."""


def shown(text: str) -> str:
    r"""Return text as it can be shown on one line: what is not printable is escaped, as `\x1b`.

    Terminal escapes, line breaks, marks that turn the direction of text, and characters that nobody
    sees are not printable.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def json_shown(text: str) -> str:
    """Return a JSON document that has the same values and drives no terminal."""
    return text if text.isascii() and "\x7f" not in text else _RAW.sub(_json_escaped, text)


def _json_escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
