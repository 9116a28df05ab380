"""Who signs the checkpoints of a journal, and how a reader learns of a change of keys."""

from pathlib import Path

from ..model import Detail
from .files import Disk
from .keys import (
    KeyMissing,
    SigningKey,
    create_key,
    endorses,
    load_key,
    read_endorsement,
    sign_note,
)
from .merkle import MerkleTree
from .note import Checkpoint


class Notary:
    """Signs for one journal. `keys` are all verifier keys it ever had, as text, the newest last."""

    def __init__(self, key: SigningKey, journal_id: bytes, keys: tuple[str, ...]) -> None:
        self.keys = keys
        self._key = key
        self._origin = origin_of(journal_id)

    def sign(self, tree: MerkleTree) -> str:
        """Return a signed checkpoint of the tree, as the text of a note."""
        return sign_note(Checkpoint(self._origin, tree.size, tree.root()).text(), self._key)

    def sign_text(self, text: str) -> str:
        """Return any other text as a signed note."""
        return sign_note(text, self._key)


def origin_of(journal_id: bytes) -> str:
    """Return what checkpoints call a journal in their first line."""
    return f"xentrail/{journal_id.hex()}"


def appoint(
    folder: Path, journal_id: bytes, known: tuple[str, ...], disk: Disk
) -> tuple[Notary, Detail | None]:
    """Return who signs from now on, and what the journal has to say of a new key, if it is one.

    `folder` holds the key, or will: a first one is made there. `known` are the keys of the journal
    so far. Raises JournalError for a key that cannot be used, OSError.
    """
    try:
        key = load_key(folder, disk)
    except KeyMissing:
        key = create_key(folder, origin_of(journal_id), disk)
    text = key.verifier.text
    if not known:
        return Notary(key, journal_id, (text,)), None
    if text == known[-1]:
        return Notary(key, journal_id, known), None
    note = read_endorsement(folder, disk)
    endorsed = note is not None and endorses(note, old=known[-1], new=text)
    change: Detail = {"key": text, "endorsement": note if endorsed else None}
    return Notary(key, journal_id, (*known, text)), change
