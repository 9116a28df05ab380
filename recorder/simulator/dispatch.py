"""One call, checked in the order of xapi: method, number of parameters, their types, session.

An answer that names the first error only is what clients see, so the order is part of the API.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .calls import Call, Result, Sent
from .catalogue import signatures
from .coerce import coerce, coerce_all
from .methods import LOGIN, Method, method_table, no_async
from .pool import Param, SimulatedPool
from .sessions import Sessions
from .values import Fault

LIST_METHODS = "system.listMethods"
_ALIVE = "system.isAlive:"
_ASYNC = ("Async.", "InternalAsync.")
_LOGIN_PARAMS = (
    Param("uname", "string"),
    Param("pwd", "string"),
    Param("version", "string", "1.1"),
    Param("originator", "string", ""),
)


@dataclass(frozen=True, slots=True)
class Door:
    """Where a call came in: the address of the host, and whether by its own unix socket."""

    address: str
    local: bool = False


class Dispatcher:
    """Answers the calls of one pool, on its master as on its members."""

    def __init__(
        self, pool: SimulatedPool, sessions: Sessions, *, now_s: Callable[[], float]
    ) -> None:
        self._pool = pool
        self._addresses = {host.ref: host.address for host in pool.hosts}
        self._sessions = sessions
        self._methods: Mapping[str, Method] = method_table(pool, sessions, now_s)
        self._spellings = {
            spelling: method
            for method in self._methods.values()
            for spelling in (method.name, method.name.replace(".", "_", 1))
        }

    def master_address(self) -> str:
        """Return the address of the host that is the master now.

        It is the one that the host listens at: the field of its record is anybody's to write.
        """
        return self._addresses[self._pool.master]

    def method_names(self) -> list[str]:
        """Return what `system.listMethods` answers: every synchronous method, dotted."""
        return list(signatures())

    async def answer(self, call: Call, door: Door) -> Result:
        """Return the result of a call. Raises Fault, the answer of a call that failed."""
        name = _without_prefix(call.method)
        if name in {LOGIN, LOGIN.replace(".", "_")}:
            return self._login(name, call.params, door)
        if name == LIST_METHODS:
            return list(self.method_names())
        method = self._spellings.get(name)
        if method is None:
            return self._unknown(name, call.params, door)
        _check_count(name, method.params, call.params, session=True)
        session = coerce("string", call.params[0])
        assert isinstance(session, str)
        args = coerce_all(method.params, call.params[1:])
        self._check_session(session, door)
        if name == call.method:
            return await method.body(session, args)
        if method.start is None:
            raise no_async(method.name)
        return method.start(session, args)

    def _login(self, name: str, params: Sequence[Sent], door: Door) -> str:
        _check_count(name, _LOGIN_PARAMS, params, session=False)
        user, password, _version, originator = map(str, coerce_all(_LOGIN_PARAMS, params))
        if door.address != (master := self.master_address()):
            raise Fault("HOST_IS_SLAVE", master)
        return self._sessions.login(user, password, originator=originator, trusted=door.local)

    def _unknown(self, name: str, params: Sequence[Sent], door: Door) -> Result:
        """Answer a method that does not exist; with a parameter, the session is checked first."""
        if name.startswith(_ALIVE) and params and isinstance(echo := params[0], str):
            return echo
        if params and isinstance(params[0], str):
            self._check_session(params[0], door)
        raise Fault("MESSAGE_METHOD_UNKNOWN", name)

    def _check_session(self, ref: str, door: Door) -> None:
        if door.address != (master := self.master_address()):
            raise Fault("HOST_IS_SLAVE", master)
        self._sessions.check(ref)


def _without_prefix(name: str) -> str:
    for prefix in _ASYNC:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


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
