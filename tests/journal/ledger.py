"""What a journal owes to those who wrote to it, kept apart from the journal."""

from collections.abc import Sequence

from msgspec.structs import replace

from recorder.model import RECORDER, Draft, Entry, Event, Mark, MarkName, Redacted


class Ledger:
    """All that was acknowledged, and what the journal may hold as well.

    Entries of pool RECORDER are the journal's own: they are owed once an open has shown them.
    """

    def __init__(self) -> None:
        self.owed: dict[int, Entry] = {}
        self.submitted: list[Draft] = []
        """What was handed over and not acknowledged, the oldest first."""
        self.redacted: dict[int, bool] = {}
        """Entries whose snapshot was to go, and whether it was said that it went."""
        self.dropped_seq = 0
        """The last entry that is gone for certain."""
        self.dropped_seq_max = 0
        """The last entry that may be gone."""

    @property
    def last_seq(self) -> int:
        """The highest number that was acknowledged."""
        return max(self.owed, default=self.dropped_seq)

    def acknowledge(self, first_seq: int, drafts: Sequence[Draft]) -> None:
        """Note that these drafts, the oldest that were submitted, are durable."""
        assert list(drafts) == self.submitted[: len(drafts)]
        del self.submitted[: len(drafts)]
        for seq, draft in enumerate(drafts, first_seq):
            self.owed[seq] = Entry(seq, draft.received_at_ns, draft.pool, draft.body)

    def check(self, entries: Sequence[Entry]) -> None:
        """All that is owed is there, unchanged; the rest is a prefix of what was submitted."""
        seqs = [entry.seq for entry in entries]
        first = seqs[0] if seqs else self.dropped_seq + 1
        assert seqs == list(range(first, first + len(seqs)))
        assert self.dropped_seq < first <= self.dropped_seq_max + 1
        last = self.last_seq
        assert first + len(seqs) > last, f"{last} was acknowledged, {seqs[-1:]} is the last"
        for entry in entries:
            if entry.seq <= last:
                self.check_entry(entry)
        rest = [entry for entry in entries if entry.seq > last and entry.pool != RECORDER]
        drafts = [Draft(entry.received_at_ns, entry.pool, entry.body) for entry in rest]
        assert drafts == self.submitted[: len(drafts)]

    def check_entry(self, entry: Entry) -> None:
        """One entry that is there, up to the last that was acknowledged, is as it should be."""
        owed = self.owed.get(entry.seq)
        if owed is None:
            assert entry.pool == RECORDER
        elif isinstance(entry.body, Redacted) and isinstance(owed.body, Event):
            assert entry.seq in self.redacted
            assert replace(entry, body=entry.body.body) == without_snapshot(owed, owed.body)
        else:
            assert entry == owed
            assert not self.redacted.get(entry.seq), "the snapshot was said to be gone"

    def settle(self, entries: Sequence[Entry]) -> None:
        """Own up to all that is there, as an open does that returned."""
        self.owed = {entry.seq: entry for entry in entries}
        self.submitted = []
        self.redacted = {}
        self.dropped_seq = self.dropped_seq_max = entries[0].seq - 1 if entries else 0


def half_redacted(entries: Sequence[Entry]) -> list[int]:
    """Return the entries of which a mark says that their snapshot is gone, and it is not."""
    bodies = {entry.seq: entry.body for entry in entries}
    marks = [body for body in bodies.values() if isinstance(body, Mark)]
    seqs = {int(str(mark.detail["seq"])) for mark in marks if mark.name is MarkName.REDACTED}
    return [seq for seq in sorted(seqs) if isinstance(bodies.get(seq), Event)]


def without_snapshot(entry: Entry, body: Event) -> Entry:
    """Return what is left of an entry once its snapshot was taken out."""
    return replace(entry, body=replace(body, snapshot=None))
