"""What the journal tells of one run: its plan, its steps, what it went by, and the tasks it saw.

Entries in, plain data out; no I/O.
"""

from collections import OrderedDict
from collections.abc import Iterable
from sys import intern
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from ..errors import WorkloadError
from ..model import BaselineChunk, BaselineRecord, Detail, Entry, Event, Mark, MarkName, Operation
from ..xapi.jsonrpc import Param
from .evidence import Intent
from .outcomes import Ended, Outcome, Source, task_in
from .plan import Plan, Subject
from .recorded import plan_in
from .witness import Seen

T = TypeVar("T")

TASKS_MAX = 10_000
"""What a server keeps is some 200 tasks. Those of the last hour are asked about: 10 MB."""


class StepPast(msgspec.Struct):
    """One call: `seq` and `at_ns` are those of its intent, `toolstack` that of the pool by then.

    `ended` is None for one that has no outcome, or one that has to be looked for again.
    """

    intent: Intent
    seq: int
    at_ns: int
    toolstack: str
    task: str | None = None
    ended: Ended | None = None

    @property
    def is_undone(self) -> bool:
        """Whether it was cancelled because of a stop: its task says that it did not happen."""
        ended = self.ended
        return ended is not None and ended.stopped and ended.outcome is Outcome.CANCELLED


class Note(msgspec.Struct, frozen=True):
    """What a run went by; `value` is JSON text, `about` an object or ""."""

    part: int
    about: str
    name: str
    value: bytes
    seq: int


class TaskPast(msgspec.Struct):
    """A task as it was last told; `first_seq` is the entry that told of it first."""

    first_seq: int
    seen: Seen


class EventIds(msgspec.Struct):
    """Notices that a toolstack was restarted, by ids of events that begin anew.

    `last` is the highest since the last restart, `restarted_seq` the registration behind that: the
    tasks of before are forgotten.
    """

    last: int = 0
    restarted_seq: int = 0

    def take(self, entry: Entry) -> None:
        """Take the next entry of a pool."""
        match entry.body:
            case Mark(MarkName.REGISTERED, {"next_event_id": int(number)}):
                if number < self.last:
                    self.restarted_seq = entry.seq
                self.last = number
            case Event(id=number) | BaselineChunk(high=number):
                self.last = max(number, self.last)
            case _:
                return


class RunPast(msgspec.Struct):
    """A run up to now. `status` is None for one without an end, or that goes on behind it.

    `before` are tasks that were there when it began. `at_work` tells on which object a task works,
    as far as the objects said so.
    """

    run: str
    pool: str
    plan: Plan
    script: str
    toolstack: str
    before: frozenset[str] = frozenset()
    steps: dict[int, StepPast] = msgspec.field(default_factory=dict)
    notes: list[Note] = msgspec.field(default_factory=list)
    status: str | None = None
    tasks: OrderedDict[str, TaskPast] = msgspec.field(default_factory=OrderedDict)
    at_work: OrderedDict[str, str] = msgspec.field(default_factory=OrderedDict)
    ids: EventIds = msgspec.field(default_factory=EventIds)

    @property
    def last_step(self) -> int:
        """The number of the last call that was intended."""
        return max(self.steps, default=0)

    @property
    def open_steps(self) -> list[StepPast]:
        """The calls of which nobody knows what became."""
        return [step for step in self.steps.values() if step.ended is None]

    def take(self, entry: Entry) -> None:
        """Take the next entry of the pool. Raises WorkloadError for a mark that cannot be read."""
        self.ids.take(entry)
        match entry.body:
            case Mark(name, detail) if detail.get("run") == self.run:
                self._mark(entry, name, detail)
            case Event(cls="task", ref=ref, snapshot=snapshot, operation=operation):
                self._task(entry.seq, ref, snapshot, gone=operation is Operation.DEL)
            case BaselineRecord(cls="task", ref=ref, snapshot=snapshot):
                self._task(entry.seq, ref, snapshot, gone=False)
            case Event(cls="vm" | "host", ref=ref, snapshot=bytes(snapshot)):
                self._object(ref, snapshot)
            case BaselineRecord(cls="vm" | "host", ref=ref, snapshot=snapshot):
                self._object(ref, snapshot)

    def _mark(self, entry: Entry, name: MarkName, detail: Detail) -> None:
        match name:
            case MarkName.RUN_NOTED:
                noted = _read(detail, _Noted, entry)
                value = noted.value.encode()
                self.notes.append(Note(noted.part, noted.about, noted.name, value, entry.seq))
            case MarkName.STEP_INTENDED:
                intent = _intent(_read(detail, _Intended, entry))
                step = StepPast(intent, entry.seq, entry.received_at_ns, self.toolstack)
                self.steps[intent.number] = step
            case MarkName.STEP_CALLED:
                called = _read(detail, _Called, entry)
                self.steps[called.step].task = called.task
            case MarkName.STEP_ENDED:
                step_ended = _read(detail, _StepEnded, entry)
                step = self.steps[step_ended.step]
                step.task = step_ended.task or step.task
                step.ended = _ended(step_ended)
            case MarkName.RUN_RESUMED:
                self.status, self.toolstack = None, _read(detail, _Resumed, entry).toolstack
            case MarkName.RUN_ENDED:
                self.status = _read(detail, _RunEnded, entry).status

    def _task(self, seq: int, ref: str, snapshot: bytes | None, *, gone: bool) -> None:
        before = self.tasks.pop(ref, None)
        first_seq = seq if before is None else before.first_seq
        text = (
            snapshot if snapshot is not None else b"{}" if before is None else before.seen.snapshot
        )
        self.tasks[ref] = TaskPast(first_seq, Seen(seq, text, gone))
        if len(self.tasks) > TASKS_MAX:
            self.tasks.popitem(last=False)

    def _object(self, ref: str, snapshot: bytes) -> None:
        for task in _AT_WORK.decode(snapshot).current_operations:
            self.at_work[task] = ref
            if len(self.at_work) > TASKS_MAX:
                self.at_work.popitem(last=False)


def past_of(run: str, pool: str, entries: Iterable[Entry], ids: EventIds) -> RunPast:
    """Read a run from entries, of which the first may be from before it; `ids` are those till then.

    Raises WorkloadError if it cannot be read, or is not there.
    """
    past: RunPast | None = None
    for entry in entries:
        if entry.pool != pool:
            continue
        if past is not None:
            past.take(entry)
        elif is_start_of(entry, run):
            past = _begun(entry, ids)
        else:
            ids.take(entry)
    if past is None:
        raise WorkloadError(f"the journal holds no run {run}")
    for step in past.steps.values():
        step.ended = _if_sure(step.ended)
    return past


def is_start_of(entry: Entry, run: str) -> bool:
    """Say whether a run begins with this entry; `run` may be the beginning of its name."""
    body = entry.body
    if not isinstance(body, Mark) or body.name is not MarkName.RUN_STARTED:
        return False
    return str(body.detail.get("run")).startswith(run)


class _Started(msgspec.Struct):
    run: str
    text: str
    plan: str
    toolstack: str = ""
    tasks: str = "[]"


class _Resumed(msgspec.Struct):
    toolstack: str


class _Noted(msgspec.Struct):
    part: int
    about: str
    name: str
    value: str


class _Intended(msgspec.Struct):
    step: int
    part: int
    kind: str
    round: int
    cls: str = msgspec.field(name="class")
    ref: str
    uuid: str
    name: str
    method: str
    params: str
    namesakes: str | None = None


class _Called(msgspec.Struct):
    step: int
    task: str


class _StepEnded(msgspec.Struct):
    step: int
    outcome: Outcome
    task: str | None = None
    why: str | None = None
    error: str | None = None
    duration_s: float = 0.0
    source: Source | None = None
    entry: int | None = None
    record: str | None = None
    made: str | None = None
    stopped: bool = False


class _RunEnded(msgspec.Struct):
    status: str


class _AtWork(msgspec.Struct):
    current_operations: dict[str, str] = {}


_AT_WORK = msgspec.json.Decoder(_AtWork)


def _read(detail: Detail, kind: type[T], entry: Entry) -> T:
    try:
        return msgspec.convert({**detail}, kind)
    except msgspec.ValidationError as error:
        raise WorkloadError(
            f"entry {entry.seq} is of another version of xentrail: {error}"
        ) from error


def _begun(entry: Entry, ids: EventIds) -> RunPast:
    assert isinstance(entry.body, Mark)
    started = _read(entry.body.detail, _Started, entry)
    plan = plan_in(started.plan)
    before = msgspec.json.decode(started.tasks, type=frozenset[str])
    return RunPast(started.run, entry.pool, plan, started.text, started.toolstack, before, ids=ids)


def _intent(told: _Intended) -> Intent:
    params: list[Param] = msgspec.json.decode(told.params, type=list)
    namesakes = told.namesakes
    return Intent(
        told.step,
        told.part,
        intern(told.kind),
        told.round,
        Subject(told.cls),
        intern(told.ref),
        intern(told.uuid),
        intern(told.name),
        intern(told.method),
        tuple(params),
        None if namesakes is None else msgspec.json.decode(namesakes, type=tuple[str, ...]),
    )


def _ended(told: _StepEnded) -> Ended:
    """Read an outcome; of the record of its task only what it has made is kept."""
    ended = Ended(
        told.outcome,
        told.why or "",
        error=msgspec.json.decode(told.error, type=list[str]) if told.error else (),
        duration_s=told.duration_s,
        record=None if told.record is None else told.record.encode(),
        source=told.source or "",
        seq=told.entry or 0,
        made=told.made,
        stopped=told.stopped,
    )
    return replace(ended, record=None, made=ended.created_ref)


def _if_sure(ended: Ended | None) -> Ended | None:
    """Return an outcome, None for one that was only left open by a stop."""
    is_open = ended is not None and ended.stopped and ended.outcome is not Outcome.CANCELLED
    return None if is_open else ended


def is_complete(seen: Seen) -> bool:
    """Say whether a task was told to be complete."""
    return task_in(seen.snapshot).is_complete
