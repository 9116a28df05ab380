"""What is left of segments that were dropped: one signed note that says what they were.

A later tombstone covers what an earlier one did, so that there is one at a time.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from .chain import CHAIN_BYTES
from .files import Disk
from .keys import VerifierKey, open_note
from .names import TEMPORARY, TOMBSTONE
from .note import BadNote

TOMBSTONE_BYTES_MAX = 1 << 16
_FIELDS = re.compile(
    r"(?P<origin>\S+)\n"
    r"dropped segments 1 to (?P<last_segment>[0-9]{1,10})\n"
    r"dropped entries 1 to (?P<last_seq>[0-9]{1,20}),"
    r" of which there were (?P<entries>[0-9]{1,20})\n"
    r"written from (?P<begun>\S+) to (?P<ended>\S+)\n"
    r"root (?P<root>\S+)\n"
    r"chain (?P<chain>\S+)\n"
)


class Tombstone(msgspec.Struct, frozen=True):
    """What was dropped from the beginning of a journal.

    `entries` is also the size of the tree over them, whose root is `root`; `chain` is that after
    the last of them. Times are nanoseconds since 1970 UTC: when the first segment was begun, and
    when the first one that was kept was.
    """

    origin: str
    last_segment: int
    last_seq: int
    entries: int
    begun_ns: int
    ended_ns: int
    root: bytes
    chain: bytes

    def text(self) -> str:
        """Return what is signed."""
        return (
            f"{self.origin}\n"
            f"dropped segments 1 to {self.last_segment}\n"
            f"dropped entries 1 to {self.last_seq}, of which there were {self.entries}\n"
            f"written from {_said(self.begun_ns)} to {_said(self.ended_ns)}\n"
            f"root {b64encode(self.root).decode()}\n"
            f"chain {b64encode(self.chain).decode()}\n"
        )

    @classmethod
    def parse(cls, text: str) -> "Tombstone":
        """Return what a text says. Raises BadNote."""
        found = _FIELDS.fullmatch(text)
        if found is None:
            raise BadNote("it does not say what was dropped in the words of a tombstone")
        try:
            root, chain = b64decode(found["root"]), b64decode(found["chain"])
            begun_ns, ended_ns = _ns(found["begun"]), _ns(found["ended"])
        except ValueError as error:
            raise BadNote(f"it does not say what was dropped: {error}") from error
        if len(root) != CHAIN_BYTES or len(chain) != CHAIN_BYTES:
            raise BadNote("its hashes are not 32 bytes long")
        tombstone = cls(
            found["origin"],
            int(found["last_segment"]),
            int(found["last_seq"]),
            int(found["entries"]),
            begun_ns,
            ended_ns,
            root,
            chain,
        )
        if tombstone.text() != text:
            raise BadNote("it does not say what was dropped in the words of a tombstone")
        return tombstone


def read_tombstone(folder: Path, disk: Disk) -> str | None:
    """Return the signed note in a journal's folder, None if nothing was dropped. OSError."""
    path = folder / TOMBSTONE
    if not disk.exists(path):
        return None
    with disk.open_read(path) as file:
        return file.read(TOMBSTONE_BYTES_MAX).decode(errors="replace")


def open_tombstone(note: str, keys: Sequence[str]) -> Tombstone:
    """Return what a note says, if one of the keys (as text) signed it. Raises BadNote."""
    return Tombstone.parse(open_note(note, [VerifierKey.parse(key) for key in keys]))


def write_tombstone(folder: Path, note: str, disk: Disk) -> None:
    """Put a signed note in the place of the one before, durably. Raises OSError."""
    temporary = folder / f"{TOMBSTONE}{TEMPORARY}"
    disk.write_file(temporary, [note.encode()])
    disk.rename(temporary, folder / TOMBSTONE)
    disk.sync_folder(folder)


def _said(at_ns: int) -> str:
    seconds, nanoseconds = divmod(at_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def _ns(text: str) -> int:
    seconds, _, nanoseconds = text.removesuffix("Z").partition(".")
    at = datetime.strptime(seconds, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return int(at.timestamp()) * 1_000_000_000 + int(nanoseconds)
