"""What a seed decides: which pools are recorded, what goes wrong there, and when."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from recorder.model import Stream
from tests.truth.scene import Shape
from tests.truth.troubles import KINDS

COMMON = tuple(name for name in KINDS if name != "hidden")

NO_IDS = tuple(name for name in COMMON if name != "hidden-id")
"""What may go wrong in a stream of last states, which has no ids that could be missing."""

FIRST_S, LAST_S = 20.0, 200.0
"""Troubles begin between these two times."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """One trouble: its kind, when it begins, in which pool (by number), and its dice."""

    at_s: float
    kind: str
    site: int
    dice: str

    def rng(self) -> random.Random:
        """Return the dice of this trouble, which no other trouble throws."""
        return random.Random(self.dice)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that happens in one simulation."""

    seed: int
    shape: Shape
    strokes: tuple[Stroke, ...]

    @property
    def restarts(self) -> bool:
        """Whether the recorder is started once more in the end, when nothing goes wrong."""
        return self.seed % 5 == 0

    def __str__(self) -> str:
        """Say what goes wrong, and when."""
        told = [f"{one.kind}@{one.at_s:.0f}s" for one in self.strokes]
        return f"seed {self.seed}: {self.shape.stream.value} {' '.join(told)}"


LIARS = ("hidden", "server-clock", "host-dies")
"""What may go wrong beside a server that hides a birth. The count that finds it comes within a
minute; an epoch that is lost before that is one of which nobody can tell."""


def plan_of(
    seed: int,
    *,
    kinds: Sequence[str] = (),
    strokes_max: int = 4,
    shape: Shape | None = None,
    stream: Stream = Stream.REGISTER,
) -> Plan:
    """Return what happens for a seed; with `kinds` only those go wrong, and with `shape` there."""
    rng = random.Random(f"plan of {seed}")
    drawn = Shape(
        pools=2 if rng.random() < 0.1 else 1,
        hosts=rng.choice([2, 2, 3]),
        vms=rng.randint(2, 4),
        per_minute=rng.choice([1.0, 2.0, 4.0]),
        latency_s=rng.choice([0.0, 0.0, 0.002, 0.8]),
        stream=stream,
        trail=seed % 20 == 3,
    )
    shape = shape or drawn
    names = list(kinds or _usual(rng, shape.stream))
    weights = [KINDS[name].weight for name in names]
    strokes = [
        Stroke(
            at_s=rng.uniform(FIRST_S, LAST_S),
            kind=rng.choices(names, weights)[0],
            site=rng.randrange(shape.pools),
            dice=f"trouble {number} of {seed}",
        )
        for number in range(rng.randint(1, strokes_max))
    ]
    return Plan(seed, shape, tuple(sorted(strokes, key=lambda one: one.at_s)))


def _usual(rng: random.Random, stream: Stream) -> Sequence[str]:
    if stream is Stream.FROM:
        return NO_IDS
    return LIARS if rng.random() < 0.04 else COMMON
