"""The Ed25519 keys that sign checkpoints, the notes they sign, and the folder they are kept in.

`journal.key` holds the private key; `journal.pub` holds every public key that the journal ever had,
one a line and the newest last. `cryptography` is imported only once something is signed or
verified, because loading it would slow down every command that does neither.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

import msgspec

from ..errors import JournalError, JournalWriteFailed
from .files import Disk
from .note import (
    KEY_BYTES,
    BadNote,
    Signature,
    SignedNote,
    check_name,
    check_text,
    format_key,
    key_id,
    parse_key,
    parse_note,
)
from .refusal import told

KEY_NAME = "journal.key"
PUBLIC_NAME = "journal.pub"
NEXT_KEY_NAME = "journal.key.new"
ENDORSEMENT_NAME = "journal.endorsement"
FILE_BYTES_MAX = 1 << 20  # thousands of public keys; a larger file is none of ours

_NEXT_PUBLIC_NAME = "journal.pub.new"
_NEXT_ENDORSEMENT_NAME = "journal.endorsement.new"
_PRIVATE = "PRIVATE+KEY+"
_REMEDY = "put it back from a backup, or replace the key with `xentrail rotate-key`"


class KeyMissing(JournalError):
    """There is no signing key in the folder, nor a trace of one."""


class VerifierKey(msgspec.Struct, frozen=True):
    """An Ed25519 public key (32 bytes) and its name. Raises BadNote if it can be none."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public) != KEY_BYTES:
            raise BadNote(f"the key of {self.name} is not {KEY_BYTES} bytes long")

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of a hash over name and key: what signature lines call the key."""
        return key_id(self.name, self.public)

    @property
    def text(self) -> str:
        """The key as C2SP and Go write it: NAME+ID+KEY."""
        return format_key(self.name, self.key_id, self.public)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key that `text` is. Raises BadNote."""
        name, identity, public = parse_key(text)
        key = cls(name, public)
        _check_id(key, identity)
        return key

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Say whether `signature` is that of `message` by this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """An Ed25519 private key; `verifier` is its public half."""

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        """Make the key of the 32 bytes `seed`, which is as secret as the key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str, disk: Disk) -> Self:
        """Return a new key; `disk` is where chance comes from. Raises BadNote for a bad name."""
        return cls(name, disk.fresh_seed())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key that `text` is, as Go writes it. Raises BadNote, which holds no secret."""
        if not text.startswith(_PRIVATE):
            raise BadNote(f"it does not begin with {_PRIVATE}")
        name, identity, seed = parse_key(text.removeprefix(_PRIVATE))
        key = cls(name, seed)
        _check_id(key.verifier, identity)
        return key

    @property
    def name(self) -> str:
        """The name of the key."""
        return self.verifier.name

    @property
    def text(self) -> str:
        """The secret text of the key: PRIVATE+KEY+NAME+ID+KEY, the id being the verifier's."""
        seed = self._private.private_bytes_raw()
        return _PRIVATE + format_key(self.name, self.verifier.key_id, seed)

    def sign(self, message: bytes) -> bytes:
        """Return the signature (64 bytes) of `message`."""
        return self._private.sign(message)


def sign_note(text: str, key: SigningKey) -> str:
    """Return `text` as a note signed by `key`. Raises BadNote if it can be no note's text."""
    check_text(text)
    signature = Signature(key.name, key.verifier.key_id, key.sign(text.encode()))
    return SignedNote(text, (signature,)).format()


def open_note(note: str, verifiers: Iterable[VerifierKey]) -> str:
    """Return the text of a note that a known key signed. Signatures of unknown keys do not count.

    Raises BadNote for what is no note, for a wrong signature of a known key even beside a right one
    of another, and if no known key signed.
    """
    known = list(verifiers)
    parsed = parse_note(note)
    signed = [_verified(signature, parsed.text, known) for signature in parsed.signatures]
    if not any(signed):
        names = ", ".join(_called(signature) for signature in parsed.signatures)
        raise BadNote(f"the note is signed by no known key, but by {names}")
    return parsed.text


def load_key(folder: Path, disk: Disk, *, name: str | None = None) -> SigningKey:
    """Return the signing key in `folder`, which is to be called `name` unless that is None.

    A creation or replacement that was interrupted is completed, or is as if it had never begun.
    Raises KeyMissing if a key is still to be created, JournalError if one cannot be used.
    """
    try:
        return _load(folder, disk, name)
    except OSError as error:
        raise JournalError(f"the key in {folder} cannot be read: {told(error)}") from error


def create_key(folder: Path, name: str, disk: Disk) -> SigningKey:
    """Create `folder` where missing, and in it the first key of a journal, durably.

    The caller holds the lock of the journal, as for `load_key` and `replace_key`. Raises
    JournalError if there is a key, or a trace of one; JournalWriteFailed; BadNote for a name that
    no key can have.
    """
    try:
        disk.make_folder(folder, 0o700)
        for file in (KEY_NAME, PUBLIC_NAME):
            if file in disk.names(folder):
                raise JournalError(f"{folder / file} is there already: load or replace that key")
        _check_folder(folder, disk)
        return _put_new_key(folder, (), name, disk)
    except OSError as error:
        raise JournalWriteFailed(f"no key could be created in {folder}: {told(error)}") from error


def replace_key(folder: Path, name: str, disk: Disk) -> SigningKey:
    """Put a new key in the place of the one in `folder`, even of one that is damaged or lost.

    The file of the old private key is gone afterwards (its blocks are not overwritten); the public
    half stays in `journal.pub`. Raises JournalError if there are only keys of another name, or
    none; JournalWriteFailed, after which `load_key` tells which of the two is the key.
    """
    try:
        known = read_verifiers(folder / PUBLIC_NAME, disk)
        _check_name(folder / PUBLIC_NAME, known[-1], name)
        _check_folder(folder, disk)
        _complete(folder, known, disk)
        return _put_new_key(folder, known, name, disk, old=_usable(folder, known[-1], disk))
    except OSError as error:
        raise JournalWriteFailed(
            f"the key in {folder} could not be replaced: {told(error)}"
        ) from error


def endorses(note: str, *, old: str, new: str) -> bool:
    """Say whether a note is the word of the key `old` for the key `new` (both as text)."""
    try:
        return open_note(note, [VerifierKey.parse(old)]) == _endorsement_text(new)
    except BadNote:
        return False


def read_endorsement(folder: Path, disk: Disk) -> str | None:
    """Return the note by which the last key but one vouches for the last, if it did. OSError."""
    if ENDORSEMENT_NAME not in disk.names(folder):
        return None
    return _read(folder / ENDORSEMENT_NAME, disk)


def read_verifiers(path: Path, disk: Disk) -> tuple[VerifierKey, ...]:
    """Return the public keys in the file `path`, one at least, the newest last.

    Raises JournalError if it is missing, empty or damaged; OSError.
    """
    lines = _read(path, disk).splitlines()
    if not lines:
        raise JournalError(f"{path} is empty: put it back from a backup")
    keys: list[VerifierKey] = []
    for number, line in enumerate(lines, 1):
        try:
            keys.append(VerifierKey.parse(line))
        except BadNote as error:
            raise JournalError(
                f"{path} is damaged in line {number}: {error}: put it back from a backup"
            ) from error
    return tuple(keys)


def _check_id(key: VerifierKey, identity: bytes) -> None:
    if key.key_id != identity:
        raise BadNote(f"the id {identity.hex()} of the key of {key.name} does not fit the key")


def _verified(signature: Signature, text: str, known: list[VerifierKey]) -> bool:
    """Say whether a known key signed; False if the key is not known. Raises BadNote."""
    # More than one key can have a name and an id: ids are short, and anyone can make them collide.
    keys = [key for key in known if (key.name, key.key_id) == (signature.name, signature.key_id)]
    if keys and not any(key.verify(text.encode(), signature.signature) for key in keys):
        raise BadNote(f"the signature of {_called(signature)} is not that of the text of the note")
    return bool(keys)


def _called(signature: Signature) -> str:
    return f"{signature.name}+{signature.key_id.hex()}"


# A new key becomes the key in the instant in which `journal.pub` names it. Before, it is durable as
# `journal.key.new`; after, it takes the place of `journal.key`. So at every moment one of the two
# holds the private half of the last line, and whoever loads it can tell which.


def _put_new_key(
    folder: Path,
    known: tuple[VerifierKey, ...],
    name: str,
    disk: Disk,
    *,
    old: SigningKey | None = None,
) -> SigningKey:
    key = SigningKey.generate(name, disk)
    lines = [verifier.text for verifier in (*known, key.verifier)]
    _write_new(folder / NEXT_KEY_NAME, [key.text], disk, mode=0o600)
    if old is not None:
        note = sign_note(_endorsement_text(key.verifier.text), old)
        _write_new(folder / _NEXT_ENDORSEMENT_NAME, note.splitlines(), disk, mode=0o644)
        disk.rename(folder / _NEXT_ENDORSEMENT_NAME, folder / ENDORSEMENT_NAME)
    _write_new(folder / _NEXT_PUBLIC_NAME, lines, disk, mode=0o644)
    disk.rename(folder / _NEXT_PUBLIC_NAME, folder / PUBLIC_NAME)
    disk.sync_folder(folder)
    disk.rename(folder / NEXT_KEY_NAME, folder / KEY_NAME)
    disk.sync_folder(folder)
    return key


def _usable(folder: Path, verifier: VerifierKey, disk: Disk) -> SigningKey | None:
    """Return the key that is to be replaced, which vouches for the next; None if it is lost."""
    if KEY_NAME not in disk.names(folder):
        return None
    try:
        key = _read_key(folder / KEY_NAME, disk)
    except JournalError:
        return None
    return key if key.verifier == verifier else None


def _endorsement_text(new: str) -> str:
    return f"the next key of this journal\n{new}\n"


def _complete(folder: Path, known: tuple[VerifierKey, ...], disk: Disk) -> None:
    """Give the next key its own name if `journal.pub` ends with it already."""
    if NEXT_KEY_NAME not in disk.names(folder):
        return
    try:
        key = SigningKey.parse(_read(folder / NEXT_KEY_NAME, disk).strip())
    except (BadNote, JournalError):
        return  # cut short by a crash, and therefore not named anywhere
    if key.verifier == known[-1]:
        disk.rename(folder / NEXT_KEY_NAME, folder / KEY_NAME)
        disk.sync_folder(folder)


def _load(folder: Path, disk: Disk, name: str | None) -> SigningKey:
    path, public = folder / KEY_NAME, folder / PUBLIC_NAME
    names = disk.names(folder)
    if PUBLIC_NAME not in names:
        if KEY_NAME not in names:
            raise KeyMissing(f"there is no key in {folder} yet: create one")
        key = _read_key(path, disk)
        raise JournalError(
            f"{public} is missing: put it back from a backup, or if the journal never had another "
            f"key, write this line into it: {key.verifier.text}"
        )
    known = read_verifiers(public, disk)
    _complete(folder, known, disk)
    if KEY_NAME not in disk.names(folder):
        raise JournalError(f"{path} is missing: {_REMEDY}")
    key = _read_key(path, disk)
    if name is not None:
        _check_name(path, key.verifier, name)
    if key.verifier != known[-1]:
        raise JournalError(
            f"{path} holds {key.verifier.text}, which is not the last key in {public}: {_REMEDY}"
        )
    return key


def _read_key(path: Path, disk: Disk) -> SigningKey:
    _check_folder(path.parent, disk)
    if (mode := disk.mode(path)) & 0o077:
        raise JournalError(
            f"{path} can be read by others (its mode is {mode:04o}): run chmod 600 {path}, and "
            "replace the key if anyone may have copied it"
        )
    text = _read(path, disk).strip()
    if not text:
        raise JournalError(f"{path} is empty: {_REMEDY}")
    try:
        return SigningKey.parse(text)
    except BadNote as error:
        raise JournalError(f"{path} is damaged: {error}: {_REMEDY}") from error


def _check_folder(folder: Path, disk: Disk) -> None:
    if (mode := disk.mode(folder)) & 0o022:
        raise JournalError(
            f"{folder} can be changed by others (its mode is {mode:04o}), who could put a key of "
            f"theirs into it: run chmod 700 {folder}, and check that its files are yours"
        )


def _check_name(path: Path, key: VerifierKey, name: str) -> None:
    if key.name != name:
        raise JournalError(
            f"{path} holds a key of {key.name}, not of {name}: use the folder that belongs to "
            "this journal"
        )


def _read(path: Path, disk: Disk) -> str:
    """Return the text of a key file. Raises JournalError, OSError."""
    try:
        with disk.open_read(path) as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise JournalError(f"{path} is missing: put it back from a backup") from error
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise JournalError(f"{path} is damaged: it is no text: {_REMEDY}") from error
    if len(data) > FILE_BYTES_MAX:
        raise JournalError(f"{path} is no key file: it is over {FILE_BYTES_MAX} bytes long")
    return text


def _write_new(path: Path, lines: list[str], disk: Disk, *, mode: int) -> None:
    """Write `path` durably, name and all."""
    disk.write_file(path, ["".join(f"{line}\n" for line in lines).encode()], mode)
    disk.sync_folder(path.parent)
