"""One frame: the bytes of one group commit, and how to tell them from torn or damaged ones.

No file is touched here, and what the items mean is not looked at (see `codec`).
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import IntFlag
from typing import cast
from zlib import crc32

import msgpack
import msgspec

from .chain import CHAIN_BYTES, ChainRule, frame_chain, leaf_hash

HEAD = struct.Struct("<IIIHHQ")  # length, ~length, crc32, flags, count, first_seq
_FIELDS = struct.Struct("<HHQ")
_ONES = 0xFFFFFFFF

# A frame is synced as a whole, so these bound the work lost with a torn one and the memory a reader
# needs. 4 MiB is about 1,300 events of 3 KB: past 1,000 a batch the disk's speed hardly rises.
FRAME_BYTES_MAX = 4 * 1024 * 1024
FRAME_ITEMS_MAX = 4096
# The server's event queue holds 10,000,000 bytes, so that no event can be larger than that; a frame
# of one large item may exceed FRAME_BYTES_MAX.
ITEM_BYTES_MAX = 32 * 1024 * 1024
PAYLOAD_BYTES_MAX = ITEM_BYTES_MAX + 5

FRAME_EXTRA_BYTES = HEAD.size + CHAIN_BYTES


REDACTED_CODE = 1
"""The msgpack extension type of a leaf hash that stands for what was taken out of an item."""


class Flag(IntFlag):
    """What kind of frame it is; only the items of a data frame are entries."""

    DATA = 0
    SEAL = 1
    CHECKPOINT = 2


class FrameDamaged(ValueError):
    """The bytes are not a frame, or not the one that belongs here."""


class ChainBroken(FrameDamaged):
    """The frame is whole, but its digest does not follow from what is before it."""


class SeqBroken(FrameDamaged):
    """The frame is whole, but its sequence numbers do not follow the ones before it."""


class SealBroken(FrameDamaged):
    """A seal is not true of its segment, or something follows it."""


class Head(msgspec.Struct, frozen=True):
    """The fixed fields of a frame; `length` is that of the payload in bytes."""

    length: int
    crc: int
    flags: int
    count: int
    first_seq: int

    @property
    def frame_bytes(self) -> int:
        """The size of the whole frame."""
        return self.length + FRAME_EXTRA_BYTES

    @property
    def next_seq(self) -> int:
        """The number of the entry after this frame; a seal takes none."""
        return self.first_seq + (self.count if self.flags == Flag.DATA else 0)


def array_prefix(count: int) -> bytes:
    """Return how msgpack begins an array of `count` items, in its shortest form."""
    if count < 16:
        return bytes([0x90 | count])
    return b"\xdc" + count.to_bytes(2, "big")


def build(
    items: Sequence[bytes],
    leaves: Sequence[bytes],
    *,
    flags: Flag,
    first_seq: int,
    before: bytes,
    rule: ChainRule = frame_chain,
) -> tuple[bytes, bytes]:
    """Return the bytes of a frame over packed items, and the chain after it."""
    count = len(items)
    length = len(array_prefix(count)) + sum(map(len, items))
    assert 0 < count <= FRAME_ITEMS_MAX
    assert length <= PAYLOAD_BYTES_MAX
    chain = rule(before, length, flags, count, first_seq, leaves)
    return _frame(items, flags, first_seq, chain=chain), chain


def _frame(items: Sequence[bytes], flags: int, first_seq: int, *, chain: bytes) -> bytes:
    count = len(items)
    prefix = array_prefix(count)
    length = len(prefix) + sum(map(len, items))
    crc = crc32(prefix, crc32(_FIELDS.pack(flags, count, first_seq)))
    for item in items:
        crc = crc32(item, crc)
    head = HEAD.pack(length, length ^ _ONES, crc32(chain, crc), flags, count, first_seq)
    return b"".join((head, prefix, *items, chain))


def rebuilt(frame: bytes, instead: Mapping[int, bytes]) -> bytes:
    """Return a whole frame with other items (by their place), under the chain that it had."""
    head = read_head(frame)
    items = [instead.get(index, item) for index, item in enumerate(items_of(frame))]
    return _frame(items, head.flags, head.first_seq, chain=frame[-CHAIN_BYTES:])


def items_of(frame: bytes) -> list[bytes]:
    """Return the bytes of each item of a whole frame."""
    head = read_head(frame)
    payload = memoryview(frame)[HEAD.size : HEAD.size + head.length]
    return [bytes(span) for span in Splitter().items(head, payload)[0]]


def read_head(data: bytes | memoryview, offset: int = 0) -> Head:
    """Return the head at `offset`, where `HEAD.size` bytes must be. Raises FrameDamaged."""
    length, complement, crc, flags, count, first_seq = HEAD.unpack_from(data, offset)
    if length ^ complement != _ONES:
        raise FrameDamaged("the length of a frame does not match its complement")
    if not 0 < length <= PAYLOAD_BYTES_MAX or not 0 < count <= FRAME_ITEMS_MAX:
        raise FrameDamaged("the head of a frame is out of bounds")
    if flags > Flag.CHECKPOINT:
        raise FrameDamaged(f"a frame has unknown flags {flags:#x}")
    return Head(length, crc, flags, count, first_seq)


def check_crc(head: Head, rest: memoryview) -> bytes:
    """Check `rest` (payload and chain) against the head's CRC; return the chain it ends with."""
    payload, chain = rest[: head.length], rest[head.length :]
    if len(chain) != CHAIN_BYTES:
        raise FrameDamaged("a frame is cut short")
    fields = _FIELDS.pack(head.flags, head.count, head.first_seq)
    if crc32(chain, crc32(payload, crc32(fields))) != head.crc:
        raise FrameDamaged("the checksum of a frame does not match")
    return bytes(chain)


class Splitter:
    """Cuts payloads into the bytes and the values of their items."""

    __slots__ = ("_unpacker",)

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        # surrogatepass: the text of an entry is whatever Python could hold, see `codec`.
        self._unpacker = msgpack.Unpacker(
            unicode_errors="surrogatepass", max_buffer_size=2 * PAYLOAD_BYTES_MAX
        )

    def items(self, head: Head, payload: memoryview) -> tuple[list[memoryview], list[object]]:
        """Return the bytes of each item and its decoded value. Raises FrameDamaged."""
        prefix = array_prefix(head.count)
        if payload[: len(prefix)] != prefix:
            raise FrameDamaged("a frame does not hold the items that its head announces")
        try:
            spans, values, end = self._split(payload, len(prefix), head.count)
        except (ValueError, RecursionError, msgpack.UnpackException) as error:
            self._renew()
            raise FrameDamaged(f"the items of a frame are not msgpack: {error!r}") from error
        if end != head.length:
            self._renew()
            raise FrameDamaged("a frame holds bytes beyond its last item")
        return spans, values

    def _split(
        self, payload: memoryview, start: int, count: int
    ) -> tuple[list[memoryview], list[object], int]:
        unpacker = self._unpacker
        unpacker.feed(payload[start:])
        base = unpacker.tell() - start
        spans: list[memoryview] = []
        values: list[object] = []
        for _ in range(count):
            values.append(unpacker.unpack())
            end = unpacker.tell() - base
            spans.append(payload[start:end])
            start = end
        return spans, values, start


def redacted_leaf(item: object) -> bytes | None:
    """Return the leaf hash that stands in a redacted item for its last field, None in any other.

    Raises FrameDamaged for an extension that is no leaf.
    """
    if type(item) is not list or not item or type(item[-1]) is not msgpack.ExtType:
        return None
    code, data = cast("tuple[int, bytes]", item[-1])
    if code != REDACTED_CODE or len(data) != CHAIN_BYTES:
        raise FrameDamaged("an item ends in an unknown extension type")
    return data


def leaves_of(spans: Sequence[memoryview], items: Sequence[object]) -> list[bytes]:
    """Return the leaf hashes of items, given by bytes and values; redacted ones carry theirs.

    Raises FrameDamaged for an extension that is no leaf.
    """
    pairs = zip(spans, items, strict=True)
    return [redacted_leaf(item) or leaf_hash(span) for span, item in pairs]


def check_chain(
    head: Head, leaves: Sequence[bytes], *, rule: ChainRule, before: bytes, chain: bytes
) -> None:
    """Check that `chain` follows from `before` and the leaves of the items. Raises ChainBroken."""
    expected = rule(before, head.length, head.flags, head.count, head.first_seq, leaves)
    if expected != chain:
        raise ChainBroken("a frame does not follow from the one before it")


def find_frames(
    data: bytes, *, start: int = 0, first_seq_min: int, first_seq_max: int
) -> Iterator[tuple[int, Head]]:
    """Yield offset and head of each whole frame in `data` from `start` on, wherever it begins.

    Tells a tear (nothing behind it) from damage (a later frame proves that the bytes before it
    were durable once). The bounds keep text that imitates a frame from being believed.
    """
    view = memoryview(data)
    for offset in _lengths(data):
        if offset < start:
            continue  # inside the frame found before
        try:
            head = read_head(view, offset)
            check_crc(head, view[offset + HEAD.size : offset + head.frame_bytes])
        except FrameDamaged:
            continue
        if first_seq_min <= head.first_seq <= first_seq_max:
            yield offset, head
            start = offset + head.frame_bytes


def _lengths(data: bytes) -> Iterator[int]:
    """Yield every offset at which a length is followed by its complement.

    A search byte by byte in Python would take minutes for a segment; one shift and one exclusive-or
    over a whole block, taken as a number, turn every such place into four bytes of ones.
    """
    block_bytes = 1 << 20
    for start in range(0, len(data) - FRAME_EXTRA_BYTES + 1, block_bytes):
        block = data[start : start + block_bytes + 7]
        number = int.from_bytes(block, "little")
        ones = (number ^ (number >> 32)).to_bytes(len(block), "little")
        found = -1
        while (found := ones.find(b"\xff\xff\xff\xff", found + 1, len(block) - 4)) >= 0:
            if start + found + FRAME_EXTRA_BYTES <= len(data):
                yield start + found
