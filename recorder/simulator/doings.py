"""Who did what: calls as the server itself saw them, and to which one a change is due.

It is the truth that tests compare audit trails and what is made of them with. Nothing of it is
ever served. A call is followed through whatever it begins: what is done at a later time by itself
(guest agents, monitoring, HA) is nobody's.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

DENIED = "RBAC_PERMISSION_DENIED"


class Doing(msgspec.Struct, eq=False):
    """One call of a client that was checked as far as its session. No two are the same.

    `method` is as it was called (`Async.VM.start`), `call` without the prefix; `given` are the
    arguments by name. `client` is protocol and address, `address` the host that was asked. `task`
    refers to the task of the call, which is its own unless it was `lent`; it may be a dummy.
    `ended_s` is None while the call is under way, and for ever if a restart ended it; `error` is
    the code and the parameters of its fault. Times are those of the server, in seconds since 1970.
    """

    begun_s: float
    session: str
    user: str
    sid: str
    client: str
    address: str
    method: str
    call: str
    headers: Mapping[str, str]
    given: Mapping[str, object] = msgspec.field(default_factory=dict)
    task: str = ""
    lent: bool = False
    ended_s: float | None = None
    error: tuple[str, ...] = ()

    @property
    def denied(self) -> bool:
        """Whether the session was not allowed to do it."""
        return self.error[:1] == (DENIED,)

    @property
    def targets(self) -> list[str]:
        """The references among the arguments, in their order."""
        return [
            value
            for value in self.given.values()
            if isinstance(value, str) and value.startswith("OpaqueRef:")
        ]


_UNDER_WAY: ContextVar[Doing | None] = ContextVar("under_way", default=None)


def under_way() -> Doing | None:
    """Return the call on whose behalf the code that asks runs, None if there is none."""
    return _UNDER_WAY.get()


@contextmanager
def on_behalf_of(doing: Doing | None) -> Iterator[None]:
    """Let what happens inside, and what is begun there, be due to a call."""
    token = _UNDER_WAY.set(doing)
    try:
        yield
    finally:
        _UNDER_WAY.reset(token)
