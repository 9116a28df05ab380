"""Which pool it is that answers, how new its database is, and where its hosts are."""

import re
from collections.abc import Sequence

import msgspec

from .. import logs
from ..client.losses import ends_session
from ..client.session import Session
from ..config import Pool
from ..errors import AnotherPool, ProtocolError, XapiFault
from ..model import Detail, Event, PoolTail
from ..xapi.baseline import uuid_of_pool
from ..xapi.members import FOLLOWED, Members

_GENERATION = re.compile("0{0,20}[0-9]{1,18}")
"""XAPI pads it with zeros to 20 digits; a journal holds numbers of 63 bits."""


class Greeting(msgspec.Struct, frozen=True):
    """What a login showed: details of the CONNECTED mark, and from which generation the database
    went back, if it did."""

    detail: Detail
    generation: int | None
    rolled_back_from: int | None


class Identity:
    """What is known of one pool across its sessions; `tail` is what the journal remembers."""

    def __init__(self, pool: Pool, tail: PoolTail) -> None:
        self.members = Members(tail.members)
        self._pool = pool
        self._uuid = tail.pool_uuid
        self._generation = tail.generation

    @property
    def uuid(self) -> str | None:
        """The uuid of the pool, None before the first login of all."""
        return self._uuid

    async def greet(self, session: Session) -> Greeting:
        """Ask a new session which pool it is with.

        Raises AnotherPool for another one behind a known address, and what the calls raise.
        """
        pools = await session.get_all_records("pool")
        self._recognise(uuid_of_pool(pools), session)
        before, generation = self._generation, await self._generation_of(session, next(iter(pools)))
        detail: Detail = {
            "address": str(session.address),
            "pool_uuid": self._uuid,
            "user": self._pool.user,
            "codec": session.codec,
            "tls_verified": self._pool.tls.verify if session.address.scheme == "https" else None,
            "generation": generation,
        }
        went_back = generation is not None and before is not None and generation < before
        if went_back:
            logs.warning("rolled-back", pool=self._pool.name, generation=generation, before=before)
        self._generation = before if generation is None else generation
        return Greeting(detail, generation, before if went_back else None)

    def saw(self, token: str) -> None:
        """Take a token of the stream of last states: the database is at least as new as it says."""
        self._generation = max(self._generation or 0, generation_of(token))

    def news_of_members(self, events: Sequence[Event] = ()) -> str | None:
        """Take events; return the addresses of all hosts if they are others than before."""
        for event in events:
            if event.cls in FOLLOWED:
                self.members.take(event)
        return self.members.news()

    def _recognise(self, uuid: str, session: Session) -> None:
        if self._uuid is not None and uuid != self._uuid:
            raise AnotherPool(
                "ANOTHER_POOL",
                shown=f"pool {self._pool.name}: {session.address} is pool {uuid}, but the journal"
                f" holds pool {self._uuid} under this name; correct the address or give the"
                " other pool a name of its own",
            )
        self._uuid = uuid

    async def _generation_of(self, session: Session, pool: str) -> int | None:
        """Return how often the pool's database was written, None for a user who may not ask.

        It rises for as long as the pool lives. A lower one than before is that of an older copy.
        """
        try:
            return generation_of(await session.inject("pool", pool))
        except XapiFault as fault:
            if ends_session(fault):
                raise
            return None


def generation_of(token: str) -> int:
    """Return the database generation in a token of the server. Raises ProtocolError."""
    digits = token.partition(",")[0]
    if not _GENERATION.fullmatch(digits):
        raise ProtocolError(f"the server's token {token!r:.60} holds no generation")
    return int(digits)
