"""One pool, for as long as the recorder runs: find it, log in, record, declare gaps, and again.

Everything expected to go wrong ends inside `Watch.run`; what leaves it is a bug or a cancellation.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

import trio

from .. import logs
from ..client.line import Failure, retold
from ..client.losses import Loss, is_permanent
from ..client.session import Session
from ..clock import WallClock
from ..config import Limits, Pool
from ..errors import AnotherPool, LoginRefused, XentrailError
from ..keeper import Pen
from ..model import PoolTail, Stream
from ..redaction.redact import PoolRedactor, Redactor
from ..xapi.backoff import Backoff
from .epochs import Epoch, EveryWrite, Expected, LastStates, Recorded
from .identity import Identity
from .scribe import Scribe
from .trail.collector import Collector
from .trail.memory import TrailMemory
from .vitals import Vitals

OpenSession = Callable[[Sequence[str], bool], AbstractAsyncContextManager[Session]]

REFUSED_RETRY_S = 60.0
"""A refused password is not hammered on: directories lock accounts."""

PROBE_WAIT_MAX_S = 0.5
"""A new master answers tens of seconds after the old one died; half a second later it is found."""

PROBE_SOON_S = 900.0
"""For so long a pool is looked for that often: a reboot of a large host takes some minutes."""

TOLD_MAX = 100
"""So many different errors are told until the next success; there are hardly ever three."""

STEADY_S = 60.0
"""An epoch that lasted this long was a success: the waits begin again from the shortest."""

EPOCHS: dict[Stream, type[Epoch]] = {Stream.REGISTER: EveryWrite, Stream.FROM: LastStates}


class Watch:
    """Records one pool.

    `open_session` is told which hosts the pool has besides those in the configuration, and whether
    to go gently because the password was refused; its context logs in and, when left, logs out.
    With `trail`, which knows what the journal holds of it, the audit trail is collected as well.
    `report` is told the outcome of every attempt to connect: None, or the error. `vitals` tells
    how it goes.
    """

    def __init__(
        self,
        pool: Pool,
        pen: Pen,
        tail: PoolTail,
        *,
        open_session: OpenSession,
        redactor: Redactor,
        limits: Limits,
        now_ns: WallClock,
        uniform: Callable[[float, float], float],
        report: Callable[[str, XentrailError | None], None],
        trail: TrailMemory | None = None,
    ) -> None:
        self.vitals = Vitals(pool.name, pool.stream.value)
        self._pool = pool
        self._identity = Identity(pool, tail)
        self._refused = False
        self._open_session = open_session
        self._redactor = PoolRedactor(redactor)
        self._scribe = Scribe(
            pool.name, pen, tail, redactor=self._redactor, now_ns=now_ns, vitals=self.vitals
        )
        self._collector: Collector | None = None
        if trail is not None and pool.audit_trail.enabled:
            self._collector = Collector(
                pool,
                pen.clone(),
                redactor=self._redactor,
                memory=trail,
                vitals=self.vitals,
                now_ns=now_ns,
            )
        self._limits = limits
        self._now_ns = now_ns
        self._report = report
        self._backoff = Backoff(cap_s=limits.retry_wait_max_s, uniform=uniform)
        self._probing = Backoff(
            cap_s=min(PROBE_WAIT_MAX_S, limits.retry_wait_max_s), uniform=uniform
        )
        self._away_since_s: float | None = None
        self._told: set[str] = set()
        self.parting_words = "the recorder was stopped"
        """Why the record ends, if `run` is cancelled."""

    @property
    def members(self) -> Sequence[str]:
        """The addresses of the pool's hosts, as far as they are known."""
        return self._identity.members.addresses

    @property
    def pool_uuid(self) -> str | None:
        """The uuid of the pool that is recorded, None before the first login of all."""
        return self._identity.uuid

    async def run(self) -> NoReturn:
        """Record until cancelled; then say in the journal that the record ends here."""
        try:
            await self._scribe.rise()
            while True:
                await self._connect_once()
        finally:
            if self._collector is not None:
                self._collector.close()
            await self._scribe.stop(self.parting_words)

    async def _connect_once(self) -> None:
        """Log in and record until the session is of no use any more; then wait a little."""
        let_in = False
        try:
            known = self._identity.members.addresses
            async with self._open_session(known, self._refused) as session:
                self._redactor.learn(session.token)
                self._refused, self._away_since_s, let_in = False, None, True
                self._probing.reset()
                await self._greet(session)
                await self._record(session)
            wait_s = self._backoff.next_s()
        except Expected as error:
            permanent = is_permanent(error)
            self._refused = isinstance(error, LoginRefused)
            await self._failed(error, permanent=permanent)
            wait_s = self._wait_after(error, let_in=let_in)
        await trio.sleep(wait_s)

    def _wait_after(self, error: Failure, *, let_in: bool) -> float:
        """Return how long to wait after an attempt that ended in an error."""
        if isinstance(error, AnotherPool):
            return self._next_probe_s()  # That host rests; the others have their turn at once.
        if is_permanent(error):
            return REFUSED_RETRY_S
        # Who takes the password and then gives nothing of use is not one that is away.
        return self._backoff.next_s() if let_in else self._next_probe_s()

    def _next_probe_s(self) -> float:
        """Return how long to wait until the pool is looked for again.

        Looking is cheap, and a master that has moved is to be found at once; a pool that is away
        for longer is not about to come back in this very second.
        """
        now_s = trio.current_time()
        if self._away_since_s is None:
            self._away_since_s = now_s
        soon = now_s - self._away_since_s < PROBE_SOON_S
        return (self._probing if soon else self._backoff).next_s()

    async def _failed(self, error: Failure, *, permanent: bool) -> None:
        """Tell an error once until the next success, however often the attempts end in it."""
        text = self._redactor.text(str(error))
        self.vitals.away(text, refused=permanent)
        self._report(self._pool.name, error if text == str(error) else retold(error, text))
        if text in self._told or len(self._told) >= TOLD_MAX:
            return
        self._told.add(text)
        logs.warning("not-connected", pool=self._pool.name, error=text)
        if permanent:
            refused = self._scribe.subscription.refused(text, at_ns=self._now_ns())
            await self._scribe.put(refused)

    async def _greet(self, session: Session) -> None:
        """Refuse another pool behind a known address; say where we are connected."""
        greeting = await self._identity.greet(session)
        subscription = self._scribe.subscription
        drafts = subscription.connected(greeting.detail, at_ns=self._now_ns())
        generation, before = greeting.generation, greeting.rolled_back_from
        if generation is not None and before is not None:
            # Together: the mark of a connection is what the next generation is compared with.
            drafts += subscription.rolled_back(generation, before, at_ns=self._now_ns())
        await self._scribe.put(drafts)
        self.vitals.connected(str(session.address), session.codec, at_ns=self._now_ns())

    async def _record(self, session: Session) -> None:
        """Record one epoch, and declare it lost when it ends."""
        began_s = trio.current_time()
        self._scribe.begin()
        self._identity.members.begin()
        recorded = Recorded(
            self._pool.name, self._scribe, self._identity, self._limits, self._succeeded
        )
        loss = await self._record_epoch(session, EPOCHS[self._pool.stream](session, recorded))
        self.vitals.away(loss.detail)
        await self._scribe.lose(loss)
        if trio.current_time() - began_s >= STEADY_S:
            self._backoff.reset()

    async def _record_epoch(self, session: Session, epoch: Epoch) -> Loss:
        """Run an epoch; in the nursery beside it the audit trail is collected until it ends."""
        if self._collector is None:
            return await epoch.run()
        outcome: Loss | Failure
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._collector.follow, session, lambda: self.members)
            try:
                outcome = await epoch.run()
            except Expected as error:
                outcome = error
            nursery.cancel_scope.cancel()
        if isinstance(outcome, Loss):
            return outcome
        raise outcome

    def _succeeded(self) -> None:
        self._report(self._pool.name, None)
        self._told.clear()
