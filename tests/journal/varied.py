"""A journal with everything in it that can be proven."""

from pathlib import Path

from recorder.journal.files import Disk
from recorder.journal.keys import PUBLIC_NAME, read_verifiers, replace_key
from recorder.journal.redaction import redact
from recorder.journal.scan import scan
from recorder.model import Entry
from tests.journal.samples import drafts, event, open_journal


def varied(folder: Path) -> list[Entry]:
    """Write segments with checkpoints inside, a change of keys, an entry redacted; return all."""
    with open_journal(folder, segment_bytes_max=4000) as journal:
        for number in range(9):
            journal.append(drafts())
            if number % 2:
                journal.sign()
            journal.append([event(number, 30)])
    replace_key(
        folder / "keys", read_verifiers(folder / "keys" / PUBLIC_NAME, Disk())[-1].name, Disk()
    )
    with open_journal(folder, segment_bytes_max=4000) as journal:
        journal.append(drafts())
        redact(journal, 6, "a password", by="somebody")
        redact(journal, 106, "a password", by="somebody")
    return list(scan(folder))
