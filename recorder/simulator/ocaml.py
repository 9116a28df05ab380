"""Literals of OCaml: xapi reads numbers out of text by its rules, and prints exceptions by them."""

import re

_INTEGER = re.compile(
    r"([+-]?)(?:0[xX]([0-9a-fA-F][0-9a-fA-F_]*)|0[oO]([0-7][0-7_]*)|0[bB]([01][01_]*)"
    r"|0[uU]([0-9][0-9_]*)|([0-9][0-9_]*))",
    re.ASCII,
)
_BASES = (16, 8, 2, 10)
_INTEGER_LETTERS_MAX = 1000
"""No 64-bit number needs more, and reading a decimal takes time that is quadratic in its length."""
_DECIMAL = re.compile(
    r"[ \t-\r]*[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)",
    re.ASCII | re.IGNORECASE,
)
_HEXADECIMAL = re.compile(
    r"[+-]?0x(?:[0-9a-f]+(?:\.[0-9a-f]*)?|\.[0-9a-f]+)(?:p[+-]?\d+)?", re.ASCII | re.IGNORECASE
)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b"}


def int64(text: str) -> int | None:
    """Return what `Int64.of_string` makes of a text, None where it raises.

    0x, 0o, 0b and 0u announce 64 bits without a sign, so 0xffffffffffffffff is -1.
    """
    found = _INTEGER.fullmatch(text) if len(text) <= _INTEGER_LETTERS_MAX else None
    if found is None:
        return None
    sign, *unsigned, decimal = found.groups()
    negate = -1 if sign == "-" else 1
    if decimal is not None:
        number = negate * int(decimal.replace("_", ""))
        return number if -(2**63) <= number < 2**63 else None
    digits, base = next(pair for pair in zip(unsigned, _BASES, strict=True) if pair[0])
    bits = int(digits.replace("_", ""), base)
    if bits >= 2**64:
        return None
    return (negate * bits + 2**63) % 2**64 - 2**63


def float64(text: str) -> float | None:
    """Return what `float_of_string` makes of a text, None where it raises."""
    text = text.replace("_", "")
    if _HEXADECIMAL.fullmatch(text):
        try:
            return float.fromhex(text)
        except OverflowError:
            return float("-inf") if text.startswith("-") else float("inf")
    return float(text) if _DECIMAL.fullmatch(text) else None


def quoted(text: str) -> str:
    """Return a text as a string literal (`%S`): what is not plain ASCII becomes \\ddd, by byte."""
    parts = []
    for char in text:
        if char in _ESCAPES:
            parts.append(_ESCAPES[char])
        elif " " <= char <= "~":
            parts.append(char)
        else:
            parts += [f"\\{byte:03d}" for byte in char.encode("utf-8", "surrogateescape")]
    return f'"{"".join(parts)}"'


def failure(text: str) -> str:
    """Return how the exception `Failure` is printed."""
    return f"Failure({quoted(text)})"
