"""What is so of a host as a machine, and stands in no row: whether it runs, what awaits it."""

from collections.abc import Callable

import msgspec
import trio


class Machines(msgspec.Struct):
    """The machines of a pool, by the references of their hosts.

    `down` do not answer. `leaving` were told to shut down or reboot, and stay disabled until they
    have. `kept_disabled` are not enabled by a start of their own. `left_by` has the host on which a
    VM was until it was halted or suspended. `no_restarts_until_s` is a time
    in seconds since 1970: until then, HA starts no VM. `host_of_session` tells to which host a
    session belongs that is good for one host only ("" for others); the network side knows.
    """

    down: set[str] = msgspec.field(default_factory=set)
    leaving: set[str] = msgspec.field(default_factory=set)
    kept_disabled: set[str] = msgspec.field(default_factory=set)
    fenced: set[str] = msgspec.field(default_factory=set)
    left_by: dict[str, str] = msgspec.field(default_factory=dict)
    no_restarts_until_s: float = 0.0
    host_of_session: Callable[[str], str] = lambda _session: ""
    failing_over: trio.Lock = msgspec.field(default_factory=trio.Lock)
    _falls: dict[str, int] = msgspec.field(default_factory=dict)

    def fall(self, host: str) -> int:
        """Let a host be down; returns which of its falls this is."""
        self.down.add(host)
        self._falls[host] = self._falls.get(host, 0) + 1
        return self._falls[host]

    def rise(self, host: str) -> None:
        """Let a host run again."""
        self.down.discard(host)
        self.leaving.discard(host)

    def falls_of(self, host: str) -> int:
        """Return how many times a host has fallen."""
        return self._falls.get(host, 0)

    def lies_since(self, host: str, fall: int) -> bool:
        """Say whether a host is down, and has been since this fall of it."""
        return host in self.down and self.falls_of(host) == fall
