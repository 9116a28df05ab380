"""Errors that should not be: the client gets what xapi answers then, whoever runs this hears of it.

One broken operation must not take the pools of everybody down, as it would in a nursery.
"""

import logging

from .values import Fault

SEEN_MAX = 100

_LOG = logging.getLogger(__name__)


class Bugs:
    """What went wrong in us since the pool was built; tests look at `seen`."""

    def __init__(self) -> None:
        self.seen: list[Exception] = []

    def note(self, error: Exception, where: str) -> Fault:
        """Log an error with its traceback; returns the fault INTERNAL_ERROR for the client."""
        if len(self.seen) < SEEN_MAX:
            self.seen.append(error)
        _LOG.error("simulator_bug where=%s", where, exc_info=error)
        return Fault("INTERNAL_ERROR", f"{type(error).__name__}: {error}")
