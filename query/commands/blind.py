"""What is said on stderr of what an answer may lack."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recorder.instant import time_text, us_of

from .asking import say

if TYPE_CHECKING:
    from ..gaps import GapRow

LINES_MAX = 3


def say_blind(gaps: "Sequence[GapRow]") -> None:
    """Say where an answer may lack something, the newest gaps first."""
    for gap in gaps[::-1][:LINES_MAX]:
        since, until = (
            "now" if at is None else time_text(us_of(at)) for at in (gap.since, gap.blind_until)
        )
        say(
            f"gap @{gap.seq} of pool {gap.pool} ({gap.cause}): events may be missing"
            f" from {since} to {until}"
        )
    if len(gaps) > LINES_MAX:
        say(f"and {len(gaps) - LINES_MAX} more gaps: see xentrail gaps")


def say_in_part(pools: Sequence[str]) -> None:
    """Say of which pools only the last states were told."""
    for pool in pools:
        say(
            f'pool {pool} has stream = "from": states in between, and the last before a deletion,'
            " may be missing"
        )
