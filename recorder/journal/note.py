"""C2SP signed notes, checkpoints and keys as text; signing and verifying is in keys.py.

The rules are those of c2sp.org/signed-note and c2sp.org/tlog-checkpoint, and of Go's sumdb/note
where the first leaves a choice, so that the tools of transparency logs can read what we sign.
"""

import re
from base64 import b64decode, b64encode
from hashlib import sha256

import msgspec

from .merkle import HASH_BYTES

KEY_ID_BYTES = 4
KEY_BYTES = 32
SIGNATURES_MAX = 100  # as Go has it; C2SP asks for at least 16
SIZE_MAX = (1 << 63) - 1  # as Go has it

_MARK = "\u2014 "  # em dash and space: what a signature line begins with
_ED25519 = b"\x01"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_KEY_ID = re.compile(r"[0-9a-f]{8}")


class BadNote(ValueError):
    """A note, checkpoint or key that breaks the rules, or that no known key vouches for."""


class Signature(msgspec.Struct, frozen=True):
    """One signature line: the name of the key, its id (4 bytes), and what it signed with.

    Only a key that is known can say whether `signature` is right, or of which length.
    """

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.key_id) != KEY_ID_BYTES or not self.signature:
            raise BadNote(f"the signature of {self.name} is too short")

    def line(self) -> str:
        """Return the signature line with its newline."""
        return f"{_MARK}{self.name} {encode_base64(self.key_id + self.signature)}\n"


class SignedNote(msgspec.Struct, frozen=True):
    """A text, which ends in a newline, and its signatures. Raises BadNote if it can be no note."""

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        check_text(self.text)
        if not self.signatures:
            raise BadNote("the note has no signatures")
        if len(self.signatures) > SIGNATURES_MAX:
            raise BadNote(f"the note has over {SIGNATURES_MAX} signatures")

    def format(self) -> str:
        """Return the note: the text, a blank line, the signature lines."""
        return self.text + "\n" + "".join(signature.line() for signature in self.signatures)


class Checkpoint(msgspec.Struct, frozen=True):
    """What a log vouches for: the root of the first `size` leaves of the log called `origin`.

    `extensions` are further lines, of which C2SP advises against; we write none. Raises BadNote.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= SIZE_MAX:
            raise BadNote(f"the tree size {self.size} of the checkpoint is out of range")
        if len(self.root) != HASH_BYTES:
            raise BadNote(f"the root hash of the checkpoint is not {HASH_BYTES} bytes long")
        for line in (self.origin, *self.extensions):
            _check_characters(line)
            if not line or "\n" in line:
                raise BadNote("the origin or an extension of the checkpoint is not one line")

    def text(self) -> str:
        """Return the text of the note that is to be signed."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse_note(note: str) -> SignedNote:
    """Return a signed note that stands by itself, its signatures not verified. Raises BadNote."""
    _check_characters(note)
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines:
        raise BadNote("the note has no signatures after a blank line")
    if not lines.endswith("\n"):
        raise BadNote("the note does not end in a newline")
    # One more than the most is enough to be refused, however many there are.
    found = lines[:-1].split("\n", SIGNATURES_MAX + 1)[: SIGNATURES_MAX + 1]
    return SignedNote(f"{text}\n", tuple(_signature(line) for line in found))


def split_notes(data: bytes) -> list[str]:
    """Return the notes of a file that holds one after the other. Raises BadNote.

    A note ends where its signature lines do. Nothing else marks its end, so that a text which
    begins with a line like them, or holds a whole signed note, does not come back from such a file;
    no checkpoint is like that.
    """
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise BadNote(f"the file of notes is not UTF-8 at byte {error.start}") from error
    if lines.pop():
        raise BadNote("the file of notes does not end in a newline")
    notes: list[str] = []
    start, signed, before = 0, False, None
    for place, line in enumerate(lines):
        mark = line.startswith(_MARK)
        if signed and not mark:
            notes.append(_join(lines[start:place]))
            start = place
        signed = mark and (signed or before == "")
        before = line
    if start < len(lines):
        if not signed:
            raise BadNote(f"note {len(notes) + 1} of the file has no signatures at its end")
        notes.append(_join(lines[start:]))
    return notes


def parse_checkpoint(text: str) -> Checkpoint:
    """Return what the text of a note says as a checkpoint. Raises BadNote."""
    *lines, end = text.split("\n")
    if end or len(lines) < 3:
        raise BadNote("the checkpoint is not three lines or more that end in a newline")
    origin, size, root, *extensions = lines
    if not _SIZE.fullmatch(size):
        raise BadNote(f"the tree size {size[:40]!r} of the checkpoint is not a plain number")
    return Checkpoint(origin, int(size), decode_base64(root, "the root hash"), tuple(extensions))


def key_id(name: str, public: bytes) -> bytes:
    """Return the id (4 bytes) of the Ed25519 key `public` (32 bytes) of this name."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:KEY_ID_BYTES]


def format_key(name: str, identity: bytes, key: bytes) -> str:
    """Return `NAME+ID+KEY` for an Ed25519 key, public or private, whose id is `identity`."""
    return f"{name}+{identity.hex()}+{encode_base64(_ED25519 + key)}"


def parse_key(text: str) -> tuple[str, bytes, bytes]:
    """Return name, id (4 bytes) and Ed25519 key (32 bytes), the id not checked. Raises BadNote."""
    name, _, rest = text.partition("+")
    identity, _, encoded = rest.partition("+")
    check_name(name)
    if not _KEY_ID.fullmatch(identity):
        raise BadNote(f"the key of {name} has no id of 8 lower-case hex digits after its name")
    raw = decode_base64(encoded, f"the key of {name}")
    if raw[:1] != _ED25519:
        raise BadNote(f"the key of {name} is not for Ed25519, the only kind that is known here")
    if len(raw) != 1 + KEY_BYTES:
        raise BadNote(f"the key of {name} is not {KEY_BYTES} bytes long")
    return name, bytes.fromhex(identity), raw[1:]


def check_text(text: str) -> None:
    """Raise BadNote unless `text` can be signed: UTF-8 in lines, each of which ends."""
    _check_characters(text)
    if not text.endswith("\n"):
        raise BadNote("the text of the note does not end in a newline")


def check_name(name: str) -> None:
    """Raise BadNote unless a key can be called `name`: not empty, no spaces, no plus sign."""
    _check_characters(name)
    if not name or "+" in name or any(character.isspace() for character in name):
        raise BadNote(f"{name!r} cannot name a key: spaces and plus signs are not allowed")


def encode_base64(data: bytes) -> str:
    """Return the one base64 of `data`."""
    return b64encode(data).decode()


def decode_base64(text: str, what: str) -> bytes:
    """Return the bytes that `text`, which is called `what`, is the base64 of. Raises BadNote."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError as error:
        raise BadNote(f"{what} is not base64") from error
    if encode_base64(raw) != text:  # bits that mean nothing are set: two texts would say the same
        raise BadNote(f"{what} is not the base64 of its bytes")
    return raw


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or not space:
        raise BadNote(f"{line[:40]!r} is not a signature line")
    raw = decode_base64(encoded, f"the signature of {name}")
    return Signature(name, raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


def _check_characters(text: str) -> None:
    if found := _CONTROL.search(text):
        raise BadNote(f"there is a control character, {found[0]!r}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadNote("there is half a surrogate pair, which UTF-8 has no bytes for") from error


def _join(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
