"""Two runs of one plan, call by call. Pure.

A call is the same as before if it ended the same way: outcome, and code of the error if there is
one. How long it took is told, and not held against it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from .plan import Plan
from .recorded import RecordedRun, RecordedStep

Key = tuple[int, str, str, str, int, int]
"""Part, kind, object, method, round, and which of several calls that agree in all of these."""


class Pair(msgspec.Struct, frozen=True):
    """A call and its repetition; None is one that was not made in that run."""

    before: RecordedStep | None
    after: RecordedStep | None

    @property
    def is_same(self) -> bool:
        """Whether it ended as before. What nobody knows is not the same as anything."""
        one, other = self.before, self.after
        return (
            one is not None
            and other is not None
            and one.outcome is not None
            and (one.outcome, one.error[:1]) == (other.outcome, other.error[:1])
        )

    @property
    def shown(self) -> RecordedStep:
        """The call, as whichever run tells of it."""
        one = self.before or self.after
        assert one is not None
        return one


def pairs_of(
    plan: Plan, before: Sequence[RecordedStep], after: Sequence[RecordedStep]
) -> list[Pair]:
    """Return all calls in the order of the run before, those that are new behind them."""
    repeated = dict(_by_key(plan, after))
    pairs = [Pair(step, repeated.pop(key, None)) for key, step in _by_key(plan, before)]
    return [*pairs, *(Pair(None, step) for step in repeated.values())]


def is_same(before: RecordedRun, after: RecordedRun, pairs: Sequence[Pair]) -> bool:
    """Whether all calls ended as before, and both runs, too."""
    ends = (before.status, before.held), (after.status, after.held)
    return ends[0] == ends[1] and all(pair.is_same for pair in pairs)


def _by_key(plan: Plan, steps: Sequence[RecordedStep]) -> Iterator[tuple[Key, RecordedStep]]:
    seen: Counter[tuple[int, str, str, str, int]] = Counter()
    for step in steps:
        # What a run has made bears another reference when it is made again, and the same name.
        planned = step.ref in plan.found or step.ref in plan.hosts
        thing = step.ref if planned else step.name
        rest = step.part, step.kind, thing, step.method, step.round
        yield (*rest, seen[rest]), step
        seen[rest] += 1
