"""How long to wait before the next attempt to reach a pool. Pure: randomness is passed in."""

from collections.abc import Callable

FIRST_WAIT_S = 0.1
"""A toolstack restart takes seconds, a lost connection none: the first retry is almost at once."""


class Backoff:
    """Decorrelated jitter: each wait is drawn between the first wait and three times the last.

    Many recorders that lose one server do not come back in step, and a wait never exceeds
    `cap_s`. `reset` after success.
    """

    def __init__(self, *, cap_s: float, uniform: Callable[[float, float], float]) -> None:
        self._cap_s = cap_s
        self._uniform = uniform
        self._last_s = FIRST_WAIT_S

    def next_s(self) -> float:
        """Return the seconds to wait now."""
        self._last_s = min(self._cap_s, self._uniform(FIRST_WAIT_S, self._last_s * 3))
        return self._last_s

    def reset(self) -> None:
        """Start again from the shortest wait."""
        self._last_s = FIRST_WAIT_S
