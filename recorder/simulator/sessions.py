"""Who is logged in: a row of the class `session` each, with limits and an end of their own.

Sessions live in the master's memory only: a restart loses them all. `logins` decides who gets one.
"""

import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from .audit import Caller, Stamp, trackid
from .database import Database
from .events import EventHub
from .logins import Grant, Logins
from .users import Directory
from .values import Fault, Value, datetime_of, text_of

IDLE_S_MAX = 86_400.0
"""A session that made no call for this long is collected."""
STALE_S_MAX = 600.0
"""`last_active` is written at most this often, so it may be that much too old."""
VALID_S = 1800.0
"""How long a user of the directory may be gone from the pool's subjects before it is noticed."""
VALID_MORE_S_MAX = 600.0
"""By so much at random the next look at it is put off."""
PER_ORIGINATOR_MAX = 500
PER_USER_MAX = 500
ANONYMOUS_MAX = 400
"""Sessions of root without an originator share this smaller number."""
COLLECT_EVERY_S = 30.0

_UNFINISHED = ("pending", "cancelling")


class Session(msgspec.Struct):
    """One login. Times are those of the server's clock; `permissions` do not bind root."""

    ref: str
    user: str
    sid: str
    superuser: bool
    permissions: frozenset[str]
    originator: str
    last_active_s: float
    validate_at_s: float


class Sessions:
    """The sessions of one pool, in the order in which they were opened.

    `ended` is told of a session just before it goes, with its row still there, and in which call.
    """

    def __init__(
        self,
        *,
        user: str,
        password: str,
        seed: int,
        now_s: Callable[[], float],
        database: Database,
        hub: EventHub,
        directory: Directory | None = None,
    ) -> None:
        self.logins = Logins(user, password, database, directory or Directory(()))
        self.ended: Callable[[Session, Stamp | None], None] = _nobody_hears
        self._now_s = now_s
        self._database = database
        self._hub = hub
        self._open: dict[str, Session] = {}
        self._local: dict[str, str] = {}
        self._tasks: dict[str, str] = {}
        # With the clock in the seed a session of an earlier run is unknown to this one.
        self._rng = random.Random(f"sessions of {seed} at {now_s()}")

    def login(
        self, user: str, password: str, *, originator: str, trusted: bool, origin: str = "Internal"
    ) -> str:
        """Open a session and return its reference.

        A trusted peer (the unix socket of the host) may give any name and password. `origin` is
        how refusals describe the caller. Raises the Faults of `Logins.grant`.
        """
        grant = self.logins.grant(user, password, trusted=trusted, origin=origin)
        ref = f"OpaqueRef:{self._new_uuid()}"
        self._database.create("session", self._fields(grant, originator), ref)
        self._open[ref] = Session(
            ref,
            grant.user,
            grant.sid,
            grant.superuser,
            frozenset(grant.permissions),
            originator,
            self._now_s(),
            self._next_validation_s(),
        )
        return ref

    def login_local(self, user: str, password: str, *, address: str, trusted: bool) -> str:
        """Open a session of one host (by its address) only, which works in an emergency, too.

        Raises Fault SESSION_AUTHENTICATION_FAILED for anybody but root.
        """
        self.logins.check_root(user, password, trusted=trusted)
        ref = f"OpaqueRef:{self._new_uuid()}"
        self._local[ref] = address
        return ref

    def is_local(self, ref: str, address: str) -> bool:
        """Say whether this is a session of the host at the address only."""
        return self._local.get(ref) == address

    def check(self, ref: str) -> Session:
        """Return the session and note that it is in use. Raises Fault SESSION_INVALID [ref]."""
        session = self._open.get(ref)
        if session is None:
            raise Fault("SESSION_INVALID", ref)
        now_s = self._now_s()
        if now_s - session.last_active_s >= STALE_S_MAX:
            session.last_active_s = now_s
            self._database.write("session", ref, "last_active", datetime_of(now_s))
        return session

    def may(self, ref: str, permission: str) -> bool:
        """Say whether a session has a permission, which is in lower case (`vm.start`)."""
        session = self._open.get(ref)
        if session is None:
            return ref in self._local
        return session.superuser or permission in session.permissions

    def caller(self, ref: str) -> Caller:
        """Return who this is as audit lines name it; a session that has ended is nobody."""
        session = self._open.get(ref)
        if session is not None:
            sid = "LOCAL_SUPERUSER" if session.superuser else session.sid
            return Caller(trackid(ref), sid, session.user)
        return Caller(trackid(ref), "LOCAL_SESSION" if ref in self._local else "", "")

    def own(self, task: str, ref: str) -> None:
        """Note that a session made a task."""
        self._tasks[task] = ref

    def owns(self, ref: str, task: str) -> bool:
        """Say whether the task was made by a session of the same user that is still there."""
        maker, session = self._open.get(self._tasks.get(task, "")), self._open.get(ref)
        return maker is not None and session is not None and maker.sid == session.sid

    def refresh(self, ref: str) -> None:
        """Bring the `tasks` of a session's row up to date, which is done only when it is read."""
        if ref in self._open:
            tasks: list[Value] = [
                task
                for task in reversed(self._tasks)
                if self._tasks[task] == ref and self._database.exists("task", task)
            ]
            self._database.write("session", ref, "tasks", tasks)

    def refs(self) -> list[str]:
        """Return the references of all sessions of the pool, oldest first."""
        return list(self._open)

    def get(self, ref: str) -> Session | None:
        """Return a session of the pool, None if it is not (or no longer) open."""
        return self._open.get(ref)

    def expire(self, ref: str, stamp: Stamp | None = None) -> None:
        """End a session, as its owner or the collection would; its blocked calls fail.

        `stamp` is that of the call that does it, if one does.
        """
        self._local.pop(ref, None)
        session = self._open.get(ref)
        if session is not None:
            self.ended(session, stamp)
            del self._open[ref]
            self._database.delete("session", ref)
        self._hub.forget_session(ref)

    def expire_all(self) -> None:
        """End all sessions, also those of one host, as a restart does: nobody is told."""
        self._local.clear()
        for ref in self.refs():
            del self._open[ref]
            self._database.delete("session", ref)
            self._hub.forget_session(ref)

    def subject_identifiers(self) -> list[str]:
        """Return who of the directory is logged in, each once."""
        return list(dict.fromkeys(item.sid for item in self._open.values() if not item.superuser))

    def expire_subject(self, sid: str, stamp: Stamp, *, but: str) -> None:
        """End the sessions of a user of the directory, except for one (a reference)."""
        for session in list(self._open.values()):
            if session.sid == sid and not session.superuser and session.ref != but:
                self.expire(session.ref, stamp)

    def collect(self) -> None:
        """End idle sessions and, where there are too many, the least recently active ones."""
        self._tasks = {
            task: ref for task, ref in self._tasks.items() if self._database.exists("task", task)
        }
        self._revalidate()
        busy = {ref for task, ref in self._tasks.items() if self._is_unfinished(task)}
        idle_before_s = self._now_s() - IDLE_S_MAX
        for session in list(self._open.values()):
            if session.last_active_s < idle_before_s and session.ref not in busy:
                self.expire(session.ref)
        groups: defaultdict[tuple[str, str], list[Session]] = defaultdict(list)
        for session in self._open.values():
            if session.ref not in busy:
                groups[_group(session)].append(session)
        for (kind, name), group in groups.items():
            self._thin_out(group, _group_max(kind, name))

    def _thin_out(self, group: Iterable[Session], count_max: int) -> None:
        by_age = sorted(group, key=lambda session: session.last_active_s)
        for session in by_age[: max(len(by_age) - count_max, 0)]:
            self.expire(session.ref)

    def _revalidate(self) -> None:
        """End the sessions of users whom the pool does not know any more."""
        now_s = self._now_s()
        for session in list(self._open.values()):
            if session.superuser or session.validate_at_s > now_s:
                continue
            if not self._database.find("subject", "subject_identifier", session.sid):
                self.expire(session.ref)
                continue
            session.validate_at_s = self._next_validation_s()
            self._database.write("session", session.ref, "validation_time", datetime_of(now_s))

    def _next_validation_s(self) -> float:
        return self._now_s() + VALID_S + self._rng.random() * VALID_MORE_S_MAX

    def _is_unfinished(self, task: str) -> bool:
        return self._database.field("task", task, "status") in _UNFINISHED

    def _fields(self, grant: Grant, originator: str) -> dict[str, Value]:
        pool = self._database.refs("pool")[0]
        now = datetime_of(self._now_s())
        return {
            "uuid": self._new_uuid(),
            "this_host": text_of(self._database.record("pool", pool), "master"),
            "last_active": now,
            "is_local_superuser": grant.superuser,
            "subject": grant.subject,
            "validation_time": now,
            "auth_user_sid": grant.sid,
            "auth_user_name": grant.user,
            "rbac_permissions": [*grant.permissions],
            "originator": originator,
        }

    def _new_uuid(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))


def _group(session: Session) -> tuple[str, str]:
    """Return with whom a session shares a limit: an originator for root, else its user."""
    if session.user in ("", "root"):
        return "originator", session.originator
    return "user", session.user


def _group_max(kind: str, name: str) -> int:
    if kind == "user":
        return PER_USER_MAX
    return PER_ORIGINATOR_MAX if name else ANONYMOUS_MAX


def _nobody_hears(_session: Session, _stamp: Stamp | None) -> None:
    pass
