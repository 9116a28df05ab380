"""What a chapter of the benchmarks is made of: figures of named rivals, ratios, and their limits.

A chapter is a module of this package with two names: `TITLE`, and `measure(bench)`, which does the
work and returns a `Chapter`. What is compared runs in one run and by turns, so that what disturbs
the machine disturbs all of them alike; each figure keeps the value of every round.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

Outcome = TypeVar("Outcome")

OURS = "xentrail"
"""The name of the product among its rivals."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The values of all rounds; the median speaks for them."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a figure needs at least one round")

    @property
    def median(self) -> float:
        """What is compared and drawn."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest of all rounds."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest of all rounds."""
        return max(self.values)


def number(value: float) -> str:
    """Write a number as people read it: three digits that say something."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


@dataclass(frozen=True, slots=True)
class Figure:
    """What somebody needed or did: `who` at `what`, in a unit such as "events/s" or "ms".

    `what` is the row of a table and the group of bars in a picture; `unit` is the table: figures of
    one unit stand together. Where all `what` of a unit are numbers, they are the x of a line.
    """

    what: str
    who: str
    unit: str
    spread: Spread

    @classmethod
    def of(cls, what: str, who: str, unit: str, values: Sequence[float]) -> "Figure":
        """Return the figure of so many rounds."""
        return cls(what, who, unit, Spread(tuple(values)))


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure has to reach: at least, or at most."""

    bound: Literal["at least", "at most"]
    value: float

    def holds(self, value: float) -> bool:
        """Say whether a value is within the limit."""
        return value >= self.value if self.bound == "at least" else value <= self.value


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure or a ratio that is held against a limit, or only told: `unit` is "x" for a ratio."""

    what: str
    unit: str
    spread: Spread
    limit: Limit | None = None

    @property
    def holds(self) -> bool | None:
        """Say whether the median is within the limit, or None where there is no limit."""
        return self.limit.holds(self.spread.median) if self.limit else None


def ratio(
    what: str, upper: Figure, lower: Figure, limit: Limit | None = None, unit: str = "x"
) -> Verdict:
    """Return upper / lower, round by round: rounds are pairs that ran side by side."""
    pairs = zip(upper.spread.values, lower.spread.values, strict=True)
    return Verdict(what, unit, Spread(tuple(above / below for above, below in pairs)), limit)


@dataclass(slots=True)
class Chapter:
    """What was measured of one thing.

    `work` says in a few sentences what everybody had to do, on which data. `bound` says what the
    limit is (wire, TLS, memory, disk, hash rate) and what holds us there. `remarks` are what only
    this run knows, such as a rival that is not there. Texts are Markdown; `work` and `bound` must
    not contain figures of a run.
    """

    work: str
    bound: str
    figures: list[Figure] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def find(self, what: str, who: str, unit: str) -> Figure:
        """Return one of the figures."""
        for figure in self.figures:
            if (figure.what, figure.who, figure.unit) == (what, who, unit):
                return figure
        raise LookupError(f"nobody measured {unit} of {who} at {what}")


@dataclass(frozen=True, slots=True)
class Bench:
    """What a chapter works with: how thorough to be, a folder of its own, and a voice.

    `rounds` is how often each thing is measured; `quick` asks for less data, too. `say` tells a
    line of progress. The folder is emptied afterwards.
    """

    folder: Path
    rounds: int
    quick: bool
    say: Callable[[str], None]

    def of(self, full: int, quick: int) -> int:
        """Return how much work to do: counts of a full run, or of a quick one."""
        return quick if self.quick else full


def by_turns(
    bench: Bench, works: Sequence[tuple[str, Callable[[], Outcome]]]
) -> dict[str, list[Outcome]]:
    """Do each work once a round, the first one last in every second round; return all outcomes."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name, _ in works}
    for round_ in range(bench.rounds):
        for name, work in works if round_ % 2 == 0 else reversed(works):
            outcomes[name].append(work())
            bench.say(f"round {round_ + 1} of {bench.rounds}: {name}")
    return outcomes
