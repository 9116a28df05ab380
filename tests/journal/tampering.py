"""Journals that are taken apart, damaged, and put together again by attackers of growing means.

Damage is a function from bytes to bytes, so that one helper (`Bench`) tries every shape of it. Who
edits a frame may be able to do nothing more, to repair its checksum (`with_crc`), or to compute all
that needs no key anew: numbers, trees, seals, headers and the chain (`assemble`).
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import msgpack
import msgspec
import pytest
from msgspec.structs import replace

from recorder.errors import JournalError
from recorder.journal.chain import CHAIN_BYTES, GENESIS, header_chain, leaf_hash
from recorder.journal.codec import BadEntry, decode
from recorder.journal.files import Disk
from recorder.journal.frame import HEAD, Flag, array_prefix, build, redacted_leaf
from recorder.journal.header import PREFIX, Header, NewerFormat, pack_header, read_header
from recorder.journal.inspect import inspect
from recorder.journal.keys import SigningKey
from recorder.journal.merkle import MerkleTree
from recorder.journal.names import list_segments
from recorder.journal.notary import Notary
from recorder.journal.scan import scan
from recorder.journal.segment import Seal
from recorder.journal.store import Journal
from recorder.journal.tails import Tails
from recorder.journal.verify import Report, verify
from recorder.model import Entry, rest_of
from tests.journal.disks import FaultyDisk, QuickDisk
from tests.journal.samples import SECOND_NS, abandon, clock, drafts

Files = dict[str, bytes]
"""The files of a journal that hold evidence, by name: segments and the tombstone."""

Sign = Callable[[MerkleTree], str | None]
"""Returns the note to write where one belongs; None leaves the one that was there."""

_CHANGES = ("create", "rewrite", "truncate", "rename", "remove", "write", "make_folder", "lock")


class SmallDisk(QuickDisk, FaultyDisk):
    """Never synced, and with the journal id and the signing key that tests know."""


def sample(folder: Path, *, batches: int = 10, closed: bool = True) -> list[Entry]:
    """Write a journal of several segments with `batches` of ten entries; return the entries.

    Every third frame or so is a checkpoint. One that is not closed goes on behind the last one.
    """
    ticks = clock(step_ns=25 * SECOND_NS)
    journal = Journal.open(folder, now_ns=ticks, segment_bytes_max=2600, disk=SmallDisk())
    for batch in range(batches):
        journal.append(drafts(pool="lab" if batch % 3 else "other"))
    if closed:
        journal.close()
    else:
        abandon(journal)
    return list(scan(folder))


def collect(folder: Path) -> Files:
    """Return the files of a journal as they are."""
    found = [*folder.glob("*.journal"), *folder.glob("*.journal.zst"), *folder.glob("TOMBSTONE")]
    return {path.name: path.read_bytes() for path in sorted(found)}


class Bench:
    """A folder in which damage is done to a journal, one at a time, and what readers say of it."""

    def __init__(self, folder: Path, files: Files, truth: Sequence[Entry]) -> None:
        self.folder = folder
        self.files = files
        self.truth = list(truth)
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)

    def place(self, files: Files) -> None:
        """Put files there instead of those that are, and nothing else."""
        for name in collect(self.folder).keys() - files.keys():
            (self.folder / name).unlink()
        for name, data in files.items():
            overwrite(self.folder / name, data)

    def finds(self, files: Files) -> Report:
        """Say what verify finds in such a journal, once scan has not believed it either."""
        self.place(files)
        self.check_scan()
        return verify(self.folder, processes=1)

    def finds_in(self, name: str, data: bytes | bytearray) -> bool:
        """Say whether verify finds something if one file has other bytes, then put it back.

        What `verify` finds is what the inspection of each segment finds, and how they fit together:
        the first alone says enough of nearly every damage, and takes a tenth of the time.
        """
        overwrite(self.folder / name, data)
        number = int(name[:10])
        last = number == max(int(other[:10]) for other in self.files if other[:1].isdigit())
        try:
            found = bool(inspect(self.folder, number, last=last).findings)
            found = found or bool(verify(self.folder, processes=1).findings)
        except NewerFormat:
            found = True  # The one thing that is refused instead of being found.
        overwrite(self.folder / name, self.files[name])
        return found

    def verify(self) -> Report | None:
        """Return what verify says, None if it refuses a newer format."""
        try:
            return verify(self.folder, processes=1)
        except NewerFormat:
            return None

    def check_scan(self) -> int:
        """Assert that scan yields a true prefix, and raises nothing but what it documents.

        Returns how many entries it yielded.
        """
        count = 0
        with suppress(JournalError):
            for entry in scan(self.folder, after_seq=self.truth[0].seq - 1):
                assert entry == self.truth[count], f"entry {entry.seq} is not what was written"
                count += 1
        return count


def overwrite(path: Path, data: bytes | bytearray) -> None:
    """Give a file other bytes, in place: a file that is emptied first waits for the disk."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o640)
    os.pwrite(fd, data, 0)
    os.ftruncate(fd, len(data))
    os.close(fd)


def forbid_writing(patch: pytest.MonkeyPatch) -> None:
    """Make every call of a Disk that changes anything fail the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a reader wrote to the disk")

    for name in _CHANGES:
        patch.setattr(Disk, name, refuse)


def split(data: bytes) -> list[bytes]:
    """Return the header of a raw segment and each of its frames."""
    end = PREFIX.size + int.from_bytes(data[8:12], "little")
    parts = [data[:end]]
    while end < len(data):
        start = end
        end += HEAD.size + int.from_bytes(data[start : start + 4], "little") + CHAIN_BYTES
        parts.append(data[start:end])
    return parts


def with_crc(part: bytes | bytearray) -> bytes:
    """Return a header or frame with complement and checksum made to fit its length and bytes."""
    if part.startswith(b"xentrail"):
        body = part[PREFIX.size :]
        head = PREFIX.pack(part[:8], len(body), len(body) ^ 0xFFFFFFFF, crc32(body))
        return head + body
    _, _, _, flags, count, first_seq = HEAD.unpack_from(part)
    length = len(part) - HEAD.size - CHAIN_BYTES
    crc = crc32(part[12:])
    return HEAD.pack(length, length ^ 0xFFFFFFFF, crc, flags, count, first_seq) + part[HEAD.size :]


class Part(msgspec.Struct, frozen=True):
    """What a frame holds: its kind, and the bytes of its items."""

    flags: Flag
    items: tuple[bytes, ...]


class Taken(msgspec.Struct, frozen=True):
    """A raw segment taken apart; `lies` are fields of the header that are not to be computed."""

    header: Header
    parts: tuple[Part, ...]
    lies: Mapping[str, object] = msgspec.field(default_factory=dict)


def dismantle(data: bytes) -> Taken:
    """Take a raw segment apart."""
    header, *frames = split(data)
    return Taken(read_header(header), tuple(_part(frame) for frame in frames))


def _part(frame: bytes) -> Part:
    _, _, _, flags, count, _ = HEAD.unpack_from(frame)
    payload = frame[HEAD.size + len(array_prefix(count)) : -CHAIN_BYTES]
    unpacker = msgpack.Unpacker(unicode_errors="surrogatepass")
    unpacker.feed(payload)
    ends = [0]
    for _ in range(count):
        unpacker.skip()
        ends.append(unpacker.tell())
    items = (payload[start:end] for start, end in pairwise(ends))
    return Part(Flag(flags), tuple(items))


def assemble(segments: Sequence[Taken], *, sign: Sign = lambda _: None) -> Files:
    """Put segments together as a journal all of which fits, except for signatures.

    Numbers of segments and entries, tails, trees, seals and the chain are computed anew: all that
    nobody needs a key for.
    """
    first = segments[0].header
    writer = _Writer(sign, first.first_seq, first.prev_chain, first.tree(), Tails(first.tails))
    return {
        f"{number:010d}.journal": writer.segment(taken, number)
        for number, taken in enumerate(segments, first.number)
    }


class _Writer:
    def __init__(self, sign: Sign, seq: int, chain: bytes, tree: MerkleTree, tails: Tails) -> None:
        self._sign = sign
        self._seq = seq
        self._chain = chain
        self._tree = tree
        self._tails = tails

    def segment(self, taken: Taken, number: int) -> bytes:
        header = replace(
            taken.header,
            number=number,
            first_seq=self._seq,
            prev_chain=self._chain,
            tails=self._tails.freeze(),
            tree_size=self._tree.size,
            peaks=self._tree.peaks,
        )
        header = replace(header, **taken.lies)
        raw = pack_header(header)
        self._chain = header_chain(raw)
        first, frames = self._seq, 0
        for part in taken.parts:
            match part.flags:
                case Flag.DATA:
                    raw += self._data(part)
                    frames += 1
                case Flag.CHECKPOINT:
                    raw += self._frame(part.flags, [self._note(plain(part.items[0]))])
                case _:
                    raw += self._seal(part, first, frames)
        return raw

    def _data(self, part: Part) -> bytes:
        items = [self._numbered(item, seq) for seq, item in enumerate(part.items, self._seq)]
        leaves = [redacted_leaf(plain(item)) or leaf_hash(item) for item in items]
        frame = self._frame(Flag.DATA, items, leaves)
        self._tree.add(leaves)
        self._seq += len(items)
        return frame

    def _numbered(self, item: bytes, seq: int) -> bytes:
        value = plain(item)
        if not isinstance(value, list):
            return item
        numbered = packed([seq, *value[1:]])
        try:
            entry = decode(plain(numbered))
        except BadEntry:
            return numbered
        self._tails.take(seq, entry.received_at_ns, entry.pool, rest_of(entry.body))
        return numbered

    def _seal(self, part: Part, first: int, frames: int) -> bytes:
        before = plain(part.items[0])
        assert isinstance(before, list)
        count = self._seq - first
        note = plain(self._note(before[6]))
        seal = Seal(first, self._seq - 1, count, frames, self._tree.root(), str(note))
        return self._frame(Flag.SEAL, [packed(seal.item())])

    def _note(self, before: object) -> bytes:
        return packed(self._sign(self._tree) or before)

    def _frame(
        self, flags: Flag, items: Sequence[bytes], leaves: Sequence[bytes] | None = None
    ) -> bytes:
        leaves = leaves or [leaf_hash(item) for item in items]
        frame, self._chain = build(
            items, leaves, flags=flags, first_seq=self._seq, before=self._chain
        )
        return frame


def plain(item: bytes) -> object:
    """Return what the bytes of an item stand for."""
    value: object = msgpack.unpackb(item, unicode_errors="surrogatepass")
    return value


def listed(item: bytes) -> list[object]:
    """Return the list that the bytes of an item stand for."""
    value = plain(item)
    assert isinstance(value, list)
    return value


def packed(value: object) -> bytes:
    """Return the bytes of an item."""
    item: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return item


def owner(files: Files) -> Notary:
    """Return who signs for the sample journal."""
    header = read_header(split(next(iter(files.values())))[0])
    key = SigningKey.generate(f"xentrail/{header.journal_id.hex()}", SmallDisk())
    return Notary(key, header.journal_id, header.keys)


def stranger(files: Files) -> Notary:
    """Return somebody who signs for it under the same name with another key."""
    header = read_header(split(next(iter(files.values())))[0])
    key = SigningKey(f"xentrail/{header.journal_id.hex()}", b"another seed, of somebody's own.")
    return Notary(key, header.journal_id, (key.verifier.text,))


def rearranged(count: int) -> Iterator[tuple[str, list[int]]]:
    """Yield every order of `count` things with one moved, swapped, dropped or repeated."""
    whole = list(range(count))
    for one in whole:
        yield f"without {one}", whole[:one] + whole[one + 1 :]
        for other in range(count + 1):
            yield f"{one} again before {other}", [*whole[:other], one, *whole[other:]]
        for other in range(one + 1, count):
            swapped = list(whole)
            swapped[one], swapped[other] = other, one
            yield f"{one} and {other} swapped", swapped


def genesis(taken: Taken) -> Taken:
    """Return a segment that claims to be the first of its journal."""
    header = replace(taken.header, number=1, first_seq=1, prev_chain=GENESIS, tails={})
    return replace(taken, header=replace(header, tree_size=0, peaks=()))


def numbers(folder: Path) -> list[int]:
    """Return the numbers of the segments in a folder."""
    return list_segments(folder, Disk())
