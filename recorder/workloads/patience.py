"""How long a run may still work on after it was told to stop: until it is done, or hurried."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

WRITE_S = 2.0
"""What is to be written is written even if the time for everything else is over."""


class Patience:
    """Gives shielded scopes: what was begun is brought to an end, and written down.

    There is no limit until `hurry` sets one to all of them, those under way and those to come.
    """

    def __init__(self) -> None:
        self._scopes: dict[trio.CancelScope, float] = {}
        self._deadline_s = float("inf")

    @property
    def is_short(self) -> bool:
        """Whether it was hurried."""
        return self._deadline_s < float("inf")

    @contextmanager
    def scope(self, *, extra_s: float = 0.0) -> Iterator[trio.CancelScope]:
        """Shield the context from cancellation; in a hurry for so many seconds more."""
        with trio.CancelScope(shield=True, deadline=self._deadline_s + extra_s) as scope:
            self._scopes[scope] = extra_s
            try:
                yield scope
            finally:
                del self._scopes[scope]

    def hurry(self, seconds: float) -> None:
        """Let everything end within so many seconds."""
        self._deadline_s = min(self._deadline_s, trio.current_time() + seconds)
        for scope, extra_s in self._scopes.items():
            scope.deadline = min(scope.deadline, self._deadline_s + extra_s)
