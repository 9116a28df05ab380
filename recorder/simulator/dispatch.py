"""One call, checked in the order of xapi: method, number of parameters, their types, session; then
its task is made, and only in it is looked at whether the session may do this.

An answer that names the first error only is what clients see, so the order is part of the API.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec
import trio
from msgspec.structs import replace

from .audit import AuditTrail, Stamp, is_audited
from .auditpage import AuditPage
from .calls import Call, Result, Sent
from .catalogue import Param, signatures
from .coerce import coerce, coerce_all
from .doings import Doing, on_behalf_of, under_way
from .door import PROXIED, Door
from .errand import Errand, is_real, stamped
from .errands import Errands, Mode
from .forwarding import host_after, host_before
from .guard import Guard
from .http import Head
from .methods import Method, method_table
from .pages import PageReply, Pages
from .pool import SimulatedPool
from .sessionmethods import LOGINS
from .sessions import Session, Sessions
from .toolstack import Told, until_due
from .values import Fault, Value, text_of

__all__ = ["Dispatcher", "Door"]

LIST_METHODS = "system.listMethods"
_ALIVE = "system.isAlive:"
_UNKNOWN_CALL = "Host.call_extension"
"""What the audit trail calls a method that does not exist: it might be one of an extension."""
_T = TypeVar("_T")


class _Outcome(msgspec.Struct):
    """What became of a call that runs beside its caller; `done` is set once it is over."""

    done: trio.Event = msgspec.field(default_factory=trio.Event)
    result: Result | None = None
    fault: Fault | None = None


class Dispatcher:
    """Answers the calls of one pool, on its master as on its members."""

    def __init__(
        self, pool: SimulatedPool, sessions: Sessions, *, now_s: Callable[[], float]
    ) -> None:
        """`trail` is what has been written about the calls since."""
        self._pool = pool
        self._sessions = sessions
        self._addresses = {host.ref: host.address for host in pool.hosts}
        self.trail = AuditTrail(
            now_s=now_s, hostname=self._hostname, habits=pool.spec.audit, seed=pool.spec.seed
        )
        self._guard = Guard(pool.database, sessions, self.trail, speed=pool.spec.speed)
        self._errands = Errands(pool, sessions, self.trail)
        self._audit_page = AuditPage(
            sessions=sessions,
            guard=self._guard,
            errands=self._errands,
            tasks=pool.tasks,
            trail=self.trail,
        )
        methods = method_table(pool, sessions, now_s)
        self._spellings: Mapping[str, Method] = _spellings(methods)
        self._logins: Mapping[str, str] = _spellings({name: name for name in LOGINS})
        sessions.ended = self._write_end
        pool.toolstack.tell = self._write_inner

    def master_address(self) -> str:
        """Return the address of the host that is the master now.

        It is the one that the host listens at: the field of its record is anybody's to write.
        """
        return self._addresses[self._pool.master]

    def pages(self, door: Door) -> Pages:
        """Return what is served at a door besides calls."""

        async def audit_log(head: Head) -> PageReply:
            return await self._audit_page.serve(door, self.master_address(), head)

        return {("GET", "/audit_log"): audit_log}

    def method_names(self) -> list[str]:
        """Return what `system.listMethods` answers: every synchronous method, dotted."""
        return list(signatures())

    async def answer(
        self, call: Call, door: Door, *, instead: Callable[[], Awaitable[Result]] | None = None
    ) -> Result:
        """Return the result of a call. Raises Fault, the answer of a call that failed.

        `instead` takes the place of what the method does, once the call has been checked.
        """
        mode, name = _without_prefix(call.method)
        if login := self._logins.get(name):
            if mode is not Mode.SYNC:
                raise _no_async(login)
            return self._login(login, name, call, door)
        if name == LIST_METHODS:
            return list(self.method_names())
        method = self._spellings.get(name)
        if method is None:
            return await self._unknown(name, call, door)
        _check_count(name, method.params, call.params, session=True)
        session = coerce("string", call.params[0])
        assert isinstance(session, str)
        args = coerce_all(method.params, call.params[1:])
        self._check_session(session, door, internal_call=name if _is_internal(method) else "")
        if instead is not None:
            return await instead()
        if mode is not Mode.SYNC and not method.signature.has_async:
            raise _no_async(method.name)
        doing = self._witness(session, method, call, door)
        with on_behalf_of(doing):
            errand = self._errands.make(session, method.signature, call, mode, door)
            if doing is not None:
                doing.given, doing.task, doing.lent = errand.given, errand.task, errand.forwarded
            return await self._do(errand, method, args, mode)

    def _witness(self, ref: str, method: Method, call: Call, door: Door) -> Doing | None:
        """Note a call in the truth, if there is one and the call does more than read."""
        truth, known = self._pool.truth, method.signature
        if not truth.kept or not (is_audited(known.name) or known.has_async):
            return None
        session = self._sessions.get(ref)
        user, sid = ("", "") if session is None else (session.user, session.sid)
        now_s, client = self._pool.database.now_s(), door.peer
        headers = call.headers
        doing = Doing(now_s, ref, user, sid, client, door.address, call.method, known.name, headers)
        truth.doings.append(doing)
        return doing

    async def _do(self, errand: Errand, method: Method, args: list[Value], mode: Mode) -> Result:
        """Do what was asked for, in its task if it has one; a call with `Async.` gives the task."""
        if mode is Mode.SYNC and not is_real(errand.task):
            return await self._attend(errand, method, args)
        outcome = _Outcome(fault=Fault("TASK_CANCELLED", errand.task))

        async def work() -> None:
            try:
                outcome.result = await self._attend(errand, method, args)
                outcome.fault = None
            except Fault as fault:
                outcome.fault = fault
            finally:
                # A restart of the toolstack may have ended it: whoever waits must not wait on.
                if not errand.forwarded:
                    self._end_task(errand.task, outcome, keeps=mode is not Mode.SYNC)
                outcome.done.set()

        self._pool.spawn_operation(work)
        if mode is not Mode.SYNC:
            return errand.task
        # A caller that goes away leaves the operation running, as a lost connection does in xapi.
        await outcome.done.wait()
        if outcome.fault is not None:
            raise outcome.fault
        assert outcome.result is not None
        return outcome.result

    async def _attend(self, errand: Errand, method: Method, args: list[Value]) -> Result:
        try:
            carry_out = partial(self._carry_out, errand, method, args)
            result = await self._guard.attend(errand, carry_out)
        except Fault as fault:
            self._note_end(fault)
            raise
        except Exception as error:
            raise self._pool.bugs.note(error, method.name) from error
        self._note_end(None)
        if method.name == "task.create":
            self._sessions.own(str(result), errand.session)
        return result

    def _note_end(self, fault: Fault | None) -> None:
        """Note in the truth what became of the call under way."""
        if (doing := under_way()) is not None:
            doing.ended_s = self._pool.database.now_s()
            doing.error = () if fault is None else (fault.code, *fault.params)

    async def _carry_out(self, errand: Errand, method: Method, args: list[Value]) -> Result:
        """Do it; the host that the master passes it on to writes of it first."""
        database = self._pool.database
        host = host_before(database, errand.call, errand.given)
        result = await method.body(errand, args)
        if is_real(errand.task):
            await until_due()
        host = host or host_after(database, errand.call, errand.given)
        self._write_where_it_was_done(errand, host)
        return result

    def _end_task(self, task: str, outcome: _Outcome, *, keeps: bool) -> None:
        if outcome.fault is not None:
            self._pool.tasks.fail(task, outcome.fault)
        else:
            assert isinstance(outcome.result, str | int | float | list | dict)
            self._pool.tasks.succeed(task, outcome.result)
        if not keeps:
            self._pool.tasks.remove(task)

    def _login(self, login: str, name: str, call: Call, door: Door) -> str:
        """Open a session; a member does so only for itself, or for its own unix socket."""
        params = signatures()[login].params
        _check_count(name, params, call.params, session=False)
        args = coerce_all(params, call.params)
        here = "local" in login or door.local or door.address == self.master_address()
        if not here:
            raise Fault("HOST_IS_SLAVE", self.master_address())
        ref = LOGINS[login](self._sessions, door, _origin(call, door), args)
        session = self._sessions.get(ref)
        if session is not None and not session.superuser:
            given: dict[str, Sent] = {"uname": str(args[0]), "originator": session.originator}
            stamp = self._errands.stamp(door, name)
            self._write_session("session.create", session, given, stamp)
        return ref

    async def _unknown(self, name: str, call: Call, door: Door) -> Result:
        """Answer a method that does not exist; with a parameter, the session is checked first."""
        params = call.params
        if name.startswith(_ALIVE) and params and isinstance(echo := params[0], str):
            return echo
        if params and isinstance(session := params[0], str):
            self._check_session(session, door)
            label = f"dispatch:{name}"
            errand = self._errands.nameless(session, _UNKNOWN_CALL, label, door)
            await self._guard.attend(errand, _nothing)
        raise Fault("MESSAGE_METHOD_UNKNOWN", name)

    def _check_session(self, ref: str, door: Door, *, internal_call: str = "") -> None:
        """Look at the session of a call; one that only hosts may make is named.

        Faults, in this order: SESSION_INVALID [ref], also from a member, which asks the master;
        INTERNAL_ERROR for such a call; HOST_IS_SLAVE [address of the master].
        """
        if self._sessions.is_local(ref, door.address):
            return
        if self._sessions.get(ref) is None:
            raise Fault("SESSION_INVALID", ref)
        if internal_call:
            what = f'Internal API "{internal_call}" call attempted with non-pool (external) session'
            raise Fault("INTERNAL_ERROR", what)
        if door.address != (master := self.master_address()):
            raise Fault("HOST_IS_SLAVE", master)
        self._sessions.check(ref)

    def _write_end(self, session: Session, stamp: Stamp | None) -> None:
        """Write the line of a session that ends, unless it is root's."""
        if not session.superuser:
            if stamp is None:
                stamp = self._errands.stamp_of_collection(self.master_address())
            given: dict[str, Sent] = {"originator": session.originator}
            self._write_session("session.destroy", session, given, stamp)

    def _write_inner(self, task: str, name: str, given: Told, fault: Fault | None) -> None:
        """Write the line of a call that a host makes by itself while it does another one.

        The master calls itself by its unix socket, the others call the master.
        """
        host, address = self._pool.toolstack.maker_of(name, given), self.master_address()
        away = self._addresses.get(host, address)
        if away == address:
            host = self._pool.master
        door = self._between(away, address)
        stamp = Stamp(address, door.thread_name, stamped(name, task))
        errand = Errand("", name, given, task, stamp)
        if fault is None:
            self._write_where_it_was_done(errand, host_after(self._pool.database, name, given))
        self._guard.write_inner(errand, host, fault)

    def _write_where_it_was_done(self, errand: Errand, host: str) -> None:
        """Write the line of the host to which the master has passed a call on, in its own trail.

        It has the task of the call, under its true name, and a session of its own. Nothing is
        written for what the master has done itself (it, or "", is the host), or without a task.
        """
        address = self._addresses.get(host, "")
        if not address or host == self._pool.master or not is_real(errand.task):
            return
        label = ""
        if self._pool.tasks.exists(errand.task):
            label = text_of(self._pool.database.row("task", errand.task).record, "name_label")
        door = self._between(self.master_address(), address)
        stamp = Stamp(address, door.thread_name, stamped(label, errand.task))
        self._guard.write_inner(replace(errand, stamp=stamp), host, None)

    def _between(self, origin: str, address: str) -> Door:
        """Return the door by which a host calls another one, or itself."""
        thread = self.trail.thread()
        if origin == address:
            return Door(address, local=True, thread=thread)
        return Door(address, peer=f"HTTPS {origin}", listener=PROXIED, thread=thread)

    def _hostname(self, address: str) -> str:
        """Return the name of the host at an address, as its own syslog has it."""
        refs = (ref for ref, known in self._addresses.items() if known == address)
        for ref in refs:
            if self._pool.database.exists("host", ref):
                return text_of(self._pool.database.row("host", ref).record, "hostname")
        return address

    def _write_session(
        self, call: str, session: Session, given: Mapping[str, Sent], stamp: Stamp
    ) -> None:
        self._guard.write_atoms(Errand(session.ref, call, given, "", stamp))


def _spellings(methods: Mapping[str, _T]) -> dict[str, _T]:
    """Return methods by every name that they may be called by: `VM.start` and `VM_start`."""
    return {
        spelling: method
        for name, method in methods.items()
        for spelling in (name, name.replace(".", "_", 1))
    }


def _without_prefix(name: str) -> tuple[Mode, str]:
    for mode in (Mode.ASYNC, Mode.INTERNAL_ASYNC):
        if name.startswith(mode):
            return mode, name.removeprefix(mode)
    return Mode.SYNC, name


def _check_count(
    name: str, params: Sequence[Param], sent: Sequence[Sent], *, session: bool
) -> None:
    """Count the parameters as xapi does: optional ones are not expected, surplus ones refused.

    After an optional parameter xapi ignores whatever follows.
    """
    required = sum(param.default is None for param in params)
    received = len(sent) - session
    surplus = received > len(params) and required == len(params)
    if received < required or surplus:
        raise Fault("MESSAGE_PARAMETER_COUNT_MISMATCH", name, str(required), str(received))


def _no_async(name: str) -> Fault:
    return Fault("Fault", f"No async mode for this operation (rpc: {name})")


def _is_internal(method: Method) -> bool:
    return method.signature.internal


def _origin(call: Call, door: Door) -> str:
    """Return how refusals describe a caller."""
    peer = "Unix domain socket" if door.local else "Internet"
    return f"HTTP request from {peer} with User-Agent: {call.headers.get('user-agent', 'unknown')}"


async def _nothing() -> Result:
    await trio.lowlevel.checkpoint()
    return ""
