"""What is asked, the same of everybody: of chosen objects, at chosen times."""

import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tests.bench.mix import START_S

POOL = "lab"
DAY_US = 86_400 * 1_000_000
HOUR_US = 3_600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers to one kind of question: milliseconds in the median, and how much was found."""

    median_ms: float
    found: list[int]


class Answers(Protocol):
    """Somebody who answers. Each method returns how many fields, rows or objects it found."""

    def object_at(self, ref: str, at_us: int) -> int:
        """The fields of a VM at a time."""

    def life_of(self, ref: str) -> int:
        """The changes of a VM's fields in all its life."""

    def pool_at(self, at_us: int) -> int:
        """The fields of all objects of the pool at a time."""

    def power_states(self, since_us: int, until_us: int) -> int:
        """The changes of power states of VMs in a time."""

    def counts(self) -> int:
        """The number of events by class and hour."""


def ask(answers: Answers, vms: Iterable[str], last_us: int, count: int) -> dict[str, Answered]:
    """Ask `count` questions of each kind; `vms` are references, `last_us` is the newest event."""
    rng = random.Random(7)
    chosen = rng.sample(sorted(vms), 20)[:count]
    first_us = START_S * 1_000_000
    at = [rng.randrange(first_us + 1_000_000, last_us) for _ in range(20)]
    since = [rng.randrange(first_us, max(last_us - DAY_US, first_us + 1)) for _ in chosen]
    return {
        "one object at T": _answered(answers.object_at, zip(chosen, at, strict=False)),
        "the history of one object": _answered(answers.life_of, zip(chosen)),
        "a whole pool at T": _answered(answers.pool_at, zip(at[:count])),
        "power-state changes of a day": _answered(
            answers.power_states, [(one, one + DAY_US) for one in since]
        ),
        "counts by class and hour": _answered(answers.counts, [()] * count),
    }


def _answered(question: Callable[..., int], asked: Iterable[Sequence[object]]) -> Answered:
    took_ms, found = [], []
    for arguments in asked:
        began_s = time.perf_counter()
        found.append(question(*arguments))
        took_ms.append((time.perf_counter() - began_s) * 1000)
    return Answered(statistics.median(took_ms), found)
