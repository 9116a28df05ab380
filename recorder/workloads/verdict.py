"""Whether a run kept what its script expects. Pure."""

from collections import Counter

import msgspec

from ..control.running import PartReport
from .outcomes import Ended, Outcome
from .plan import Part, title_of


class Tally(msgspec.Struct):
    """What came of the calls of a part: how many ended how, and how long the slowest took."""

    outcomes: Counter[Outcome] = msgspec.field(default_factory=Counter)
    failures: int = 0
    slowest_s: float = 0.0

    def add(self, ended: Ended) -> None:
        """A call has ended.

        No failure is one whose task is gone if its object proves it done, and one that a stop ended
        and that was made anew.
        """
        self.outcomes[ended.outcome] += 1
        self.failures += ended.has_failed and not ended.stopped
        self.slowest_s = max(self.slowest_s, ended.duration_s)


def report_on(part: Part, tally: Tally) -> PartReport:
    """Compare what came of a part with what is expected of it."""
    failures, slowest_s = tally.failures, tally.slowest_s
    expect, broken = part.step.expect, []
    if failures > expect.failures_max:
        broken.append(f"{failures} calls failed, {expect.failures_max} may")
    if expect.seconds_max is not None and slowest_s > expect.seconds_max:
        broken.append(f"a call took {slowest_s:.1f} s, {expect.seconds_max:g} s are the most")
    outcomes = {outcome.value: count for outcome, count in tally.outcomes.items()}
    made = tally.outcomes.total()
    return PartReport(title_of(part.step), part.calls, made, outcomes, slowest_s, broken)
