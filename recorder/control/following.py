"""Who follows the journal as it grows: behind bounded queues, for which nobody waits."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import trio

from ..model import BaselineChunk, BaselineRecord, Draft, Event
from . import lines
from .protocol import ErrorName, Follow, Refused

ENTRIES_MAX = 20_000
"""As much as one group commit holds at most: a client that keeps up misses nothing of it."""
BYTES_MAX = 8 * 1024 * 1024
"""Snapshots that wait for one client. With FOLLOWERS_MAX of them 128 MB, were each to fall behind
on entries of its own; usually they wait for the same ones, which are there once."""
FOLLOWERS_MAX = 16
PIECE_BYTES = 64 * 1024
"""So much is sent at a time, as long as lines are not longer."""
ENTRIES_AT_ONCE = 250
"""To look into so many records for a name takes some milliseconds; then others have their turn."""
UUID_CHARS_MIN = 4
"""A shorter beginning of a uuid is in too many of them to be meant."""


class Missed(msgspec.Struct):
    """Entries that fit and were not kept."""

    count: int
    first_seq: int
    last_seq: int


class Follower:
    """What waits for one client: entries by number, and in their place what was missed."""

    def __init__(self, wanted: Follow) -> None:
        self._wanted = wanted
        self._classes = {cls.lower() for cls in wanted.classes}
        self._waiting: deque[tuple[int, Draft] | Missed] = deque()
        self._bytes = 0
        self._ended = False
        self._news = trio.Event()

    def take(self, seqs: range, drafts: Sequence[Draft]) -> None:
        """Keep what may be wanted of a durable group, as far as there is room. Never waits."""
        for seq, draft in zip(seqs, drafts, strict=True):
            if self._may_want(draft):
                self._keep(seq, draft)
        if self._waiting:
            self._news.set()

    def end(self) -> None:
        """Nothing will come any more."""
        self._ended = True
        self._news.set()

    async def next_piece(self) -> bytes | None:
        """Wait for lines and return some; None once all were returned and there is an end."""
        while True:
            piece = self._piece()
            if piece:
                return piece
            if self._waiting:
                await trio.lowlevel.checkpoint()  # Nothing of what was looked through is wanted.
            elif self._ended:
                return None
            else:
                self._news = trio.Event()
                await self._news.wait()

    def _piece(self) -> bytes:
        """Return lines of what waits: enough for now, or of as many entries as may be looked at."""
        piece = bytearray()
        for _ in range(min(len(self._waiting), ENTRIES_AT_ONCE)):
            piece += self._next_line()
            if len(piece) >= PIECE_BYTES:
                break
        return bytes(piece)

    def _next_line(self) -> bytes:
        """Return the line of what waits longest, nothing if a look at it shows it is unwanted."""
        first = self._waiting.popleft()
        if isinstance(first, Missed):
            return lines.missed_line(first.count, first.first_seq, first.last_seq)
        seq, draft = first
        snapshot = _snapshot_of(draft)
        self._bytes -= len(snapshot)
        title = lines.title_of(snapshot)
        return lines.line_of(seq, draft, title) if self._is_wanted(draft, title) else b""

    def _keep(self, seq: int, draft: Draft) -> None:
        """Keep an entry; or count it, if there is no room for it.

        Once one was missed, all are until the client has read what was kept before it: then there
        is one hole instead of many.
        """
        last = self._waiting[-1] if self._waiting else None
        size = len(_snapshot_of(draft))
        too_many = len(self._waiting) >= ENTRIES_MAX
        too_much = self._bytes > 0 and self._bytes + size > BYTES_MAX
        if isinstance(last, Missed) and len(self._waiting) > 1:
            last.count += 1
            last.last_seq = seq
        elif too_many or too_much:
            self._waiting.append(Missed(1, seq, seq))
        else:
            self._waiting.append((seq, draft))
            self._bytes += size

    def _may_want(self, draft: Draft) -> bool:
        """Tell what can be told without looking into the record."""
        wanted, body = self._wanted, draft.body
        kind = lines.KIND_OF[type(body)]
        if kind not in wanted.kinds or (wanted.pools and draft.pool not in wanted.pools):
            return False
        match body:
            case Event():
                if wanted.operations and body.operation not in wanted.operations:
                    return False
                return not self._classes or body.cls.lower() in self._classes
            case BaselineRecord():
                return not self._classes or body.cls.lower() in self._classes
            case BaselineChunk():
                # It says how many objects come: of those of a name nobody knows how many.
                return not wanted.objects and (
                    not self._classes or body.cls.lower() in self._classes
                )
            case _:
                return True

    def _is_wanted(self, draft: Draft, title: lines.Title) -> bool:
        objects, body = self._wanted.objects, draft.body
        if not objects or not isinstance(body, Event | BaselineRecord):
            return True
        return any(_names(text, body.ref, title) for text in objects)


def _names(text: str, ref: str, title: lines.Title) -> bool:
    """Tell whether a text is a reference, begins a uuid, or is in a name, in any case."""
    if text == ref:
        return True
    if len(text) >= UUID_CHARS_MIN and (title.uuid or "").startswith(text.lower()):
        return True
    return text.casefold() in (title.name or "").casefold()


def _snapshot_of(draft: Draft) -> bytes:
    body = draft.body
    return (body.snapshot or b"") if isinstance(body, Event | BaselineRecord) else b""


class Followers:
    """All who follow. `observe` is an observer of the keeper."""

    def __init__(self) -> None:
        self._all: set[Follower] = set()
        self._nobody = trio.Event()
        self._ended = False

    def __len__(self) -> int:
        return len(self._all)

    def observe(self, seqs: range, drafts: Sequence[Draft]) -> None:
        """Hand a durable group to everybody."""
        for follower in self._all:
            follower.take(seqs, drafts)

    @contextmanager
    def joined(self, wanted: Follow) -> Iterator[Follower]:
        """Let somebody follow for the length of the context. Raises Refused."""
        if len(self._all) >= FOLLOWERS_MAX:
            raise Refused(ErrorName.BUSY, f"{FOLLOWERS_MAX} follow already, which is the most")
        if self._ended:
            raise Refused(ErrorName.STOPPING, "the recorder is stopping")
        follower = Follower(wanted)
        self._all.add(follower)
        try:
            yield follower
        finally:
            self._all.remove(follower)
            if not self._all:
                self._nobody.set()

    async def end(self) -> None:
        """Tell everybody that nothing will come any more, and wait until they have read it."""
        self._ended = True
        for follower in self._all:
            follower.end()
        if self._all:
            self._nobody = trio.Event()
            await self._nobody.wait()
