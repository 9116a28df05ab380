"""What was recorded of a run's tasks and objects, whatever the run says of them. Pure."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from recorder.workloads.inventory import Inventory

ENDS = frozenset({"success", "failure", "cancelled"})
SETTLE_US = 10_000_000
"""So long after an outcome what an operation does may still be told."""


class TaskRecord(msgspec.Struct, frozen=True):
    """The fields of a task's record that are compared."""

    uuid: str = ""
    name_label: str = ""
    status: str = "pending"
    result: str = ""
    error_info: list[str] = []
    subtask_of: str = ""


class TaskSeen(msgspec.Struct, frozen=True):
    """An entry that told of a task; `record` is None where it told none."""

    seq: int
    at_us: int
    ref: str
    operation: str
    origin: str
    record: TaskRecord | None

    @property
    def has_ended(self) -> bool:
        """Whether the task is complete by then."""
        return self.record is not None and self.record.status in ENDS


class ObjectSeen(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """An entry that told of a VM or host of the run; `changed` is None where all of it is new."""

    seq: int
    at_us: int
    cls: str
    ref: str
    uuid: str | None
    name: str | None
    operation: str
    origin: str
    changed: list[str] | None
    power_state: str | None
    resident_on: str | None
    enabled: str | None

    @property
    def is_gone(self) -> bool:
        """Whether the object is no more."""
        return self.operation == "del"


class GapSeen(msgspec.Struct, frozen=True):
    """From after which entry the pool was uncertain, and up to which; None if it still is."""

    seq: int
    since_seq: int
    closed_seq: int | None

    def touches(self, first: int, last: int | None) -> bool:
        """Tell whether it lies in a part of the journal; `last` is None for one without an end."""
        begins_before = last is None or self.since_seq < last
        return begins_before and (self.closed_seq is None or self.closed_seq > first)


class Touched(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """An object that changed while the run was on, and how often; `fields` are those that did."""

    cls: str
    ref: str
    name: str | None
    changes: int
    first_seq: int
    last_seq: int
    operations: list[str]
    fields: list[str]
    origins: list[str]


class Belonging(msgspec.Struct, frozen=True):
    """An object that another one of the run names in its record, such as a disk of a VM."""

    ref: str
    owner: str


class Repeated(msgspec.Struct, frozen=True):
    """The beginning of the run that a replay repeats; `plan` is JSON text."""

    seq: int
    text: str
    plan: str


class Recorded(msgspec.Struct, frozen=True):
    """What was recorded while a run was on.

    `tasks`, `objects` are in order by reference: those of the tasks that are claimed, and of the
    VMs and hosts of the plan, from a little before the run. `entries` are those that the outcomes
    name. `carried` has the tasks that an object carried at an entry, by both, and `carriers` the
    objects that carried a task. `subtasks` are the tasks below those of the run, with the one at
    the top. `named` are references that the VMs of the run mention, with the VM; `messages` the
    uuids that messages are about, by reference of the message. `at_start` is what the pool
    consisted of when the run began, None if nobody can know. `unsettled` are entries that told of
    VMs outside of the plan near then. `repeated` is the run that a replay repeats, `readings` are
    the baselines of the pool. `last_states` tells that it was followed by `stream = "from"`.
    """

    tasks: Mapping[str, Sequence[TaskSeen]] = msgspec.field(default_factory=dict)
    objects: Mapping[str, Sequence[ObjectSeen]] = msgspec.field(default_factory=dict)
    entries: Mapping[int, TaskSeen] = msgspec.field(default_factory=dict)
    carried: Mapping[tuple[str, int], frozenset[str]] = msgspec.field(default_factory=dict)
    carriers: Mapping[str, frozenset[str]] = msgspec.field(default_factory=dict)
    subtasks: Mapping[str, str] = msgspec.field(default_factory=dict)
    gaps: Sequence[GapSeen] = ()
    touched: Sequence[Touched] = ()
    named: Mapping[str, str] = msgspec.field(default_factory=dict)
    messages: Mapping[str, str] = msgspec.field(default_factory=dict)
    at_start: Inventory | None = None
    unsettled: Sequence[int] = ()
    repeated: Repeated | None = None
    readings: Sequence[range] = ()
    last_states: bool = False
    clock_stepped: bool = False

    def task(self, ref: str | None) -> Sequence[TaskSeen]:
        """Return what was told of a task."""
        return self.tasks.get(ref or "", ())

    def end_of(self, ref: str | None) -> TaskSeen | None:
        """Return the first entry that told that a task is complete."""
        return next((one for one in self.task(ref) if one.has_ended), None)

    def of(self, ref: str) -> Sequence[ObjectSeen]:
        """Return what was told of a VM or host."""
        return self.objects.get(ref, ())

    def before(self, ref: str, seq: int) -> ObjectSeen | None:
        """Return the last that was told of a VM or host up to an entry."""
        rows = [one for one in self.of(ref) if one.seq <= seq]
        return rows[-1] if rows else None

    def between(self, ref: str, first: int, last: int | None) -> Iterator[ObjectSeen]:
        """Yield what was told of a VM or host after an entry, and up to another."""
        for one in self.of(ref):
            if one.seq > first and (last is None or one.seq <= last):
                yield one

    def gaps_in(self, first: int, last: int | None) -> list[int]:
        """Return the gaps that lie in a part of the journal."""
        return [gap.seq for gap in self.gaps if gap.touches(first, last)]
