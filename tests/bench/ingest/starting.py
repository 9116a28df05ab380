"""How a process that is measured speaks with the one that measures it, by its standard streams."""

import sys
import time
from typing import IO

READY = "ready"


def tell(line: str, out: IO[str] = sys.stdout) -> None:
    """Write a line at once."""
    out.write(f"{line}\n")
    out.flush()


def ready() -> None:
    """Say that all is done that comes before the first event."""
    tell(READY)


def done(at_s: float | None = None) -> None:
    """Say when the last event was handled (now), and stay until nobody wants to look any more."""
    tell(repr(time.monotonic() if at_s is None else at_s))
    sys.stdin.read()
