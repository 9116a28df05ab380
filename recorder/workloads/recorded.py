"""A run as the journal tells of it: its plan, and what came of its calls. No I/O."""

from collections.abc import Iterable, Mapping

import msgspec

from ..errors import WorkloadError
from ..model import MarkName
from .outcomes import Outcome
from .plan import Plan

Told = Mapping[str, str | int | float | bool | None]
Written = tuple[int, MarkName, Told]
"""A mark: when it was written (nanoseconds since 1970 UTC), its name and detail."""


class RecordedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a run. `outcome` is None if nobody knows it.

    `error` is the code and the parameters of XAPI, empty without one. `called_ns` is when its task
    was known, `ended_ns` when its outcome was written.
    """

    step: int
    part: int
    kind: str
    round: int
    cls: str
    ref: str
    uuid: str
    name: str
    method: str
    task: str | None = None
    outcome: str | None = None
    why: str = ""
    error: tuple[str, ...] = ()
    duration_s: float = 0.0
    called_ns: int | None = None
    ended_ns: int | None = None

    @property
    def was_called(self) -> bool:
        """Whether the pool heard of it."""
        return self.task is not None or bool(self.error)

    @property
    def has_failed(self) -> bool:
        """Whether what was intended was not done."""
        return self.outcome not in {Outcome.SUCCESS, Outcome.SKIPPED}


class RecordedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `status` and `held` are None if its end was not recorded."""

    run: str
    pool: str
    script: str
    """The text of its script."""
    plan: Plan
    began_ns: int
    first_seq: int
    status: str | None
    held: bool | None
    steps: tuple[RecordedStep, ...]


def plan_in(text: str) -> Plan:
    """Read the plan of a run, as its run-started mark holds it. Raises WorkloadError."""
    try:
        plan = msgspec.json.decode(text, type=Plan)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WorkloadError(f"the plan of the run cannot be read: {error}") from error
    known = {*plan.found, *plan.hosts}
    for lane in (lane for part in plan.parts for lane in part.lanes):
        strangers = [ref for ref in (lane.ref, *lane.hosts) if ref not in known]
        if strangers:
            raise WorkloadError(f"the plan of the run names {strangers[0]}, which was not found")
    return plan


def steps_of(run: str, marks: Iterable[Written]) -> list[RecordedStep]:
    """Fold marks of the journal to the calls of a run, in the order in which they were intended."""
    steps: dict[int, RecordedStep] = {}
    for at_ns, name, told in marks:
        if told.get("run") != run or "step" not in told:
            continue
        number = int(told["step"] or 0)
        match name:
            case MarkName.STEP_INTENDED:
                steps[number] = _intended(number, told)
            case MarkName.STEP_CALLED:
                task = str(told["task"])
                steps[number] = msgspec.structs.replace(steps[number], task=task, called_ns=at_ns)
            case MarkName.STEP_ENDED:
                steps[number] = _ended(steps[number], told, at_ns)
            case _:
                continue
    return list(steps.values())


def error_in(text: str | None) -> tuple[str, ...]:
    """Read code and parameters of XAPI from JSON text."""
    return () if text is None else msgspec.json.decode(text, type=tuple[str, ...])


def _intended(number: int, told: Told) -> RecordedStep:
    return RecordedStep(
        step=number,
        part=int(told["part"] or 0),
        kind=str(told["kind"]),
        round=int(told["round"] or 0),
        cls=str(told["class"]),
        ref=str(told["ref"]),
        uuid=str(told["uuid"]),
        name=str(told["name"]),
        method=str(told["method"]),
    )


def _ended(step: RecordedStep, told: Told, at_ns: int) -> RecordedStep:
    error = told.get("error")
    return msgspec.structs.replace(
        step,
        outcome=str(told["outcome"]),
        why=str(told.get("why") or ""),
        error=error_in(None if error is None else str(error)),
        duration_s=float(told.get("duration_s") or 0.0),
        ended_ns=at_ns,
    )
