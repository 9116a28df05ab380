"""The digests of the journal: leaf hashes and the chain over them.

Every payload byte is hashed once, in its leaf; the chain and the tree (merkle.py) are built over
the leaves.
"""

import struct
from collections.abc import Callable, Iterable
from hashlib import sha256

CHAIN_BYTES = 32
GENESIS = bytes(CHAIN_BYTES)
"""The chain before the first segment of a journal."""

# The prefixes keep leaves, inner nodes and headers apart (01 is that of the nodes of the RFC 6962
# tree): no bytes can be shown as one kind that were hashed as another.
_LEAF = sha256(b"\x00")
_HEADER = b"\x02"
_FIELDS = struct.Struct("<HHQ")
_FIELDS_1 = struct.Struct("<IHHQ")

ChainRule = Callable[[bytes, int, int, int, int, Iterable[bytes]], bytes]
"""Returns the chain after a frame: of the chain before it, its length, flags, count, first_seq and
leaves."""


def leaf_hash(item: bytes | memoryview) -> bytes:
    """Return the RFC 6962 leaf hash of one item's msgpack bytes."""
    digest = _LEAF.copy()
    digest.update(item)
    return digest.digest()


def header_chain(header: bytes) -> bytes:
    """Return the chain after a segment header: its bytes hold the chain before it."""
    return sha256(_HEADER + header).digest()


def frame_chain(
    before: bytes, _length: int, flags: int, count: int, first_seq: int, leaves: Iterable[bytes]
) -> bytes:
    """Return the chain after a frame: over the chain before, the head fields and the leaves.

    The length follows from the items, and changes where one of them is redacted to its leaf.
    """
    digest = sha256(before)
    digest.update(_FIELDS.pack(flags, count, first_seq))
    digest.update(b"".join(leaves))
    return digest.digest()


def _frame_chain_1(
    before: bytes, length: int, flags: int, count: int, first_seq: int, leaves: Iterable[bytes]
) -> bytes:
    digest = sha256(before)
    digest.update(_FIELDS_1.pack(length, flags, count, first_seq))
    digest.update(b"".join(leaves))
    return digest.digest()


CHAIN_RULES: dict[int, ChainRule] = {1: _frame_chain_1, 2: frame_chain}
"""By the version of the format."""
