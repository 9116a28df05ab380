"""Reading the journal for the history: as far as it can be read, and what is said of the rest."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from recorder.errors import JournalDamaged
from recorder.journal.scan import DamageFound, EntriesDropped, scan
from recorder.model import Entry


class Reader(msgspec.Struct):
    """The entries of a journal after `after_seq`, as far as they can be read.

    Damage that has good entries behind it is stepped over; the hole shows in the numbers. `damages`
    are what was met, each with the last good entry before it, None if there was none; `last` is the
    last entry so far.
    """

    folder: Path
    after_seq: int
    damages: list[tuple[Entry | None, JournalDamaged]] = msgspec.field(default_factory=list)
    last: Entry | None = None

    def __iter__(self) -> Iterator[Entry]:
        resume: int | None = self.after_seq
        while resume is not None:
            after, resume = resume, None
            try:
                for entry in scan(self.folder, after_seq=after):
                    if entry.seq > self.after_seq:
                        self.last = entry
                        yield entry
            except JournalDamaged as damage:
                self.damages.append((self.last, damage))
                if isinstance(damage, DamageFound) and damage.resume_after_seq is not None:
                    resume = max(damage.resume_after_seq, after + 1)

    def go_on(self) -> None:
        """Begin again behind `last`: what was met there is met again."""
        self.damages = [met for met in self.damages if self.last and _is_before(met[0], self.last)]
        self.after_seq = self.last.seq if self.last else self.after_seq

    def warnings(self) -> tuple[str, ...]:
        """Say what could not be read."""
        return tuple(_warning(damage) for _, damage in self.damages)


def _is_before(one: Entry | None, other: Entry) -> bool:
    return one is None or one.seq < other.seq


def _warning(damage: JournalDamaged) -> str:
    if isinstance(damage, EntriesDropped):
        return f"the history begins later than the journal once did: {damage.text}"
    return f"the journal is damaged: {damage}"
