"""The clock of a simulated server: the time of day, and by how much it is wrong."""

from collections.abc import Callable

OFFSET_S_MAX = 40 * 366 * 86_400.0
"""Years further the text of a time would no longer have four digits, or be before 1970."""


class ServerClock:
    """Calling it gives the server's time in seconds since 1970 UTC; it may jump."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self.offset_s = 0.0

    def __call__(self) -> float:
        return self._now_s() + self.offset_s

    def jump(self, by_s: float) -> None:
        """Be wrong by this much more; OFFSET_S_MAX bounds the sum."""
        self.offset_s = max(-OFFSET_S_MAX, min(OFFSET_S_MAX, self.offset_s + by_s))

    def beside(self, now_s: Callable[[], float]) -> Callable[[], float]:
        """Return another clock that is wrong by as much as this one at any time."""
        return lambda: now_s() + self.offset_s
