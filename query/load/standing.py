"""How a history and a journal belong together."""

from enum import Enum, auto
from pathlib import Path

from recorder.errors import JournalDamaged
from recorder.journal.scan import head, journal_id, scan
from recorder.model import Entry

from ..history.database import History
from .store import Position, witness


class Standing(Enum):
    """How a history and a journal belong together."""

    SAME = auto()
    CUT = auto()  # the journal has lost its end, which the history still has
    OTHER = auto()


def standing_of(history: History, where: Position, folder: Path) -> Standing:
    """Compare what was loaded last into a history with what the journal has there now.

    The id of a journal is compared first, but it is no proof: its folder can be copied, and each
    copy goes on by itself.
    """
    found = journal_id(folder)
    if where.journal is not None and found is not None and where.journal != found:
        return Standing.OTHER
    try:
        entry = next(scan(folder, after_seq=where.last_seq - 1), None)
        if entry is not None:
            return Standing.SAME if _is_at(entry, where) else Standing.OTHER
        end = head(folder).last_seq
    except JournalDamaged:
        return Standing.SAME  # The history holds what can no longer be read: the better part.
    return Standing.CUT if _is_witnessed(history, folder, end) else Standing.OTHER


def _is_at(entry: Entry, where: Position) -> bool:
    """True if an entry is the one that was loaded there, or if older segments were dropped."""
    found = (entry.seq, entry.received_at_ns, entry.pool)
    expected = (where.last_seq, where.last_received_ns, where.last_pool)
    return entry.seq > where.last_seq or found == expected


def _is_witnessed(history: History, folder: Path, end: int) -> bool:
    """True if the last entry of the journal that left a row in the history is still the same."""
    seen = witness(history, up_to_seq=end)
    entry = None if seen is None else next(scan(folder, after_seq=seen.seq - 1), None)
    if seen is None or entry is None:
        return False
    return (entry.seq, entry.pool, entry.received_at_ns // 1000) == (
        seen.seq,
        seen.pool,
        seen.at_us,
    )
