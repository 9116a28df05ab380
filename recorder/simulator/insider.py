"""A client inside the process: whoever is at work in a pool by itself calls as any other would.

So what it does has a session, is checked, and is in the audit trail. Only the bytes are left out.
"""

from collections.abc import Sequence
from typing import cast

from msgspec.structs import replace

from .calls import Call, Result, Sent
from .dispatch import Dispatcher
from .door import Door
from .pool import SimulatedPool
from .values import Fault, Value

LOGIN = "session.login_with_password"
ORIGINATOR = "load generator"


class Insider:
    """Logs in as root when it first calls, and again when its session is gone."""

    def __init__(self, pool: SimulatedPool, dispatcher: Dispatcher) -> None:
        self._pool = pool
        self._dispatcher = dispatcher
        self._session = ""

    async def __call__(self, method: str, args: Sequence[Value]) -> Result:
        """Return the result of a call without its session. Raises Fault."""
        try:
            return await self._call(method, args)
        except Fault as fault:
            if fault.code != "SESSION_INVALID" or fault.params[:1] != (self._session,):
                raise
            self._session = ""
            return await self._call(method, args)

    async def _call(self, method: str, args: Sequence[Value]) -> Result:
        door = Door(self._dispatcher.master_address())
        if not self._session:
            spec = self._pool.spec
            # By the socket of the host, where no password is asked for: it may have been changed.
            local = replace(door, local=True)
            call = Call(LOGIN, [spec.user, spec.password, "1.0", ORIGINATOR])
            self._session = str(await self._dispatcher.answer(call, local))
        # Values are what may be sent; only that lists are invariant keeps mypy from seeing it.
        params = cast("list[Sent]", [self._session, *args])
        return await self._dispatcher.answer(Call(method, params), door)
