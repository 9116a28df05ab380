"""Checking a whole journal: findings instead of exceptions, and never a write."""

from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from ..errors import JournalError
from .chain import GENESIS
from .files import Disk
from .findings import Finding, FindingKind
from .inspect import Ends, Inspection
from .inspections import Progress, inspect_all
from .keys import VerifierKey, open_note
from .merkle import EMPTY_ROOT, MerkleTree
from .names import find_segment, list_segments
from .notary import origin_of
from .note import BadNote, Checkpoint, parse_checkpoint, parse_note
from .packed import PackedDamaged, open_segment
from .tails import tails_digest
from .tombstone import Tombstone, open_tombstone, read_tombstone

__all__ = ["Finding", "FindingKind", "Report", "verify"]

_NO_TAILS = tails_digest({})


class Report(msgspec.Struct, frozen=True):
    """What `verify` read and what it found; sound if there are no findings.

    `first_seq` and `last_seq` are 0 for an empty journal; `chain` is the last good one in hex, and
    `bytes` counts those of all files. A signed checkpoint vouches for the entries up to
    `signed_seq`; `keys` are those that signed, as text. `redacted` counts entries whose snapshot
    was taken out, `dropped` is what the rules of retention deleted.
    """

    findings: tuple[Finding, ...]
    entries: int
    frames: int
    segments: int
    first_seq: int
    last_seq: int
    chain: str
    bytes: int
    packed: int = 0
    checkpoints: int = 0
    signed_seq: int = 0
    tree_size: int = 0
    root: str = EMPTY_ROOT.hex()
    keys: tuple[str, ...] = ()
    redacted: int = 0
    dropped: Tombstone | None = None


def verify(
    folder: Path,
    *,
    progress: Progress | None = None,
    anchors: Sequence[str] = (),
    key: str | None = None,
    processes: int | None = None,
    disk: Disk | None = None,
) -> Report:
    """Check every byte of the journal in `folder`. Never raises for damage, never writes.

    `progress` is called with bytes checked and bytes in all. `anchors` are checkpoints (the texts
    of signed notes) that were noted elsewhere: each must be signed by a key of the journal and be
    what it was at that size. `key` (as text) is one that must have signed for this journal.
    Segments are checked by as many `processes` as there are processors, if they are worth it.

    Raises JournalError only if `folder` is not a journal at all, or one of a newer format; BadNote
    for anchors that are no checkpoints.
    """
    disk = disk or Disk()
    noted = [(note, parse_checkpoint(parse_note(note).text)) for note in anchors]
    report = _verify(folder, progress, noted, key, processes, disk)
    if any(finding.kind is FindingKind.BAD_REDACTION for finding in report.findings):
        # A body that is taken out meanwhile looks like that: its segment and the entry that tells
        # of it were not read in one instant.
        return _verify(folder, progress, noted, key, processes, disk)
    return report


def _verify(
    folder: Path,
    progress: Progress | None,
    noted: Sequence[tuple[str, Checkpoint]],
    key: str | None,
    processes: int | None,
    disk: Disk,
) -> Report:
    numbers = list_segments(folder, disk)
    sizes = sorted({checkpoint.size for _, checkpoint in noted})
    found = list(inspect_all(folder, numbers, sizes, progress, processes, disk))
    there = _still_there(folder, found, disk)
    link = _Link(folder, [inspection.number for inspection in there], noted, key, disk)
    for inspection in there:
        link.take(inspection)
    return link.report()


def _still_there(folder: Path, found: Sequence[Inspection], disk: Disk) -> Sequence[Inspection]:
    """Leave out what the rules of retention dropped while the rest was looked at.

    They drop from the oldest on. Anything else that is gone is missing.
    """
    if not any(inspection.gone for inspection in found):
        return found
    first = list_segments(folder, disk)[0]
    there = [inspection for inspection in found if not inspection.gone]
    there = [inspection for inspection in there if inspection.number >= first]
    if not there:
        raise JournalError(f"every segment in {folder} was replaced while it was read: try again")
    return there


class _Link:
    """Puts the inspections of the segments together, in their order."""

    def __init__(
        self,
        folder: Path,
        numbers: Sequence[int],
        anchors: Sequence[tuple[str, Checkpoint]],
        key: str | None,
        disk: Disk,
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._numbers = numbers
        self._anchors = anchors
        self._key = key
        self._findings: list[Finding] = []
        self._seen: list[Inspection] = []
        self._before: Ends | None = None
        self._expected = 1
        self._next_seq = 1
        self._last_chain = GENESIS
        self._dropped: Tombstone | None = None
        self._tombstone = ""

    def take(self, found: Inspection) -> None:
        """Add the next segment there is."""
        self._check_missing(found)
        if found.ends is not None:
            self._check_ends(found, found.ends)
            if self._dropped is not None and found.number == self._dropped.last_segment + 1:
                self._check_tombstone(self._dropped, found.ends)
            self._next_seq = found.ends.next_seq
        self._findings += found.findings
        self._before = found.ends
        self._last_chain = found.chain or self._last_chain
        self._expected = found.number + 1
        self._seen.append(found)

    def report(self) -> Report:
        """Return what was found in all."""
        seen = self._seen
        last = next((found.ends for found in reversed(seen) if found.ends), None)
        keys = () if last is None else last.keys
        self._check_redactions()
        self._check_anchors(keys)
        self._check_signature(keys)
        tree = MerkleTree() if last is None else MerkleTree.of(*last.tree)
        entries = sum(found.entries for found in seen)
        return Report(
            tuple(self._findings),
            entries,
            sum(found.frames for found in seen),
            len(seen),
            next((found.first_seq for found in seen if found.first_seq), 0),
            self._next_seq - 1 if entries else 0,
            self._last_chain.hex(),
            sum(found.size for found in seen),
            packed=sum(found.packed for found in seen),
            checkpoints=sum(found.checkpoints for found in seen),
            signed_seq=max(found.signed_seq for found in seen),
            tree_size=tree.size,
            root=tree.root().hex(),
            keys=keys,
            redacted=sum(len(found.redacted) for found in seen),
            dropped=self._dropped,
        )

    def _check_missing(self, found: Inspection) -> None:
        number, expected = found.number, self._expected
        if number == expected:
            return
        if not self._seen and self._is_dropped(found):
            return
        names = str(expected) if number == expected + 1 else f"{expected} to {number - 1}"
        self._find(FindingKind.MISSING_SEGMENT, expected, f"missing: segment {names}")
        self._before = None

    def _is_dropped(self, first: Inspection) -> bool:
        """Say whether what is missing before the first segment was dropped, and say what is wrong.

        Some of what the tombstone covers may still be there: a crash came between it and them.
        """
        try:
            note = read_tombstone(self._folder, self._disk)
        except OSError as error:
            self._find(FindingKind.BAD_TOMBSTONE, 1, f"the tombstone cannot be read: {error}")
            return False
        if note is None or first.ends is None:
            return False
        try:
            tombstone = Tombstone.parse(parse_note(note).text)
        except BadNote as error:
            self._find(FindingKind.BAD_TOMBSTONE, 1, f"the tombstone is not good: {error}")
            return False
        self._tombstone = note
        if first.number > tombstone.last_segment + 1:
            return False
        self._dropped = tombstone
        self._next_seq = first.ends.first_seq
        return True

    def _check_tombstone(self, tombstone: Tombstone, first: Ends) -> None:
        root = MerkleTree.of(*first.tree_before).root()
        said = (origin_of(first.journal_id), first.first_seq - 1, first.tree_before[0])
        if (tombstone.origin, tombstone.last_seq, tombstone.entries) != said or (
            (tombstone.root, tombstone.chain) != (root, first.prev_chain)
        ):
            text = f"segment {first.number} does not go on from what the tombstone says was dropped"
            self._find(FindingKind.BAD_TOMBSTONE, first.number, text)

    def _check_ends(self, found: Inspection, ends: Ends) -> None:
        number, before = found.number, self._before
        ids = {seen.ends.journal_id for seen in self._seen if seen.ends is not None}
        if ids and ends.journal_id not in ids:
            text = "the segment belongs to another journal"
            self._find(FindingKind.BAD_HEADER, number, text)
        chain = GENESIS if number == 1 else before and before.chain
        if chain is not None and ends.prev_chain != chain:
            text = "the segment does not follow from the one before it"
            self._find(FindingKind.BROKEN_CHAIN, number, text)
        if ends.first_seq != self._next_seq:
            text = f"the segment begins with entry {ends.first_seq}, not {self._next_seq}"
            self._find(FindingKind.SEQ_GAP, number, text)
        self._check_tree(number, ends)
        self._check_tails(number, ends)
        self._check_damage(number, ends)

    def _check_tree(self, number: int, ends: Ends) -> None:
        before = self._before
        if number == 1 and ends.tree_before != (0, ()):
            self._find(FindingKind.BAD_HEADER, number, "the first segment has a tree before it")
        if before is None or before.format == 1:
            return  # not known, or counted otherwise: the chain covers both
        if before.whole and ends.tree_before != before.tree:
            text = "the tree in the header is not that of the entries before it"
            self._find(FindingKind.BAD_HEADER, number, text)
        if ends.keys_before != before.keys:
            text = "the keys in the header are not those that the journal had before"
            self._find(FindingKind.KEY_CHANGE, number, text)

    def _check_tails(self, number: int, ends: Ends) -> None:
        """Check what recording goes on from: no signature covers it, but the entries do."""
        if ends.format == 1:
            return  # it told less
        before, expected = self._before, _NO_TAILS
        if number != 1:
            if before is None or not before.whole:
                return  # not known
            expected = before.tails
        if ends.tails_before != expected:
            text = "where the pools stand in the header is not where the entries before it end"
            self._find(FindingKind.BAD_HEADER, number, text)

    def _check_damage(self, number: int, ends: Ends) -> None:
        """Check that the damage that a header tells of is still what it was."""
        damage = ends.damage
        if damage is None or damage.segment not in self._numbers:
            return
        path = find_segment(self._folder, damage.segment, self._disk)
        try:
            with open_segment(path, self._disk) as file:
                file.seek(damage.offset)
                digest = sha256(file.read()).digest()
        except (OSError, PackedDamaged):
            digest = b""
        if digest != damage.sha256:
            text = f"the damaged bytes of segment {damage.segment} are not those found then"
            self._find(FindingKind.BAD_HEADER, number, text)

    def _check_signature(self, keys: Sequence[str]) -> None:
        """Check that the keys are those expected, and that one of them signed the tombstone."""
        if self._key is not None and self._key not in keys:
            text = f"this journal never had the key {self._key}"
            self._find(FindingKind.KEY_CHANGE, self._seen[-1].number, text)
        elif self._key is not None and not any(self._key in found.signers for found in self._seen):
            # To be named by a journal is nothing: whoever forges one can name any key in it.
            text = f"no checkpoint in this journal is signed by the key {self._key}"
            self._find(FindingKind.KEY_CHANGE, self._seen[-1].number, text)
        if self._dropped is None:
            return
        if self._dropped.last_segment >= self._numbers[-1]:
            text = "the tombstone says that all was dropped, but the last segment never is"
            self._find(FindingKind.BAD_TOMBSTONE, 1, text)
        try:
            open_tombstone(self._tombstone, keys)
        except BadNote as error:
            self._find(FindingKind.BAD_TOMBSTONE, 1, f"the tombstone is not good: {error}")

    def _check_redactions(self) -> None:
        said: dict[int, str] = {}
        for found in self._seen:
            said |= found.redactions
        for found in self._seen:
            for seq, digest in found.redacted.items():
                if said.pop(seq, None) != digest:
                    text = f"the snapshot of entry {seq} is missing, and no entry says who took it"
                    self._find(FindingKind.BAD_REDACTION, found.number, text)
        first = next((found.ends.first_seq for found in self._seen if found.ends), 1)
        for seq in said:
            if seq >= first:
                text = f"entry {seq} was to be redacted and still has its snapshot: redact it again"
                self._find(FindingKind.BAD_REDACTION, self._seen[0].number, text)

    def _check_anchors(self, keys: Sequence[str]) -> None:
        verifiers = _verifiers(keys)
        roots = {size: root for found in self._seen for size, root in found.roots.items()}
        roots[0] = EMPTY_ROOT
        for note, anchor in self._anchors:
            trouble = self._trouble_with(anchor, roots.get(anchor.size))
            try:
                open_note(note, verifiers)
            except BadNote as error:
                trouble = f"a checkpoint that was noted elsewhere is not of this journal: {error}"
            if trouble is not None:
                number = self._seen[-1].number
                self._find(FindingKind.ANCHOR_MISSED, number, trouble)

    def _trouble_with(self, anchor: Checkpoint, root: bytes | None) -> str | None:
        ids = {origin_of(found.ends.journal_id) for found in self._seen if found.ends is not None}
        name = f"the checkpoint of {anchor.size} entries that was noted elsewhere"
        if anchor.origin not in ids:
            return f"{name} is of another journal, {anchor.origin}"
        if root is None:
            size = max((found.ends.tree[0] for found in self._seen if found.ends), default=0)
            if anchor.size > size:
                return f"{name} is of a longer journal: this one has lost its end"
            return f"{name} cannot be checked: what it vouches for is not all there any more"
        return None if root == anchor.root else f"{name} is of other entries than these"

    def _find(self, kind: FindingKind, segment: int, text: str) -> None:
        self._findings.append(Finding(kind, segment, 0, self._next_seq - 1, text))


def _verifiers(keys: Sequence[str]) -> list[VerifierKey]:
    """Return the keys that are any: of those that are none the segments have told."""
    verifiers = []
    for key in keys:
        with suppress(BadNote):
            verifiers.append(VerifierKey.parse(key))
    return verifiers
