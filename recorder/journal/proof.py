"""The proof of one entry: what it holds, as text and back, and whether it is good.

No journal is needed here, nor any other file; proofs are made in prove.py.
"""

import json
from collections.abc import Mapping, Sequence
from typing import cast

import msgpack
import msgspec

from ..errors import JournalError
from ..model import Entry, Redacted
from .codec import FIELDS, BadEntry, decode
from .frame import FrameDamaged, Head, Splitter, array_prefix, leaves_of
from .keys import VerifierKey, open_note
from .merkle import HASH_BYTES, root_from_path
from .note import (
    BadNote,
    Checkpoint,
    decode_base64,
    encode_base64,
    parse_checkpoint,
    parse_note,
)

VERSION_KEY = "xentrail_proof"
PROOF_VERSION = 1
PROOF_BYTES_MAX = 256 * 1024 * 1024
"""The largest entry has 32 MiB; in base64 it has four thirds of that, in words up to six times."""

Plain = dict[str, object]


class NoProof(ValueError):
    """The text is not a proof."""


class NewerProof(JournalError):
    """The proof was written by a newer xentrail."""


class BadProof(ValueError):
    """It has the form of a proof, and does not prove what it says."""


class SealedSpan(msgspec.Struct, frozen=True):
    """What the seal of a segment says of it: its entries, and the root of the tree after them."""

    first_seq: int
    last_seq: int
    entries: int
    root: bytes


class Proof(msgspec.Struct, frozen=True):
    """What proves that the entry `seq`, whose msgpack bytes are `item`, was in a journal.

    `path` leads from leaf `leaf_index` to the root of the tree of `tree_size` leaves, which
    `checkpoint` (the text of a signed note) vouches for. `key` is the verifier key that signed, as
    text. `seal` is None if the checkpoint is not that of one.
    """

    seq: int
    item: bytes
    leaf_index: int
    tree_size: int
    path: tuple[bytes, ...]
    seal: SealedSpan | None
    checkpoint: str
    key: str

    def text(self) -> str:
        """Return the proof as JSON in ASCII, which says the entry in words as well."""
        _, values = _split(self.item)
        plain = {
            VERSION_KEY: PROOF_VERSION,
            "seq": self.seq,
            "entry": readable(values[0]),
            "item": encode_base64(self.item),
            "leaf_index": self.leaf_index,
            "tree_size": self.tree_size,
            "path": [encode_base64(step) for step in self.path],
            "seal": self.seal and _seal_to_plain(self.seal),
            "checkpoint": self.checkpoint,
            "key": self.key,
        }
        return json.dumps(plain, indent=2) + "\n"


class Proven(msgspec.Struct, frozen=True):
    """What a good proof proves: `leaf` was at `leaf_index` when `checkpoint` was signed.

    It proves all of `entry`, unless that is redacted: then only that there was an entry with this
    leaf hash. `shown` is the entry in words, by name.
    """

    entry: Entry
    shown: Plain
    leaf: bytes
    leaf_index: int
    checkpoint: Checkpoint
    signed_by: VerifierKey

    @property
    def redacted(self) -> bool:
        """Whether the snapshot of the entry was taken out since."""
        return isinstance(self.entry.body, Redacted)


def read_proof(data: bytes) -> Proof:
    """Return the proof in a file. Raises NoProof, NewerProof, BadProof."""
    try:
        plain = json.loads(data.decode(), object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError) as error:
        raise NoProof(f"it is not JSON: {error}") from error
    version = plain.get(VERSION_KEY) if isinstance(plain, dict) else None
    if type(version) is not int or version < 1:
        raise NoProof(f"it has no {VERSION_KEY} with the number of a version")
    if version > PROOF_VERSION:
        raise NewerProof(
            f"the proof has version {version}, this xentrail knows {PROOF_VERSION}: upgrade"
        )
    try:
        return _proof(plain)
    except BadNote as error:
        raise BadProof(str(error)) from error


def check(
    proof: Proof, *, trusted: Sequence[VerifierKey] = (), noted: Sequence[str] | None = None
) -> Proven:
    """Return what a proof proves. Raises BadProof, with what is wrong, if it proves nothing.

    `trusted` are keys of which one must have signed; without any, the proof's own word is taken for
    who did. `noted` are checkpoints (texts of signed notes) that were kept elsewhere, of which one
    must be that of the proof.
    """
    entry, shown, leaf = _entry(proof)
    try:
        root = root_from_path(leaf, proof.leaf_index, proof.tree_size, proof.path)
        signer = VerifierKey.parse(proof.key)
        checkpoint = parse_checkpoint(open_note(proof.checkpoint, [signer]))
    except (BadNote, ValueError) as error:
        raise BadProof(str(error)) from error
    if trusted and signer not in trusted:
        raise BadProof(f"it is signed by {signer.text}, which is not the key that is trusted")
    if checkpoint.size != proof.tree_size:
        raise BadProof(f"the checkpoint is of {checkpoint.size} entries, not {proof.tree_size}")
    if checkpoint.root != root:
        raise BadProof("the path does not lead from the entry to the root that was signed")
    _check_seal(proof, root)
    _check_noted(checkpoint, noted)
    return Proven(entry, shown, leaf, proof.leaf_index, checkpoint, signer)


def readable(item: object) -> Plain:
    """Return an unpacked item as JSON can hold it: the fields by name, bytes as text."""
    assert isinstance(item, list)
    return {name: _worded(value) for name, value in zip(_names(item), item, strict=False)}


def _names(item: list[object]) -> tuple[str, ...]:
    return ("seq", "received_at_ns", "kind", "pool", *FIELDS[str(item[2])])


def _worded(value: object) -> object:
    if isinstance(value, msgpack.ExtType):
        return {"redacted": encode_base64(value.data)}
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _entry(proof: Proof) -> tuple[Entry, Plain, bytes]:
    """Return the entry, what it is in words, and its leaf."""
    try:
        spans, values = _split(proof.item)
        (leaf,) = leaves_of(spans, values)
        entry = decode(values[0])
    except (FrameDamaged, BadEntry) as error:
        raise BadProof(f"the item is not an entry: {error}") from error
    if entry.seq != proof.seq:
        raise BadProof(f"the item is entry {entry.seq}, not {proof.seq}")
    if proof.leaf_index >= proof.seq:  # numbers are passed over behind damage, never used twice
        raise BadProof(f"entry {proof.seq} cannot be leaf {proof.leaf_index}")
    return entry, readable(values[0]), leaf


def _split(item: bytes) -> tuple[list[memoryview], list[object]]:
    payload = memoryview(array_prefix(1) + item)
    return Splitter().items(Head(len(payload), 0, 0, 1, 0), payload)


def _check_seal(proof: Proof, root: bytes) -> None:
    seal = proof.seal
    if seal is None:
        return
    counts = seal.last_seq + 1 - seal.first_seq == seal.entries
    # Inside a segment each entry is one leaf, and the seal's checkpoint is behind the last one.
    ends = seal.last_seq - proof.seq == proof.tree_size - 1 - proof.leaf_index
    begins = seal.first_seq <= proof.seq and seal.entries <= proof.tree_size
    if not (counts and ends and begins and seal.root == root):
        raise BadProof("the seal is not that of a segment that ends with this checkpoint")


def _check_noted(checkpoint: Checkpoint, notes: Sequence[str] | None) -> None:
    if notes is None:
        return
    try:
        noted = [parse_checkpoint(parse_note(note).text) for note in notes]
    except BadNote as error:
        raise BadProof(f"what was noted elsewhere is no checkpoint: {error}") from error
    ours = [other for other in noted if other.origin == checkpoint.origin]
    same = [other for other in ours if other.size == checkpoint.size]
    if not ours:
        raise BadProof(f"no checkpoint noted elsewhere is of {checkpoint.origin}")
    if not same:
        raise BadProof(f"no checkpoint noted elsewhere is of {checkpoint.size} entries")
    if any(other.root != checkpoint.root for other in same):
        raise BadProof("the checkpoint is not the one that was noted elsewhere: they contradict")


def _proof(plain: Plain) -> Proof:
    match plain:
        case {
            "seq": int(seq),
            "entry": shown,
            "item": str(item),
            "leaf_index": int(leaf_index),
            "tree_size": int(tree_size),
            "path": [*path],
            "seal": seal,
            "checkpoint": str(checkpoint),
            "key": str(key),
        } if len(plain) == 10 and not _flags(plain):
            proof = Proof(
                seq,
                decode_base64(item, "the item"),
                leaf_index,
                tree_size,
                tuple(_hash(step) for step in path),
                None if seal is None else _seal(seal),
                checkpoint,
                key,
            )
            # As text: that holds what JSON can say, and tells True from 1.
            if json.dumps(shown) != json.dumps(_entry(proof)[1]):
                raise BadProof("the entry in words is not what the item says")
            return proof
    raise BadProof("a field is missing, is one too many, or has the wrong type")


def _seal(plain: object) -> SealedSpan:
    match plain:
        case {
            "first_seq": int(first),
            "last_seq": int(last),
            "entries": int(entries),
            "root": root,
            **rest,
        } if not rest and not _flags(cast("Plain", plain)):
            return SealedSpan(first, last, entries, _hash(root))
    raise BadProof("the seal has a field that is missing, one too many, or of the wrong type")


def _flags(plain: Plain) -> bool:
    """Say whether one of the values is a truth value, which Python takes for a number."""
    return any(isinstance(value, bool) for value in plain.values())


def _seal_to_plain(seal: SealedSpan) -> Plain:
    return {
        "first_seq": seal.first_seq,
        "last_seq": seal.last_seq,
        "entries": seal.entries,
        "root": encode_base64(seal.root),
    }


def _unambiguous(pairs: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    plain = dict(pairs)
    if len(plain) < len(pairs):
        raise ValueError("a name is there twice, so that two readers may see two proofs")
    return plain


def _hash(text: object) -> bytes:
    digest = decode_base64(text, "a hash") if isinstance(text, str) else b""
    if len(digest) != HASH_BYTES:
        raise BadProof(f"a hash is not {HASH_BYTES} bytes in base64")
    return digest
