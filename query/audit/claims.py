"""What a run says of itself: its marks, read. Pure; what cannot be read is a finding."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from recorder.errors import ProtocolError, WorkloadError
from recorder.workloads.outcomes import Outcome, TaskRecord, task_in
from recorder.workloads.plan import Part, Plan
from recorder.workloads.scripts import Script, script_in

from ..records import Json
from .finding import Finding, Rule, contradicted

K = TypeVar("K")
FAILED = frozenset(Outcome) - {Outcome.SUCCESS, Outcome.SKIPPED}


class Mark(msgspec.Struct, frozen=True):
    """A mark of the run, as it was recorded; `detail` is JSON text."""

    seq: int
    at_us: int
    name: str
    detail: str


class Started(msgspec.Struct, frozen=True):
    """The run began: `text` is its script, `plan` JSON text."""

    seq: int
    at_us: int
    script: str
    text: str
    seed: int
    calls: int
    plan: str
    replay_of: str | None = None


class Intended(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """A call was about to be made; `params` is JSON text."""

    seq: int
    at_us: int
    step: int
    part: int
    kind: str
    round: int
    cls: str
    ref: str
    uuid: str
    name: str
    method: str
    params: str


class Called(msgspec.Struct, frozen=True):
    """It was made."""

    seq: int
    at_us: int
    step: int
    task: str


class StepEnded(msgspec.Struct, frozen=True):
    """It ended; `error` and `record` are JSON text, `entry` is the event that told it.

    `made` is what it has made, if its task does not tell that; `stopped` says that the run was
    stopped, and that one that goes on makes a cancelled call anew.
    """

    seq: int
    at_us: int
    step: int
    outcome: str
    duration_s: float
    task: str | None = None
    why: str | None = None
    error: str | None = None
    source: str | None = None
    entry: int | None = None
    record: str | None = None
    made: str | None = None
    stopped: bool = False

    @property
    def is_told_by_state(self) -> bool:
        """Whether its task is gone, and its object is said to be as the call was to leave it."""
        return self.outcome == Outcome.VANISHED and self.source == "state"

    @property
    def has_failed(self) -> bool:
        """Whether what was intended was not done."""
        return self.outcome in FAILED and not self.is_told_by_state


class RunEnded(msgspec.Struct, frozen=True):
    """The run is over; `parts` is JSON text, `counts` has the number of calls by outcome."""

    seq: int
    at_us: int
    status: str
    held: bool
    parts: str
    counts: dict[str, object] = {}


class StepClaim(msgspec.Struct, frozen=True):
    """What is claimed of one call.

    `params` are those behind the object, `error` is an error of XAPI, its code and parameters, and
    `record` the task as it was last told.
    """

    intended: Intended
    called: Called | None
    ended: StepEnded | None
    params: list[Json]
    error: list[Json]
    record: TaskRecord | None

    @property
    def number(self) -> int:
        """Its number in the run."""
        return self.intended.step

    @property
    def task(self) -> str | None:
        """The reference of its task."""
        return self.called.task if self.called else self.ended.task if self.ended else None

    @property
    def seqs(self) -> list[int]:
        """The entries that tell of it."""
        return [mark.seq for mark in (self.intended, self.called, self.ended) if mark is not None]

    @property
    def outcome(self) -> str | None:
        """How it is said to have ended; None if nobody said so."""
        return None if self.ended is None else self.ended.outcome

    @property
    def succeeded(self) -> bool:
        """Whether its task is said to have done it."""
        return self.outcome == Outcome.SUCCESS

    @property
    def is_done(self) -> bool:
        """Whether it is said to have been done, by its task or by the state of its object."""
        return self.succeeded or (self.ended is not None and self.ended.is_told_by_state)

    @property
    def created_ref(self) -> str | None:
        """The reference that is claimed to have been returned, if one is."""
        if self.record is None:
            return None if self.ended is None else self.ended.made
        text = self.record.result.removeprefix("<value>").removesuffix("</value>")
        return text if text.startswith("OpaqueRef:") else None


class Claims(msgspec.Struct, frozen=True):
    """What a run claims in all. `plan` and `script` are None if they cannot be read.

    `resumed` are the entries at which it went on; `flaws` are marks that say nothing sensible.
    """

    pool: str
    run: str
    started: Started
    plan: Plan | None
    script: Script | None
    steps: list[StepClaim]
    ended: RunEnded | None
    resumed: list[int]
    flaws: list[Finding]
    seqs: range
    """The entries from its first mark to its last."""
    by_part: Mapping[int, Sequence[StepClaim]]
    by_object: Mapping[str, Sequence[StepClaim]]
    by_task: Mapping[str, StepClaim]
    """The first call that claims a task."""
    made: Mapping[str, StepClaim]
    """The calls that are said to have made a VM, by its reference."""

    def of_part(self, index: int) -> list[StepClaim]:
        """Return the calls of a part of the plan, in the order in which they were intended.

        Without those that were cancelled when the run was stopped, and made anew when it went on.
        """
        return [step for step in self.by_part.get(index, ()) if not self.is_anew(step)]

    def is_anew(self, step: StepClaim) -> bool:
        """Tell whether a call was given up for another one in its place."""
        end = step.ended
        if end is None or end.outcome != Outcome.CANCELLED or (step.called and not end.stopped):
            return False
        return any(seq > step.intended.seq for seq in self.resumed)

    def part_of(self, step: StepClaim) -> Part | None:
        """Return the part that a call belongs to; None for one that restores, or for none."""
        parts = () if self.plan is None else self.plan.parts
        index = step.intended.part
        return parts[index] if 0 <= index < len(parts) else None


_KINDS: dict[str, type[msgspec.Struct]] = {
    "run-started": Started,
    "step-intended": Intended,
    "step-called": Called,
    "step-ended": StepEnded,
    "run-ended": RunEnded,
}


class _Reading(msgspec.Struct):
    """Marks, as they are read one by one."""

    started: Started | None = None
    ended: RunEnded | None = None
    intents: dict[int, Intended] = msgspec.field(default_factory=dict)
    calls: dict[int, Called] = msgspec.field(default_factory=dict)
    ends: dict[int, StepEnded] = msgspec.field(default_factory=dict)
    resumed: list[int] = msgspec.field(default_factory=list)
    flaws: list[Finding] = msgspec.field(default_factory=list)

    def flaw(self, text: str, *seqs: int, step: int | None = None) -> None:
        self.flaws.append(contradicted(Rule.MARKS, text, seqs, step))

    def take(self, mark: Mark) -> None:
        if mark.name == "run-resumed":
            self.resumed.append(mark.seq)
            self.ended = None
        kind = _KINDS.get(mark.name)
        if kind is None:
            return
        detail: dict[str, Json] = msgspec.json.decode(mark.detail)
        fields = {**detail, "counts": detail, "seq": mark.seq, "at_us": mark.at_us}
        try:
            self._take(msgspec.convert(fields, kind), mark)
        except msgspec.ValidationError as error:
            self.flaw(f"the mark {mark.name} cannot be read: {error}", mark.seq)

    def _take(self, told: msgspec.Struct, mark: Mark) -> None:
        if self.ended is not None:
            self.flaw(f"{mark.name} comes after the end of the run", self.ended.seq, mark.seq)
        match told:
            case Started():
                self._once(self.started, told)
                self.started = self.started or told
            case RunEnded():
                self.ended = self.ended or told
            case Intended():
                self._once(self.intents.get(told.step), told)
                self.intents.setdefault(told.step, told)
            case Called():
                self._after(told.step, told.seq, self.intents)
                self._once(self.calls.get(told.step), told)
                self.calls.setdefault(told.step, told)
            case StepEnded():
                self._after(told.step, told.seq, self.intents)
                before = self.ends.get(told.step)
                if before is None or not self._has_gone_on(before.seq):
                    self._once(before, told)
                self.ends[told.step] = told

    def _has_gone_on(self, seq: int) -> bool:
        """What was left open when a run was stopped has another outcome once it goes on."""
        return any(resumed > seq for resumed in self.resumed)

    def _once(
        self,
        before: Started | Intended | Called | StepEnded | None,
        told: Started | Intended | Called | StepEnded,
    ) -> None:
        if before is not None:
            step = None if isinstance(told, Started) else told.step
            self.flaw("the same is told a second time", before.seq, told.seq, step=step)

    def _after(self, step: int, seq: int, intents: dict[int, Intended]) -> None:
        if step not in intents:
            self.flaw(f"call {step} was not intended before this is told of it", seq, step=step)


def claims_in(pool: str, run: str, marks: Sequence[Mark]) -> Claims | None:
    """Read the marks of a run, in order; None if its beginning cannot be read."""
    reading = _Reading()
    for mark in marks:
        reading.take(mark)
    started = reading.started
    if started is None:
        return None
    plan, script = _plan_in(started, reading), _script_in(started, reading)
    steps = [_step(one, reading) for one in sorted(reading.intents.values(), key=lambda i: i.seq)]
    return Claims(
        pool,
        run,
        started,
        plan,
        script,
        steps,
        reading.ended,
        reading.resumed,
        reading.flaws,
        range(marks[0].seq, marks[-1].seq + 1),
        _grouped(steps, lambda step: step.intended.part),
        _grouped(steps, lambda step: step.intended.ref),
        {step.task: step for step in reversed(steps) if step.task is not None},
        {
            step.created_ref: step
            for step in steps
            if step.created_ref is not None and step.intended.cls == "VM"
        },
    )


def _grouped(steps: Sequence[StepClaim], key: Callable[[StepClaim], K]) -> dict[K, list[StepClaim]]:
    groups: dict[K, list[StepClaim]] = {}
    for step in steps:
        groups.setdefault(key(step), []).append(step)
    return groups


def _step(intended: Intended, reading: _Reading) -> StepClaim:
    number = intended.step
    ended = reading.ends.get(number)
    record = None
    if ended is not None and ended.record is not None:
        try:
            record = task_in(ended.record.encode())
        except ProtocolError as error:
            reading.flaw(str(error), ended.seq, step=number)
    return StepClaim(
        intended,
        reading.calls.get(number),
        ended,
        _list_in(intended.params, intended, reading),
        _list_in(ended.error if ended else None, intended, reading),
        record,
    )


def _list_in(text: str | None, intended: Intended, reading: _Reading) -> list[Json]:
    try:
        value: Json = msgspec.json.decode(text or "[]")
        if isinstance(value, list):
            return value
        error = f"{text} is no list"
    except msgspec.DecodeError as unreadable:
        error = str(unreadable)
    text = f"what is told of it cannot be read: {error}"
    reading.flaw(text, intended.seq, step=intended.step)
    return []


def _plan_in(started: Started, reading: _Reading) -> Plan | None:
    try:
        return msgspec.json.decode(started.plan, type=Plan)
    except msgspec.DecodeError as error:
        reading.flaw(f"the plan cannot be read: {error}", started.seq)
        return None


def _script_in(started: Started, reading: _Reading) -> Script | None:
    try:
        return script_in(started.text, started.script)
    except WorkloadError as error:
        text = f"the text of the script is none: {error.texts[0]}"
        reading.flaws.append(contradicted(Rule.SCRIPT, text, [started.seq]))
        return None
