"""What is said of a run over the control socket while it is under way. No I/O."""

from typing import Literal

import msgspec


class PartTitle(msgspec.Struct, frozen=True):
    """A step of a script in a few words, and how many calls are planned for it."""

    title: str
    calls: int


class Running(msgspec.Struct, frozen=True):
    """The first answer to `run`: what is going to be done; `run` is None if it is only asked."""

    run: str | None
    pool: str
    lines: list[str]
    parts: list[PartTitle]


class StepLine(msgspec.Struct, frozen=True, tag_field="kind", tag="step"):
    """One call of a run. `done` counts the calls of its part that have ended; times in seconds."""

    step: int
    part: int
    name: str
    method: str
    state: Literal["called", "progress", "ended"]
    done: int
    progress: float = 0.0
    outcome: str = ""
    why: str = ""
    error: list[str] = []
    duration_s: float = 0.0


class PartReport(msgspec.Struct, frozen=True):
    """What came of one step; `broken` are the expectations that did not hold, as sentences."""

    title: str
    planned: int
    made: int
    outcomes: dict[str, int]
    slowest_s: float
    broken: list[str]


class RunReport(msgspec.Struct, frozen=True, tag_field="kind", tag="run"):
    """The last line: how a run went in all."""

    run: str
    status: str
    held: bool
    duration_s: float
    parts: list[PartReport]
    error: str = ""


RunLine = StepLine | RunReport
