"""Where a journal stands, told from its last segment, without becoming its writer."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ..errors import JournalError
from ..model import rest_of
from .codec import BadEntry, telling
from .files import Disk
from .findings import Finding
from .frame import Flag, FrameDamaged
from .header import HeaderDamaged
from .inspect import inspect
from .names import list_segments
from .segment import Cursor
from .tails import Tails


class Standing(msgspec.Struct, frozen=True):
    """The journal in a folder: its last entry, the uuids of its pools by name, what ails its end.

    `findings` are about the last segment only; a recorder may be writing it meanwhile.
    """

    journal_id: bytes
    segments: int
    last_seq: int
    uuids: dict[str, str]
    findings: Sequence[Finding]


def standing(folder: Path, disk: Disk) -> Standing:
    """Return where the journal in `folder` stands.

    Raises JournalError if there is none, if it is of a newer format or unreadable; OSError.
    """
    numbers = list_segments(folder, disk)
    findings = inspect(folder, numbers[-1], last=True).findings
    for number in reversed(numbers):
        # The last one may only be being created, or was when the recorder died.
        with suppress(HeaderDamaged), Cursor.of(folder, number, disk) as cursor:
            uuids = _uuids(cursor)
            header = cursor.header
            return Standing(
                header.journal_id, len(numbers), cursor.next_seq - 1, uuids, tuple(findings)
            )
    raise JournalError(f"no segment in {folder} has a readable header: see xentrail verify")


def _uuids(cursor: Cursor) -> dict[str, str]:
    tails = Tails(cursor.header.tails)
    with suppress(FrameDamaged, BadEntry):  # which the findings tell of
        while (frame := cursor.next()) is not None:
            if frame.head.flags == Flag.DATA:
                for entry in telling(frame.items):
                    tails.take(entry.seq, entry.received_at_ns, entry.pool, rest_of(entry.body))
    return {
        pool: tail.pool_uuid for pool, tail in tails.freeze().items() if tail.pool_uuid is not None
    }
