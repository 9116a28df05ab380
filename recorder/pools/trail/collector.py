"""Collects the audit trail of one pool: what is known of each host, across its sessions."""

from collections.abc import Callable, Sequence
from datetime import UTC

import trio

from ... import logs
from ...client.line import Route
from ...client.session import Session
from ...clock import WallClock
from ...config import Pool
from ...keeper import Pen, Submission
from ...model import Body, Draft, Mark, MarkName
from ...redaction.redact import PoolRedactor
from ..vitals import Standing, Vitals
from .clean import Cleaner
from .ends import parsed
from .intake import Host, Intake, Piece, gap
from .memory import TrailMemory, detail_of
from .own import OwnSessions, trackid_of
from .page import open_page
from .rounds import Answer, Refused, Rounds
from .window import Window

LOOK_S = 1.0
"""How soon it is noticed that a pool was read completely, and its hosts are known."""


class Collector:
    """Collects the lines of one pool. `follow` is run once for each of its sessions, in turn."""

    def __init__(
        self,
        pool: Pool,
        pen: Pen,
        *,
        redactor: PoolRedactor,
        memory: TrailMemory,
        vitals: Vitals,
        now_ns: WallClock,
    ) -> None:
        self._pool = pool.name
        self._settings = pool.audit_trail
        self._pen = pen
        self._redactor = redactor
        self._memory = memory
        self._vitals = vitals
        self._now_ns = now_ns
        self._cleaner = Cleaner(redactor)
        self._sessions = OwnSessions()
        self._windows: dict[str, Window] | None = None
        self._own = 0
        self._written: Submission | None = None
        self._told: set[str] = set()

    async def follow(self, session: Session, members: Callable[[], Sequence[str]]) -> None:
        """Collect until cancelled, or until the pool says that this session may not.

        `members` are the addresses of the hosts as the pool names them, the master's first; they
        are known once the pool was read. What goes wrong is told in the log, each thing once.
        """
        while True:
            if self._vitals.standing is Standing.LIVE and members():
                break
            await trio.sleep(LOOK_S)
        if self._windows is None:
            memory = await self._memory.of(self._pool, overlap_s=self._settings.overlap_s)
            self._windows = memory.windows
            self._sessions.learn(*memory.trackids)
        self._sessions.learn(trackid_of(session.token))
        for window in self._windows.values():
            window.was_away()
        try:
            await Rounds(self, session, members, interval_s=self._settings.interval_s).run()
        except Refused as refused:
            await self._refused(str(refused))

    def close(self) -> None:
        """Close the pen."""
        self._pen.close()

    async def read(
        self, name: str, route: Route, token: str, *, task: str | None, expects: bool
    ) -> Answer:
        """Ask one host what is new in its trail, and journal that.

        `expects`: the host writes down each question, so that its trail is known as it was at an
        earlier one only if that is in it. Raises TransportError, ProtocolError; what came before is
        journaled.
        """
        window, asked_at_ns = self._window(name), self._now_ns()
        async with open_page(route, token, since=window.since, task=task) as page:
            host = Host(self._pool, name, window)
            intake = Intake(host, self._cleaner, self._sessions, now_ns=asked_at_ns)
            while (lines := await page.lines()) is not None:
                await self._hand_over(intake, intake.take(lines, at_ns=self._now_ns()))
        await self._hand_over(intake, intake.end(at_ns=self._now_ns()))
        self._told.clear()
        answer = Answer(kept=intake.kept, seen=intake.seen, whole_before_ns=window.whole_at_ns)
        window.was_read(asked_at_ns, is_whole=intake.seen > 0 or not expects)
        return answer

    def reread(self, name: str) -> None:
        """Let the next answer be the whole trail: its clock may have gone back."""
        self._window(name).by_order = True

    async def silent(self, name: str, since_ns: int | None) -> None:
        """Say that a host does not write down what is done, at least not where it can be read."""
        detail = (
            f"lines of {name} are missing: not even all questions after them were in its trail;"
            " its syslog may be, or have been, down"
        )
        logs.warning("audit-trail-silent", pool=self._pool, host=name)
        await self._put(gap(detail, since_ns))

    async def mark(self) -> None:
        """Write down how far the trail of each host was read."""
        assert self._windows is not None
        if self._written is not None:
            await self._written.durable.wait()  # The mark names entries by their numbers.
        own, self._own = self._own, 0
        detail = detail_of(self._windows, self._sessions.trackids, own)
        await self._put(Mark(MarkName.AUDIT_TRAIL_READ, detail))

    def tell(self, name: str, error: Exception) -> None:
        """Tell in the log what goes wrong, each thing once until the next answer."""
        self._window(name).was_away()
        text = self._redactor.text(str(error))
        if text not in self._told:
            self._told.add(text)
            logs.warning("audit-trail-not-read", pool=self._pool, host=name, error=text)

    def _window(self, name: str) -> Window:
        assert self._windows is not None
        return self._windows.setdefault(name, Window(self._settings.overlap_s))

    async def _refused(self, error: str) -> None:
        """Say once that who did what stays unknown; the next session tries again."""
        text = self._redactor.text(error)
        if text not in self._told:
            self._told.add(text)
            logs.warning("audit-trail-refused", pool=self._pool, error=text)
            await self._put(Mark(MarkName.AUDIT_TRAIL_REFUSED, {"error": text}))

    async def _hand_over(self, intake: Intake, piece: Piece) -> None:
        submission = None
        if piece.drafts:
            submission = self._written = await self._pen.put(piece.drafts)
        # Not a moment later: what is cancelled before has handed over nothing.
        before = intake.own
        intake.done(piece, submission)
        self._own += intake.own - before
        if (at := parsed(piece.newest)) is not None:
            self._vitals.took_line(at_ns=int(at.replace(tzinfo=UTC).timestamp() * 1e9))

    async def _put(self, body: Body) -> None:
        await self._pen.put([Draft(self._now_ns(), self._pool, body)])
