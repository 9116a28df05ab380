"""Writing down what of the journal could not be read."""

import msgspec

from recorder.errors import JournalDamaged
from recorder.journal.scan import EntriesDropped
from recorder.model import RECORDER, Entry

from ..history.database import History, insert
from ..history.schema import MARKS
from .rows import table_of
from .store import position


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
