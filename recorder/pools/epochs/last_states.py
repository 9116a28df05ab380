"""The stream of last states: event.from, whose answers are censuses, too."""

from collections.abc import Mapping

import trio

from ...client.losses import Loss
from ...client.session import Session
from ...model import GapCause, Stream
from ...xapi.baseline import uuid_of_pool
from ...xapi.jsonrpc import FromReply
from ...xapi.subscription import Chunk
from ..identity import generation_of
from .common import Epoch, Recorded

FROM_TIMEOUT_S = 30.0
"""How long the server holds an `event.from` with nothing to say: xe's own value."""


class LastStates(Epoch):
    """Holds the states that the server was asked in time for; others may lie between them."""

    stream = Stream.FROM

    def __init__(self, session: Session, recorded: Recorded) -> None:
        super().__init__(session, recorded)
        self._token = ""

    async def run(self) -> Loss:
        """Take a token, then the baseline, then follow: a change is never missed between the two,
        only told twice."""
        session = self._session
        pools = await session.get_all_records("pool")
        uuid_of_pool(pools)  # there is exactly one
        asked_at_ns = self._now_ns()
        self._token = await session.inject("pool", next(iter(pools)))
        generation = generation_of(self._token)
        drafts = self._subscription.registered(
            Stream.FROM,
            id_before=generation,
            id_after=generation,
            asked_at_ns=asked_at_ns,
            at_ns=self._now_ns(),
        )
        await self._registered(drafts)
        return await self._first_loss(self._read_all, self._follow, self._watch_pressure)

    async def _follow(self) -> Loss:
        await self._baseline()
        counted_at_s = trio.current_time()
        while True:
            reply = await self._poll_once()
            if trio.current_time() - counted_at_s < self._limits.census_s:
                continue
            counted_at_s = trio.current_time()
            loss = await self._take_stock(reply.valid_ref_counts)
            if loss is not None:
                return loss

    async def _take_stock(self, counts: Mapping[str, int]) -> Loss | None:
        """Compare the counts of an answer with what we had from after it until after the next.

        The server counts after it has looked for events: what it counted and did not tell comes
        with the next answer. There is no correcting one class, since nothing orders a reading
        among the events of this stream: the next epoch reads all of them.
        """
        asked_at_ns = self._now_ns()
        self._census.begin()
        await self._poll_once()
        mismatches = self._census.mismatches(counts)
        for mismatch in mismatches:
            if await self._reread(mismatch) is not None:
                return Loss(GapCause.CENSUS_MISMATCH, str(mismatch), self._agreed_at_ns)
        if not mismatches:
            self._agreed_at_ns = asked_at_ns
        return None

    async def _poll_once(self) -> FromReply:
        asked_at_ns = self._now_ns()
        reply = await self._session.events_from(["*"], self._token, FROM_TIMEOUT_S)
        self._token = reply.token
        self._recorded.identity.saw(reply.token)
        await self._batch(self._session, reply.events, asked_at_ns)
        return reply

    async def _bracket(self) -> int:
        return 0

    async def _may_write(self, chunk: Chunk) -> None:
        """The token is from before the baseline: what happened meanwhile is told afterwards."""

    async def _catch_up(self) -> None:
        await self._poll_once()
