"""A call that is to be made, and who is told of it. Plain data."""

from typing import Protocol

import msgspec

from .evidence import Intent
from .outcomes import Ended


class Call(msgspec.Struct, frozen=True):
    """A call to be made: what is written of it, and what it takes.

    `at` is the host where its VM has to be, if that matters.
    """

    intent: Intent
    timeout_s: float
    wait_s: float
    at: str | None = None


class Tell(Protocol):
    """Is told what a run does; nobody waits for it."""

    def called(self, intent: Intent) -> None:
        """A call is made."""
        ...

    def progress(self, intent: Intent, progress: float) -> None:
        """Its task is so far, from 0 to 1."""
        ...

    def ended(self, intent: Intent, ended: Ended) -> None:
        """It has ended."""
        ...
