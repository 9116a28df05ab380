"""Reading the journal for the history: as far as it can be read, and what is said of the rest."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from recorder.errors import JournalDamaged
from recorder.journal.scan import DamageFound, EntriesDropped, scan
from recorder.model import RECORDER, Entry

from .database import History, insert
from .rows import table_of
from .schema import MARKS
from .store import position


@dataclass(slots=True)
class Reader:
    """The entries of a journal after `after_seq`, as far as they can be read.

    Damage that has good entries behind it is stepped over; the hole shows in the numbers. `damages`
    are what was met, each with the last good entry before it, None if there was none.
    """

    folder: Path
    after_seq: int
    damages: list[tuple[Entry | None, JournalDamaged]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Entry]:
        resume: int | None = self.after_seq
        last: Entry | None = None
        while resume is not None:
            after, resume = resume, None
            try:
                for entry in scan(self.folder, after_seq=after):
                    if entry.seq > self.after_seq:
                        last = entry
                        yield entry
            except JournalDamaged as damage:
                self.damages.append((last, damage))
                if isinstance(damage, DamageFound) and damage.resume_after_seq is not None:
                    resume = max(damage.resume_after_seq, after + 1)

    def warnings(self) -> tuple[str, ...]:
        """Say what could not be read."""
        return tuple(_warning(damage) for _, damage in self.damages)


def _warning(damage: JournalDamaged) -> str:
    if isinstance(damage, EntriesDropped):
        return f"the history begins later than the journal once did: {damage.text}"
    return f"the journal is damaged: {damage}"


def mark_damages(history: History, damages: list[tuple[Entry | None, JournalDamaged]]) -> None:
    """Write each damage down once, as a mark of the recorder after the last good entry.

    Those behind the entries that are loaded come with the entries before them.
    """
    known = position(history)
    for last, damage in damages:
        if last is not None and known is not None and last.seq > known.last_seq:
            continue
        name, text = "damaged", str(damage)
        if isinstance(damage, EntriesDropped):
            name, text = "entries-dropped", damage.text
        detail = msgspec.json.encode({"text": text}).decode()
        params = {"name": name, "detail": detail}
        sql = "SELECT seq FROM marks WHERE name = $name AND detail = $detail"
        if history.table(sql, params).num_rows:
            continue
        seq, at_ns = (known.last_seq, known.last_received_ns) if known else (0, 0)
        if last is not None:
            seq, at_ns = last.seq, last.received_at_ns
        row = (seq, RECORDER, at_ns // 1000, name, None, detail)
        insert(history, "marks", table_of([row], MARKS))
