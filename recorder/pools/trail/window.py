"""What is known of the end of one host's trail, and so which lines of an answer are new. No I/O.

A file only grows at its end, and loses whole files at its front. xapi leaves out the lines before
`since`, each by the time in it, and keeps the order. So lines that are known and in the answer come
before all that are new, and the last known one (the anchor) is among them, unless the file was cut
in between: then a line that is new comes first, and what may lie between them is a gap.

Times are not quite in order, so `since` is some seconds before the newest one, and what is known of
these seconds is recognised by its bytes: the same line twice in the file is two lines, a line that
comes twice because it was asked for twice is one.

A clock that goes back by more than that hides new lines behind old ones. Then everything is asked
for once, and read by order: what is behind the anchor is new, whatever its time.
"""

from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from ...keeper import Place
from .ends import earlier, instant_of, is_complete, parsed, text_of

DIGEST_BYTES = 16

STRAY_MAX = 10_000
"""Lines without a time, or with one that is far ahead, come with every answer. So many of them are
remembered, for each host; xapi writes none."""

AHEAD_MAX = timedelta(days=1)
"""A line that is further ahead than this was not written by xapi, whose clock is not ours, but is
no year ahead of it either; believed, it would hide all lines until then."""

KEPT_S = 120.0
"""So far back lines are remembered, and asked for after an absence: a host that was started again
has its clock set back by some seconds, and has caught up with itself before it is asked."""

TRIES = 3
"""A last line that is not all there is asked for again; after so many times it is taken."""


def digest_of(line: bytes) -> bytes:
    """Return what stands for a line where it only has to be recognised."""
    return sha256(line).digest()[:DIGEST_BYTES]


class Known(msgspec.Struct, frozen=True):
    """A line that is known: its time (empty if it has none to go by), its digest, its entry if it
    has one.
    """

    instant: bytes
    digest: bytes
    at: Place | int | None = None

    @property
    def seq(self) -> int | None:
        """The seq of its entry, None if it has none, or none yet."""
        return self.at.seq if isinstance(self.at, Place) else self.at


def limit_at(now: datetime) -> bytes:
    """Return up to when a time in a line is believed, by our clock in UTC."""
    return text_of(now + AHEAD_MAX)


def known_as(line: bytes, digest: bytes, limit: bytes, at: Place | int | None = None) -> Known:
    """Return as what a line is known; times behind `limit` are not believed."""
    instant = instant_of(line)
    in_time = instant <= limit and parsed(instant) is not None
    return Known(instant if in_time else b"", digest, at)


class Window:
    """The last seconds of the trail of one host, across answers, sessions and restarts.

    `newest` is the time up to which the trail is known, empty if nothing is; `anchor` the last line
    in the file that is. By our clock the trail is known as it was at `whole_at_ns`. The next answer
    is read `by_order` if times do not tell which lines are new.
    """

    def __init__(
        self,
        overlap_s: float,
        *,
        newest: bytes = b"",
        anchor: bytes | None = None,
        whole_at_ns: int | None = None,
        by_order: bool = False,
        recent: Iterable[Known] = (),
    ) -> None:
        self.newest = newest
        self.anchor = anchor
        self.whole_at_ns = whole_at_ns
        self.by_order = by_order
        self._overlap_s = overlap_s
        self._ahead = b""
        self._holds_all = False
        self._was_away = True
        self._asked_at_ns = whole_at_ns
        self._stray: deque[bytes] = deque(maxlen=STRAY_MAX)
        self._recent: deque[Known] = deque(recent)
        if anchor is not None and all(known.digest != anchor for known in self._recent):
            self._recent.append(Known(newest, anchor))
        self._held: bytes | None = None
        self._tries = 0

    @property
    def span(self) -> tuple[int, int] | None:
        """The first and the last entry of the lines that are known of these seconds."""
        seqs = [known.seq for known in self._recent if known.seq is not None]
        return (min(seqs), max(seqs)) if seqs else None

    @property
    def needs_order(self) -> bool:
        """Whether who knows but `newest`, `anchor` and the lines of `span` has to read by order."""
        return self.by_order or bool(self._stray) or self._ahead > self.newest

    @property
    def since(self) -> bytes:
        """From when on to ask for lines; empty is from the beginning."""
        if self.by_order or not self.newest:
            return b""
        return self._kept_floor() if self._was_away else self._floor()

    def was_away(self) -> None:
        """Take note that for some time nobody has asked."""
        self._was_away = True

    def read(self, now: datetime) -> "Reading":
        """Begin to read an answer to a question with `since`; `now` is our clock, in UTC."""
        limit = max(limit_at(now), self.newest)
        if self.by_order and self.anchor is not None:
            return Reading(Counter(), limit, self.anchor, by_order=True)
        self._forget()
        counts = Counter(known.digest for known in self._recent)
        counts.update(self._stray)
        return Reading(counts, limit, self.anchor)

    def begin_again(self, passed: Iterable[Known]) -> None:
        """Reading by order has come to the anchor: the lines before it are these, and known."""
        entries = {known.digest: known.at for known in self._recent}
        self._recent.clear()
        self._stray.clear()
        self._holds_all, self.by_order = True, False
        for known in passed:
            self.add(replace(known, at=entries.get(known.digest)))

    def add(self, known: Known) -> None:
        """Take note of a line that was new, once it is certain to be journaled (or counted)."""
        if not known.instant:
            self._stray.append(known.digest)
            return
        if self.newest and known.instant < self._floor():
            # The clock went back. What is known of the time in between may have been forgotten.
            self._ahead = max(self._ahead, self.newest)
            self.newest, self.by_order = known.instant, not self._holds_all
        self.newest = max(self.newest, known.instant)
        self._recent.append(known)
        if len(self._recent) % 1000 == 0 and not self._holds_all:
            self._forget()

    def was_read(self, asked_at_ns: int, *, is_whole: bool) -> None:
        """Take note that the answer to a question of that time has ended.

        It `is_whole` unless something should have been in it that was not.
        """
        if is_whole or self.whole_at_ns is None:
            # Nobody can tell an answer from one that broke off: that before it is complete by now.
            self.whole_at_ns = self._asked_at_ns or asked_at_ns
        self._asked_at_ns = asked_at_ns
        self._holds_all = self._was_away = False

    def holds_back(self, line: bytes) -> bool:
        """Tell whether the last line of an answer is to be asked for again: half of it is there."""
        if is_complete(line):
            self._held = None
            return False
        digest = digest_of(line)
        self._tries = self._tries + 1 if self._held == digest else 1
        self._held = digest
        return self._tries < TRIES

    def _floor(self) -> bytes:
        return earlier(self.newest, self._overlap_s)

    def _kept_floor(self) -> bytes:
        return earlier(self.newest, max(self._overlap_s, KEPT_S))

    def _forget(self) -> None:
        floor = self._kept_floor() if self.newest else b""
        while self._recent and self._recent[0].instant < floor:
            self._recent.popleft()


class Reading:
    """One answer: tells of each of its lines, in order, whether it is new.

    `is_cut` is true where a new line comes before the last known one was seen: lines are missing.
    `last` is the last line of the file that is known by now. Read by order, lines are `passed`
    until the anchor comes, and `found` is true from then on.
    """

    def __init__(
        self,
        counts: "Counter[bytes]",
        limit: bytes,
        anchor: bytes | None,
        *,
        by_order: bool = False,
    ) -> None:
        self.is_cut = False
        self.last: bytes | None = None
        self.passed: list[Known] = []
        self.found = not by_order
        self._counts = counts
        self._limit = limit
        self._anchor = anchor

    def take(self, line: bytes, digest: bytes, *, excused: bool = False) -> Known | None:
        """Return the line if it is new, None if it is known; `is_cut` may be set by it.

        One that is `excused` proves nothing: it may have been known once.
        """
        if not self.found:
            self._pass_by(known_as(line, digest, self._limit))
            return None
        self.last = digest
        if self._counts.get(digest, 0) > 0:
            self._counts[digest] -= 1
            if digest == self._anchor and not self._counts[digest]:
                self._anchor = None
            return None
        if not excused:
            self.is_cut, self._anchor = self._anchor is not None, None
        return known_as(line, digest, self._limit)

    def _pass_by(self, known: Known) -> None:
        self.passed.append(known)
        if known.digest == self._anchor:
            self.found, self._anchor, self.last = True, None, known.digest
