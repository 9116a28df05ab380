"""Writes what happens to one pool: hands drafts to the keeper, in order, and remembers the gap.

What the subscription said counts as said. If a cancellation holds drafts back, they go in front of
what is written when the epoch is lost, or of the last words.
"""

from collections import deque
from collections.abc import Sequence

import trio

from .. import logs
from ..client.losses import Loss
from ..clock import WallClock
from ..keeper import Pen, Place, Submission
from ..model import Draft, GapCause, GapOpened, PoolTail
from ..redaction.redact import PoolRedactor
from ..xapi.subscription import Subscription
from .vitals import OpenGap, Vitals

HELD_UP_S = 1.0
"""Who waits longer than this for a full disk leaves the server's queue unread meanwhile."""

STOP_WRITE_S = 2.0
"""The last words of a pool wait at most this long for the keeper."""


class Scribe:
    """The pen of one pool, with the state of its subscription across sessions."""

    def __init__(
        self,
        pool: str,
        pen: Pen,
        tail: PoolTail,
        *,
        redactor: PoolRedactor,
        now_ns: WallClock,
        vitals: Vitals,
    ) -> None:
        self.subscription = Subscription(pool, tail)
        self.redactor = redactor
        self.now_ns = now_ns
        self.vitals = vitals
        self._pool = pool
        self._pen = pen
        self._unwritten: deque[Sequence[Draft]] = deque()
        self._opening: Place | None = None
        """Where the GapOpened of the open gap will be, until the subscription knows it."""
        self._held_up = False
        if tail.open_gap is not None:
            since_ns = tail.last_event_at_ns or tail.last_received_at_ns
            vitals.gap = OpenGap("", since_ns, tail.open_gap)

    def begin(self) -> None:
        """An epoch begins."""
        self._held_up = False

    async def put(self, drafts: Sequence[Draft]) -> Submission | None:
        """Hand drafts to the keeper, if there are any, waiting while it is behind."""
        if not drafts:
            return None
        began_s, full = trio.current_time(), self._pen.disk_is_full
        self._unwritten.append(drafts)
        submission = await self._pen.put(drafts)
        self._unwritten.popleft()
        self._held_up |= full and trio.current_time() - began_s > HELD_UP_S
        self._handed_over(drafts, submission)
        return submission

    async def lose(self, loss: Loss) -> None:
        """The epoch ended: write down the gap that this opens, unless one is open."""
        if self._held_up:
            # Nobody read the server's queue while its events had nowhere to go.
            text = f"the disk of the recorder was full: {loss.detail}"
            loss = Loss(GapCause.DISK_FULL, text, loss.agreed_at_ns)
        detail = self.redactor.text(loss.detail)
        await self._write_on(
            self.subscription.lost(
                loss.cause, detail, at_ns=self.now_ns(), agreed_at_ns=loss.agreed_at_ns
            )
        )

    async def rise(self) -> None:
        """The recorder starts: say what became of the one before it."""
        await self._write_on(self.subscription.died(at_ns=self.now_ns()))

    async def gap_is_durable(self) -> None:
        """Wait until the subscription knows where the journal holds its open gap."""
        if self._opening is not None:
            submission = self._opening.submission
            await submission.durable.wait()
            self.subscription.gap_opened(submission.seqs[self._opening.offset])
            self._opening = None

    async def stop(self, why: str) -> None:
        """Say that the record ends here, in a bounded time, and close the pen."""
        with trio.move_on_after(STOP_WRITE_S, shield=True) as scope:
            stopped = self.subscription.lost(GapCause.RECORDER_STOPPED, why, at_ns=self.now_ns())
            words = [*self._left_unwritten(), *stopped]
            if words:
                await self._pen.last_words(words)
        if scope.cancelled_caught:
            logs.error("last-words-lost", pool=self._pool)
        self._pen.close()

    async def _write_on(self, drafts: Sequence[Draft]) -> None:
        """Write what was held back, and then drafts."""
        words = [*self._left_unwritten(), *drafts]
        self._unwritten.clear()
        await self.put(words)

    def _left_unwritten(self) -> list[Draft]:
        return [draft for drafts in self._unwritten for draft in drafts]

    def _handed_over(self, drafts: Sequence[Draft], submission: Submission) -> None:
        if not self.subscription.gap_is_open:
            return
        for offset, draft in enumerate(drafts):
            if isinstance(draft.body, GapOpened):
                cause, detail = draft.body.cause.value, draft.body.detail
                since_ns = draft.body.complete_until_ns or draft.received_at_ns
                self._opening = Place(submission, offset)
                self.vitals.gap = OpenGap(cause, since_ns, self._opening)
                logs.warning("gap-opened", pool=self._pool, cause=cause, detail=detail)
