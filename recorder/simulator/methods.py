"""The methods of a pool by their names: generated ones of every class, and the operations.

Only the table is made here. `accessors` holds what the generated methods do, `dispatch` in which
order a call is checked.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

import trio

from . import accessors
from .calls import Batch, Result
from .coerce import seconds
from .database import Database
from .datamodel import Field, classes, fields
from .pool import Operation, Param, SimulatedPool
from .sessions import Sessions
from .values import DateTime, Fault, Value, datetime_of

_REMOVED = ("VMPP",)
"""Classes that `system.listMethods` still names, although every call fails."""
_WITHOUT_NAMES = {"pool"}
_WITHOUT_FIELDS = {"message"}
"""Classes for which xapi leaves out some of the generated methods."""

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
    table = {method.name: method for method in _session_methods(sessions)}
    table |= {method.name: method for method in _event_methods(pool)}
    for cls in classes():
        table |= {method.name: method for method in _class_methods(pool.database, cls)}
    table |= {method.name: method for cls in _REMOVED for method in _removed_methods(cls)}
    for name in ("host.get_servertime", "host.get_server_localtime"):
        clock = partial(_server_time, pool.database, now_s)
        table[name] = Method(name, (_param("host", "@host"),), _plain(clock))
    table |= {name: _operation(pool, item) for name, item in pool.operations.items()}
    return table


def _param(name: str, kind: str) -> Param:
    return Param(name, kind)


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

    params = tuple(_constructed(operation.name, param) for param in operation.params)
    return Method(operation.name, params, body, start if operation.has_async else None)


def _constructed(name: str, param: Param) -> Param:
    """Give the record that a constructor takes the types of its class."""
    cls, _, verb = name.partition(".")
    if verb == "create" and param.name == "args":
        return Param(param.name, f"record:{cls}")
    return param


def _session_methods(sessions: Sessions) -> Iterator[Method]:
    async def logout(session: str, _args: list[Value]) -> Result:
        await trio.lowlevel.checkpoint()
        sessions.expire(session)
        return ""

    yield Method("session.logout", (), logout)


def _event_methods(pool: SimulatedPool) -> Iterator[Method]:
    hub = pool.hub
    strings = _param("classes", "set:string")

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
    token, timeout = _param("token", "string"), _param("timeout", "float")
    yield Method("event.from", (strings, token, timeout), from_)
    yield Method("event.get_current_id", (), _plain(lambda _args: hub.current_id()))
    touched = (_param("class", "string"), _param("ref", "string"))
    yield Method("event.inject", touched, _plain(lambda args: hub.inject(*map(_text, args))))


def _class_methods(database: Database, cls: str) -> Iterator[Method]:
    """Yield what xapi generates for a class, getters first."""
    of_row = (_param("self", f"@{cls}"),)
    uuid, label = (_param("uuid", "string"),), (_param("label", "string"),)
    yield _generated(database, cls, "get_record", of_row, accessors.get_record)
    yield _generated(database, cls, "get_by_uuid", uuid, accessors.get_by_uuid)
    if "name_label" in fields(cls) and cls not in _WITHOUT_NAMES:
        yield _generated(database, cls, "get_by_name_label", label, accessors.get_by_name_label)
    columns = [_Column(database, cls, field) for field in fields(cls).values()]
    for column in columns:
        if cls not in _WITHOUT_FIELDS:
            yield column.method("get", accessors.get_field)
    for column in columns:
        if column.field.writable:
            yield from _setters(column)
    yield _generated(database, cls, "get_all", (), accessors.get_all)
    yield _generated(database, cls, "get_all_records", (), accessors.get_all_records)


def _removed_methods(cls: str) -> Iterator[Method]:
    def fail(_args: list[Value]) -> Result:
        raise Fault("MESSAGE_REMOVED")

    yield Method(f"{cls}.get_record", (_param("self", f"@{cls}"),), _plain(fail))
    yield Method(f"{cls}.get_all", (), _plain(fail))
    yield Method(f"{cls}.get_all_records", (), _plain(fail))


def _generated(
    database: Database,
    cls: str,
    verb: str,
    params: tuple[Param, ...],
    function: Callable[[Database, str, list[Value]], Result],
) -> Method:
    return Method(f"{cls}.{verb}", params, _plain(partial(function, database, cls)))


@dataclass(frozen=True, slots=True)
class _Column:
    """A field of a class in one database."""

    database: Database
    cls: str
    field: Field

    def method(self, verb: str, function: OnField, *params: Param) -> Method:
        """Return the method `CLASS.VERB_FIELD(self, ...)`."""
        body = _plain(partial(function, self.database, self.cls, self.field.name))
        row = _param("self", f"@{self.cls}")
        return Method(f"{self.cls}.{verb}_{self.field.name}", (row, *params), body)


def _setters(column: _Column) -> Iterator[Method]:
    kind, _, inner = column.field.type.partition(":")
    yield column.method("set", accessors.set_field, _param("value", column.field.type))
    if kind == "map":
        key_kind, _, value_kind = inner.partition(":")
        key, item = _param("key", key_kind), _param("value", value_kind)
        yield column.method("add_to", accessors.add_to_map, key, item)
        yield column.method("remove_from", accessors.remove_from_map, key)
    if kind == "set":
        yield column.method("add", accessors.add_to_set, _param("value", inner))
        yield column.method("remove", accessors.remove_from_set, _param("value", inner))


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
