"""The Merkle tree by its recursive definition: slow, and plain to see that it is right."""

from hashlib import sha256


def naive_root(leaves: list[bytes]) -> bytes:
    """Return MTH of RFC 6962 section 2.1, by its recursive definition."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = largest_power_below(len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """Return PATH of RFC 6962 section 2.1.1, by its recursive definition."""
    if len(leaves) == 1:
        return []
    split = largest_power_below(len(leaves))
    if index < split:
        return [*naive_path(index, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_path(index - split, leaves[split:]), naive_root(leaves[:split])]


def largest_power_below(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1
