"""One rule: when a fault strikes. Deciding it needs no clock and no die."""

import hashlib
import math
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec

from .effects import Effect

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Interval = Annotated[float, msgspec.Meta(ge=0.001, le=1e9)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=10**9)]

CONNECT = "connect"
"""What a rule matches that is about new connections; no glob but the word itself does."""
_PREFIXES = ("Async.", "InternalAsync.")


class When(msgspec.Struct, frozen=True):
    """The keys that every rule may have. Times are in seconds since the pool began to run."""

    name: str = ""
    match: str = ""
    object: str = ""
    user: str = ""
    host: str = ""
    pool: str = ""
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    count: Positive | None = None
    skip: Count = 0
    every: Positive = 1
    after_s: Seconds = 0.0
    until_s: Seconds | None = None
    delay_s: Seconds = 0.0
    at_s: Seconds | None = None
    every_s: Interval | None = None


class Rule(msgspec.Struct, frozen=True):
    """When something goes wrong, and what."""

    when: When
    effect: Effect
    source: dict[str, object]

    @property
    def timed(self) -> bool:
        """Whether the rule waits for a time and not for a call."""
        return not self.when.match


class Plan(msgspec.Struct, frozen=True):
    """Rules, asked in this order, and the seed of their dice."""

    rules: tuple[Rule, ...] = ()
    seed: int = 1


class Tally(msgspec.Struct):
    """How often a rule was asked and struck; `misfires` is why it could not do what it says."""

    matched: int = 0
    fired: int = 0
    misfired: str = ""


def covers(pattern: str, name: str) -> bool:
    """Say whether a pattern covers a method (`VM.start`), an event (`VM.mod`) or a connection.

    A pattern without a dot is a glob of classes; with one, of whole names: `Async.VM.*` covers
    only the calls in the background, `*VM.start` both.
    """
    if CONNECT in (pattern, name):
        return pattern == name
    if "." in pattern:
        return fnmatchcase(name, pattern)
    return fnmatchcase(class_of(name), pattern)


def class_of(name: str) -> str:
    """Return the class of a method, spelled as in the call."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name.partition(".")[0]


def strikes(when: When, tally: Tally, *, now_s: float, dice: str) -> bool:
    """Count one more match and decide whether the rule strikes now.

    `dice` seeds the die: the same text and the same number of matches give the same answer.
    """
    if not when.after_s <= now_s < (math.inf if when.until_s is None else when.until_s):
        return False
    if when.count is not None and tally.fired >= when.count:
        return False
    tally.matched += 1
    turn = tally.matched - when.skip - 1
    if turn < 0 or turn % when.every:
        return False
    if when.probability < 1 and roll(f"{dice}/{tally.matched}") >= when.probability:
        return False
    tally.fired += 1
    return True


def roll(dice: str) -> float:
    """Return a number from 0 to 1 that only the text decides."""
    return int.from_bytes(hashlib.sha256(dice.encode()).digest()[:7], "big") / 2**56


def noise(dice: str, count: int) -> bytes:
    """Return bytes that look random and that only the text decides."""
    return hashlib.shake_256(dice.encode()).digest(count)
