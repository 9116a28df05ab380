"""How many connections a host has at once: xapi accepts no further one before another ends.

Who comes too late is connected by the kernel, but not answered; nobody is turned away.
"""

from collections.abc import Awaitable, Callable

import trio

TCP_CONNECTIONS_MAX = 800
UNIX_CONNECTIONS_MAX = 1024
"""What xapi allows a listening socket (conn_limit_tcp, conn_limit_unix)."""


async def attend(
    handler: Callable[[trio.abc.Stream], Awaitable[object]],
    listener: trio.abc.Listener[trio.abc.Stream],
    *,
    connections_max: int,
) -> None:
    """Accept connections until cancelled, so many at once, and close the listener then.

    A nursery holds the handlers; the first that raises ends them all.
    """
    free = trio.Semaphore(connections_max)

    async def handle(stream: trio.abc.Stream) -> None:
        try:
            await handler(stream)
        finally:
            free.release()

    await trio.serve_listeners(handle, [_Gate(listener, free)])


class _Gate(trio.abc.Listener[trio.abc.Stream]):
    """A listener that waits for a free place before it accepts, in the order of xapi."""

    def __init__(self, listener: trio.abc.Listener[trio.abc.Stream], free: trio.Semaphore) -> None:
        self._listener = listener
        self._free = free

    async def accept(self) -> trio.abc.Stream:
        """Return the next connection, which has a place."""
        await self._free.acquire()
        try:
            return await self._listener.accept()
        except BaseException:
            self._free.release()
            raise

    async def aclose(self) -> None:
        """Close the listener."""
        await self._listener.aclose()
