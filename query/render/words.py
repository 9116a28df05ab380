"""Words that several answers share: times, and how a thing is known."""

from datetime import datetime

from recorder.instant import time_text, us_of

from ..load.known import Origin
from ..questions.certainty import Certainty, Verdict

Names = dict[str, str]
"""References and the names of their objects."""


def at_text(at: datetime | None) -> str:
    """Return a time to the millisecond, or a dash."""
    return "-" if at is None else time_text(us_of(at))


def origin_text(origin: str, gap: int | None) -> str:
    """Return how a thing is known: what was not seen happen is never shown as seen."""
    if origin == Origin.INFERRED:
        return "inferred" if gap is None else f"inferred across gap @{gap}"
    return origin if gap is None else f"{origin}, across gap @{gap}"


def certainty_text(certainty: Certainty, reason: str | None) -> str:
    """Return how much an answer is worth, and why."""
    return certainty.value if reason is None else f"{certainty.value}: {reason}"


def verdict_text(verdict: Verdict) -> str | None:
    """Return what a reader must know of the answer for a pool, None if it is simply known."""
    if verdict.certainty is Certainty.KNOWN and verdict.reason is None:
        return None
    return f"pool {verdict.pool} is {certainty_text(verdict.certainty, verdict.reason)}"
