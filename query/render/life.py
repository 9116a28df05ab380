"""The timeline of one object."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.text import Text

from ..choices import Format
from ..known import Origin
from ..lacks import Lacks
from ..records import FieldChange, Json
from ..timeline import Life, Step, Undertaking
from ..values import change_text, decoded, duration_text, short_ref
from .output import console, plain_of, write_csv, write_json
from .words import Names, at_text, origin_text

PERMISSIONS = frozenset({"allowed_operations", "current_operations"})
"""Fields that say what may be done, and by whom it is: on the screen the tasks themselves do."""


def show(told: Life, form: Format, names: Names, lacks: Lacks, *, everything: bool = True) -> None:
    """Write the timeline of an object, with tasks and gaps between the steps.

    On the screen changes of PERMISSIONS are left out unless `everything` is wanted.
    """
    if form is Format.JSON:
        steps = [{**plain_of(step), "changes": _changes(step)} for step in told.steps]
        document = {"object": told.object, "steps": steps, "tasks": told.tasks}
        write_json({**document, "omitted": told.omitted, **plain_of(lacks)})
    elif form is Format.CSV:
        header = ["seq", "received_at", "class", "ref", "operation", "origin", "gap", "stream"]
        header += ["field", "old", "new", "range_gaps"]
        touched: list[Json] = [*lacks.gaps_of(told.object.pool)]
        rows = (row for step in told.steps for row in _step_rows(step))
        write_csv([{**row, "range_gaps": touched} for row in rows], header)
    else:
        out = console()
        out.print(Text(str(told.object), style="bold"), no_wrap=True, overflow="ellipsis")
        blocks = _blocks(told, names, everything=everything)
        for _, _, lines in sorted(blocks, key=lambda block: block[:2]):
            for line in lines:
                out.print(line, no_wrap=True, overflow="ellipsis")


def hidden(told: Life) -> int:
    """Return how many changes the screen leaves out."""
    return sum(change.field in PERMISSIONS for step in told.steps for change in step.changes)


def _changes(step: Step) -> list[dict[str, Json]]:
    """Return the changed fields with their values; null where a field was or is not there."""
    return [
        {"field": change.field, "old": decoded(change.old), "new": decoded(change.new)}
        for change in step.changes
    ]


def _step_rows(step: Step) -> Iterable[dict[str, Json]]:
    row = plain_of(step)
    for change in _changes(step) or [{}]:
        yield row | change


Block = tuple[int, int, list[Text]]
"""Lines, with the entry that they belong to and their place among those of the same entry."""


def _blocks(told: Life, names: Names, *, everything: bool) -> Iterable[Block]:
    """Yield the lines of steps, of tasks and of both ends of each gap."""
    lasted = _Lasted(told)
    for step in told.steps:
        changes = [one for one in step.changes if everything or one.field not in PERMISSIONS]
        if changes or step.operation != "mod":
            yield step.seq, 1, _step_lines(told, step, changes, names, lasted)
    for task in told.tasks:
        yield from _task_blocks(task)
    for gap in told.gaps:
        opened = (
            f"gap @{gap.seq} opened: {gap.cause}, {gap.detail}; blind from {at_text(gap.since)}"
        )
        yield gap.seq, 0, [Text(f"-- {opened} --", style="yellow")]
        if gap.closed_seq is None:
            yield gap.seq, 3, [Text(f"-- gap @{gap.seq} is STILL OPEN --", style="bold yellow")]
        else:
            closed = f"gap @{gap.seq} closed: blind until {at_text(gap.blind_until)}"
            yield gap.closed_seq, 0, [Text(f"-- {closed} --", style="yellow")]


def _task_blocks(task: Undertaking) -> Iterable[Block]:
    name = task.name or short_ref(task.ref)
    began = f"{_head(task.began_at, task.began_seq)}task {name} began"
    yield task.began_seq, 0, [Text(began, style="dim")]
    if task.ended_seq is None or task.ended_at is None:
        if task.status == "vanished":
            text = f"{_head(None, task.began_seq)}task {name} vanished before it was over"
            yield task.began_seq, 2, [Text(text, style="red")]
        return
    took = "" if task.duration_s is None else f" after {duration_text(task.duration_s)}"
    error = "" if task.error_code is None else f": {task.error_code}"
    ended = f"{_head(task.ended_at, task.ended_seq)}task {name}: {task.status}{took}{error}"
    style = "dim" if task.status == "success" else "red"
    yield task.ended_seq, 2, [Text(ended, style=style)]


def _head(at: datetime | None, seq: int) -> str:
    return f"{at_text(at):<20}  {f'@{seq}':>8}  "


class _Lasted:
    """How long the power state was what it was, as far as nothing hid it."""

    def __init__(self, told: Life) -> None:
        self._told = told
        self._since: datetime | None = None
        self._since_seq = 0

    def text(self, step: Step, change: FieldChange) -> str:
        """Return ` (for 5 min)` behind a change of the power state, if that is known."""
        if change.field != "power_state" or step.ref != self._told.object.ref:
            return ""
        since, seq = self._since, self._since_seq
        self._since, self._since_seq = step.received_at, step.seq
        hidden_in_gap = any(seq < gap.seq < step.seq for gap in self._told.gaps)
        if since is None or step.gap is not None or hidden_in_gap:
            return ""
        return f" (after {duration_text((step.received_at - since).total_seconds())})"


def _step_lines(
    told: Life, step: Step, changes: Sequence[FieldChange], names: Names, lasted: _Lasted
) -> list[Text]:
    head = _head(step.received_at, step.seq)
    how = origin_text(step.origin, step.gap)
    mark = "" if step.origin == Origin.LIVE and step.gap is None else f"[{how}] "
    style = "" if not mark else "magenta" if step.origin == Origin.INFERRED else "cyan"
    label = _label(told, step)
    texts = [change_text(step.cls, change, names) + lasted.text(step, change) for change in changes]
    if step.operation != "mod":
        texts = [_came_or_went(step), *texts]
    lines = [Text(f"{head}{mark}{label}{texts[0]}", style=style)]
    indent = " " * len(head)
    return lines + [Text(f"{indent}{mark}{label}{text}", style=style) for text in texts[1:]]


def _label(told: Life, step: Step) -> str:
    """Return which device a step is of; those of the object itself have no label."""
    if step.ref == told.object.ref:
        return ""
    return f"{step.cls} {step.name or short_ref(step.ref)}: "


def _came_or_went(step: Step) -> str:
    name = step.name or short_ref(step.ref)
    if step.operation == "del":
        return "was destroyed" if step.origin == Origin.LIVE else "was gone"
    if step.origin == Origin.BASELINE:
        return f"was there as {name} when the recording began"
    return f"was created as {name}" if step.origin == Origin.LIVE else f"was there as {name}"
