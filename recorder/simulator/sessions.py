"""Who is logged in. Sessions live in the master's memory only: a restart loses them all."""

import hmac
import random
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from .database import Database
from .events import EventHub
from .values import Fault

IDLE_S_MAX = 86_400.0
"""A session that made no call for this long is collected."""
STALE_S_MAX = 600.0
"""`last_active` is written at most this often, so it may be that much too old."""
PER_ORIGINATOR_MAX = 500
ANONYMOUS_MAX = 400
"""Sessions of root without an originator share this smaller number."""
COLLECT_EVERY_S = 30.0


@dataclass(slots=True)
class Session:
    """One login. `last_active_s` is the server's clock."""

    ref: str
    user: str
    originator: str
    last_active_s: float


class Sessions:
    """The sessions of one pool, in the order in which they were opened."""

    def __init__(
        self,
        *,
        user: str,
        password: str,
        seed: int,
        now_s: Callable[[], float],
        database: Database,
        hub: EventHub,
    ) -> None:
        self._user = user
        self._password = password
        self._now_s = now_s
        self._database = database
        self._hub = hub
        self._open: dict[str, Session] = {}
        # With the clock in the seed a session of an earlier run is unknown to this one.
        self._rng = random.Random(f"sessions of {seed} at {now_s()}")

    def login(self, user: str, password: str, *, originator: str, trusted: bool) -> str:
        """Open a session and return its reference.

        A trusted peer (the unix socket of the host) may give any name and password.
        Raises Fault SESSION_AUTHENTICATION_FAILED.
        """
        known = hmac.compare_digest(password.encode(), self._password.encode())
        if not trusted and not (known and user == self._user):
            raise Fault("SESSION_AUTHENTICATION_FAILED", user, "Authentication failure")
        ref = f"OpaqueRef:{uuid.UUID(int=self._rng.getrandbits(128), version=4)}"
        self._open[ref] = Session(ref, user, originator, self._now_s())
        self._count()
        return ref

    def check(self, ref: str) -> Session:
        """Return the session and note that it is in use. Raises Fault SESSION_INVALID [ref]."""
        session = self._open.get(ref)
        if session is None:
            raise Fault("SESSION_INVALID", ref)
        now_s = self._now_s()
        if now_s - session.last_active_s >= STALE_S_MAX:
            session.last_active_s = now_s
        return session

    def refs(self) -> list[str]:
        """Return the references of all sessions, oldest first."""
        return list(self._open)

    def expire(self, ref: str) -> None:
        """End a session, as its owner or the collection would; its blocked calls fail."""
        if self._open.pop(ref, None) is not None:
            self._hub.forget_session(ref)
            self._count()

    def expire_all(self) -> None:
        """End all sessions."""
        for ref in self.refs():
            self.expire(ref)

    def collect(self) -> None:
        """End idle sessions and, where there are too many, the least recently active ones."""
        now_s = self._now_s()
        for session in list(self._open.values()):
            if now_s - session.last_active_s > IDLE_S_MAX:
                self.expire(session.ref)
        groups: defaultdict[str, list[Session]] = defaultdict(list)
        for session in self._open.values():
            groups[session.originator].append(session)
        for originator, group in groups.items():
            group.sort(key=lambda session: session.last_active_s)
            excess = len(group) - (PER_ORIGINATOR_MAX if originator else ANONYMOUS_MAX)
            for session in group[: max(excess, 0)]:
                self.expire(session.ref)

    def _count(self) -> None:
        self._database.other_counts["session"] = len(self._open)
