"""Journals written by hand: one call an entry, numbered as the journal numbers them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from query.history.database import History, open_for_reading
from query.load.known import Memory
from query.load.loading import load
from recorder.journal.store import Journal
from recorder.model import (
    BaselineChunk,
    BaselineRecord,
    Body,
    Draft,
    Entry,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Mark,
    MarkName,
    Operation,
    Stream,
)

START_NS = 1_700_000_000_000_000_000  # 2023-11-14T22:13:20Z
SECOND_NS = 1_000_000_000
Record = Mapping[str, object]


def ref_of(name: str) -> str:
    """Return a reference that bears a name, such as OpaqueRef:web1."""
    return f"OpaqueRef:{name}"


def record(name: str, **fields: object) -> Record:
    """Return a record as get_record would; its uuid bears the name too."""
    return {"uuid": f"{name}-uuid", "name_label": name, **fields}


def text(fields: Record) -> bytes:
    """Return a record as JSON text."""
    return json.dumps(fields).encode()


@dataclass
class Told:
    """Entries of one journal; every entry comes a second after the one before."""

    entries: list[Entry] = field(default_factory=list)

    @property
    def seq(self) -> int:
        """The number of the last entry."""
        return len(self.entries)

    def at_ns(self, seq: int) -> int:
        """Return when an entry was received."""
        return START_NS + seq * SECOND_NS

    def write(self, pool: str, body: Body) -> int:
        """Add an entry and return its number."""
        seq = self.seq + 1
        self.entries.append(Entry(seq, self.at_ns(seq), pool, body))
        return seq

    def drafts(self) -> list[Draft]:
        """Return the entries as a recorder hands them to the journal."""
        return [Draft(entry.received_at_ns, entry.pool, entry.body) for entry in self.entries]


@dataclass
class Pool:
    """One pool's part of a journal."""

    told: Told
    name: str = "lab"
    next_id: int = 0
    certain_seq: int = 0

    def register(self, stream: Stream = Stream.REGISTER, next_id: int = 0) -> int:
        """Open an epoch."""
        self.next_id = next_id
        self.told.write(
            self.name,
            Mark(MarkName.CONNECTED, {"address": "10.0.0.1", "pool_uuid": f"{self.name}-pool"}),
        )
        self.certain_seq = self.told.write(
            self.name,
            Mark(MarkName.REGISTERED, {"stream": stream.value, "next_event_id": next_id}),
        )
        return self.certain_seq

    def event(
        self,
        operation: str,
        cls: str,
        ref: str,
        fields: Record | None = None,
        *,
        id: int | None = None,  # noqa: A002 - the name that events give it
    ) -> int:
        """Tell of a change; ids count up by themselves."""
        event_id = self.next_id if id is None else id
        self.next_id = event_id + 1
        snapshot = None if fields is None else text(fields)
        server_at_s = (self.told.at_ns(self.told.seq) // SECOND_NS) - 1.0
        body = Event(event_id, server_at_s, cls, Operation(operation), ref_of(ref), snapshot)
        self.certain_seq = self.told.write(self.name, body)
        return self.certain_seq

    def chunk(
        self,
        cls: str,
        records: Mapping[str, Record],
        *,
        low: int | None = None,
        high: int | None = None,
        rows: int | None = None,
    ) -> list[int]:
        """Tell all objects of a class, or only the first `rows` of them; return their numbers."""
        low = self.next_id if low is None else low
        high = max(self.next_id, low) if high is None else high
        self.told.write(self.name, BaselineChunk(cls, low, high, len(records)))
        kept = list(records.items())[:rows]
        return [
            self.told.write(self.name, BaselineRecord(cls, ref_of(ref), text(fields)))
            for ref, fields in kept
        ]

    def done(self) -> int:
        """End a baseline."""
        return self.told.write(self.name, Mark(MarkName.BASELINE_DONE, {"classes": 1}))

    def lose(self, cause: GapCause = GapCause.CONNECTION_LOST) -> int:
        """Open a gap."""
        at_ns = self.told.at_ns(self.certain_seq)
        return self.told.write(
            self.name, GapOpened(cause, "the cable was pulled", self.next_id - 1, at_ns)
        )

    def close(self, opened_seq: int) -> int:
        """Close a gap."""
        at_ns = self.told.at_ns(self.certain_seq)
        return self.told.write(self.name, GapClosed(opened_seq, at_ns))


def loaded(path: Path, entries: Iterable[Entry]) -> History:
    """Load entries into a new history and open it for reading."""
    load(path, entries, Memory(), loaded_at_us=0)
    return open_for_reading(path)


def rows(history: History, sql: str) -> list[tuple[object, ...]]:
    """Return the answer to a question as tuples."""
    return [tuple(row.values()) for row in history.table(sql).to_pylist()]


def write_journal(folder: Path, drafts: Sequence[Draft]) -> None:
    """Write a real journal."""
    with Journal.open(folder, now_ns=lambda: START_NS) as journal:
        if drafts:
            journal.append(drafts)


def spoil(folder: Path, text: bytes) -> None:
    """Flip a bit of the first segment that holds a text."""
    for path in sorted(folder.iterdir()):
        content = path.read_bytes() if path.is_file() else b""
        at = content.find(text)
        if at >= 0:
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            return
    raise AssertionError(f"no segment holds {text!r}")
