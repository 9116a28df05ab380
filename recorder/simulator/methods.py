"""The methods of a pool by their names: generated ones of every class, and the operations.

Only the table is made here. `accessors` holds what the generated methods do, `dispatch` in which
order a call is checked.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial

import msgspec
import trio

from . import accessors, toolstack
from .calls import Batch, Result
from .catalogue import Param, Signature, signatures, split_verb
from .coerce import seconds
from .database import Database
from .datamodel import class_named
from .errand import Errand
from .pool import Operation, SimulatedPool
from .roles import role_database
from .sessionmethods import LOGINS, change_password, session_methods
from .sessions import Sessions
from .subjects import ROLE_METHODS, SUBJECT_METHODS
from .values import DateTime, Fault, Value, datetime_of

Body = Callable[[Errand, list[Value]], Awaitable[Result]]
"""What a method does: takes the call under way and the arguments."""
Plain = Callable[[list[Value]], Result]
OnField = Callable[[Database, str, str, list[Value]], Value]


class Method(msgspec.Struct, frozen=True):
    """A method that needs a session, and what it does."""

    signature: Signature
    body: Body

    @property
    def name(self) -> str:
        """The dotted name, `VM.start`."""
        return self.signature.name

    @property
    def params(self) -> tuple[Param, ...]:
        """The parameters, without the session."""
        return self.signature.params


def method_table(
    pool: SimulatedPool, sessions: Sessions, now_s: Callable[[], float]
) -> dict[str, Method]:
    """Return every method by its dotted name, in the order of `system.listMethods`."""
    own = dict(_own_bodies(pool, sessions, now_s))
    return {
        name: Method(signature, own.get(name) or _common(pool, sessions, signature))
        for name, signature in signatures().items()
        if name not in LOGINS
    }


def _own_bodies(
    pool: SimulatedPool, sessions: Sessions, now_s: Callable[[], float]
) -> Iterator[tuple[str, Body]]:
    """Yield what the methods do that are neither generated nor operations; the last one counts."""
    for operation in pool.operations.values():
        yield operation.name, _operation(pool, operation)
    yield from _event_bodies(pool)
    yield from _clock_bodies(pool.database, now_s)
    for name, act in session_methods():
        yield name, _attentive(partial(act, sessions))
    change = partial(change_password, pool.toolstack, sessions)
    yield "session.change_password", _attentive(change)
    directory = sessions.logins.directory
    for name, on_subjects in SUBJECT_METHODS.items():
        yield name, _plain(partial(on_subjects, pool.database, directory))
    for name, on_roles in ROLE_METHODS.items():
        yield name, _plain(on_roles)


def _common(pool: SimulatedPool, sessions: Sessions, signature: Signature) -> Body:
    """Return what a method does that is generated for its class, or that nobody does here."""
    if signature.removed:
        return _failing(Fault("MESSAGE_REMOVED"))
    common = signature.generated or signature.verb in _ON_CLASS
    if not common or not class_named(signature.cls):
        return _failing(Fault("NOT_IMPLEMENTED", signature.name))
    if signature.cls == "role":
        return _plain(partial(_of_roles, signature))
    accessor = _accessor(pool.database, signature)
    if signature.cls == "session" and signature.verb in ("get_record", "get_tasks"):
        return _plain(partial(_refreshed, sessions, accessor))
    return _plain(accessor)


def _failing(fault: Fault) -> Body:
    def fail(_args: list[Value]) -> Result:
        raise Fault(fault.code, *fault.params)

    return _plain(fail)


def _refreshed(sessions: Sessions, accessor: Plain, args: list[Value]) -> Result:
    """Read a session whose row is brought up to date first."""
    sessions.refresh(_text(args[0]))
    return accessor(args)


def _of_roles(signature: Signature, args: list[Value]) -> Result:
    """Read roles, whose rows are not made before somebody asks for them."""
    return _accessor(role_database(), signature)(args)


def _accessor(database: Database, signature: Signature) -> Plain:
    cls, verb = signature.cls, signature.verb
    if verb in _ON_CLASS:
        return partial(_ON_CLASS[verb], database, cls)
    action, field = split_verb(verb)
    return partial(_ON_FIELD[action], database, cls, field)


_ON_CLASS: Mapping[str, Callable[[Database, str, list[Value]], Result]] = {
    "get_record": accessors.get_record,
    "get_by_uuid": accessors.get_by_uuid,
    "get_by_name_label": accessors.get_by_name_label,
    "get_all": accessors.get_all,
    "get_all_records": accessors.get_all_records,
    "get_all_where": accessors.get_all_where,
    "get_all_records_where": accessors.get_all_records_where,
}
_ON_FIELD: Mapping[str, OnField] = {
    "get": accessors.get_field,
    "set": accessors.set_field,
    "add_to": accessors.add_to_map,
    "remove_from": accessors.remove_from_map,
    "add": accessors.add_to_set,
    "remove": accessors.remove_from_set,
}


def _plain(function: Plain) -> Body:
    """Make a body of a function that answers at once and does not care for the session."""
    return _attentive(lambda _errand, args: function(args))


def _attentive(function: Callable[[Errand, list[Value]], Result]) -> Body:
    """Make a body of a function that answers at once."""

    async def body(errand: Errand, args: list[Value]) -> Result:
        await trio.lowlevel.checkpoint()
        return function(errand, args)

    return body


def _operation(pool: SimulatedPool, operation: Operation) -> Body:
    async def body(errand: Errand, args: list[Value]) -> Result:
        call = toolstack.Call(pool.toolstack, errand.session, errand.task)
        return await operation.handler(call, *args)

    return body


def _event_bodies(pool: SimulatedPool) -> Iterator[tuple[str, Body]]:
    hub = pool.hub

    def register(errand: Errand, args: list[Value]) -> Result:
        hub.register(errand.session, _texts(args[0]))
        return ""

    def unregister(errand: Errand, args: list[Value]) -> Result:
        hub.unregister(errand.session, _texts(args[0]))
        return ""

    async def next_(errand: Errand, _args: list[Value]) -> Result:
        return Batch(await hub.next(errand.session))

    async def from_(errand: Errand, args: list[Value]) -> Result:
        wanted, token, timeout_s = args
        assert isinstance(timeout_s, float)
        return await hub.from_(errand.session, _texts(wanted), _text(token), seconds(timeout_s))

    yield "event.register", _attentive(register)
    yield "event.unregister", _attentive(unregister)
    yield "event.next", next_
    yield "event.from", from_
    yield "event.get_current_id", _plain(lambda _args: hub.current_id())
    yield "event.inject", _plain(lambda args: hub.inject(*map(_text, args)))


def _clock_bodies(database: Database, now_s: Callable[[], float]) -> Iterator[tuple[str, Body]]:
    for name in ("host.get_servertime", "host.get_server_localtime"):
        yield name, _plain(partial(_server_time, database, now_s))


def _server_time(database: Database, now_s: Callable[[], float], args: list[Value]) -> DateTime:
    database.record("host", _text(args[0]))
    return datetime_of(now_s())


def _text(value: Value) -> str:
    assert isinstance(value, str)
    return value


def _texts(value: Value) -> list[str]:
    assert isinstance(value, list)
    return [_text(item) for item in value]
