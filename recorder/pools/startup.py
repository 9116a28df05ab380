"""Whether a start is a good one: the first outcome of every pool, and the verdict on them."""

import msgspec
import trio

from .. import logs
from ..errors import XentrailError


class Startup(msgspec.Struct):
    """Collects the first outcome of every pool, to tell a bad start from bad weather.

    A recorder that cannot record any of its pools at start ends with the reason: its operator is
    watching, or systemd starts it again. Once one pool was reached, it never gives up on any.
    """

    pools: frozenset[str]
    reached: trio.Event = msgspec.field(default_factory=trio.Event)
    refusals: dict[str, XentrailError] = msgspec.field(default_factory=dict)
    failures: dict[str, XentrailError] = msgspec.field(default_factory=dict)
    heard: trio.Event = msgspec.field(default_factory=trio.Event)
    decided: trio.Event = msgspec.field(default_factory=trio.Event)

    def report(self, pool: str, error: XentrailError | None) -> None:
        """One attempt to connect to `pool` ended: None for success."""
        self.heard.set()
        if error is None:
            self.reached.set()
        else:
            self.failures[pool] = error
            if not error.retryable:
                self.refusals[pool] = error
        if self.reached.is_set() or self.refusals.keys() == self.pools:
            self.decided.set()

    async def decide(self, timeout_s: float, *, rest_s: float) -> None:
        """Wait until a pool was reached, each was refused, or so long. Raises what failed.

        A start that failed ends `rest_s` later, unless a pool is reached meanwhile.
        """
        with trio.move_on_after(timeout_s):
            await self.decided.wait()
        await self.heard.wait()  # whoever gives up has a reason to tell
        if self.failures:
            with trio.move_on_after(rest_s):
                await self.reached.wait()
        error = self.error()
        if error is not None:
            raise error

    def error(self) -> XentrailError | None:
        """Return why the start failed, or None if a pool was reached (or none has answered)."""
        if self.reached.is_set() or not self.failures:
            return None
        worst = next(iter((self.refusals or self.failures).values()))
        for error in self.failures.values():
            if error is not worst:
                logs.error("pool-not-recorded", error=str(error))
        return worst
