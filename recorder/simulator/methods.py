"""The methods of a pool by their names: generated ones of every class, and the operations.

Only the table is made here. `accessors` holds what the generated methods do, `dispatch` in which
order a call is checked.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import trio

from . import accessors
from .calls import Batch, Result
from .catalogue import Signature, signatures, split_verb
from .coerce import seconds
from .database import Database
from .datamodel import class_named
from .pool import Operation, Param, SimulatedPool
from .sessions import Sessions
from .values import DateTime, Fault, Value, datetime_of

LOGIN = "session.login_with_password"
"""The one method that is called without a session; the dispatcher knows it."""

Body = Callable[[str, list[Value]], Awaitable[Result]]
"""What a method does: takes the session's reference and the arguments."""
Plain = Callable[[list[Value]], Result]
OnField = Callable[[Database, str, str, list[Value]], Value]


@dataclass(frozen=True, slots=True)
class Method:
    """A method that needs a session. `start` makes the task of its `Async.` form, if it has one."""

    name: str
    params: tuple[Param, ...]
    body: Body
    start: Callable[[str, list[Value]], str] | None = None


def method_table(
    pool: SimulatedPool, sessions: Sessions, now_s: Callable[[], float]
) -> dict[str, Method]:
    """Return every method by its dotted name, in the order of `system.listMethods`."""
    own = {
        method.name: method
        for methods in (
            _session_methods(sessions),
            _event_methods(pool),
            _clock_methods(pool.database, now_s),
            (_operation(pool, item) for item in pool.operations.values()),
        )
        for method in methods
    }
    return {
        name: own.get(name) or _common(pool.database, signature)
        for name, signature in signatures().items()
        if name != LOGIN
    }


def _common(database: Database, signature: Signature) -> Method:
    """Return a method that is generated for its class, or one that nobody does here."""
    if signature.removed:
        return _failing(signature, Fault("MESSAGE_REMOVED"))
    if signature.generated and class_named(signature.cls):
        return Method(signature.name, signature.params, _plain(_accessor(database, signature)))
    return _failing(signature, Fault("NOT_IMPLEMENTED", signature.name))


def _failing(signature: Signature, fault: Fault) -> Method:
    def fail(_args: list[Value]) -> Result:
        raise fault

    def start(_session: str, _args: list[Value]) -> str:
        raise fault

    has_async = start if signature.has_async else None
    return Method(signature.name, signature.params, _plain(fail), has_async)


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

    async def body(_session: str, args: list[Value]) -> Result:
        await trio.lowlevel.checkpoint()
        return function(args)

    return body


def _operation(pool: SimulatedPool, operation: Operation) -> Method:
    async def body(session: str, args: list[Value]) -> Result:
        return await pool.call_operation(session, operation.name, args)

    def start(session: str, args: list[Value]) -> str:
        return pool.start_operation(session, operation.name, args)

    has_async = start if operation.has_async else None
    return Method(operation.name, operation.params, body, has_async)


def _session_methods(sessions: Sessions) -> Iterator[Method]:
    async def logout(session: str, _args: list[Value]) -> Result:
        await trio.lowlevel.checkpoint()
        sessions.expire(session)
        return ""

    yield Method("session.logout", (), logout)


def _event_methods(pool: SimulatedPool) -> Iterator[Method]:
    hub = pool.hub
    strings = Param("classes", "set:string")

    async def register(session: str, args: list[Value]) -> Result:
        await trio.lowlevel.checkpoint()
        hub.register(session, _texts(args[0]))
        return ""

    async def unregister(session: str, args: list[Value]) -> Result:
        await trio.lowlevel.checkpoint()
        hub.unregister(session, _texts(args[0]))
        return ""

    async def next_(session: str, _args: list[Value]) -> Result:
        return Batch(await hub.next(session))

    async def from_(session: str, args: list[Value]) -> Result:
        wanted, token, timeout_s = args
        assert isinstance(timeout_s, float)
        return await hub.from_(session, _texts(wanted), _text(token), seconds(timeout_s))

    yield Method("event.register", (strings,), register)
    yield Method("event.unregister", (strings,), unregister)
    yield Method("event.next", (), next_)
    token, timeout = Param("token", "string"), Param("timeout", "float")
    yield Method("event.from", (strings, token, timeout), from_)
    yield Method("event.get_current_id", (), _plain(lambda _args: hub.current_id()))
    touched = (Param("class", "string"), Param("ref", "string"))
    yield Method("event.inject", touched, _plain(lambda args: hub.inject(*map(_text, args))))


def _clock_methods(database: Database, now_s: Callable[[], float]) -> Iterator[Method]:
    host = (Param("host", "@host"),)
    for name in ("host.get_servertime", "host.get_server_localtime"):
        yield Method(name, host, _plain(partial(_server_time, database, now_s)))


def _server_time(database: Database, now_s: Callable[[], float], args: list[Value]) -> DateTime:
    database.record("host", _text(args[0]))
    return datetime_of(now_s())


def _text(value: Value) -> str:
    assert isinstance(value, str)
    return value


def _texts(value: Value) -> list[str]:
    assert isinstance(value, list)
    return [_text(item) for item in value]


def no_async(name: str) -> Fault:
    """Return the fault of `Async.` before a method that is only synchronous."""
    return Fault("Fault", f"No async mode for this operation (rpc: {name})")
