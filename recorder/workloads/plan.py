"""A plan: every call that a run is to make, with the objects it is made to. Plain data, no I/O.

The same script, state of the pool and seed give the same plan, byte for byte.
"""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from .scripts import Kind, OnFailure, Step

ARROW = " -> "


class Subject(StrEnum):
    """The classes whose objects are worked on, as in the names of methods."""

    VM = "VM"
    HOST = "host"


class Found(msgspec.Struct, frozen=True):
    """An object as it was found at the start; `host` is the reference of a running VM's host."""

    ref: str
    uuid: str
    name: str
    power_state: str = ""
    host: str = ""


class Lane(msgspec.Struct, frozen=True):
    """What is done to one object, call by call: `opening`, `each` in every round, `closing`.

    `hosts` are where a VM is to move, round by round; empty if that is only known by then, because
    an earlier step places the VM.
    """

    ref: str
    each: tuple[str, ...]
    opening: tuple[str, ...] = ()
    closing: tuple[str, ...] = ()
    rounds: int = 1
    hosts: tuple[str, ...] = ()

    @property
    def calls(self) -> int:
        """How many calls these are."""
        return len(self.opening) + self.rounds * len(self.each) + len(self.closing)


class Part(msgspec.Struct, frozen=True):
    """One step of the script, lane by lane; `index` is its place in the script, from 0."""

    index: int
    step: Step
    cls: Subject
    lanes: tuple[Lane, ...]

    @property
    def calls(self) -> int:
        """How many calls are planned in all lanes."""
        return sum(lane.calls for lane in self.lanes)


class Plan(msgspec.Struct, frozen=True):
    """A whole run as it is meant to go. `found` and `hosts` are by reference."""

    script: str
    pool: str
    seed: int
    restore: bool
    parts: tuple[Part, ...]
    found: dict[str, Found]
    hosts: dict[str, Found]

    @property
    def calls(self) -> int:
        """How many calls are planned, without those that restore what was found."""
        return sum(part.calls for part in self.parts)

    @property
    def methods(self) -> list[str]:
        """The methods that are called, as far as they are known before, each once."""
        lanes = (lane for part in self.parts for lane in part.lanes)
        called = {name for lane in lanes for name in (*lane.opening, *lane.each, *lane.closing)}
        return sorted(name for name in called if ":" not in name)

    def name_of(self, ref: str) -> str:
        """Return the name of a VM or host, or its reference if it was not there at the start."""
        found = self.found.get(ref) or self.hosts.get(ref)
        return ref if found is None else found.name

    def json(self) -> str:
        """Return the plan as JSON text, for the journal."""
        return msgspec.json.encode(self).decode()

    def lines(self) -> Iterator[str]:
        """Say for people what is going to be done."""
        yield (
            f"{self.script} on pool {self.pool}, seed {self.seed}:"
            f" {_count(len(self.found), 'VM')}, {_count(self.calls, 'call')}"
        )
        for part in self.parts:
            yield f"{part.index + 1}. {title_of(part.step)}"
            for lane in part.lanes:
                yield f"   {self._described(lane.ref)}: {self._doings(lane)}"
        if self.restore:
            yield "then each VM gets back its power state and host"

    def _described(self, ref: str) -> str:
        found = self.found.get(ref)
        if found is None:
            return f"host {self.name_of(ref)}"
        where = f" on {self.name_of(found.host)}" if found.host else ""
        return f"{found.name} ({found.power_state}{where})"

    def _doings(self, lane: Lane) -> str:
        if lane.hosts:
            return f"{_bare(lane.each)}{ARROW}{ARROW.join(map(self.name_of, lane.hosts))}"
        each = _bare(lane.each)
        if lane.rounds > 1:
            each = f"{lane.rounds} x ({each})"
        if lane.each == ("VM.pool_migrate",):
            each = f"{each}, to hosts that are known by then"
        middle = [each] if lane.each else []
        return ", then ".join([*map(_bare, filter(None, [lane.opening])), *middle]) + (
            f", then {_bare(lane.closing)}" if lane.closing else ""
        )


def title_of(step: Step) -> str:
    """Return a step in a few words."""
    words = [step.kind.value]
    detail = step.variant or step.order or step.call
    if detail is not None:
        words[0] += f" ({detail!s})"
    if step.iterations > 1:
        words.append(f"{step.iterations} rounds")
    if step.kind is not Kind.EVACUATE:
        words.append(f"{step.concurrency} at a time")
    if step.pause_s:
        words.append(f"{step.pause_s:g} s apart")
    after = {
        OnFailure.STOP: "a failure ends it",
        OnFailure.CONTINUE: "the others go on after a failure",
        OnFailure.ROLL_BACK: "a failure rolls back",
    }
    return ", ".join([*words, after[step.on_failure]])


def _bare(methods: tuple[str, ...]) -> str:
    return ", ".join(method.rpartition(".")[2] for method in methods)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
