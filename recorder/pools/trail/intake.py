"""From the lines of one answer to what is journaled of them. No I/O."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from ...keeper import Place, Submission
from ...model import AuditLine, Draft, GapCause, GapOpened
from .clean import Cleaner
from .own import OwnSessions
from .window import Known, Window, digest_of


class Piece(msgspec.Struct):
    """What some lines are journaled as, and what is known once that is certain.

    `known` has the place of each line among the drafts, None for one that is counted and not kept.
    """

    drafts: list[Draft] = msgspec.field(default_factory=list)
    known: list[tuple[int | None, Known]] = msgspec.field(default_factory=list)
    last: bytes | None = None
    """The last line of the file that is known then."""
    passed: Sequence[Known] = ()
    """Lines that reading by order has come past: all that were known before."""

    @property
    def newest(self) -> bytes:
        """The time of the newest line that is kept, empty if there is none."""
        kept = (known.instant for place, known in self.known if place is not None)
        return max(kept, default=b"")


class Host(msgspec.Struct, frozen=True):
    """A host whose trail is read: of which pool, and what is known of it."""

    pool: str
    name: str
    window: Window


class Intake:
    """Takes the lines of one answer as they come; the last one is judged when it is known as such.

    `own` are counted: lines that are there because the recorder looks; `seen`: those of them that
    say that it read the trail in its newest session.
    """

    def __init__(
        self,
        host: Host,
        cleaner: Cleaner,
        sessions: OwnSessions,
        *,
        now_ns: int,
    ) -> None:
        self.own = self.seen = self.kept = 0
        self._host = host
        self._cleaner = cleaner
        self._sessions = sessions
        self._reading = host.window.read(datetime.fromtimestamp(now_ns / 1e9, UTC))
        self._last: bytes | None = None

    def take(self, lines: Iterable[bytes], *, at_ns: int) -> Piece:
        """Take the next lines; return what they are journaled as, which is to be `done`."""
        piece = Piece()
        for line in lines:
            if self._last is not None:
                self._judge(self._last, piece, at_ns)
            self._last = self._cleaner.clean(line)
        piece.last = self._reading.last
        return piece

    def end(self, *, at_ns: int) -> Piece:
        """The answer has ended: take its last line, unless only half of it is there yet."""
        piece = Piece()
        if self._last is not None and not self._host.window.holds_back(self._last):
            self._judge(self._last, piece, at_ns)
        self._last = None
        if not self._reading.found and self._reading.passed:
            piece.passed, self._reading.passed = self._reading.passed, []
            piece.drafts.append(self._cut(at_ns))
            self._reading.last = piece.passed[-1].digest
        piece.last = self._reading.last
        return piece

    def done(self, piece: Piece, submission: Submission | None) -> None:
        """A piece was handed over for good, in a submission of its own if it has drafts."""
        window = self._host.window
        if piece.passed:
            window.begin_again(piece.passed)
        for place, line in piece.known:
            known = line
            if place is None:
                self.own += 1
            else:
                assert submission is not None
                self.kept += 1
                known = replace(line, at=Place(submission, place))
            window.add(known)
        window.anchor = piece.last or window.anchor

    def _judge(self, line: bytes, piece: Piece, at_ns: int) -> None:
        own = self._sessions.cause(line)
        earlier = own is not None and not own.is_of_now
        reading = self._reading
        known = reading.take(line, digest_of(line), excused=earlier)
        if reading.found and reading.passed:
            piece.passed, reading.passed = reading.passed, []
        if known is None:
            return
        if reading.is_cut:
            piece.drafts.append(self._cut(at_ns))
            reading.is_cut = False
        if own is None:
            piece.known.append((len(piece.drafts), known))
            piece.drafts.append(self._draft(AuditLine(self._host.name, line, False), at_ns))
        else:
            self.seen += own.is_reading and own.is_of_now
            piece.known.append((None, known))

    def _cut(self, at_ns: int) -> Draft:
        detail = (
            f"lines of {self._host.name} are missing: the last one that was read is not in its"
            " trail any more, which goes on behind it"
        )
        return self._draft(gap(detail, self._host.window.whole_at_ns), at_ns)

    def _draft(self, body: AuditLine | GapOpened, at_ns: int) -> Draft:
        return Draft(at_ns, self._host.pool, body)


def gap(detail: str, whole_at_ns: int | None) -> GapOpened:
    """Return the gap of a trail that is known as it was at `whole_at_ns`."""
    return GapOpened(GapCause.AUDIT_TRAIL, detail, None, whole_at_ns)
