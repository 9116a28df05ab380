"""The RFC 6962 tree over leaf hashes: its root, its peaks, and paths that prove a leaf is in it."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Self

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

_NODE = b"\x01"  # a leaf begins with 00, so that no inner node can be shown as a leaf


class MerkleTree:
    """The tree over the leaves added so far; it keeps one hash a level, not the leaves."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    @classmethod
    def of(cls, size: int, peaks: Iterable[bytes]) -> Self:
        """Return the tree that has `size` leaves and these peaks, in the order of `peaks`.

        Raises ValueError if no tree of this size has so many peaks, or one is not a hash.
        """
        tree = cls()
        tree.size, tree._peaks = size, list(peaks)
        if size < 0 or len(tree._peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves does not have {len(tree._peaks)} peaks")
        if any(len(peak) != HASH_BYTES for peak in tree._peaks):
            raise ValueError(f"a peak of the tree is not {HASH_BYTES} bytes long")
        return tree

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The roots of the complete subtrees, the largest first: one for each one bit of `size`."""
        return tuple(self._peaks)

    def copy(self) -> Self:
        """Return a tree of its own that stands where this one does."""
        return self.of(self.size, self._peaks)

    def add(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes."""
        # Level by level, as in `inclusion_path`: a loop over leaves would take twice as long.
        nodes, start = list(leaves), self.size
        self.size += len(nodes)
        lower: list[bytes] = []
        while len(nodes) > 1:
            if start & 1:
                nodes.insert(0, self._peaks.pop())
            if len(nodes) & 1:
                lower.append(nodes.pop())
            nodes, start = _level_above(nodes), start >> 1
        if nodes:
            # The last one goes up alone: a quiet pool sends one leaf at a time.
            node = nodes[0]
            while start & 1:
                node, start = _parent(self._peaks.pop(), node), start >> 1
            lower.append(node)
        self._peaks += reversed(lower)

    def root(self) -> bytes:
        """Return the tree's root; SHA-256 of nothing while it is empty."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = _parent(peak, root)
        return root


def inclusion_path(index: int, *, before: MerkleTree, leaves: Sequence[bytes]) -> list[bytes]:
    """Return the RFC 6962 audit path of leaf `index` in the tree of `before` and `leaves`.

    `index` counts from the first leaf of `before`, and is that of one of `leaves`; of the leaves in
    `before` nothing is needed but its peaks. Raises ValueError for any other index.
    """
    if not before.size <= index < before.size + len(leaves):
        raise ValueError(
            f"leaf {index} is not among leaves {before.size} to {before.size + len(leaves) - 1}"
        )
    path: list[bytes] = []
    peaks = list(before.peaks)
    # Level by level from the leaves up, `nodes` are all nodes of the level from place `start` on,
    # which are those that hold any of `leaves`. If `start` is odd, the left sibling of the first
    # one holds leaves of `before` only: as `start` is the size of `before` less its lower bits,
    # that sibling is the peak of this level. So after the peak is put in front, every node has its
    # sibling, except for the last one if the level is odd, which goes up as it is.
    start, place, nodes = before.size, index, list(leaves)
    while start or len(nodes) > 1:
        if start & 1:
            nodes.insert(0, peaks.pop())
            start -= 1
        sibling = (place ^ 1) - start
        if sibling < len(nodes):
            path.append(nodes[sibling])
        nodes = _level_above(nodes)
        start, place = start >> 1, place >> 1
    return path


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root of the tree of `size` leaves that `path` leads to from `leaf` at `index`.

    This is RFC 9162 section 2.1.3.2. Raises ValueError if there is no such leaf in such a tree, or
    if the path to it has another length.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    node, place, last = leaf, index, size - 1
    for step in path:
        if last == 0:
            raise ValueError(f"the path of leaf {index} in {size} is too long")
        if place & 1 or place == last:
            node = _parent(step, node)
            while not place & 1 and place:  # levels on which the node went up as it was
                place, last = place >> 1, last >> 1
        else:
            node = _parent(node, step)
        place, last = place >> 1, last >> 1
    if last:
        raise ValueError(f"the path of leaf {index} in {size} is too short")
    return node


def _parent(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()


def _level_above(nodes: list[bytes]) -> list[bytes]:
    pairs = zip(nodes[::2], nodes[1::2], strict=False)
    above = [sha256(_NODE + left + right).digest() for left, right in pairs]
    return above + nodes[len(nodes) & ~1 :]
