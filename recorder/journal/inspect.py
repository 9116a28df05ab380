"""Checking one segment by itself: every byte of it, and what it needs of its neighbours.

Nothing here depends on another segment, so that many can be checked at a time.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from ..model import Draft, Entry, Mark, MarkName, Redacted, rest_of
from .codec import BadEntry, Packer, telling
from .files import Disk
from .findings import Finding, FindingKind, kind_of
from .frame import Flag, FrameDamaged
from .header import Damage, Header, HeaderDamaged
from .keys import VerifierKey, endorses, open_note
from .merkle import MerkleTree
from .names import find_segment, is_packed
from .notary import origin_of
from .note import BadNote, parse_checkpoint
from .packed import PackedDamaged, check_form
from .repair import frames_follow, is_unborn
from .segment import Cursor, Frame
from .tails import Tails, tails_digest

_LOOKS = 3
"""A segment is packed once, and written anew for a redaction: it does not vanish more often."""

Told = Callable[[int], None]
"""Told up to which byte of its segment an inspection has come."""


class Ends(msgspec.Struct, frozen=True):
    """Where a segment begins and where it ends: what its neighbours must agree with.

    Of the tails it holds digests: there may be thousands of pools, and of segments.
    """

    journal_id: bytes
    number: int
    prev_chain: bytes
    first_seq: int
    tree_before: tuple[int, tuple[bytes, ...]]
    keys_before: tuple[str, ...]
    format: int
    damage: Damage | None
    chain: bytes
    next_seq: int
    tree: tuple[int, tuple[bytes, ...]]
    keys: tuple[str, ...]
    tails_before: bytes
    tails: bytes
    sealed: bool
    whole: bool


class Inspection(msgspec.Struct):
    """What one segment holds and what is wrong with it; `ends` is None if its header is.

    `redacted` and `redactions` are digests by sequence number: of items without their snapshot, and
    of those that an entry says are to be without. `roots` are those of the tree at the sizes that
    were asked for, `signers` the keys that signed good checkpoints. `gone` says that there was no
    such segment any more.
    """

    number: int
    gone: bool = False
    size: int = 0
    packed: bool = False
    ends: Ends | None = None
    entries: int = 0
    frames: int = 0
    first_seq: int = 0
    last_seq: int = 0
    chain: bytes | None = None
    checkpoints: int = 0
    signed_seq: int = 0
    findings: list[Finding] = msgspec.field(default_factory=list)
    redacted: dict[int, str] = msgspec.field(default_factory=dict)
    redactions: dict[int, str] = msgspec.field(default_factory=dict)
    roots: dict[int, bytes] = msgspec.field(default_factory=dict)
    signers: set[str] = msgspec.field(default_factory=set)


def inspect(
    folder: Path,
    number: int,
    *,
    last: bool,
    sizes: Sequence[int] = (),
    told: Told | None = None,
    disk: Disk | None = None,
) -> Inspection:
    """Check segment `number`, which is the last of its journal or not.

    `sizes` are sizes of the tree whose roots are wanted. Never raises for damage, never writes;
    raises JournalError for a newer format. A segment that is packed or written anew meanwhile is
    looked at again in the form that it has then.
    """
    disk = disk or Disk()
    for _ in range(_LOOKS):
        with suppress(FileNotFoundError):
            return _Inspector(folder, number, disk, last=last, sizes=sizes, told=told).run()
    return Inspection(number, gone=True)


class _Inspector:
    def __init__(
        self,
        folder: Path,
        number: int,
        disk: Disk,
        *,
        last: bool,
        sizes: Sequence[int],
        told: Told | None,
    ) -> None:
        self._folder = folder
        self._number = number
        self._last = last
        self._sizes = sizes
        self._told = told
        self._disk = disk
        self._keys: tuple[str, ...] = ()
        self._tails = Tails({})
        self._found = Inspection(number)
        self._pack = Packer().entry

    def run(self) -> Inspection:
        """Inspect the segment. Raises FileNotFoundError if its file is not there any more."""
        try:
            self._inspect()
        except HeaderDamaged as error:
            self._find(self._header_kind(), 0, str(error))
        except PackedDamaged as error:
            self._find(FindingKind.DAMAGED_FRAME, 0, str(error))
        except FileNotFoundError:
            raise
        except OSError as error:
            self._find(FindingKind.UNREADABLE, 0, str(error))
        return self._found

    def _inspect(self) -> None:
        path = find_segment(self._folder, self._number, self._disk)
        self._found.size, self._found.packed = self._disk.size(path), is_packed(path)
        with Cursor(path, self._disk, rooted=True) as cursor:
            if cursor.header.number != self._number:
                kind = self._header_kind()
                self._find(kind, 0, f"the file says that it is segment {cursor.header.number}")
                if kind is FindingKind.TORN_TAIL:
                    return  # What an earlier segment left there is no part of the journal.
            self._keys = cursor.header.keys
            self._tails = Tails(cursor.header.tails)
            self._check_header(cursor.header)
            whole = self._walk(cursor)
            self._found.ends = self._ends(cursor, whole=whole)
        if self._found.packed:
            check_form(path, self._disk)

    def _header_kind(self) -> FindingKind:
        """Tell a last segment that was never finished from a damaged one."""
        if not self._last or self._found.packed:
            return FindingKind.BAD_HEADER
        try:
            unborn = is_unborn(self._folder, self._number, self._disk)
        except OSError:
            unborn = False  # it could be read a moment ago
        return FindingKind.TORN_TAIL if unborn else FindingKind.BAD_HEADER

    def _check_header(self, header: Header) -> None:
        self._found.last_seq = header.first_seq - 1
        for key in header.keys:
            try:
                VerifierKey.parse(key)
            except BadNote as error:
                self._find(FindingKind.BAD_HEADER, 0, f"a key in the header is none: {error}")

    def _walk(self, cursor: Cursor) -> bool:
        """Go through the frames; return whether nothing but a good end stopped it."""
        assert cursor.tree is not None
        self._found.chain = cursor.chain
        if cursor.header.format == 1:
            self._sizes = ()  # its trees are those of segments
        self._root_at(cursor.tree)
        while True:
            before = cursor.tree.copy() if self._sizes else None
            try:
                frame = self._next(cursor)
            except FrameDamaged as error:
                self._find(self._kind(cursor, error), cursor.offset, str(error))
                return False
            if frame is None:
                break
            self._found.chain = cursor.chain
            self._take(cursor, frame)
            if before is not None:
                self._roots_between(before, frame)
            if self._told is not None:
                self._told(cursor.offset)
        if not cursor.sealed and not self._last:
            self._find(FindingKind.BAD_SEAL, cursor.offset, "the segment was left without a seal")
        return True

    def _next(self, cursor: Cursor) -> Frame | None:
        try:
            return cursor.next()
        except FrameDamaged:
            if not self._last:
                raise
        cursor.reopen()  # The writer may have been in the middle of it.
        return cursor.next()

    def _kind(self, cursor: Cursor, error: FrameDamaged) -> FindingKind:
        kind = kind_of(error)
        tail = self._last and not self._found.packed
        if kind is not FindingKind.DAMAGED_FRAME or not tail:
            return kind
        follow = frames_follow(cursor.rest(), cursor.next_seq)
        return FindingKind.DAMAGED_FRAME if follow else FindingKind.TORN_TAIL

    def _take(self, cursor: Cursor, frame: Frame) -> None:
        self._found.frames += 1
        match frame.head.flags:
            case Flag.DATA:
                self._take_entries(frame)
            case Flag.CHECKPOINT:
                self._check_note(str(frame.items[0]), cursor, frame)
            case _:
                assert cursor.seal is not None
                if cursor.seal.note is not None:
                    self._check_note(cursor.seal.note, cursor, frame)

    def _take_entries(self, frame: Frame) -> None:
        first, count = frame.head.first_seq, frame.head.count
        self._found.entries += count
        self._found.first_seq = self._found.first_seq or first
        try:
            for entry in telling(frame.items):
                self._take_entry(entry, frame)
        except BadEntry as error:
            self._find(FindingKind.BAD_ENTRY, frame.offset, str(error))
        self._found.last_seq = first + count - 1

    def _take_entry(self, entry: Entry, frame: Frame) -> None:
        match entry.body:
            case Redacted() as body:
                draft = Draft(entry.received_at_ns, entry.pool, body)
                self._found.redacted[entry.seq] = sha256(self._pack(entry.seq, draft)).hexdigest()
            case Mark(MarkName.REDACTED, {"seq": int(seq), "item": str(digest)}):
                self._found.redactions[seq] = digest
            case Mark(MarkName.KEY_CHANGED, detail):
                self._change_key(str(detail.get("key")), detail.get("endorsement"), frame)
            case _:
                pass
        self._tails.take(entry.seq, entry.received_at_ns, entry.pool, rest_of(entry.body))

    def _change_key(self, key: str, word: object, frame: Frame) -> None:
        old = self._keys[-1] if self._keys else ""
        if not isinstance(word, str) or not old or not endorses(word, old=old, new=key):
            text = f"the key changed to {key}, and the one before does not vouch for it"
            self._find(FindingKind.KEY_CHANGE, frame.offset, text)
        self._keys = (*self._keys, key)

    def _check_note(self, note: str, cursor: Cursor, frame: Frame) -> None:
        """Check that the newest key signed the checkpoint, and that it is true."""
        assert cursor.tree is not None
        try:
            text = open_note(note, [VerifierKey.parse(self._keys[-1])] if self._keys else [])
            said = parse_checkpoint(text)
        except BadNote as error:
            self._find(
                FindingKind.BAD_SIGNATURE, frame.offset, f"a checkpoint is not good: {error}"
            )
            return
        true = (origin_of(cursor.header.journal_id), cursor.tree.size, cursor.tree.root())
        if (said.origin, said.size, said.root) != true:
            text = f"a signed checkpoint of {said.size} entries is not true of this journal"
            self._find(FindingKind.BAD_SIGNATURE, frame.offset, text)
            return
        self._found.checkpoints += 1
        self._found.signers.add(self._keys[-1])
        self._found.signed_seq = self._found.last_seq

    def _root_at(self, tree: MerkleTree) -> None:
        if tree.size in self._sizes:
            self._found.roots[tree.size] = tree.root()

    def _roots_between(self, tree: MerkleTree, frame: Frame) -> None:
        """Note the roots of the wanted sizes that lie in a frame; `tree` is the one before it."""
        if frame.head.flags != Flag.DATA:
            return
        last = tree.size + len(frame.leaves)
        for size in sorted(size for size in self._sizes if tree.size < size <= last):
            partial = tree.copy()
            partial.add(frame.leaves[: size - tree.size])
            self._root_at(partial)

    def _ends(self, cursor: Cursor, *, whole: bool) -> Ends:
        header = cursor.header
        assert cursor.tree is not None
        return Ends(
            header.journal_id,
            header.number,
            header.prev_chain,
            header.first_seq,
            (header.tree_size, header.peaks),
            header.keys,
            header.format,
            header.damage,
            cursor.chain,
            cursor.next_seq,
            (cursor.tree.size, cursor.tree.peaks),
            self._keys,
            tails_digest(header.tails),
            tails_digest(self._tails.freeze()),
            cursor.sealed,
            whole,
        )

    def _find(self, kind: FindingKind, offset: int, text: str) -> None:
        self._found.findings.append(
            Finding(kind, self._number, offset, max(self._found.last_seq, 0), text)
        )
