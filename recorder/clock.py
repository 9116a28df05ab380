"""The wall clock: the only place where the service asks what time it is.

Everything that stamps a time takes a `WallClock`, so that tests can run days in milliseconds.
"""

import time
from collections.abc import Callable

WallClock = Callable[[], int]
"""Nanoseconds since 1970 UTC. It may step backwards; order comes from sequence numbers only."""


def wall_ns() -> int:
    """Return the time of this machine in nanoseconds since 1970 UTC."""
    return time.time_ns()
