"""One pool's entries, folded to the last state of each of its objects.

The rules are those of the history: an event tells its object; a baseline tells all objects of a
class, unless an event of its epoch is as new; what a complete baseline lacks is gone.
"""

from collections.abc import Iterator

import msgspec

from ..model import (
    BaselineChunk,
    BaselineRecord,
    Entry,
    Event,
    Mark,
    MarkName,
    Operation,
    Stream,
    rest_of,
)

_REMOVED = "MESSAGE_REMOVED"
"""What a server says of a class that it only lists: nothing in it could be lacking."""


class _Object(msgspec.Struct):
    """The last state of an object, None if it is gone, and the last entries that told it."""

    snapshot: bytes | None = None
    event_seq: int = 0
    event_id: int = 0
    chunk_seq: int = 0


class Story(msgspec.Struct):
    """Folds the entries of one pool; `anchor` is where what was seen before may be outdated."""

    pool: str
    _last_seq: int = 0
    _anchor: int = 0
    _stream: Stream = Stream.REGISTER
    _objects: dict[tuple[str, str], _Object] = msgspec.field(default_factory=dict)
    _read: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """By class, the entry of the last chunk and its `low`."""
    _skipped: set[str] = msgspec.field(default_factory=set)
    _chunk: BaselineChunk | None = None
    _chunk_seq: int = 0
    _rows: list[tuple[int, BaselineRecord]] = msgspec.field(default_factory=list)

    def take(self, entry: Entry) -> None:
        """Fold the next entry of the journal."""
        if self._last_seq and entry.seq != self._last_seq + 1:
            self._begin_again(self._last_seq + 1)
        self._last_seq = entry.seq
        body = rest_of(entry.body)
        if not isinstance(body, BaselineRecord):
            self._chunk = None
        if entry.pool != self.pool:
            return
        match body:
            case Event():
                self._event(entry.seq, body)
                if entry.body is not body:
                    self._objects[body.cls, body.ref].snapshot = None  # It was taken out.
            case BaselineChunk():
                self._chunk, self._chunk_seq, self._rows = body, entry.seq, []
                self._use_if_complete()
            case BaselineRecord():
                self._rows.append((entry.seq, body))
                self._use_if_complete()
            case Mark():
                self._mark(entry.seq, body)
            case _:
                pass  # gaps and heartbeats tell no state

    def snapshots(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield class (lower case), reference and last record of all objects that are there."""
        for (cls, ref), known in self._objects.items():
            if known.snapshot is not None:
                yield cls, ref, known.snapshot

    @property
    def skipped(self) -> list[str]:
        """The classes that could not be read in the last epoch."""
        return sorted(self._skipped)

    def _begin_again(self, seq: int) -> None:
        self._anchor, self._read, self._chunk = seq, {}, None

    def _event(self, seq: int, event: Event) -> None:
        known = self._objects.setdefault((event.cls, event.ref), _Object())
        known.event_seq, known.event_id = seq, event.id
        if event.operation is Operation.DEL:
            known.snapshot = None
        elif event.snapshot is not None:
            known.snapshot = event.snapshot

    def _mark(self, seq: int, mark: Mark) -> None:
        if mark.name is MarkName.REGISTERED:
            self._begin_again(seq)
            self._skipped.clear()
            self._stream = Stream(str(mark.detail.get("stream", Stream.REGISTER.value)))
        elif mark.name is MarkName.CLASS_SKIPPED and mark.detail.get("error") != _REMOVED:
            self._skipped.add(str(mark.detail.get("class", "")))
        elif mark.name is MarkName.BASELINE_DONE:
            for (cls, _), known in self._objects.items():
                if cls in self._read and self._is_missing(known, *self._read[cls]):
                    known.snapshot = None
            self._read = {}

    def _use_if_complete(self) -> None:
        chunk = self._chunk
        if chunk is None or len(self._rows) < chunk.count:
            return
        for seq, row in self._rows:
            known = self._objects.setdefault((row.cls, row.ref), _Object())
            known.chunk_seq = seq
            if not self._told_since(known, chunk.low):
                known.snapshot = row.snapshot or None  # empty where it was redacted
        self._read[chunk.cls] = self._chunk_seq, chunk.low
        self._chunk = None

    def _is_missing(self, known: _Object, read_seq: int, low: int) -> bool:
        """True if the chunk at `read_seq` should have told of the object and did not."""
        return known.chunk_seq < read_seq and not self._told_since(known, low)

    def _told_since(self, known: _Object, low: int) -> bool:
        """True if an event of this epoch is as new as the chunk or newer."""
        if known.event_seq < self._anchor or known.event_seq == 0:
            return False
        return self._stream is Stream.FROM or known.event_id >= low
