"""Whether a run kept what its script expects. Pure."""

from collections import Counter
from collections.abc import Sequence

from ..control.running import PartReport
from .outcomes import Outcome
from .plan import Part, title_of

FAILED = frozenset(Outcome) - {Outcome.SUCCESS, Outcome.SKIPPED}

Ends = Sequence[tuple[Outcome, float]]
"""Outcome and duration in seconds of each call of a part."""


def report_on(part: Part, ends: Ends) -> PartReport:
    """Compare what came of a part with what is expected of it."""
    outcomes = Counter(outcome.value for outcome, _ in ends)
    failures = sum(outcome in FAILED for outcome, _ in ends)
    slowest_s = max((seconds for _, seconds in ends), default=0.0)
    expect, broken = part.step.expect, []
    if failures > expect.failures_max:
        broken.append(f"{failures} calls failed, {expect.failures_max} may")
    if expect.seconds_max is not None and slowest_s > expect.seconds_max:
        broken.append(f"a call took {slowest_s:.1f} s, {expect.seconds_max:g} s are the most")
    return PartReport(title_of(part.step), part.calls, len(ends), dict(outcomes), slowest_s, broken)
