"""Running one async service as a process: signals end it cleanly, its errors come out as one."""

import signal
from collections.abc import Awaitable, Callable

import trio

from .. import logs
from ..errors import XentrailError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run(service: Callable[[], Awaitable[None]]) -> None:
    """Run `service` until it ends or a stop signal cancels it.

    A second signal ends the process at once (the journal survives that too). Raises the first
    XentrailError of the service itself, not the group that trio wraps around it.
    """
    try:
        trio.run(_until_signalled, service)
    except BaseExceptionGroup as group:
        foreseen, bugs = group.split(XentrailError)
        if foreseen is None or bugs is not None:
            raise
        raise first_of(foreseen) from None


async def _until_signalled(service: Callable[[], Awaitable[None]]) -> None:
    """In the nursery: the service, and the listener for signals that cancels it."""
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await service()
            nursery.cancel_scope.cancel()

        with trio.open_signal_receiver(*STOP_SIGNALS) as signals:
            nursery.start_soon(serve)
            async for number in signals:
                logs.info("stopping", signal=signal.Signals(number).name)
                break
        for stop in STOP_SIGNALS:
            signal.signal(stop, signal.SIG_DFL)  # A second one ends the process at once.
        nursery.cancel_scope.cancel()


def first_of(group: BaseExceptionGroup[XentrailError]) -> XentrailError:
    """Return the first error inside nested groups."""
    error: XentrailError | BaseExceptionGroup[XentrailError] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
