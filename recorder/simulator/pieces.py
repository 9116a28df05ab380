"""Long replies in pieces, so that nobody waits while one is written."""

from collections.abc import Iterable, Iterator

PIECE_BYTES = 1024 * 1024
"""A piece is written in some milliseconds; the longest replies have some tens of them."""


def in_pieces(
    before: bytes, items: Iterable[bytes], after: bytes, *, between: bytes = b""
) -> Iterator[bytes]:
    """Yield a text of many items in pieces of at least PIECE_BYTES, the last one excepted.

    An item is asked for when its piece is written; an item is never cut.
    """
    parts, size, separator = [before], len(before), b""
    for item in items:
        parts += [separator, item]
        size += len(item)
        separator = between
        if size >= PIECE_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    parts.append(after)
    yield b"".join(parts)
