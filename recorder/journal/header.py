"""The header of a segment: whose journal it is, where it continues, and where each pool stands."""

import struct
from collections.abc import Callable, Mapping
from zlib import crc32

import msgpack
import msgspec

from ..errors import JournalError
from ..model import PoolTail
from .chain import CHAIN_BYTES
from .merkle import MerkleTree
from .tails import tails_from_plain, tails_to_plain

MAGIC = b"xentrail"
FORMAT_VERSION = 2
PREFIX = struct.Struct("<8sIII")  # magic, length, ~length, crc32 of the msgpack map that follows
HEADER_BYTES_MAX = 16 * 1024 * 1024  # about 100,000 pools of 150 bytes
_ONES = 0xFFFFFFFF
_ID_BYTES = 16

Plain = dict[str, object]


class HeaderDamaged(ValueError):
    """The bytes are not the header of a segment."""


class NewerFormat(JournalError):
    """The journal was written by a newer xentrail."""


class Damage(msgspec.Struct, frozen=True):
    """The bytes of an earlier segment that this journal goes on without; sha256 pins them."""

    segment: int
    offset: int
    size: int
    sha256: bytes


class Header(msgspec.Struct, frozen=True):
    """What a segment says of itself. `tails` are those before its first entry.

    `tree_size` and `peaks` are the Merkle tree over all entries before it, `keys` the verifier keys
    (as text) of its checkpoints, the newest last. `format` is the version of what follows.
    """

    journal_id: bytes
    number: int
    first_seq: int
    prev_chain: bytes
    created_ns: int
    tails: Mapping[str, PoolTail] = msgspec.field(default_factory=dict)
    damage: Damage | None = None
    tree_size: int = 0
    peaks: tuple[bytes, ...] = ()
    keys: tuple[str, ...] = ()
    format: int = FORMAT_VERSION

    def tree(self) -> MerkleTree:
        """Return the tree over all entries before this segment; an older format counts anew."""
        return MerkleTree.of(self.tree_size, self.peaks)


def pack_header(header: Header) -> bytes:
    """Return the bytes of a header, magic included."""
    damage = header.damage
    plain = {
        "format": FORMAT_VERSION,
        "journal": header.journal_id,
        "segment": header.number,
        "first_seq": header.first_seq,
        "prev_chain": header.prev_chain,
        "created_ns": header.created_ns,
        "tails": tails_to_plain(header.tails),
        "damage": damage and [damage.segment, damage.offset, damage.size, damage.sha256],
        "tree": [header.tree_size, *header.peaks],
        "keys": header.keys,
    }
    body: bytes = msgpack.packb(plain, unicode_errors="surrogatepass")
    return PREFIX.pack(MAGIC, len(body), len(body) ^ _ONES, crc32(body)) + body


def read_header(raw: bytes) -> Header:
    """Return the header that `raw` is. Raises HeaderDamaged, or NewerFormat."""
    magic, length, complement, crc = PREFIX.unpack_from(raw)
    if magic != MAGIC:
        raise HeaderDamaged("the file does not begin as a segment of a journal")
    body = raw[PREFIX.size :]
    if length ^ complement != _ONES or length != len(body) or crc32(body) != crc:
        raise HeaderDamaged("the header is damaged or cut short")
    try:
        return _header(msgpack.unpackb(body, unicode_errors="surrogatepass"))
    except (ValueError, KeyError, msgpack.UnpackException) as error:
        raise HeaderDamaged(f"the header does not hold what it should: {error!r}") from error


def _header(plain: object) -> Header:
    match plain:
        case {"format": int(version)} if version > FORMAT_VERSION:
            raise NewerFormat(
                f"the journal has format {version}, this xentrail knows {FORMAT_VERSION}: upgrade"
            )
        case {"format": int(version)} if version > 0:
            assert isinstance(plain, dict)
            upgraded = plain
            for step in range(version, FORMAT_VERSION):
                upgraded = UPGRADES[step](upgraded)
            return _current(upgraded, version)
    raise ValueError("there is no format version")


def _current(plain: Plain, version: int) -> Header:
    match plain:
        case {
            "journal": bytes(journal_id),
            "segment": int(number),
            "first_seq": int(first_seq),
            "prev_chain": bytes(prev_chain),
            "created_ns": int(created_ns),
            "tails": tails,
            "damage": damage,
            "tree": [int(size), *peaks],
            "keys": [*keys],
        } if len(journal_id) == _ID_BYTES and len(prev_chain) == CHAIN_BYTES and first_seq > 0:
            header = Header(
                journal_id,
                number,
                first_seq,
                prev_chain,
                created_ns,
                tails_from_plain(tails),
                _damage(damage),
                size,
                tuple(_bytes(peak) for peak in peaks),
                tuple(_text(key) for key in keys),
                version,
            )
            header.tree()  # refuses peaks that are not those of a tree of this size
            return header
    raise ValueError("a field is missing or has the wrong type")


def _of_format_1(plain: Plain) -> Plain:
    """Format 1 had a tree for each segment, not one for the journal, and no keys.

    The last field of a tail said whether there had been a baseline, which nobody asked.
    """
    tails = plain.get("tails")
    if not isinstance(tails, dict) or not all(isinstance(tail, list) for tail in tails.values()):
        raise ValueError("the tails are not a map of arrays")
    upgraded = {pool: [*tail[:-1], None, None] for pool, tail in tails.items()}
    return {**plain, "tails": upgraded, "tree": [0], "keys": []}


UPGRADES: Mapping[int, Callable[[Plain], Plain]] = {1: _of_format_1}
"""By version: what makes the map of a header one of the next version."""


def _damage(plain: object) -> Damage | None:
    match plain:
        case None:
            return None
        case [int(segment), int(offset), int(size), bytes(digest)]:
            return Damage(segment, offset, size, digest)
    raise ValueError("the damage is not described as it should be")


def _bytes(plain: object) -> bytes:
    if not isinstance(plain, bytes):
        raise ValueError("a hash is not made of bytes")
    return plain


def _text(plain: object) -> str:
    if not isinstance(plain, str):
        raise ValueError("a key is not text")
    return plain
