"""Whom to ask for the trail, and when, for as long as one session lasts.

One question at a time. The master is asked every second while there is something new, then ever
more seldom, down to `interval_s`. Every other host keeps the lines of its own time as master, and
those of what was done on it: it takes a turn at the begin of a session and every five minutes.
Nothing is lost with an answer, for the next one is asked from before it.
"""

from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

import msgspec
import trio
from msgspec.structs import replace

from ...client.address import with_members
from ...client.line import Route
from ...client.losses import ends_session
from ...client.session import Session
from ...client.transport import HttpRefused
from ...errors import ProtocolError, TransportError, XapiFault
from .witness import MasterWitness, OtherWitness, Verdict

BUSY_S = 1.0
"""How often the trail is asked for while something is done."""

OTHERS_S = 300.0
"""How often a host that is not the master is asked."""

AWAY_S = 60.0
"""How often one of those is tried that does not answer: it may have been the master, and hold lines
that nobody has read. Each try may take as long as a connection."""

MARK_S = 600.0
FIRST_MARK_S = 30.0
"""How often the journal is told how far the trail was read; the first time when all were asked."""

TASK = "xentrail reads the audit trail"
TASK_S_MAX = 12 * 3600.0
"""xapi makes a task for each question, with five events, unless it is given one. That it completes
with the first answer, and forgets a day later."""

FORBIDDEN = frozenset({403, 404, 405, 501})
"""What a host answers that will not tell this session, whenever it asks."""


class Refused(Exception):
    """The master does not let this session read the trail."""


class Answer(msgspec.Struct, frozen=True):
    """How many lines of an answer were kept, how many say that this session asked, and as of when
    the trail was known before (our clock)."""

    kept: int
    seen: int
    whole_before_ns: int | None


class Reader(Protocol):
    """What a question comes to: see `Collector`."""

    async def read(
        self, name: str, route: Route, token: str, *, task: str | None, expects: bool
    ) -> Answer:
        """Ask one host, and journal what is new."""
        ...

    def reread(self, name: str) -> None:
        """Let the next answer be the whole trail."""

    async def silent(self, name: str, since_ns: int | None) -> None:
        """Say that a host has not written down what was done."""

    async def mark(self) -> None:
        """Write down how far all was read."""

    def tell(self, name: str, error: Exception) -> None:
        """Tell what goes wrong."""


class Rounds:
    """Asks the hosts of a pool in turn, by one session."""

    def __init__(
        self,
        reader: Reader,
        session: Session,
        members: Callable[[], Sequence[str]],
        *,
        interval_s: float,
    ) -> None:
        self._reader = reader
        self._session = session
        self._members = members
        self._interval_s = interval_s
        self._others: dict[str, _Other] = {}
        self._task: str | None = None
        self._task_until_s = 0.0
        self._witness = MasterWitness()

    async def run(self) -> NoReturn:
        """Ask until cancelled. Raises Refused."""
        wait_s = BUSY_S
        await self._reader.mark()
        mark_due_s = trio.current_time() + FIRST_MARK_S
        while True:
            if trio.current_time() >= mark_due_s:
                await self._reader.mark()
                mark_due_s = trio.current_time() + MARK_S
            news = await self._ask_next()
            wait_s = BUSY_S if news else min(2 * wait_s, self._interval_s)
            await trio.sleep(min(wait_s, self._interval_s))

    async def _ask_next(self) -> bool:
        """Ask the host whose turn it is; return whether it had anything new."""
        route, (master, *members) = self._session.route, self._members()
        now_s = trio.current_time()
        for address in with_members([route.address], members)[1:]:
            other = self._others.setdefault(address.host, _Other())
            if other.due_s <= now_s:
                return await self._ask_other(address.host, replace(route, address=address), other)
        return await self._ask_master(master)

    async def _ask_other(self, name: str, route: Route, other: "_Other") -> bool:
        other.due_s = trio.current_time() + AWAY_S
        try:
            answer = await self._ask(name, route, expects=not other.witness.is_mute)
        except (TransportError, ProtocolError) as error:
            self._reader.tell(name, error)
            return False
        match other.witness.answered(answer.seen):
            case Verdict.WHOLE:
                other.due_s = trio.current_time() + OTHERS_S
            case Verdict.REREAD:
                self._reader.reread(name)
                other.due_s = 0.0
            case _:
                other.due_s = 0.0
        return answer.kept > 0

    async def _ask_master(self, name: str) -> bool:
        # Whoever comes by the socket of a host is not written down.
        expects = self._session.address.scheme != "unix"
        try:
            answer = await self._ask(name, self._session.route, expects=expects)
        except HttpRefused as error:
            if error.status in FORBIDDEN:
                raise Refused(str(error)) from error
            self._task = None  # It may be what the host stumbles over: somebody destroyed it.
            self._reader.tell(name, error)
            return False
        except (TransportError, ProtocolError) as error:
            self._reader.tell(name, error)
            return False
        if expects:
            match self._witness.answered(answer.seen):
                case Verdict.REREAD:
                    self._reader.reread(name)
                    return True
                case Verdict.LOST:
                    await self._reader.silent(name, answer.whole_before_ns)
                case _:
                    pass
        return answer.kept > 0

    async def _ask(self, name: str, route: Route, *, expects: bool) -> Answer:
        task = await self._of_use()
        return await self._reader.read(name, route, self._session.token, task=task, expects=expects)

    async def _of_use(self) -> str | None:
        """Return a task to note the answer in, None where none can be made."""
        now_s = trio.current_time()
        if now_s < self._task_until_s and self._task is not None:
            return self._task
        if self._task is None and now_s < self._task_until_s:
            return None
        self._task_until_s = now_s + TASK_S_MAX
        try:
            self._task = await self._session.call("task.create", TASK, "", returns=str)
        except XapiFault as fault:
            if ends_session(fault):
                raise TransportError(str(fault)) from fault
            self._task = None
        return self._task


class _Other(msgspec.Struct):
    """A host that is not the master: when it is due, and what it has written down."""

    due_s: float = 0.0
    witness: OtherWitness = msgspec.field(default_factory=OtherWitness)
