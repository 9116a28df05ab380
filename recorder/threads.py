"""Where blocking calls run: a thread in service, inline in a simulation.

The virtual clock of a simulation does not wait for threads, so there a blocking call runs in place.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class RunSync(Protocol):
    """Runs a blocking call somewhere, and returns its result; `trio.to_thread.run_sync` is one."""

    async def __call__(self, call: Callable[[], T], /) -> T:
        """Run `call`."""
        ...


async def inline(call: Callable[[], T], /) -> T:
    """Run a blocking call in place."""
    return call()
