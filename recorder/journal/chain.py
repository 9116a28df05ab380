"""The digests of the journal: leaf hashes, the chain over them, and the Merkle root of a segment.

Every payload byte is hashed once, in its leaf; chain and root are built over the leaves.
"""

import struct
from collections.abc import Iterable
from hashlib import sha256

CHAIN_BYTES = 32
GENESIS = bytes(CHAIN_BYTES)
"""The chain before the first segment of a journal."""

EMPTY_ROOT = sha256(b"").digest()

# The prefixes keep leaves, inner nodes and headers apart (RFC 6962 section 2.1 for the first two):
# no bytes can be shown as one kind that were hashed as another.
_LEAF = sha256(b"\x00")
_NODE = b"\x01"
_HEADER = b"\x02"
_FIELDS = struct.Struct("<IHHQ")


def leaf_hash(item: bytes | memoryview) -> bytes:
    """Return the RFC 6962 leaf hash of one item's msgpack bytes."""
    digest = _LEAF.copy()
    digest.update(item)
    return digest.digest()


def header_chain(header: bytes) -> bytes:
    """Return the chain after a segment header: its bytes hold the chain before it."""
    return sha256(_HEADER + header).digest()


def frame_chain(
    before: bytes, *, length: int, flags: int, count: int, first_seq: int, leaves: Iterable[bytes]
) -> bytes:
    """Return the chain after a frame: over the chain before, the head fields and the leaves."""
    digest = sha256(before)
    digest.update(_FIELDS.pack(length, flags, count, first_seq))
    digest.update(b"".join(leaves))
    return digest.digest()


class MerkleTree:
    """The RFC 6962 tree over the leaves added so far; it keeps one hash a level."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []  # roots of the complete subtrees, the largest first

    def add(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes."""
        peaks, size = self._peaks, self.size
        for leaf in leaves:
            node, carry = leaf, size
            while carry & 1:  # as many merges as the count so far ends in one bits
                node = sha256(_NODE + peaks.pop() + node).digest()
                carry >>= 1
            peaks.append(node)
            size += 1
        self.size = size

    def root(self) -> bytes:
        """Return the tree's root; SHA-256 of nothing while it is empty."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = sha256(_NODE + peak + root).digest()
        return root
