"""What vouches for a journal: its newest checkpoint, and the keys that signed so far."""

from contextlib import suppress
from pathlib import Path

import msgspec

from ..errors import JournalError
from .codec import BadEntry, decode
from .files import Disk
from .frame import Flag, FrameDamaged
from .header import HeaderDamaged
from .names import list_segments
from .repair import key_in
from .segment import Cursor


class Newest(msgspec.Struct, frozen=True):
    """The newest checkpoint as a signed note, None if there is none yet; keys, the newest last.

    The note vouches for the entries up to `signed_seq`, `last_seq` is the last one there is, and
    `chain` that after it, in hex.
    """

    note: str | None
    keys: tuple[str, ...]
    signed_seq: int
    last_seq: int
    chain: str


def newest(folder: Path, disk: Disk) -> Newest:
    """Return what vouches for the journal in `folder`, which may be written to meanwhile.

    Reads from the end until it finds a checkpoint. Raises JournalError, also for a journal whose
    end is damaged.
    """
    found: Newest | None = None
    for number in reversed(list_segments(folder, disk)):
        try:
            with Cursor.of(folder, number, disk) as cursor:
                part = _in_segment(cursor)
        except HeaderDamaged as error:
            if found is None:
                continue  # the last one may only be being created
            raise JournalError(f"segment {number} of {folder} is damaged: {error}") from error
        except (BadEntry, OSError) as error:
            raise JournalError(f"segment {number} of {folder} cannot be read: {error}") from error
        if found is not None:
            part = Newest(part.note, found.keys, part.signed_seq, found.last_seq, found.chain)
        if part.note is not None:
            return part
        found = part
    if found is None:
        raise JournalError(f"no segment in {folder} has a readable header")
    return found


def _in_segment(cursor: Cursor) -> Newest:
    note, signed_seq, keys = None, 0, cursor.header.keys
    # A torn end is what a crash leaves, or is being written; `verify` tells of anything else.
    with suppress(FrameDamaged):
        while (frame := cursor.next()) is not None:
            match frame.head.flags:
                case Flag.DATA:
                    for entry in map(decode, frame.items):
                        keys += key_in(entry.body)
                case Flag.CHECKPOINT:
                    note, signed_seq = str(frame.items[0]), cursor.next_seq - 1
                case _:
                    assert cursor.seal is not None
                    if cursor.seal.note is not None:
                        note, signed_seq = cursor.seal.note, cursor.next_seq - 1
    return Newest(note, keys, signed_seq, cursor.next_seq - 1, cursor.chain.hex())
