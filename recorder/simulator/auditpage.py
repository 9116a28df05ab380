"""`GET /audit_log`: the audit trail of the host that is asked, as plain text until the end."""

import base64
from collections.abc import AsyncGenerator
from itertools import islice

import msgspec
import trio
from msgspec.structs import replace

from .audit import AuditTrail
from .door import Door
from .errand import Errand
from .errands import Errands
from .guard import Guard
from .http import Head, HttpError, internal_error
from .pages import PageReply
from .sessions import Sessions
from .tasks import Tasks
from .values import NULL_REF, Fault

_ACTION = "http/get_audit_log"
_LABEL = "audit_log_get request"
_REALM = 'Basic realm="get_audit_log"'
_HEADERS = (
    ("Connection", "keep-alive"),
    ("Cache-Control", "no-cache, no-store"),
    ("content-type", "text/plain"),
)
"""The connection ends all the same, which is the only sign that the text is complete."""
_LINES_AT_ONCE = 500


class _Access(msgspec.Struct, frozen=True):
    """The session that reads; a `passing` one was opened for this request only."""

    session: str
    passing: bool


class AuditPage:
    """Answers who asks for the audit trail of a host, if his session may read it."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        guard: Guard,
        errands: Errands,
        tasks: Tasks,
        trail: AuditTrail,
    ) -> None:
        self._sessions = sessions
        self._guard = guard
        self._errands = errands
        self._tasks = tasks
        self._trail = trail

    async def serve(self, door: Door, master: str, head: Head) -> PageReply:
        """Return the trail of the host at the door; `master` is the address of the master.

        Raises HttpError: 401 without a session, 403 without the permission, 500 for credentials of
        a kind that the server does not know.
        """
        await trio.lowlevel.checkpoint()
        if door.local:
            return self._reply(door, head, None, [])
        access = self._access(door, head)
        try:
            granted = self._admit(access.session, door, master, head)
        except HttpError:
            self._leave(access)
            raise
        if self._trail.habits.page_line_last:
            return self._reply(door, head, access, granted)
        self._write(granted, "ALLOWED", "OK")
        return self._reply(door, head, access, [])

    def _access(self, door: Door, head: Head) -> _Access:
        session = _param(head, "session_id")
        if session is not None:
            if self._sessions.get(session) is None:
                raise _unauthorised()
            return _Access(session, passing=False)
        user, password = _credentials(head)
        originator = f"{door.peer} using Basic auth"
        try:
            ref = self._sessions.login(user, password, originator=originator, trusted=False)
        except Fault as refused:
            raise _unauthorised() from refused
        return _Access(ref, passing=True)

    def _admit(self, session: str, door: Door, master: str, head: Head) -> list[Errand]:
        """Check the permission, and return what is to be written once it is granted.

        A refusal is written here. On a member a line is also in the master's trail.
        """
        errand = self._errands.nameless(session, _ACTION, f"handler:{_ACTION}", door)
        errand = replace(errand, given={**head.cookies, **head.query})
        both = [errand]
        if door.address != master:
            both.append(replace(errand, stamp=replace(errand.stamp, address=master)))
        if fault := self._guard.refusal(errand):
            self._write(both, "DENIED", "")
            if task := _param(head, "task_id"):
                self._tasks.fail(task, fault)
            raise _forbidden()
        return both

    def _write(self, errands: list[Errand], verdict: str, result: str) -> None:
        for errand in errands:
            self._guard.write(errand, verdict, result)

    def _reply(
        self, door: Door, head: Head, access: _Access | None, after: list[Errand]
    ) -> PageReply:
        task = _param(head, "task_id") or self._begin_task(head, access)

        def done() -> None:
            if _param(head, "task_id") is None:
                self._tasks.remove(task)
            if access is not None:
                self._leave(access)

        return PageReply("200 OK", _HEADERS, self._body(door, head, task, after), done=done)

    async def _body(
        self, door: Door, head: Head, task: str, after: list[Errand]
    ) -> AsyncGenerator[bytes, None]:
        lines = iter(self._trail.files(door.address).since(_param(head, "since") or ""))
        while piece := list(islice(lines, _LINES_AT_ONCE)):
            yield "".join(f"{line}\n" for line in piece).encode("ascii", "replace")
        await trio.lowlevel.checkpoint()
        self._write(after, "ALLOWED", "OK")
        self._tasks.write(task, "finished", self._errands.now())
        self._tasks.write(task, "progress", 1.0)
        self._tasks.write(task, "status", "success")

    def _begin_task(self, head: Head, access: _Access | None) -> str:
        parent = _param(head, "subtask_of") or NULL_REF
        known = self._tasks.exists(parent)
        task = self._tasks.begin(_LABEL, parent=parent if known else NULL_REF)
        if access is not None:
            self._sessions.own(task, access.session)
        return task

    def _leave(self, access: _Access) -> None:
        if access.passing:
            self._sessions.expire(access.session)


def _param(head: Head, name: str) -> str | None:
    """Return a parameter of the request: cookies come before the query."""
    return head.cookies.get(name, head.query.get(name))


def _credentials(head: Head) -> tuple[str, str]:
    """Return user and password of `Authorization: Basic`. Raises HttpError 401 or 500."""
    header = head.headers.get("authorization")
    if header is None:
        raise _unauthorised()
    kind, _, encoded = header.partition(" ")
    try:
        text = base64.b64decode(encoded.strip()).decode()
    except ValueError:
        text = ""  # It is no base64 or no text: there is no user and no password in it.
    if kind != "Basic" or ":" not in text:
        raise internal_error(f'Failure("Unknown authorization header: {header}")', head=head)
    user, _, password = text.partition(":")
    return user, password


def _unauthorised() -> HttpError:
    page = "<h1>HTTP 401 unauthorised</h1>Please check your credentials and retry."
    return HttpError("401 Unauthorised", page, headers={"WWW-Authenticate": _REALM})


def _forbidden() -> HttpError:
    page = "<h1>HTTP 403 forbidden</h1>Access to the requested resource is forbidden."
    return HttpError("403 Forbidden", page)
